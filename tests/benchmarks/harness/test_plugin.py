"""The benchmarks' pytest options, from the command line to the results folder."""

# long: all that meets pytest, as the plugin
import dataclasses
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import pytest
import torch  # pytester forgets what is imported within, and torch cannot be imported twice
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv

import benchmarks
import benchmarks.tasks
import explainers
from benchmarks.harness import options
from benchmarks.harness.cluster import worker_arguments
from benchmarks.harness.lock import locked
from benchmarks.harness.measure import timer as clock
from benchmarks.harness.option import Option, one_of
from benchmarks.harness.options import ALWAYS
from benchmarks.harness.plugin import MOST_PRINTED, _answers, _summary, pytest_warning_recorded
from benchmarks.harness.presets import PRESETS, Preset

ROOT = Path(__file__).parents[3]

MODULE = """
from benchmarks.harness.plugin import plan_of
from benchmarks.harness.variants import parametrize

seen = []


def pytest_generate_tests(metafunc):
    plan = plan_of(metafunc.config)
    methods = [{"method": name, "engine": "stock", "options": {}} for name in plan.methods]
    parametrize(metafunc, plan, repeats=2, variants=methods)


def test_quality(run, plan, device, task, model_seed, variant, repeat, benchmark):
    seen.append((task.name, task.architecture, model_seed, repeat, variant["method"]))
    config = {"task": task.name, "model": task.architecture, "model_seed": model_seed,
              "device": device, **variant}
    nodes = plan.pick(task)
    with run.cell("quality", config, task=task, nodes=nodes, part={"repeat": repeat}) as cell:
        if variant["method"] == "broken":
            print("begin", 10**6 * "x", "end")
            benchmark.pedantic(lambda: 1 / 0)
        cell.quality.append({"node": nodes[0], "metric": "gini", "value": 0.5})
        benchmark.pedantic(lambda: None, rounds=2, warmup_rounds=1)


def test_order(benchmark):
    benchmark.pedantic(lambda: None)
    print("ORDER", seen)
"""


@pytest.fixture
def drawn():
    """The folders for which a report was asked; ``drawn.error`` is raised if it is set."""
    return SimpleNamespace(folders=[], error=None)


@pytest.fixture
def bench(pytester, monkeypatch, drawn):
    """Calls pytest with the benchmarks' options, on tasks and methods that are made up."""
    graph = Data(
        x=torch.ones(4, 3), edge_index=torch.zeros(2, 5, dtype=torch.long), y=torch.arange(4) % 2
    )

    def load(name, root=None, device="cpu", seed=0, model="gcn"):
        if name == "twitch-en":
            raise benchmarks.tasks.Unavailable("put EN.npz into data/Twitch/EN/raw")
        return benchmarks.tasks.Task(
            name=name,
            data=graph,
            model=GCNConv(3, 2),
            nodes=torch.arange(4),
            ground_truth=None,
            accuracy=1.0,
            provenance="made up",
            architecture=model,
            dataset_sha256="d",
            checkpoint_sha256=f"c{seed}",
            stand_in=False,
            title="made up",
            description="made up",
        )

    def write(folder):
        drawn.folders.append(folder)
        if drawn.error:
            raise drawn.error
        (folder / "report.html").write_text("drawn")

    report = SimpleNamespace(write=write)
    monkeypatch.setitem(sys.modules, "benchmarks.report", report)
    monkeypatch.setattr(benchmarks, "report", report, raising=False)
    monkeypatch.setattr(benchmarks.tasks, "load", load)
    monkeypatch.setattr(explainers, "available", lambda: ["random", "saliency"], raising=False)
    monkeypatch.delenv("GNN_BENCH_DEVICE", raising=False)
    pytester.makepyfile(test_module=MODULE)

    def call(*arguments, only=True):
        options = ["--benchmark-only"] if only else []
        # -p: the benchmarks' conftest, which loads it, is not in pytester's folder.
        plugins = ["-p", "no:cacheprovider", "-p", "benchmarks.harness.plugin"]
        return pytester.runpytest_inprocess(*plugins, *options, *arguments)

    return call


def test_a_task_that_brings_its_model_is_explained_once(bench):
    """Whatever seeds and architectures the run has for the others."""
    options = ("--seeds", "2", "--model", "gcn", "--model", "sage", "--method", "random", "-s")
    result = bench("--task", "karate", "--task", "white-box-or", "--results", "out", *options)
    (line,) = [line for line in result.outlines if "ORDER" in line]
    assert line.count("'karate'") == 2 * 2 * 2
    assert line.count("'white-box-or'") == 2
    assert line.count("('white-box-or', 'gcn', 0, ") == 2


def stored(folder):
    return [json.loads(path.read_text()) for path in sorted((folder / "cells").glob("*.json"))]


def test_a_run(bench, pytester, drawn):
    folder = pytester.path / "out"
    result = bench("--results", "out", "--nodes", "2", "-s")
    chosen = {"twitch-sim", *ALWAYS} - set(options.WHITE_BOX)  # which are scored only
    result.assert_outcomes(passed=len(chosen) * 2 * 2 + 1)
    assert result.ret == 0

    by_status = {}
    for cell in stored(folder):
        by_status.setdefault(cell["status"], []).append(cell)
    assert len(by_status["ok"]) == len(chosen) * 2 * 2
    assert {cell["config"]["task"] for cell in by_status["ok"]} == chosen
    assert by_status["ok"][0]["inputs"]["nodes"] == [0, 1]
    (missing,) = by_status["unavailable"]
    assert missing["message"] == "put EN.npz into data/Twitch/EN/raw"

    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["profile"] == "quick"
    assert "--nodes 2" in manifest["command"]
    assert {task["name"] for task in manifest["tasks"]} == chosen
    assert manifest["unavailable"][0]["task"] == "twitch-en"

    measured = json.loads((folder / "benchmark.json").read_text())
    assert len(measured["benchmarks"]) == len(chosen) * 2 * 2 + 1
    assert "UNSERIALIZABLE" not in (folder / "benchmark.json").read_text()
    assert "node" not in measured["machine_info"]
    assert measured["machine_info"]["torch"] == version("torch")
    timer = measured["benchmarks"][0]["options"]["timer"]
    assert timer.rpartition(".")[2] == clock.__name__  # of torch 2.11 on a CPU: perf_counter

    assert drawn.folders == [folder]
    result.stdout.fnmatch_lines(
        [
            "results: out (quick profile, cpu)",
            "twitch-en is unavailable: put EN.npz*",
            "twitch-en is unavailable: put EN.npz*",
            "report: out/report.html",
        ]
    )


def test_the_method_varies_fastest(bench):
    models = ("--model", "sage", "--model", "gcn")
    result = bench("--task", "karate", "--task", "cora", "--seeds", "2", *models, "-s")
    (line,) = [line for line in result.outlines if "ORDER" in line]
    expected = [
        (task, model, seed, repeat, method)
        for task in ("karate", "cora")
        for model in ("sage", "gcn")
        for seed in (0, 1)
        for repeat in (0, 1)
        for method in ("random", "saliency")
    ]
    assert line.partition("ORDER ")[2] == str(expected)


def test_default_folder_is_new(bench, pytester):
    assert bench("--task", "karate", "--method", "random").ret == 0
    (folder,) = (pytester.path / "results" / "local").iterdir()
    assert len(stored(folder)) == 2


def test_a_failing_benchmark_is_a_cell(bench, pytester, monkeypatch):
    monkeypatch.setattr(explainers, "available", lambda: ["broken", "random"])
    load = explainers.load
    monkeypatch.setattr(explainers, "load", lambda name: load(name.replace("broken", "random")))
    result = bench("--task", "karate", "--results", "out")
    result.assert_outcomes(passed=3, failed=2)
    assert result.ret == 1
    failed = [cell for cell in stored(pytester.path / "out") if cell["status"] == "error"]
    assert [cell["message"] for cell in failed] == ["ZeroDivisionError: division by zero"] * 2
    told = result.stdout.str()  # of what was printed the end
    assert told.count("xxx end") == 2
    assert len(told) < 100_000


def test_resume(bench, pytester):
    folder = pytester.path / "out"
    bench("--task", "karate", "--method", "random", "--results", "out").assert_outcomes(passed=3)
    before = stored(folder)
    result = bench("--task", "karate", "--results", "out", "--resume", "-rs")
    result.assert_outcomes(passed=3, skipped=2)
    result.stdout.fnmatch_lines(["*resumed: cell * is there"])
    after = stored(folder)
    assert len(after) == 4
    assert all(cell in after for cell in before)
    # pytest-benchmark's own file keeps what the first part has measured.
    measured = json.loads((folder / "benchmark.json").read_text())["benchmarks"]
    assert len(measured) == 5
    result = bench("--task", "karate", "--results", "out")
    result.stderr.fnmatch_lines(["*--results out: the folder is not empty; add --resume*"])
    assert result.ret == 4


def test_a_second_writer(bench, pytester):
    with locked(pytester.path / "out"):
        result = bench("--task", "karate", "--results", "out", "--resume")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--results */out: another run is writing there (process *"])


def test_a_task_asked_for_that_cannot_be_had(bench, pytester):
    result = bench("--task", "twitch-en", "--task", "karate", "--method", "random", "-rs")
    result.assert_outcomes(passed=3, skipped=2)
    result.stdout.fnmatch_lines(["*twitch-en is unavailable: put EN.npz*"])
    assert result.ret == 0
    # With nothing else to do, the run has failed.
    assert bench("--task", "twitch-en").ret == 1


def test_a_report_that_fails_leaves_the_cells(bench, pytester, drawn):
    drawn.error = RuntimeError("no ink")
    result = bench("--task", "karate", "--results", "out")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*no ink*", "*python -m benchmarks report out*"])
    assert len(stored(pytester.path / "out")) == 4
    assert (pytester.path / "out" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "nope"], "--task nope: unknown; available: *ba-shapes*"),
        (["--method", "nope"], "--method nope: unknown; available: random, saliency"),
        (["--device", "tpu"], "--device tpu: unknown; use cpu or cuda; did you mean 'cpu'?"),
        (["--nodes", "0"], "--nodes 0: must be at least 1"),
        (["--nodes", "two"], "*--nodes*invalid int value: 'two'"),
        (["--profile", "slow"], "--profile slow: unknown; use quick or full"),
        (["--data-root", "nowhere"], "--data-root nowhere: there is no such folder*"),
        (["--cell-timeout", "-1"], "--cell-timeout -1: must be at least 0 seconds; 0 is no limit"),
        (
            ["--cell-timeout", "nan"],
            "--cell-timeout nan: must be at least 0 seconds; 0 is no limit",
        ),
        (["--trust-data", "abc"], "--trust-data abc: must be a file's SHA-256, 64 hexadecimal*"),
        (["--resume"], "--resume: needs --results DIR*"),
    ],
)
def test_bad_options_stop_before_any_work(bench, pytester, drawn, arguments, message):
    result = bench(*arguments)
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*{message}"])
    assert not (pytester.path / "results").exists()
    assert drawn.folders == []


def test_cuda_without_a_gpu(bench, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for arguments in (["--device", "cuda"], []):
        result = bench(*arguments)
        assert result.ret == 4
        result.stderr.fnmatch_lines(["*--device cuda: torch finds no working CUDA device; use*"])
        monkeypatch.setenv("GNN_BENCH_DEVICE", "cuda")


def test_nothing_happens_without_benchmark_only(bench, pytester, drawn):
    result = bench("--benchmark-skip", only=False)
    timed = {"twitch-en", *ALWAYS} - set(options.WHITE_BOX)
    assert result.parseoutcomes()["skipped"] == len(timed) * 2 * 2 + 1
    assert not (pytester.path / "results").exists()
    assert drawn.folders == []


def test_collecting_trains_and_writes_nothing(bench, pytester, drawn):
    result = bench("--collect-only", "-q")
    assert result.ret == 0
    assert not (pytester.path / "results").exists()
    assert drawn.folders == []


def test_a_preset_is_some_of_the_benchmarks(bench, monkeypatch):
    """By the names of their files; the one here is test_module.py."""
    typed = ("--preset=made-up", "--collect-only", "-q")
    for of_preset in (("module",), ("quality", "engines")):
        made = Preset(asks="", benchmarks=of_preset, options={"nodes": 2, "tasks": ("karate",)})
        monkeypatch.setitem(PRESETS, "made-up", made)
        result = bench(*typed, "--method=random")
        if of_preset == ("module",):
            assert result.parseoutcomes() == {"tests": 3}
        else:
            assert result.ret == 4
            told = "*--preset made-up: is of quality and engines, none of which is among these*"
            result.stderr.fnmatch_lines([told])


def test_options_of_a_run_are_not_for_other_calls(bench):
    """Without --benchmark-only all benchmarks would be skipped."""
    result = bench("--nodes=2", only=False)
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--nodes: is for a run of the benchmarks, which takes*"])
    bench("--collect-only", only=False).assert_outcomes()


def test_workers_of_xdist_are_refused(bench):
    pytest.importorskip("xdist")
    result = bench("-n", "2", "--task=karate", "--results=out")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*-n: benchmarks are timed, which takes one process; leave it*"])


def test_help_names_the_options(bench):
    result = bench("--help", only=False)
    for option in ("--task=NAME", "--results=DIR", "--resume", "--data-root=DIR"):
        result.stdout.fnmatch_lines([f"*{option}*"])


def test_an_option_is_declared_in_one_place(bench, pytester, monkeypatch):
    """A field of the plan is in the help, checked, in the plan, and in a worker's command."""

    @dataclass(frozen=True, kw_only=True)
    class Coloured(options.Plan):
        colour: Annotated[
            str,
            Option("--colour", "paint it", "NAME", default="blue", check=one_of(["red", "blue"])),
        ]
        secret: Annotated[bool, Option("--secret", "tell nobody", for_workers=False)]

    monkeypatch.setattr(options, "Plan", Coloured)
    bench("--help", only=False).stdout.fnmatch_lines(["*--colour=NAME*paint it*", "*--secret *"])
    wrong = bench("--colour", "green")
    assert wrong.ret == 4
    wrong.stderr.fnmatch_lines(["*--colour green: unknown; use red or blue"])

    typed = ["--colour", "red", "--secret", "-q", "--nodes=3", "--benchmark-only", "test_module.py"]
    config = pytester.parseconfig("-p", "benchmarks.harness.plugin", *typed)
    plan = options.make_plan(colour="red", secret=True, nodes=3, device="cpu")
    assert (plan.colour, plan.secret, plan.nodes) == ("red", True, 3)
    words = worker_arguments(config, plan)
    assert [word for word in words if "colour" in word] == ["--colour=red"]
    assert not [word for word in words if "secret" in word]
    assert options.make_plan().colour == "blue"
    assert "--colour=blue" in worker_arguments(
        pytester.parseconfig("-p", "benchmarks.harness.plugin"), options.make_plan()
    )


def test_a_worker_is_told_what_was_asked_for(pytester):
    """... and what the defaults are here; not where the driver's results go."""
    (pytester.path / "data").mkdir()
    typed = ["--task", "own.py:mine", "--results", "out", "--resume", "--executor=ray"]
    typed += ["--workers", "2", "--data-root", "data", "-k", "quality", "--cell-timeout=5", "x.py"]
    config = pytester.parseconfig("-p", "benchmarks.harness.plugin", *typed)
    plan = options.make_plan(methods=["random"], device="cpu", data_root=Path("data"), seeds=2)
    words = worker_arguments(config, dataclasses.replace(plan, tasks=("mine-0123",)))
    assert [word for word in words if "--basetemp" not in word] == [  # pytester's own
        *("-p", "benchmarks.harness.plugin", "-k", "quality"),
        *("--task=own.py:mine", "--method=random", "--model=gcn", "--device=cpu"),
        *("--profile=quick", "--nodes=15", "--seeds=2", "--cell-timeout=5.0"),
        *(f"--data-root={pytester.path / 'data'}", "--together", "--resume", "--rootdir=."),
    ]


def test_the_benchmarks_find_their_options_from_anywhere(tmp_path):
    """A single file, called from another folder."""
    file = ROOT / "benchmarks" / "test_quality.py"
    typed = ["--benchmark-only", "--collect-only", "-q", "--task=karate", "--method=random"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(file), *typed],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "test_quality[karate-gcn-0-random]" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_the_harness_is_free_of_pytest():
    """All of it but the plugin and the cluster."""
    folder = ROOT / "benchmarks" / "harness"
    names = sorted(path.stem for path in folder.glob("*.py"))
    found = [
        name
        for name in names
        if re.search(r"^\s*(import|from) pytest\b", (folder / f"{name}.py").read_text(), re.M)
    ]
    assert found == ["cluster", "plugin"]
    others = [f"benchmarks.harness.{name}" for name in names if name not in found]
    code = f"import sys, {', '.join(others)}; print(sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "'benchmarks.harness.run'" in loaded.stdout
    assert "'_pytest'" not in loaded.stdout


def test_a_run_ends_with_the_answers_of_its_report(tmp_path):
    page = tmp_path / "report.md"
    assert _answers(page) == []
    page.write_text(
        "# Title\n\nText.\n\n- First \\* of *two*.\n- Second.\n\nText.\n\n- A caution.\n"
    )
    assert _answers(page) == ["First * of *two*.", "Second."]
    assert _summary(page) == []
    page.write_text(
        "# Title\n\n| no | verdict |\n| --- | --- |\n\n## Verdict\n\n*Table.* Summary.\n\n"
        "| task | best, by score | error &lt; 1 % |\n| --- | --- | --- |\n"
        "| karate | a\\*b (2-way tie) | – |\n\nText.\n\n## Other\n\n| a |\n| --- |\n"
    )
    assert _summary(page) == [
        "",
        "task    best             error < 1 %",
        "karate  a*b (2-way tie)  –",
        "",
    ]


def test_a_long_warning_is_cut():
    told = SimpleNamespace(message=FutureWarning("x" * 10**6))
    pytest_warning_recorded(told)
    assert len(str(told.message)) < 2 * MOST_PRINTED
