"""All on the test device: what CUDA would refuse is met here, and how often a GPU's host waits.

See :mod:`strict_device`. The device computes as the CPU does, so what is explained and evaluated on
it is what it is on the CPU; that the kernels of CUDA do so, only a GPU shows.
"""

from __future__ import annotations

import copy
import functools
import itertools

import pandas as pd
import pytest
import torch
from torch_geometric.explain import Explainer

import explainers
from explainers import metrics

from ...explainers.conftest import (
    random_batch,
    random_graph,
    random_graph_model,
    random_model,
)
from ...explainers.methods.test_every_method import FAST
from .strict_device import NAME, StrictTensor, set_up

set_up()

FAST = FAST | {"shapley_sampling": {"n_samples": 1}}
SMALL = {"nodes": 8, "edges": 20}
WEIGHTED = {"loops": "some", "weighted": True}
TASKS = {
    "gcn": lambda: (random_model(0), random_graph(0, **SMALL, **WEIGHTED)),
    "sage of three layers": lambda: (random_model(0, "sage", 3), random_graph(0, **SMALL)),
    "gat": lambda: (random_model(0, "gat"), random_graph(0, **SMALL)),
    "gin of graphs": lambda: (random_graph_model(0, "gin"), random_batch(0, graphs=4)),
}
UNITS = [3, 0]


@functools.cache
def on_cpu(task):
    return TASKS[task]()


@functools.cache
def on_device(task):
    model, data = on_cpu(task)
    return copy.deepcopy(model).to(NAME), data.clone().to(NAME)


def load(name, engine=None, **options):
    return explainers.load(name, engine=engine, **FAST.get(name, {}), **options)


def runs():
    """Every method on every engine that accepts the model; ``stock`` where it differs by task."""
    for task, name in itertools.product(TASKS, explainers.available()):
        if (task == "gat") != (name == "attention"):  # which the other models do not have
            continue
        for engine in explainers.load(name).engines:
            if task == "sage of three layers" and engine == "stock":
                continue
            if load(name, engine).supports(*on_cpu(task)):
                yield pytest.param(task, name, engine, id=f"{task}-{name}-{engine}")


RUNS = list(runs())


def check_same(explanation, expected):
    """Every tensor is on the device, and is what it is on the CPU."""
    assert explanation.keys() == expected.keys()
    for key in expected.keys():  # noqa: SIM118  # PyG's, no dict
        value, other = explanation[key], expected[key]
        if isinstance(other, torch.Tensor):
            assert isinstance(value, StrictTensor), key
            torch.testing.assert_close(value.cpu(), other, rtol=1e-9, atol=1e-12)
        else:
            assert value == other, key


@pytest.mark.parametrize(("task", "name", "engine"), RUNS)
def test_explained_as_on_the_cpu(task, name, engine):
    units = UNITS[:1] if engine == "stock" else UNITS  # it takes one at a time, slowly
    expected = load(name, engine).explain(*on_cpu(task), units)
    method = load(name, engine)
    explanations = method.explain(*on_device(task), units)
    assert method.engine == engine
    assert len(explanations) == len(expected) == len(units)
    for one, other in zip(explanations, expected, strict=True):
        check_same(one, other)


@pytest.mark.parametrize("task", ["gcn", "gin of graphs"])
def test_every_method_and_engine_is_among_them(task):
    ran = {run.values[1:] for run in RUNS if run.values[0] == task}
    names = {name for name, _ in ran}
    assert names | {"attention"} == set(explainers.available())
    engines = {"analytic", "hoisted", "batched", "stock"}
    assert {engine for _, engine in ran} == engines - ({"analytic"} if task != "gcn" else set())


def test_nodes_and_targets_from_either_device():
    model, data = on_device("gcn")
    nodes, classes = torch.tensor(UNITS), torch.tensor([1, 0])
    expected = load("integrated_gradients").explain(*on_cpu("gcn"), nodes, classes)
    for a, b in ((nodes, classes.to(NAME)), (nodes.to(NAME), classes)):
        found = load("integrated_gradients").explain(model, data, a, b)
        for one, other in zip(found, expected, strict=True):
            check_same(one, other)


@pytest.mark.parametrize("name", ["shapley_sampling", "gnn_explainer"])
def test_over_seeds(name):
    expected = load(name).explain(*on_cpu("gcn"), UNITS, seeds=2)
    found = load(name).explain(*on_device("gcn"), UNITS, seeds=2)
    assert "edge_mask_std" in found[0]
    for one, other in zip(found, expected, strict=True):
        check_same(one, other)


@pytest.mark.parametrize(
    ("task", "engine"),
    [("gcn", "analytic"), ("gcn", "batched"), ("gcn", "stock"), ("gin of graphs", "batched")],
)
def test_evaluated_as_on_the_cpu(task, engine):
    model, data = on_cpu(task)
    expected = load("integrated_gradients").explain(model, data, UNITS)
    explanations = load("integrated_gradients").explain(*on_device(task), UNITS)
    names = metrics.available()
    if engine == "stock":  # a pass for every draw
        names = [name for name in names if metrics.load(name).draw is None]
    truth = torch.arange(data.num_edges) % 3 == 0
    known = {"truth": truth, "alternatives": torch.stack([truth, ~truth])}
    known["labels"] = torch.tensor([1, 0])
    options = {"at": ("k=1", "f=50%"), "metrics": names, "engine": engine}
    rows = metrics.evaluate(model, data, expected, **options, **known)
    assert {row["metric"] for row in rows}
    for device in ("cpu", NAME):  # what is known of the explanations may be on either
        here = {name: value.to(device) for name, value in known.items()}
        found = metrics.evaluate(*on_device(task), explanations, **options, **here)
        frames = pd.DataFrame(found), pd.DataFrame(rows)
        pd.testing.assert_frame_equal(*frames, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["saliency", "gnn_explainer"])
def test_as_algorithm(name):
    task = "gcn"
    masks = []
    for model, data in (on_cpu(task), on_device(task)):
        explainer = Explainer(
            model,
            explainers.as_algorithm(name, **FAST.get(name, {})),
            explanation_type="model",
            node_mask_type="attributes",
            edge_mask_type="object",
            model_config={
                "mode": "multiclass_classification",
                "task_level": "node",
                "return_type": "log_probs",
            },
        )
        weight = {} if "edge_weight" not in data else {"edge_weight": data.edge_weight}
        index = torch.tensor(3, device=data.x.device)
        found = explainer(data.x, data.edge_index, index=index, **weight)
        masks.append((found.node_mask, found.edge_mask))
    for one, other in zip(*masks, strict=True):
        assert isinstance(other, StrictTensor)
        torch.testing.assert_close(other.cpu(), one, rtol=1e-9, atol=1e-12)


def test_whole_masks_and_a_picture():
    pytest.importorskip("matplotlib").use("agg")
    _, data = on_device("gcn")
    (explanation,) = load("saliency").explain(*on_device("gcn"), 3)
    (expected,) = load("saliency").explain(*on_cpu("gcn"), 3)
    for one, other in zip(
        explainers.to_full(explanation, data),
        explainers.to_full(expected, on_cpu("gcn")[1]),
        strict=True,
    ):
        assert isinstance(one, StrictTensor)
        assert torch.equal(one.cpu(), other)
    classes = torch.zeros(data.num_nodes, dtype=torch.long, device=NAME)
    explainers.draw(explanation, data, classes=classes)
