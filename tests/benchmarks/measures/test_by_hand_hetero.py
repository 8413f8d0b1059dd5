"""Explanations of heterogeneous graphs by hand against stock's."""

import pytest
import torch
from torch_geometric.nn import SAGEConv

import explainers
from benchmarks.measures.by_hand_hetero import METHODS, HeteroByHand, refusal
from tests.explainers.hetero.schemas import random_case

CONFIG = {
    "mode": "multiclass_classification",
    "task_level": "node",
    "return_type": "raw",
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", ["sage", "three-layers", "to-hetero"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_gives_the_scores_of_stock(name, kind, seed):
    """On random schemas, with types that a computation graph has no node or edge of."""
    model, data = random_case(kind, seed)
    by_hand = HeteroByHand(model, data, "a", hops=3 if kind == "three-layers" else 2)
    stock = explainers.load(name, engine="stock")
    for node in (0, data["a"].num_nodes - 1):
        (expected,) = stock.explain(model, data, ("a", [node]), model_config=CONFIG)
        found = by_hand.explain(name, node)
        nodes, edges = explainers.to_full(found, data)
        other_nodes, other_edges = explainers.to_full(expected, data)
        for ours, others in ((nodes, other_nodes), (edges, other_edges)):
            assert ours.keys() == others.keys()
            for one, values in ours.items():
                assert torch.allclose(values, others[one], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("gcn-and-gat", "degrees of the whole graph"),
        ("weighted-sum", "weights or attributes"),
        ("hgt", "not one for each edge type"),
        ("rgcn", "not one for each edge type"),
    ],
)
def test_what_is_not_done_by_hand(kind, reason):
    model, data = next(
        case
        for case in (random_case(kind, seed) for seed in range(20))
        if kind != "gcn-and-gat" or any(one[0] == one[2] for one in case[1].edge_types)
    )
    with pytest.raises(ValueError, match=reason):
        HeteroByHand(model, data, "a", hops=2)


def test_layers_under_other_names_than_edge_types_are_not_done_by_hand():
    """PyG sets no mask on them: their edges would all score 0."""
    _, data = random_case("sage", 0)
    model = torch.nn.ModuleDict({"first": SAGEConv((-1, -1), 2)})
    assert "not one for each edge type" in refusal(model, data)
