"""GOAt by hand, against all products of a network one by one, and what its scores add up to."""

import functools
from collections import Counter, defaultdict
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GCNConv, global_mean_pool

import explainers
from benchmarks import tasks

from ..conftest import (
    CONVS,
    LOOPS,
    NONLINEAR,
    GraphStack,
    Stack,
    difference,
    examples,
    random_batch,
    random_graph,
    random_link_model,
    random_model,
)
from .by_hand import tiny


def goat(model, data, node, target=0, model_config=None, **options):
    method = explainers.load("goat", **options)
    return method.explain(model, data, node, target, model_config)[0]


def test_by_hand():
    # 2 relu(0 + 6 + 2 - 1) + 3: of the product 2 * 6 edge and pattern have 6 each, and the pattern
    # has 2 * (2 - 1) of root and bias: 8 for two edges. Without them it has 2, which is taken off.
    explanation = goat(*tiny(), 0)
    torch.testing.assert_close(explanation.edge_mask.tolist(), [3.0, 9.0])
    assert not explanation.node_mask.any()


# ---- a network's products: a dictionary of numbers, by the edges and patterns multiplied onto them


def plus(*summands):
    total = defaultdict(float)
    for one in summands:
        for factors, number in one.items():
            total[factors] += number
    return dict(total)


def times(one, number, *factor):
    return {(*factors, *factor): value * number for factors, value in one.items()}


def linear(rows, weight, bias):
    """A linear layer on rows of products."""
    return [
        [
            plus({(): float(b)}, *(times(x, float(w)) for x, w in zip(row, some, strict=True)))
            for some, b in zip(weight, bias, strict=True)
        ]
        for row in rows
    ]


def relu(rows, depth, pooled=False):
    """Multiplies each row's pattern onto the units that are above 0, all factors being 1."""
    return [
        [times(x, 1.0, (node, depth, pooled)) if sum(x.values()) > 0 else {} for x in row]
        for node, row in enumerate(rows)
    ]


def convolved(layer, rows, edge_index, degree):
    """A GCNConv with the norms of the whole graph: each edge is a factor, a self loop is none."""
    rows = linear(rows, layer.lin.weight, torch.zeros(len(layer.lin.weight)))
    own = [1 / d if layer.add_self_loops else 0.0 for d in degree]
    sums = [[times(x, o) for x in row] for row, o in zip(rows, own, strict=True)]
    for edge, (a, b) in enumerate(edge_index.t().tolist()):
        weight = (degree[a] * degree[b]) ** -0.5 if degree[a] * degree[b] else 0.0
        for channel, x in enumerate(rows[a]):
            sums[b][channel] = plus(sums[b][channel], times(x, weight, edge))
    return [[plus(x, {(): float(b)}) for x, b in zip(row, layer.bias, strict=True)] for row in sums]


def products(model, data, edge_index, row, target):
    """Those of a Stack's output, or of a GraphStack's with another ReLU on top."""
    degree = data.edge_index[1].bincount(minlength=data.num_nodes).double()
    degree = (degree + model.layers[0].add_self_loops).tolist()
    rows = [[{(): float(value)} for value in row] for row in data.x]
    for number, layer in enumerate(model.layers):
        rows = relu(rows, number) if number else rows
        rows = convolved(layer, rows, edge_index, degree)
    if isinstance(model, Headed):
        rows = relu(rows, len(model.layers))
        mean = [times(plus(*column), 1 / len(rows)) for column in zip(*rows, strict=True)]
        rows = relu(linear([mean], model.linear.weight, model.linear.bias), 0, pooled=True)
        rows = linear(rows, model.last.weight, model.last.bias)
    return rows[row][target]


def before(pattern, edge_index):
    """How often each edge is 1, ..., depth hops before the pattern's node."""
    node, depth, pooled = pattern
    if pooled:
        return Counter(range(edge_index.size(1)))
    found, nodes = Counter(), {node}
    for _ in range(depth):
        edges = [e for e, to in enumerate(edge_index[1].tolist()) if to in nodes]
        found.update(edges)
        nodes = {int(edge_index[0, e]) for e in edges}
    return found


def shared(found, edge_index):
    """Each edge's equal part [E] of all products, by the definition."""
    parts = torch.zeros(edge_index.size(1), dtype=torch.float64)
    near = functools.cache(lambda pattern: before(pattern, edge_index))
    for factors, number in found.items():
        variables = [one for one in factors if isinstance(one, int) or near(one)]
        for one in variables:
            edges = Counter([one]) if isinstance(one, int) else near(one)
            for edge, often in edges.items():
                parts[edge] += number / len(variables) * often / edges.total()
    return parts


@torch.no_grad()
def expected(model, data, row, target):
    """The parts with all edges, less those without any, which patterns alone have."""
    index = data.edge_index
    return shared(products(model, data, index, row, target), index) - shared(
        products(model, data, index[:, :0], row, target), index
    )


@pytest.mark.parametrize("engine", ["stock", "batched"])
@pytest.mark.parametrize(("conv", "depth"), [("gcn", 2), ("gcn no loops", 3)])
def test_equals_all_products_one_by_one(engine, conv, depth):
    for seed, node in ((0, 0), (1, 3)):
        data, model = random_graph(seed, edges=24), random_model(seed, conv, depth)
        found = explainers.to_full(goat(model, data, node, 1, engine=engine), data)[1]
        assert found.abs().max() > 1e-3
        torch.testing.assert_close(found, expected(model, data, node, 1), rtol=1e-9, atol=1e-12)


class Headed(GraphStack):
    """... with another ReLU, of each graph."""

    def __init__(self, layers):
        super().__init__(layers, "none", classes=4)
        self.last = nn.Linear(4, 3)

    def forward(self, x, edge_index, batch=None):
        return self.last(super().forward(x, edge_index, batch=batch).relu())


@pytest.mark.parametrize("engine", ["stock", "batched"])
def test_units_of_a_graph_are_all_edges(engine):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Headed(random_model(0, "gcn no loops", 2, classes=6).layers).double().eval()
    batch = random_batch(0)
    for graph in (1, 2):
        one = goat(model, batch, graph, 1, engine=engine)
        wanted = expected(model, batch[graph], 0, 1)
        assert wanted.abs().max() > 1e-3
        torch.testing.assert_close(one.edge_mask, wanted, rtol=1e-9, atol=1e-12)


class Authors(nn.Module):
    """The form of the authors' networks: three sums over neighbours, the mean, two layers."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(GCNConv(2, 2, normalize=False) for _ in range(3))
        self.linear, self.last = nn.Linear(2, 2), nn.Linear(2, 2)
        self.double().eval()
        with torch.no_grad():
            for i, parameter in enumerate(self.parameters()):
                place = torch.arange(parameter.numel()).double().view_as(parameter)
                parameter.copy_((place * 1.7 + i * 2.3).cos() + 0.3)

    def forward(self, x, edge_index, batch=None):
        for conv in self.convs:
            x = conv(x, edge_index).relu()
        return self.last(self.linear(global_mean_pool(x, batch)).relu())


def test_equals_the_authors_code():
    """Of gcn_mean_E_gc.py (sluxsr/GOAt, 1ef20f0), before it takes both directions' mean."""
    x = torch.tensor([[0.6, 0.8], [1.0, 0.0], [-0.6, 0.8], [0.0, 1.0]], dtype=torch.float64)
    edges = [[0, 1, 1, 2, 2, 0, 2, 3], [1, 0, 2, 1, 0, 2, 3, 2]]
    # There the first of a pair receives.
    data = Batch.from_data_list([Data(x=x, edge_index=torch.tensor(edges))])
    for target, numbers in THEIRS.items():
        found = goat(Authors(), data, 0, target, model_config=GRAPHS).edge_mask
        torch.testing.assert_close(found.tolist(), numbers, rtol=1e-12, atol=0)


GRAPHS = {"mode": "multiclass_classification", "task_level": "graph", "return_type": "raw"}
THEIRS = {
    0: [
        *(1.1969647929896303, 1.173320414184615, 1.4721843143193325, 1.1321139351125609),
        *(1.1218429264033754, 1.5089914754812872, 0.7854109726338695, 1.2603547094985283),
    ],
    1: [
        *(-0.5086648540539069, -0.49867792437619207, -0.6249122728641237, -0.48127310219192165),
        *(-0.4769348261668366, -0.6404589079942791, -0.3333628879089005, -0.5354395324529979),
    ],
}


@settings(max_examples=examples(60))
@given(
    seed=st.integers(0, 10_000),
    conv=st.sampled_from(sorted(set(CONVS) - set(NONLINEAR))),
    depth=st.integers(1, 4),
    loops=st.sampled_from(LOOPS),
    node=st.integers(0, 11),
)
def test_scores_add_up_to_what_messages_change(seed, conv, depth, loops, node):
    data, model = random_graph(seed, loops=loops), random_model(seed, conv, depth)
    total = goat(model, data, node).edge_mask.sum()
    raw = Stack(model.layers, "none")
    reference = explainers.load(
        "integrated_gradients", n_steps=1, mask_type="edge", engine="stock"
    ).explain(raw, data, node, 0)[0]
    wanted = reference.edge_mask.sum() - reference.convergence_delta
    torch.testing.assert_close(total, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("variant", ["", ":gated", ":gated-gcn", ":scale-free"])
def test_ranks_every_right_edge_above_every_dummy(variant):
    task = tasks.load(f"white-box-count{variant}")
    for explanation in explainers.load("goat").explain(task.model, task.data, task.nodes):
        right = task.ground_truth[int(explanation.n_id[explanation.index])][explanation.e_id]
        assert explanation.edge_mask[right].min() > explanation.edge_mask[~right].max()


class RawLinks(nn.Module):
    """The model without the softmax that ends it."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x, edge_index, edge_label_index):
        with mock.patch.object(torch.Tensor, "log_softmax", lambda x, dim: x):
            return self.model(x, edge_index, edge_label_index)


EDGES = {"mode": "multiclass_classification", "task_level": "edge", "return_type": "raw"}


def test_units_of_a_link_are_all_edges():
    data, model = random_graph(0), random_link_model(0, decoder="relu")
    asked = {"edges": torch.tensor([[3, 0], [5, 3]]), "target": [1, 1]}
    stock, batched = (
        explainers.load("goat", engine=engine).explain(model, data, **asked)
        for engine in ("stock", "batched")
    )
    path = explainers.load("integrated_gradients", n_steps=1, mask_type="edge")
    raw = path.explain(RawLinks(model), data, model_config=EDGES, **asked)
    for one, other, total in zip(stock, batched, raw, strict=True):
        assert difference(one, other) < 1e-9
        wanted = total.edge_mask.sum() - total.convergence_delta
        torch.testing.assert_close(one.edge_mask.sum(), wanted, rtol=1e-9, atol=1e-12)


class Other(Stack):
    def __init__(self, function):
        super().__init__(random_model(0).layers)
        self.function = function
        self.double().eval()

    def forward(self, x, edge_index):
        return self.layers[1](self.function(self.layers[0](x, edge_index), edge_index), edge_index)


def test_other_activation_functions_are_refused(graph):
    with pytest.raises(ValueError, match="by goat: its activation function 'tanh' has no pattern"):
        explainers.load("goat").stream(Other(lambda x, _: x.tanh()), graph, 0)


def test_relu_in_place_is_the_same(graph):
    plain = goat(random_model(0), graph, 0)
    for function in (lambda x: x.relu_(), lambda x: F.relu(x, True), nn.ReLU(inplace=True)):
        model = Other(lambda x, _, function=function: function(x))
        assert difference(goat(model, graph, 0), plain) < 1e-12
