"""What the axioms' benchmark measures, on cases that are known by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import tasks
from benchmarks.measures.sensitivity import violations
from benchmarks.test_axioms import check_equal, single_changes


@pytest.fixture(scope="module")
def karate(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GNN_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return tasks.load("karate")


def test_violations_by_hand():
    change = np.array([0.5, 0.0, -0.2, 1e-9, 0.3])
    assert violations(change, np.array([1.0, 0.0, -2.0, 0.0, 0.0])) == pytest.approx(1 / 3)
    assert violations(change, np.ones(5)) == 0
    assert violations(change, np.zeros(5)) == 1
    assert violations(np.zeros(5), np.zeros(5)) is None
    assert violations(np.zeros(0), np.zeros(0)) is None


def test_single_changes_are_those_of_the_masked_graph(karate):
    ((node, change),) = single_changes(karate, karate.nodes[:2].tolist(), 1)
    assert node == int(karate.nodes[0])
    model, data = karate.model, karate.data
    whole = model(data.x, data.edge_index)[node]
    conv = model.convs[0]
    norm_index, norm = conv_norm(conv, data)
    found = []
    for edge in range(data.num_edges):
        masked = norm.clone()
        masked[edge] = 0
        out = data.x
        for i, layer in enumerate(model.convs):
            sums = torch.zeros(data.num_nodes, layer.out_channels)
            messages = layer.lin(out.relu() if i else out)[norm_index[0]] * masked[:, None]
            out = sums.index_add(0, norm_index[1], messages) + layer.bias
        found.append(float(out.log_softmax(-1)[node, whole.argmax()] - whole.max()))
    found = [value for value in found if abs(value) > 1e-7]
    assert sorted(found) == pytest.approx(sorted(v for v in change if abs(v) > 1e-7), abs=1e-5)
    assert len(found) > 5


def conv_norm(conv, data):
    from torch_geometric.nn.conv.gcn_conv import gcn_norm

    return gcn_norm(data.edge_index, None, data.num_nodes, conv.improved, conv.add_self_loops)


def test_another_function_is_noticed(karate):
    check_equal(karate, karate.model, "itself")

    class Shifted(nn.Module):
        def forward(self, x, edge_index):
            return karate.model(x, edge_index) + 0.01

    with pytest.raises(ValueError, match="the network shifted is another function"):
        check_equal(karate, Shifted(), "shifted")
