"""Occlusion against Captum's feature ablation on PyG's own model."""

import pytest
import torch
from captum.attr import FeatureAblation
from torch_geometric.explain.algorithm.captum import CaptumModel

import explainers

from ..conftest import random_graph, random_model


@pytest.mark.parametrize("engine", explainers.load("occlusion").engines)
@pytest.mark.parametrize("conv", ["gcn", "gat"])
def test_equal_to_captums_ablation(conv, engine):
    data, nodes = random_graph(3), [0, 5, 11]
    data.x[:, 1] = 0
    ours = explainers.load("occlusion", engine=engine).explain(random_model(3, conv), data, nodes)
    for node, explanation in zip(nodes, ours, strict=True):
        model = CaptumModel(random_model(3, conv), "node_and_edge", node)
        inputs = data.x[None], data.x.new_ones(1, data.num_edges)
        with torch.no_grad():
            expected = FeatureAblation(model).attribute(
                inputs,
                target=int(explanation.target),
                additional_forward_args=(data.edge_index,),
            )
        node_mask, edge_mask = explainers.to_full(explanation, data)
        torch.testing.assert_close(node_mask, expected[0][0].double())
        torch.testing.assert_close(edge_mask, expected[1][0].double())


def test_a_graph_without_features(graph, model):
    graph.x = torch.zeros_like(graph.x)
    (explanation,) = explainers.load("occlusion").explain(model, graph, 0)
    assert not explanation.node_mask.any()
