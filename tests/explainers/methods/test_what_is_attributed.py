"""Edges or features alone, and several seeds."""

import pytest
import torch
from torch_geometric.explain.algorithm.captum import CaptumModel

import explainers

from ..conftest import difference, quick, random_graph, random_model, suited

SCORES_FEATURES = [
    name
    for name in explainers.available()
    if {"features", "nodes"} & {*explainers.load(name).granularity}
]


@pytest.mark.parametrize("mask_type", ["edge", "node"])
@pytest.mark.parametrize("engine", explainers.load("integrated_gradients").engines)
def test_the_path_of_what_is_attributed_alone(mask_type, engine):
    """What is not attributed keeps its value: the scores add up to what the rest changes."""
    data, model = random_graph(3), random_model(3)
    method = explainers.load(
        "integrated_gradients", engine=engine, mask_type=mask_type, n_steps=200
    )
    (found,) = method.explain(model, data, 0)
    wrapped = CaptumModel(model, "node_and_edge", 0)
    ones = torch.ones(1, data.num_edges, dtype=torch.float64)
    x, mask = (0 * data.x[None], ones) if mask_type == "node" else (data.x[None], 0 * ones)
    with torch.no_grad():
        full = wrapped(data.x[None], ones, data.edge_index)
        change = (full - wrapped(x, mask, data.edge_index))[0, found.target]
    kept, zero = found.edge_mask, found.node_mask
    if mask_type == "node":
        kept, zero = zero, kept
    assert not zero.any()
    torch.testing.assert_close(kept.sum(), change, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("mask_type", ["edge", "node"])
@pytest.mark.parametrize("name", SCORES_FEATURES)
def test_engines_agree(name, mask_type):
    data, model = random_graph(4), suited(name, 4)
    options = quick(name)
    engines = explainers.load(name).engines
    found = [
        explainers.load(name, engine=engine, mask_type=mask_type, **options).explain(model, data, 0)
        for engine in engines
    ]
    for (one,) in found:
        assert not one["node_mask" if mask_type == "edge" else "edge_mask"].any()
        assert difference(one, found[-1][0]) < 1e-6


def test_what_cannot_be_attributed():
    with pytest.raises(ValueError, match="unknown mask_type 'nodes'; use one of"):
        explainers.load("saliency", mask_type="nodes")
    with pytest.raises(ValueError, match="mask_type 'node': PGExplainer scores edges only"):
        explainers.load("pg_explainer", mask_type="node")


def test_several_seeds_give_mean_and_deviation(graph, model):
    method = explainers.load("smooth_grad", n_samples=3, seed=4)
    (found,) = method.explain(model, graph, 0, seeds=3)
    each = [
        explainers.load("smooth_grad", n_samples=3, seed=seed).explain(model, graph, 0)[0]
        for seed in (4, 5, 6)
    ]
    for name in ("node_mask", "edge_mask"):
        masks = torch.stack([explanation[name] for explanation in each])
        torch.testing.assert_close(found[name], masks.mean(dim=0))
        torch.testing.assert_close(found[f"{name}_std"], masks.std(dim=0))
    assert method.seed == 4


def test_the_set_of_one_seed_is_not_that_of_several(graph, model):
    method = explainers.load("subgraphx", **quick("subgraphx"))
    assert "selected_nodes" in method.explain(model, graph, 0)[0]
    (found,) = method.explain(model, graph, 0, seeds=2)
    assert "edge_mask_std" in found
    assert not {"selected_nodes", "set_size", "shapley_value"} & {*found.keys()}


@pytest.mark.parametrize(
    ("name", "seeds", "message"),
    [
        ("saliency", 3, "seeds 3: Saliency has no random part"),
        ("smooth_grad", 1, "seeds must be a whole number and at least 2, got 1"),
    ],
)
def test_bad_seeds(name, seeds, message, graph, model):
    with pytest.raises(ValueError, match=message):
        explainers.load(name).explain(model, graph, 0, seeds=seeds)
