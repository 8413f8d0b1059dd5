"""Training that goes on without some of the edges."""

import copy
from dataclasses import replace

import pytest
import torch
from torch_geometric.data import Data

from benchmarks.tasks import Recipe, _training, fine_tuned, karate, without_edges

RECIPE = Recipe(hidden=(8,), epochs=30, lr=0.01, weight_decay=5e-4, dropout=0.5, source="here")


@pytest.fixture
def trained(tmp_path, monkeypatch):
    monkeypatch.setenv("GNN_BENCH_CACHE", str(tmp_path))
    data = karate.build(None).data
    return _training.trained(data, RECIPE, 0, "club"), data


def test_with_all_edges_it_is_a_tenth_of_the_training_more(trained):
    """By hand, the three epochs that are a tenth of the thirty."""
    model, data = trained
    tuned = fine_tuned(model, data, RECIPE, 5, 0.0)
    mine = copy.deepcopy(model).requires_grad_(True).train()
    optimizer = torch.optim.Adam(mine.parameters(), lr=0.01, weight_decay=5e-4)
    torch.manual_seed(5)
    for _ in range(3):
        torch.rand(1), torch.rand(data.num_edges)  # what says which edges fall: none
        optimizer.zero_grad()
        out = mine(data.x, data.edge_index)[data.train_mask]
        torch.nn.functional.nll_loss(out, data.y[data.train_mask]).backward()
        optimizer.step()
    for ours, theirs in zip(tuned.parameters(), mine.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_every_epoch_sees_another_graph_without_up_to_the_share(trained, monkeypatch):
    model, data = trained
    seen, output = [], _training._output

    def watched(network, part):
        seen.append(part.num_edges)
        return output(network, part)

    monkeypatch.setattr(_training, "_output", watched)
    fine_tuned(model, data, replace(RECIPE, epochs=200), 0, 0.4)
    left = torch.tensor(seen) / data.num_edges
    assert len(left) == 20
    assert len(set(seen)) > 10
    assert 0.5 < left.min() < 0.75  # 0.6, but for chance
    assert left.max() > 0.9
    assert left.mean() == pytest.approx(0.8, abs=0.08)


def test_each_graph_loses_a_share_of_its_own_and_weights_go_with_their_edges():
    graphs, edges = 30, 1000
    source = torch.arange(graphs).repeat_interleave(edges)
    data = Data(
        x=torch.zeros(graphs, 1),
        y=torch.zeros(graphs),
        batch=torch.arange(graphs),
        edge_index=torch.stack([source, source]),
        edge_weight=torch.arange(graphs * edges),
    )
    torch.manual_seed(0)
    reduced = without_edges(data, 0.5)
    assert torch.equal(reduced.edge_index, data.edge_index[:, reduced.edge_weight])
    lost = 1 - reduced.edge_index[0].bincount(minlength=graphs) / edges
    assert lost.max() < 0.55
    assert lost.min() < 0.1
    assert lost.std() > 0.1
    assert data.num_edges == graphs * edges
