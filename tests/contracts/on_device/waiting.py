"""How often the host has to wait for the device while nodes are explained.

See :mod:`strict_device`.
"""

from __future__ import annotations

import pytest

import explainers

from ...explainers.conftest import random_graph, random_model
from .strict_device import NAME, set_up, waits

set_up()

# How often the host waits in a call that explains a batch of nodes of a prepared model: to compare
# what has been prepared, for the sizes of the computation graphs at each hop, to verify outputs,
# and to bring nodes and steps to the device. Found are 17, 24, 14 by gradients, 16 by GNNExplainer.
MOST = {
    ("saliency", "analytic"): 17,
    ("saliency", "hoisted"): 28,
    ("saliency", "batched"): 16,
    ("integrated_gradients", "analytic"): 17,
    ("integrated_gradients", "hoisted"): 28,
    ("integrated_gradients", "batched"): 16,
    ("gnn_explainer", "batched"): 16,
}
STEPS = {"integrated_gradients": "n_steps", "gnn_explainer": "epochs"}


def waited(name, engine, count, **options):
    """How often the host waits while ``count`` nodes are explained, of a model that is prepared."""
    model, data = random_model(0).to(NAME), random_graph(0, 60, 300).to(NAME)
    method = explainers.load(name, engine=engine, memory_budget=2**32, **options)
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


def test_nor_for_passes():
    few, many = (
        waited("integrated_gradients", "batched", 1, n_steps=n, internal_batch_size=2)
        for n in (4, 12)
    )
    assert few == many
