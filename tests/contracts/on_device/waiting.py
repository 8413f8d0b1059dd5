"""How often the host has to wait for the device while nodes are explained.

See :mod:`strict_device`.
"""

from __future__ import annotations

import pytest

import explainers
from explainers import metrics
from explainers.engines.hoisted import problem

from ...explainers.conftest import random_graph, random_model
from .strict_device import NAME, set_up, waits

set_up()
# As of large computation graphs: of small ones hoisted runs the model in one part, as batched does.
problem.LEAST_NUMBERS = problem.LEAST_RECORDED = 0

# How often the host waits in a call that explains a batch of nodes of a prepared model: to compare
# what has been prepared, for the sizes of the computation graphs at each hop, to verify outputs,
# and to bring nodes and steps to the device. Found are 17, 24, 14 by gradients; GNNExplainer's
# include what it takes to record a tape and to compare what it plays, once.
MOST = {
    ("saliency", "analytic"): 17,
    ("saliency", "hoisted"): 21,
    ("saliency", "batched"): 16,
    ("integrated_gradients", "analytic"): 17,
    ("integrated_gradients", "hoisted"): 21,
    ("integrated_gradients", "batched"): 16,
    ("gnn_explainer", "batched"): 30,
    ("gnn_explainer", "hoisted"): 21,
}
STEPS = {"integrated_gradients": "n_steps", "gnn_explainer": "epochs"}


OWN = 8  # transfers of an explanation's own tensors, when it is evaluated


def prepared():
    return random_model(0).to(NAME), random_graph(0, nodes=60, edges=300).to(NAME)


def waited(name, engine, count, memory_budget=2**32, **options):
    """How often the host waits while ``count`` nodes are explained, of a model that is prepared."""
    model, data = prepared()
    method = explainers.load(name, engine=engine, memory_budget=memory_budget, **options)
    method.explain(model, data, 0)
    with waits() as counted:
        method.explain(model, data, list(range(count)))
    return counted


@pytest.mark.parametrize(("name", "engine"), MOST)
def test_the_host_waits_for_a_batch_and_not_for_nodes_and_steps(name, engine):
    few, many = ({STEPS[name]: n} for n in (4, 12)) if name in STEPS else ({}, {})
    expected = waited(name, engine, 10, **few)
    assert waited(name, engine, 30, **many) == expected
    assert sum(expected.values()) <= MOST[name, engine], expected


@pytest.mark.parametrize(
    ("name", "few", "many"),
    [
        (
            "integrated_gradients",
            {"n_steps": 4, "internal_batch_size": 2},
            {"n_steps": 12, "internal_batch_size": 2},
        ),
        ("occlusion", {"memory_budget": 2**24}, {"memory_budget": 2**21}),
    ],
)
def test_nor_for_passes(name, few, many):
    assert waited(name, "batched", 1, **many) == waited(name, "batched", 1, **few)


def test_predictions_for_metrics_come_to_the_host_together():
    model, data = prepared()
    explanations = explainers.load("saliency").explain(model, data, list(range(30)))
    counts = []
    for count in (10, 30):
        with waits() as counted:
            metrics.evaluate(model, data, explanations[:count], metrics=metrics.available())
        counts.append(sum(counted.values()))
    assert counts[1] - counts[0] <= OWN * 20
