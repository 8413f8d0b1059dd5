"""Wherever a name is typed, a mistyped one is told with the one that may have been meant."""

import pytest
import torch
from torch_geometric.data import Data

import benchmarks.tasks
import explainers
from benchmarks.harness import option
from benchmarks.harness.options import PROFILES
from benchmarks.harness.presets import PRESETS
from benchmarks.tasks._models import GNN
from explainers import metrics
from explainers._names import did_you_mean


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("saliancy", ["random", "saliency"], "; did you mean 'saliency'?"),
        ("Twitch_EN", ["cora", "twitch-en"], "; did you mean 'twitch-en'?"),
        ("gnn-explainer", ["gnn_explainer", "pg_explainer"], "; did you mean 'gnn_explainer'?"),
        ("zzz", ["random", "saliency"], ""),
        (3, ["random"], ""),
        ("x", [], ""),
    ],
)
def test_the_nearest_name(name, known, hint):
    assert did_you_mean(name, known) == hint


@pytest.mark.parametrize(
    ("flag", "check", "typed", "meant"),
    [
        ("--task", option.known_task, "karata", "karate"),
        ("--method", option.known_method, "gnn-explaner", "gnn_explainer"),
        ("--model", option.known_model, "gcnn", "gcn"),
        ("--device", option.working_device, "cuda1", "cuda"),
        ("--profile", option.one_of(PROFILES), "quik", "quick"),
        ("--preset", option.one_of(PRESETS), "qualty", "quality"),
        ("--executor", option.installed_executor, "locall", "local"),
    ],
)
def test_options(flag, check, typed, meant):
    problem = check(typed, {})
    assert problem.startswith("unknown; "), flag
    assert problem.endswith(f"; did you mean {meant!r}?"), flag


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (lambda _: explainers.load("saliancy"), "saliency"),
        (lambda _: explainers.load("saliency", engine="batch"), "batched"),
        (lambda _: explainers.load("integrated_gradients", n_step=5), "n_steps"),
        (lambda _: benchmarks.tasks.load("karata"), "karate"),
        (lambda _: benchmarks.tasks.load("karate", model="gin0"), "gin"),
        (lambda _: benchmarks.tasks.load("karate", device="cudas"), "cuda"),
        (lambda _: GNN((2, 4, 2), kind="sag"), "sage"),
        (lambda case: metrics.evaluate(*case, [], metrics=["fidelty"]), "fidelity"),
        (lambda case: metrics.evaluate(*case, [], semantics=["masked"]), "mask"),
        (lambda case: metrics.evaluate(*case, [], selections=["sign"]), "signed"),
        (lambda case: metrics.evaluate(*case, [], engine="stok"), "stock"),
    ],
)
def test_calls(call, meant):
    data = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
    with pytest.raises(ValueError, match=rf"; did you mean {meant!r}\?$"):
        call((GNN((1, 2)), data))


def test_a_function_of_the_users_file(tmp_path):
    (tmp_path / "mine.py").write_text("def my_task():\n    return None\n")
    with pytest.raises(ValueError, match=r"; did you mean 'my_task'\?$"):
        benchmarks.tasks.load(f"{tmp_path / 'mine.py'}:my_tsk")
