"""Guided backpropagation and deconvolution against Captum's hooks, and by hand."""

import captum.attr
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.data import Data
from torch_geometric.explain.algorithm.captum import CaptumModel
from torch_geometric.nn import GCN, GATConv, GCNConv, GraphConv

import explainers

from ..conftest import Stack, difference, random_graph, random_model

CAPTUM = {
    "guided_backprop": captum.attr.GuidedBackprop,
    "deconvolution": captum.attr.Deconvolution,
}
WAYS = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "F.relu": F.relu,
    "F.relu in place": lambda x: F.relu(x, inplace=True),
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "Tensor.relu": lambda x: x.relu(),
    "Tensor.relu_": lambda x: x.relu_(),
    "for its effect": lambda x: [F.relu(x, True), x][1],
}


class Three(nn.Module):
    """Three layers, ReLU called in a way of choice."""

    def __init__(self, relu):
        super().__init__()
        torch.manual_seed(0)
        self.relu = relu
        self.layers = nn.ModuleList([GCNConv(5, 6), GCNConv(6, 6), GCNConv(6, 3)])
        for layer in self.layers:
            nn.init.normal_(layer.bias)

    def forward(self, x, edge_index):
        for i, layer in enumerate(self.layers):
            x = layer(self.relu(x) if i else x, edge_index)
        return x.log_softmax(dim=-1)


@pytest.mark.parametrize("name", CAPTUM)
@pytest.mark.filterwarnings("ignore:Setting backward hooks", "ignore:Input Tensor")
def test_equal_to_captum_on_modules(name, graph):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = GCN(5, 6, num_layers=3, out_channels=3).double().eval()  # has a ReLU module
        inputs = graph.x[None], torch.ones(1, graph.num_edges, dtype=torch.float64)
    for node in (0, 3):
        (ours,) = explainers.load(name).explain(model, graph, node)
        theirs = CAPTUM[name](CaptumModel(model, "node_and_edge", node)).attribute(
            inputs, target=int(ours.target), additional_forward_args=(graph.edge_index,)
        )
        node_mask, edge_mask = explainers.to_full(ours, graph)
        torch.testing.assert_close(node_mask, theirs[0][0])
        torch.testing.assert_close(edge_mask, theirs[1][0])
        assert node_mask.any()


@pytest.mark.parametrize("name", CAPTUM)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_call_relu(name, way, graph):
    with torch.random.fork_rng():
        model, expected = (Three(WAYS[key]).double().eval() for key in (way, "module"))
    (one,) = explainers.load(name).explain(model, graph, 0)
    (other,) = explainers.load(name).explain(expected, graph, 0)
    assert difference(one, other) == 0
    (plain,) = explainers.load("saliency").explain(model, graph, 0)
    one.node_mask.abs_(), one.edge_mask.abs_()
    assert difference(one, plain) > 0.01


@pytest.mark.parametrize(
    ("name", "expected"), [("guided_backprop", [2.0, 0.0]), ("deconvolution", [-3.0, 5.0])]
)
def test_by_hand(name, expected):
    """One node alone, F = 2 relu(x1) - 3 relu(x1 + x2) + 5 relu(-x1 + x2) at x = (1, -0.5).

    The units are 1, 0.5 and 0: the gradient into them is 2, -3 and 5. Guided backpropagation lets
    the first through (alive and above 0); deconvolution the third, too, dead as it is.
    """
    model = Stack([GraphConv(2, 3, bias=False), GraphConv(3, 1, bias=False)], "none").double()
    one, two = (layer.lin_root.weight for layer in model.layers)
    with torch.no_grad():
        one.copy_(torch.tensor([[1.0, 0.0], [1.0, 1.0], [-1.0, 1.0]]))
        two.copy_(torch.tensor([[2.0, -3.0, 5.0]]))
    x = torch.tensor([[1.0, -0.5]], dtype=torch.float64)
    data = Data(x=x, edge_index=torch.empty(2, 0, dtype=torch.long))
    config = {"mode": "regression", "task_level": "node", "return_type": "raw"}
    (explanation,) = explainers.load(name).explain(model, data, 0, model_config=config)
    assert explanation.node_mask[0].tolist() == expected


@pytest.mark.parametrize("name", CAPTUM)
def test_without_a_relu_it_is_the_gradient(name):
    """GAT with ELU: its LeakyReLU and ELU keep their own gradients, as in Captum."""

    class Gat(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = GATConv(5, 4), GATConv(4, 3)

        def forward(self, x, edge_index):
            return self.two(F.elu(self.one(x, edge_index)), edge_index)

    with torch.random.fork_rng():
        torch.manual_seed(2)
        model, data = Gat().double().eval(), random_graph(2)
    (explanation,) = explainers.load(name).explain(model, data, 0)
    (gradient,) = explainers.load("saliency").explain(model, data, 0)
    explanation.node_mask.abs_(), explanation.edge_mask.abs_()
    assert difference(explanation, gradient) == 0


def test_the_rule_ends_with_the_explanation(graph):
    model = random_model(0)
    (before,) = explainers.load("input_x_gradient", engine="batched").explain(model, graph, 0)
    explainers.load("deconvolution").explain(model, graph, 0)
    (after,) = explainers.load("input_x_gradient", engine="batched").explain(model, graph, 0)
    assert difference(before, after) == 0
