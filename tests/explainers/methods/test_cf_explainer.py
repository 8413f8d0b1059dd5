"""CF-GNNExplainer: by hand, against all sets of edges, and where every edge's part is known."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GraphConv

import explainers
from benchmarks import tasks

from ..conftest import Stack, random_graph, random_model


def votes(*numbers, needed):
    """Node 0 adds up what its neighbours vote; class 1 takes more than ``needed``."""
    layer = GraphConv(1, 2, bias=True).double()
    with torch.no_grad():
        layer.lin_rel.weight.copy_(torch.tensor([[0.0], [1.0]]))
        layer.lin_rel.bias.copy_(torch.tensor([0.0, -needed]))
        layer.lin_root.weight.zero_()
    x = torch.tensor([[0.0], *([float(n)] for n in numbers)], dtype=torch.float64)
    sources = torch.arange(1, len(x))
    return Stack([layer], "log_softmax").eval(), Data(
        x=x, edge_index=torch.stack([sources, 0 * sources])
    )


def test_the_fewest_votes_that_turn_an_election():
    model, data = votes(2, 1, -1, 0, needed=0.5)
    (found,) = explainers.load("cf_explainer").explain(model, data, 0)
    assert int(found.target) == 1
    assert bool(found.valid)
    assert found.selected_edges.tolist() == [True, False, False, False]
    assert int(found.set_size) == 1
    first = 1 - 1 / (1 + math.exp(-1))
    assert float(found.edge_mask[3]) == pytest.approx(first, abs=0.02)
    assert found.edge_mask[0] > 0.5 > found.edge_mask[1] > found.edge_mask[3] > found.edge_mask[2]


def test_one_step_by_hand():
    """Down the gradient of log p by the logits, (1 - p) x m (1 - m), of norm 2 at most."""
    m = 1 / (1 + math.exp(-1))
    for numbers in ((2.0, 1.0), (200.0, 100.0)):
        model, data = votes(*numbers, needed=m * sum(numbers))
        method = explainers.load("cf_explainer", epochs=1, lr=0.3, momentum=0.0)
        (found,) = method.explain(model, data, 0, target=1)
        slope = torch.tensor(numbers, dtype=torch.float64) * 0.5 * m * (1 - m)
        slope *= min(1.0, 2 / float(slope.norm()))
        torch.testing.assert_close(found.edge_mask, 1 - (1 - 0.3 * slope).sigmoid())


def test_none_found():
    model, data = votes(1, 2, needed=-1)
    (found,) = explainers.load("cf_explainer").explain(model, data, 0)
    assert not bool(found.valid)
    assert not found.selected_edges.any()
    assert int(found.set_size) == 0
    assert found.edge_mask[1] > found.edge_mask[0] > 0.5


def test_the_target_is_to_be_predicted_where_it_is_not():
    model, data = votes(2, -3, needed=0.5)
    (found,) = explainers.load("cf_explainer").explain(model, data, 0, target=1)
    assert bool(found.valid)
    assert found.selected_edges.tolist() == [False, True]


def test_one_column_is_a_decision_too():
    model, data = votes(2, 1, needed=1.5)

    class Binary(nn.Module):
        def __init__(self):
            super().__init__()
            self.votes = model.layers[0]

        def forward(self, x, edge_index):
            return self.votes(x, edge_index)[:, 1:].sigmoid()

    config = {"mode": "binary_classification", "return_type": "probs", "task_level": "node"}
    method = explainers.load("cf_explainer")
    (found,) = method.explain(Binary().eval(), data, 0, model_config=config)
    assert found.selected_edges.tolist() == [True, False]
    config |= {"mode": "regression", "return_type": "raw"}
    with pytest.raises(ValueError, match="cf_explainer does not support model Binary: it asks wh"):
        method.explain(Binary().eval(), data, 0, model_config=config)


@torch.no_grad()
def flips(model, data, node, deleted):
    kept = torch.ones(data.num_edges, dtype=torch.bool)
    kept[list(deleted)] = False
    before = model(data.x, data.edge_index)[node].argmax()
    return bool(model(data.x, data.edge_index[:, kept])[node].argmax() != before)


@pytest.mark.parametrize("conv", ["gcn", "graph"])
def test_against_all_sets_of_edges(conv):
    """What is found flips the user's model; it is never below the minimum, and mostly it."""
    smallest = possible = found = 0
    for seed in range(6):
        data, model = random_graph(seed, nodes=14, edges=16), random_model(seed, conv)
        for explanation in explainers.load("cf_explainer").explain(model, data, range(13)):
            node, edges = explainers.unit(explanation), explanation.e_id.tolist()
            if len(edges) > 7:
                continue
            sets = (s for k in range(1, len(edges) + 1) for s in itertools.combinations(edges, k))
            least = next((len(s) for s in sets if flips(model, data, node, s)), None)
            possible += least is not None
            if not explanation.valid:
                continue
            found += 1
            selected = explanation.e_id[explanation.selected_edges]
            assert flips(model, data, node, selected.tolist())
            assert least is not None
            assert len(selected) == int(explanation.set_size) >= least
            smallest += len(selected) == least
    assert possible >= 8
    assert found >= 0.7 * possible
    assert smallest >= 0.8 * found


def test_fewer_edges_come_first_once_the_class_has_changed():
    """Without a weight on their number, more are deleted than need be."""
    size = {}
    for weight in (0.0, 0.05):
        method = explainers.load("cf_explainer", edge_size=weight)
        task = tasks.load("white-box-count:gated")
        found = method.explain(task.model, task.data, task.nodes[:12])
        size[weight] = sum(int(one.set_size) for one in found)
    assert size[0.05] < size[0.0]


@pytest.mark.parametrize("name", ["white-box-count", "white-box-count:gated"])
def test_right_edges_are_above_all_dummies(name):
    task = tasks.load(name)
    nodes = task.nodes[:30]
    explanations = explainers.load("cf_explainer").explain(task.model, task.data, nodes)
    for node, explanation in zip(nodes, explanations, strict=True):
        right = task.ground_truth[node][explanation.e_id]
        assert bool(explanation.valid)
        assert explanation.edge_mask[right].min() > explanation.edge_mask[~right].max()
