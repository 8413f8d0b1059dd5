"""Options: each that cannot be gets one line that names it, its value and what to do."""

import argparse
from pathlib import Path

import pytest
import torch

import benchmarks.tasks
import explainers
from benchmarks.harness import supervisor
from benchmarks.harness.options import (
    COMPARED_WITH,
    DEVICE_VARIABLE,
    PROFILES,
    declared,
    make_plan,
)
from benchmarks.harness.presets import PRESETS
from benchmarks.harness.variants import variant_id
from benchmarks.report.stats import sign_flips
from benchmarks.report.stats.estimates import ALPHA


@pytest.fixture(autouse=True)
def names(monkeypatch):
    monkeypatch.delenv(DEVICE_VARIABLE, raising=False)
    monkeypatch.setattr(benchmarks.tasks, "available", lambda: ["ba-shapes", "karate"])
    monkeypatch.setattr(explainers, "available", lambda: ["random", "saliency"], raising=False)


def test_defaults():
    made = make_plan()
    profile = PROFILES["quick"]
    assert (made.nodes, made.seeds, made.repeats) == (
        profile.nodes,
        profile.seeds,
        profile.repeats,
    )
    assert made.tasks == ()  # chosen when the run starts
    assert made.methods == ("random", "saliency")
    assert made.device == "cpu"


def test_options_have_the_last_word():
    made = make_plan(
        profile="full", tasks=["karate", "karate"], methods=["random"], nodes=2, seeds=1
    )
    assert (made.tasks, made.methods) == (("karate",), ("random",))
    assert made.models == ("gcn",)
    assert make_plan(models=["gat", "gcn", "gat"]).models == ("gat", "gcn")
    assert (made.nodes, made.seeds, made.repeats) == (2, 1, PROFILES["full"].repeats)


def test_a_presets_options_hold_where_none_are_given(monkeypatch):
    known = ["cora", "karate", "twitch-en"]
    monkeypatch.setattr(benchmarks.tasks, "available", lambda: known)
    made = make_plan(preset="architectures", profile=None, tasks=[], nodes=None, resume=False)
    assert (made.tasks, made.nodes, made.seeds) == (("cora", "twitch-en"), 30, 3)
    assert (made.models, made.profile) == (("gcn", "sage", "gin", "gat"), "full")
    assert made.benchmarks == ("quality",)
    made = make_plan(preset="architectures", profile="quick", tasks=["karate"], nodes=2)
    assert (made.tasks, made.nodes, made.seeds, made.profile) == (("karate",), 2, 3, "quick")
    with pytest.raises(ValueError, match="--nodes 0: must be at least 1"):
        make_plan(preset="architectures", nodes=0)
    assert make_plan().benchmarks == ()


def test_a_quick_run_leaves_slow_methods_out_unless_they_are_named(monkeypatch):
    """By what each says; those of other packages are not imported to be asked."""
    monkeypatch.setattr(supervisor, "foreign_methods", lambda _: ["theirs"])
    monkeypatch.setattr(
        explainers, "available", lambda: ["random", "theirs", "zorro"], raising=False
    )
    assert explainers.load("zorro").slow
    assert make_plan().methods == ("random", "theirs")
    assert make_plan(profile="full").methods == ("random", "theirs", "zorro")
    assert make_plan(methods=["zorro"]).methods == ("zorro",)


def test_a_method_alone_is_scored_beside_the_baselines(monkeypatch):
    assert make_plan(methods=["saliency"]).scored == ("saliency", *COMPARED_WITH)
    assert make_plan(methods=["saliency"]).methods == ("saliency",)  # nothing else is timed
    assert make_plan(methods=["saliency"], no_baselines=True).scored == ("saliency",)
    assert make_plan(methods=["saliency", "random"]).scored == ("saliency", "random")
    monkeypatch.undo()  # the real methods
    asked = ("saliency", "integrated_gradients")
    assert make_plan(methods=[*asked]).scored == (*asked, "random")


def test_a_quick_run_can_show_that_a_method_is_better_than_random(monkeypatch):
    monkeypatch.undo()  # the real methods
    comparisons = 2 * 2 * len(explainers.available())  # fidelity+ and -, with the best and random
    nodes = PROFILES["quick"].nodes
    assert comparisons * sign_flips.least_p(nodes) < ALPHA
    assert comparisons * sign_flips.least_p(nodes - 3) > ALPHA


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_what_there_is(name, monkeypatch):
    monkeypatch.undo()  # the real tasks
    preset = PRESETS[name]
    for benchmark in preset.benchmarks:
        assert (Path(benchmarks.__file__).parent / f"test_{benchmark}.py").is_file()
    made = make_plan(preset=name)
    assert made.benchmarks == preset.benchmarks
    assert {field: getattr(made, field) for field in preset.options} == preset.options


@pytest.mark.parametrize("name", ["lime", "pg_explainer", "saliency"])
def test_a_quick_run_has_no_time_for_costly_methods_on_the_whole_graph(name):
    engines = make_plan(profile="full").engines(name)
    assert engines[0] == "stock"
    quick = make_plan(profile="quick").engines(name)
    assert quick == (engines if name == "saliency" else engines[1:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"preset": "speed"},
            "--preset speed: unknown; use quality or reliability or architectures",
        ),
        ({"profile": "slow"}, "--profile slow: unknown; use quick or full"),
        ({"tasks": ["nope"]}, "--task nope: unknown; available: ba-shapes, karate"),
        ({"methods": ["nope"]}, "--method nope: unknown; available: random, saliency"),
        ({"models": ["gnn"]}, "--model gnn: unknown; available: gcn, sage, gin, gat"),
        ({"device": "tpu"}, "--device tpu: unknown; use cpu or cuda"),
        ({"nodes": 0}, "--nodes 0: must be at least 1"),
        ({"seeds": -1}, "--seeds -1: must be at least 1"),
        ({"resume": True}, "--resume: needs --results DIR"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError) as caught:
        make_plan(**options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_value_is_not_the_default(capsys):
    parser = argparse.ArgumentParser()
    valued = [option for option in declared().values() if option.metavar]
    for option in valued:
        parser.add_argument(option.flag, **option.parser_arguments)
    for option in valued:
        with pytest.raises(SystemExit):
            parser.parse_args([f"{option.flag}="])
        assert f"argument {option.flag}: " in capsys.readouterr().err
    assert parser.parse_args(["--results=out"]).results == Path("out")


def test_cuda_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="--device cuda: torch finds no working CUDA device; use"):
        make_plan(device="cuda")
    monkeypatch.setenv(DEVICE_VARIABLE, "cuda")
    with pytest.raises(ValueError, match="--device cuda"):
        make_plan()
    assert make_plan(device="cpu").device == "cpu"


def test_folders(tmp_path):
    missing, full, file = tmp_path / "missing", tmp_path / "full", tmp_path / "file"
    (full / "cells").mkdir(parents=True)
    file.write_text("")
    for options, message in [
        ({"data_root": missing}, "--data-root .*missing: there is no such folder"),
        ({"data_root": file}, "--data-root .*file: there is no such folder"),
        ({"results": full}, "--results .*full: the folder is not empty; add --resume"),
        ({"results": file}, "--results .*file: is a file; name a folder"),
        ({"results": missing, "resume": True}, "--results .*missing: nothing to resume there"),
    ]:
        with pytest.raises(ValueError, match=message):
            make_plan(**options)
    assert make_plan(results=missing).results == missing
    assert make_plan(results=full, resume=True).resume


def test_variant_ids_tell_variants_apart():
    assert variant_id({"method": "random"}) == "random"
    variant = {"method": "ig", "engine": "batched", "options": {"n_steps": 5, "a": "all"}}
    assert variant_id(variant) == "ig-batched-a=all-n_steps=5"
