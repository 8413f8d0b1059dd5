"""The degree floor against PyG's normalisation."""

import pytest
import torch
from torch_geometric.nn.conv.gcn_conv import gcn_norm

import explainers

from ..conftest import LOOPS, random_graph, random_model


@pytest.mark.parametrize("loops", LOOPS)
@pytest.mark.parametrize("conv", ["gcn", "sage"])  # takes the loops out, or keeps them as edges
def test_equal_to_pygs_normalisation(conv, loops):
    data = random_graph(2, loops=loops)
    proper = data.edge_index[0] != data.edge_index[1]
    _, norm = gcn_norm(data.edge_index[:, proper], None, 12, dtype=torch.float64)
    expected, own = norm.split([int(proper.sum()), 12])
    for node in (0, 5, 11):
        (ours,) = explainers.load("degree").explain(random_model(2, conv), data, node)
        edges = data.x.new_zeros(data.num_edges)
        edges[ours.e_id] = ours.edge_mask
        there = torch.zeros(data.num_edges, dtype=torch.bool)
        there[ours.e_id] = True
        torch.testing.assert_close(edges[proper & there], expected[there[proper]])
        torch.testing.assert_close(ours.node_mask, own[ours.n_id, None].expand(-1, 5))
