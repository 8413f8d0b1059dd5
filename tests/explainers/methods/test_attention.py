"""Attention against PyG's own, run by PyG's Explainer, and against the softmax worked by hand."""

import pytest
import torch
from torch_geometric.explain import AttentionExplainer, Explainer
from torch_geometric.nn import GATConv, GCNConv

import explainers

from ..conftest import LOOPS, Stack, random_graph, random_model

ENGINES = explainers.load("attention").engines
SETTINGS = {
    "explanation_type": "model",
    "edge_mask_type": "object",
    "model_config": {
        "mode": "multiclass_classification",
        "task_level": "node",
        "return_type": "log_probs",
    },
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("reduce", ["max", "mean", "min", "median"])
@pytest.mark.parametrize("conv", ["gat", "gatv2", "transformer"])
def test_equal_to_pygs(engine, reduce, conv):
    data, model = random_graph(2), random_model(2, conv, depth=3)
    explainer = Explainer(random_model(2, conv, depth=3), AttentionExplainer(reduce), **SETTINGS)
    method = explainers.load("attention", engine=engine, reduce=reduce)
    nodes = [0, 4, 9]
    for node, explanation in zip(nodes, method.explain(model, data, nodes), strict=True):
        theirs = explainer(data.x, data.edge_index, index=node).edge_mask
        torch.testing.assert_close(explanation.edge_mask, theirs[explanation.e_id], rtol=0, atol=0)
        assert node or explanation.edge_mask.any()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("loops", LOOPS)
def test_shares_of_what_a_node_hears(engine, loops):
    """One layer, one head: with its own loop, the attention into a node adds up to one."""
    data = random_graph(1, loops=loops)
    model = Stack([GATConv(5, 3)]).double().eval()
    (explanation,) = explainers.load("attention", engine=engine).explain(model, data, 0)
    layer = model.layers[0]
    with torch.no_grad():
        _, (to_indptr, alpha) = layer(data.x, data.edge_index, return_attention_weights=True)
    own = alpha[(to_indptr[0] == 0) & (to_indptr[1] == 0)]
    assert float(explanation.edge_mask.sum() + own.sum()) == pytest.approx(1)


@pytest.mark.parametrize("engine", [*ENGINES, None])
def test_a_model_without_attention(engine, graph, model):
    method = explainers.load("attention", engine=engine)
    assert not method.supports(model, graph)
    with pytest.raises(ValueError, match=r"model Stack has no layer with attention .* use another"):
        method.explain(model, graph, 0)


def test_layers_without_attention_are_passed_over(graph):
    torch.manual_seed(0)
    model = Stack([GCNConv(5, 4), GATConv(4, 3)]).double().eval()
    (explanation,) = explainers.load("attention").explain(model, graph, 0)
    assert explanation.edge_mask.any()


def test_bad_reduce():
    with pytest.raises(ValueError, match="unknown reduce 'sum'; use one of max, mean"):
        explainers.load("attention", reduce="sum")
