"""DeepLIFT by hand, against Captum, and summation to delta."""

import captum.attr
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GraphConv

import explainers
from benchmarks import tasks
from explainers.methods._rules import secant

from ..conftest import (
    CONVS,
    LOOPS,
    NONLINEAR,
    Stack,
    difference,
    examples,
    random_batch,
    random_graph,
    random_graph_model,
    random_model,
)
from .by_hand import Modules, Plain, in_float64, tiny


def deep_lift(model, data, node, **options):
    return explainers.load("deep_lift", **options).explain(model, data, node, target=0)[0]


@torch.no_grad()
def change(model, data, node, **keywords):
    """What the raw score of class 0 changes by from features of zero."""
    index = data.edge_index
    return (model(data.x, index, **keywords) - model(0 * data.x, index, **keywords))[node, 0]


def test_by_hand():
    # relu(-1) = 0 becomes relu(7) = 7: of a change of 8, 7/8 pass, times 2. The messages change the
    # sum by 0 and 6, the root by 2; the output, 3 at first, by 14.
    explanation = deep_lift(*tiny(), 0)
    torch.testing.assert_close(explanation.edge_mask.tolist(), [0.0, 10.5])
    expected = [[1.75, 1.75], [3.5, -3.5], [10.5, 0.0]]
    torch.testing.assert_close(explanation.node_mask.tolist(), expected)


def test_a_message_counts_by_its_change():
    """What a node sends without any features, by a bias, is no contribution."""

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = GraphConv(1, 1), GraphConv(1, 1)
            self.double().eval().requires_grad_(False)
            for layer in (self.one, self.two):
                layer.lin_rel.weight.fill_(1.0)
                layer.lin_rel.bias.fill_(2.0)
                layer.lin_root.weight.fill_(1.0)

        def forward(self, x, edge_index):
            x = self.two(self.one(x, edge_index).relu(), edge_index)
            return torch.cat([x, -x], dim=1)

    # 2 -> 1 -> 0 and 3 -> 0. Node 3 has 0 and sends 2, as ever. Node 1 has 5 by 2's message and
    # sends 7 in place of 2.
    x = torch.tensor([[0.0], [0.0], [5.0], [0.0]], dtype=torch.float64)
    data = Data(x=x, edge_index=torch.tensor([[2, 1, 3], [1, 0, 0]]))
    explanation = deep_lift(Two(), data, 0)
    torch.testing.assert_close(explanation.edge_mask.tolist(), [5.0, 5.0, 0.0])
    torch.testing.assert_close(explanation.node_mask[:, 0].tolist(), [0.0, 0.0, 5.0, 0.0])


class Bound(nn.Module):
    def __init__(self, model, edge_index):
        super().__init__()
        self.model, self.edge_index = model, edge_index

    def forward(self, x):
        return self.model(x, self.edge_index)


@pytest.mark.filterwarnings("ignore:Setting forward", "ignore:Input Tensor")
def test_features_equal_captum(graph):
    for seed in range(3):
        model = Modules(seed)  # whose GCNConv take a batch of features for one graph
        for node in (0, 3):
            ours = deep_lift(model, graph, node)
            nodes, _ = explainers.to_full(ours, graph)
            theirs = captum.attr.DeepLift(Bound(model, graph.edge_index)).attribute(
                graph.x[None], target=(node, 0)
            )
            torch.testing.assert_close(nodes, theirs[0].detach(), rtol=1e-7, atol=1e-9)


@settings(max_examples=examples(60))
@given(
    seed=st.integers(0, 10_000),
    conv=st.sampled_from(sorted(set(CONVS) - set(NONLINEAR))),
    depth=st.integers(1, 4),
    loops=st.sampled_from(LOOPS),
    node=st.integers(0, 11),
)
def test_contributions_add_up_to_the_change_of_the_output(seed, conv, depth, loops, node):
    data, model = random_graph(seed, loops=loops), random_model(seed, conv, depth)
    explanation = deep_lift(model, data, node)
    delta = change(Stack(model.layers, "none"), data, node)
    torch.testing.assert_close(explanation.node_mask.sum(), delta, rtol=1e-9, atol=1e-11)
    if conv == "gcn no loops" and loops == "none":  # of each layer, that of its messages
        expected = depth * delta
        torch.testing.assert_close(explanation.edge_mask.sum(), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("pool", ["mean", "add"])
def test_contributions_to_a_graph_add_up(pool):
    data, model = (
        random_batch(1),
        random_graph_model(1, "gcn no loops", 3, output="none", pool=pool),
    )
    explanation, delta = deep_lift(model, data, 2), change(model, data, 2, batch=data.batch)
    torch.testing.assert_close(explanation.node_mask.sum(), delta, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(explanation.edge_mask.sum(), 3 * delta, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "name", ["gelu", "silu", "tanh", "sigmoid", "elu", "leaky_relu", "softplus"]
)
def test_other_activation_functions(name):
    class Smooth(Stack):
        def forward(self, x, edge_index):
            x = getattr(nn.functional, name)(self.layers[0](x, edge_index))
            return self.layers[1](x, edge_index)

    data, model = random_graph(2), Smooth(random_model(2).layers).double()
    explanation, delta = deep_lift(model, data, 0), change(model, data, 0)
    torch.testing.assert_close(explanation.node_mask.sum(), delta, rtol=1e-9, atol=1e-12)


def test_the_slope_between_two_points_that_coincide_is_the_derivative():
    one = torch.tensor([2.0, 2.0, -1.0, 1e-13], dtype=torch.float64)
    other = torch.tensor([2.0, 1.0, -1.0 + 1e-14, -1e-13], dtype=torch.float64)
    slope = secant(torch.square, other, one, one.square())
    torch.testing.assert_close(slope.tolist(), [4.0, 3.0, -2.0, 2e-13])
    assert secant(torch.relu, other, one, one.relu()).tolist() == [1.0, 1.0, 0.0, 1.0]


class Counts(Stack):
    """Takes another way for features of zero."""

    def forward(self, x, edge_index):
        x = self.layers[0](x, edge_index)
        return self.layers[1](x.relu() if bool(x.any()) else x, edge_index)


def test_a_model_that_takes_another_way_at_zero_is_refused(graph):
    model = Counts(random_model(0, "gcn no bias").layers, "none").double().eval()
    with pytest.raises(ValueError, match=r"deep_lift: it fails at features of zero \(IndexError"):
        explainers.load("deep_lift").stream(model, graph, 0)


def test_what_is_not_attributed_stays(graph):
    model = random_model(0)
    both = deep_lift(model, graph, 0)
    torch.testing.assert_close(
        deep_lift(model, graph, 0, mask_type="edge").edge_mask, both.edge_mask
    )
    torch.testing.assert_close(
        deep_lift(model, graph, 0, mask_type="node").node_mask, both.node_mask
    )


@pytest.mark.parametrize("conv", NONLINEAR)
def test_refused_before_any_work(conv, graph):
    method = explainers.load("deep_lift")
    with pytest.raises(ValueError, match=r"deep_lift: layer \w+ \('layers.\d'\) has no rule; use"):
        method.stream(random_model(0, conv), graph, 0)


def test_whole_numbers_have_no_zero(graph):
    class Embedded(Stack):
        def __init__(self):
            super().__init__(random_model(0).layers)
            self.embedding = nn.Embedding(3, 5)

        def forward(self, x, edge_index):
            return super().forward(self.embedding(x[:, 0]), edge_index)

    graph.x = (graph.x > 0).long()
    with pytest.raises(ValueError, match="select rows of an embedding, which have no 0"):
        explainers.load("deep_lift", mask_type="edge").stream(Embedded().double().eval(), graph, 0)


@pytest.mark.parametrize("head", ["count", "or", "and"])
@pytest.mark.parametrize("variant", [":gated", ":gated-gcn"])
def test_ranks_every_right_edge_above_every_dummy(head, variant):
    task = tasks.load(f"white-box-{head}{variant}")
    for explanation in explainers.load("deep_lift").explain(task.model, task.data, task.nodes):
        right = task.ground_truth[int(explanation.n_id[explanation.index])][explanation.e_id]
        assert explanation.edge_mask[right].min() > 1e-6
        assert explanation.edge_mask[~right].abs().max() < 1e-6 * explanation.edge_mask.max()


@in_float64()
def test_equals_graph_explain():
    """graph-explain 0.8's rescale rule; it gives edges without their sign."""
    relevance = pytest.importorskip("graph_explain.methods.relevance.deeplift")
    for seed in range(3):
        model, data = Modules(seed), random_graph(seed)
        theirs = relevance.DeepLift().explain(Plain(), model, data, index=3, target_class=0)
        nodes, edges = explainers.to_full(deep_lift(model, data, 3), data)
        torch.testing.assert_close(nodes, theirs.feature_importance)
        torch.testing.assert_close(edges.abs(), theirs.edge_importance)


def test_two_at_once_are_as_two_alone(graph):
    model, method = random_model(0, depth=3), explainers.load("deep_lift")
    together = method.explain(model, graph, [0, 3], target=[0, 0])
    for node, one in zip((0, 3), together, strict=True):
        assert difference(one, deep_lift(model, graph, node)) < 1e-12
