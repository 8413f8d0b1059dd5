"""The network before its log-softmax: the same but for that, and refused where it is not."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch_geometric.nn import GCNConv

import explainers
from benchmarks.measures.output_forms import before_log_softmax
from tests.explainers.conftest import random_graph


class Network(nn.Module):
    """One layer, and a way to end."""

    def __init__(self, features, end):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.end = GCNConv(features, 3).double(), end

    def forward(self, x, edge_index):
        return self.end(self.layer(x, edge_index))


ENDS = {
    "functional": lambda scores: F.log_softmax(scores, dim=-1),
    "method": lambda scores: scores.log_softmax(-1),
    "module": nn.LogSoftmax(dim=-1),
}


@pytest.mark.parametrize("end", sorted(ENDS))
def test_the_copy_returns_what_the_log_softmax_is_given(end):
    graph = random_graph(0)
    model = Network(graph.num_features, ENDS[end]).eval()
    raw = before_log_softmax(model, graph.x, graph.edge_index)
    assert torch.equal(raw(graph.x, graph.edge_index), model.layer(graph.x, graph.edge_index))
    assert type(model) is Network
    (found,) = explainers.load("occlusion").explain(raw, graph, [0], target=[1])
    same = Network(graph.num_features, lambda scores: scores).eval()
    (expected,) = explainers.load("occlusion").explain(same, graph, [0], target=[1])
    torch.testing.assert_close(found.edge_mask, expected.edge_mask)


@pytest.mark.parametrize(
    "end",
    [
        lambda scores: scores,  # raw scores already
        lambda scores: scores.softmax(-1),
        lambda scores: 2 * scores.log_softmax(-1),  # not the last step
    ],
)
def test_what_does_not_end_in_a_log_softmax(end):
    graph = random_graph(0)
    model = Network(graph.num_features, end).eval()
    assert before_log_softmax(model, graph.x, graph.edge_index) is None
