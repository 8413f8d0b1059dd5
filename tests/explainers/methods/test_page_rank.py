"""The PageRank floor against networkx."""

import networkx
import pytest
import torch

import explainers

from ..conftest import random_graph, random_model


@pytest.mark.parametrize("damping", [0.0, 0.5, 0.85])
def test_equal_to_networkx(damping):
    data = random_graph(2)
    graph = networkx.MultiDiGraph()  # the graph has duplicate edges
    graph.add_nodes_from(range(12))
    graph.add_edges_from(data.edge_index.t().tolist())
    found = networkx.pagerank(graph, alpha=damping, tol=1e-14, max_iter=10_000)
    ranks = torch.tensor([found[node] for node in range(12)], dtype=torch.float64)
    method = explainers.load("page_rank", damping=damping)
    for explanation in method.explain(random_model(2), data, [0, 5, 11]):
        expected = ranks[explanation.n_id]
        torch.testing.assert_close(explanation.node_mask, expected[:, None].expand(-1, 5))
        to_indptr = expected[explanation.edge_index]
        torch.testing.assert_close(explanation.edge_mask, to_indptr.sum(dim=0) / 2)


def test_each_damping_has_ranks_of_its_own(graph, model):
    one, other = (
        explainers.load("page_rank", damping=damping).explain(model, graph, 0)[0]
        for damping in (0.85, 0.5)
    )
    assert not torch.allclose(one.edge_mask, other.edge_mask)


def test_a_damping_near_one_comes_to_an_end():
    data, method = random_graph(2), explainers.load("page_rank", damping=1 - 1e-9)
    (explanation,) = method.explain(random_model(0), data, 0)
    assert explanation.edge_mask.isfinite().all()


@pytest.mark.parametrize("damping", [-0.1, 1.0, float("nan")])
def test_bad_damping(damping):
    with pytest.raises(ValueError, match="damping must be 0 or more and below 1"):
        explainers.load("page_rank", damping=damping)
