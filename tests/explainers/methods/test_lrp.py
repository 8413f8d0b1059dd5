"""LRP by hand, against a dense layer-by-layer reference, and its conservation of relevance."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GATConv, GCNConv, GINConv, GraphConv, SAGEConv, global_mean_pool

import explainers
from benchmarks import tasks

from ..conftest import (
    CONVS,
    Stack,
    difference,
    random_batch,
    random_graph,
    random_graph_model,
    random_model,
)
from .by_hand import Modules, Plain, Tiny, in_float64, tiny

WAYS = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "F.relu": F.relu,
    "Tensor.relu_": lambda x: x.relu_(),
    "for its effect": lambda x: [F.relu(x, True), x][1],
    "clamp": lambda x: x.clamp(min=0),
}


def lrp(model, data, node, target=0, **options):
    return explainers.load("lrp", **options).explain(model, data, node, target)[0]


def raw(model, data, node, target):
    """The score before the softmax that ends a :class:`Stack`."""
    with torch.no_grad():
        return float(Stack(model.layers, "none")(data.x, data.edge_index)[node, target])


def test_z_plus_by_hand():
    # 7 = (2 + 6) - 2 by messages, + 2 by the root, - 1; the output is 2 * 7 + 3 = 17. Of the
    # summands above 0, 2 + 6 + 1 + 1, each gets its part of 17.
    explanation = lrp(*tiny(), 0)
    torch.testing.assert_close(explanation.edge_mask.tolist(), [3.4, 10.2])
    expected = [[1.7, 1.7], [3.4, 0.0], [10.2, 0.0]]
    torch.testing.assert_close(explanation.node_mask.tolist(), expected)


def test_z_plus_of_a_score_below_0_shares_its_size():
    explanation = lrp(*tiny(bias=-31.0), 0)  # 14 - 31 = -17
    torch.testing.assert_close(explanation.edge_mask.tolist(), [3.4, 10.2])


@pytest.mark.parametrize("epsilon", [1e-9, 1.0])
def test_epsilon_by_hand(epsilon):
    # Messages of 2 - 2 and 6, each times 2; and what epsilon keeps at the sums 17 and 7.
    passed = 17 / (17 + epsilon) * 7 / (7 + epsilon)
    explanation = lrp(*tiny(), 0, rule="epsilon", epsilon=epsilon)
    torch.testing.assert_close(explanation.edge_mask.tolist(), [0.0, 12 * passed])
    expected = passed * torch.tensor([[2.0, 2.0], [4.0, -4.0], [12.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(explanation.node_mask, expected)


def test_no_softmax_at_the_end_is_explained():
    model, data = tiny()
    plain = lrp(model, data, 0)
    for closing in (lambda x: x.softmax(dim=1), lambda x: F.log_softmax(x, dim=-1)):
        assert difference(lrp(Tiny(closing=closing), data, 0), plain) < 1e-12


def dense(model, data, node, target):
    """z+ for a stack of GCNConv with ReLU between, unit by unit: features [N, F], edges [E]."""
    nodes = data.num_nodes
    index = torch.cat([data.edge_index, torch.arange(nodes).expand(2, -1)], dim=1)
    degree = index[1].bincount(minlength=nodes).double()
    norm = (degree[index[0]] * degree[index[1]]) ** -0.5
    h = [data.x]
    for i, layer in enumerate(model.layers):
        out = torch.zeros(nodes, layer.out_channels, dtype=torch.float64)
        out.index_add_(0, index[1], norm[:, None] * (h[-1] @ layer.lin.weight.T)[index[0]])
        out += layer.bias
        h.append(out.relu() if i + 1 < len(model.layers) else out)
    relevance = torch.zeros_like(h[-1])
    relevance[node, target] = h[-1][node, target].abs()
    edges = torch.zeros(index.size(1), dtype=torch.float64)
    for i in reversed(range(len(model.layers))):
        # What channel a of message m adds to channel b of its receiver, above 0: [m, b, a].
        summands = norm[:, None, None] * h[i][index[0], None, :] * model.layers[i].lin.weight
        summands = summands.clamp(min=0)
        total = torch.zeros_like(relevance).index_add_(0, index[1], summands.sum(dim=2))
        share = torch.where(total > 0, relevance / total, 0.0)
        given = summands * share[index[1], :, None]
        edges += given.sum(dim=(1, 2))
        relevance = torch.zeros_like(h[i]).index_add_(0, index[0], given.sum(dim=1))
    return relevance.detach(), edges[: data.num_edges].detach()


@pytest.mark.parametrize("engine", ["stock", "batched"])
def test_z_plus_equals_a_dense_reference(engine):
    seen = 0
    for seed, node in itertools.product(range(6), (0, 3)):
        data, model = random_graph(seed), random_model(seed, depth=3)  # features of both signs
        one = lrp(model, data, node, None, engine=engine)
        scores = explainers.to_full(one, data)
        expected = dense(model, data, node, int(one.target))
        seen += bool(expected[1].any())
        torch.testing.assert_close(scores, expected, rtol=1e-9, atol=1e-12)
    assert seen >= 5  # else nothing speaks for the class


@pytest.mark.parametrize("conv", ["gcn no loops", "graph", "sage", "gcn no bias", "gin"])
@pytest.mark.parametrize("depth", [1, 3])
def test_relevance_is_conserved(conv, depth):
    seen = 0
    for seed, node in itertools.product(range(5), (0, 3)):
        data, model = random_graph(seed), random_model(seed, conv, depth)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # a unit that a bias alone holds up keeps its relevance
                nn.init.zeros_(parameter)
        score = raw(model, data, node, 0)
        plus, signed = lrp(model, data, node), lrp(model, data, node, rule="epsilon", epsilon=1e-9)
        assert (plus.node_mask >= 0).all()
        assert float(signed.node_mask.sum()) == pytest.approx(score, rel=1e-5, abs=1e-7)
        if not plus.node_mask.any():
            assert score <= 0  # what nothing speaks for
            continue
        assert float(plus.node_mask.sum()) == pytest.approx(abs(score), rel=1e-9)
        if conv == "gcn no loops":  # all relevance of all layers is that of messages
            assert float(plus.edge_mask.sum()) == pytest.approx(depth * abs(score), rel=1e-9)
        seen += 1
    assert seen


def test_the_network_of_a_gin_comes_after_its_sum():
    class Spelled(nn.Module):
        def __init__(self, convs):
            super().__init__()
            self.sums = nn.ModuleList(
                GraphConv(c.nn[0].in_features, c.nn[0].in_features) for c in convs
            )
            self.networks = nn.ModuleList(conv.nn for conv in convs)
            for conv, layer in zip(convs, self.sums, strict=True):
                layer.double().requires_grad_(False)
                layer.lin_rel.weight.copy_(torch.eye(len(layer.lin_rel.weight)))
                layer.lin_root.weight.copy_((1 + conv.eps) * layer.lin_rel.weight)
                layer.lin_rel.bias.zero_()

        def forward(self, x, edge_index):
            for i, (layer, network) in enumerate(zip(self.sums, self.networks, strict=True)):
                x = network(layer(x.relu() if i else x, edge_index))
            return x

    def network(a, b):
        return nn.Sequential(nn.Linear(a, 7), nn.ReLU(), nn.Linear(7, b))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        convs = [GINConv(network(5, 6), eps=0.5), GINConv(network(6, 3), train_eps=True)]
    data, model = random_graph(1), Stack(convs, "none").double().eval()
    one, other = lrp(model, data, 0, None), lrp(Spelled(convs).eval(), data, 0, None)
    assert one.edge_mask.any()
    assert difference(one, other) < 1e-12


@pytest.mark.parametrize("pool", ["mean", "add"])
def test_relevance_of_a_graph_is_conserved(pool):
    data, model = (
        random_batch(1),
        random_graph_model(1, "gcn no loops", 2, output="none", pool=pool),
    )
    for layer in model.layers:
        nn.init.zeros_(layer.bias)
    nn.init.zeros_(model.linear.bias)
    with torch.no_grad():
        score = abs(float(model(data.x, data.edge_index, batch=data.batch)[2, 0]))
    explanation = lrp(model, data, 2)
    assert float(explanation.node_mask.sum()) == pytest.approx(score, rel=1e-9)
    assert float(explanation.edge_mask.sum()) == pytest.approx(2 * score, rel=1e-9)


class Linear(Stack):
    """No activation function between: a unit below 0 goes to the summands below 0."""

    def forward(self, x, edge_index, batch=None):
        x = self.layers[1](self.layers[0](x, edge_index), edge_index)
        x = x + self.layers[2](x, edge_index)
        return x if batch is None else global_mean_pool(x, batch)


@pytest.mark.parametrize("level", ["node", "graph"])
def test_relevance_of_units_below_0_is_conserved(level):
    seen = 0
    for seed in range(6):
        data = random_graph(seed) if level == "node" else random_batch(seed)
        keywords = {} if level == "node" else {"batch": data.batch}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            dims = ((5, 6), (6, 3), (3, 3))
            model = Linear([GraphConv(a, b, bias=False) for a, b in dims]).double().eval()
        with torch.no_grad():
            score = float(model(data.x, data.edge_index, **keywords)[0, 0])
        if score > 0:
            assert float(lrp(model, data, 0).node_mask.sum()) == pytest.approx(score, rel=1e-9)
            seen += 1
    assert seen > 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rule", ["z+", "epsilon"])
def test_however_relu_is_called(way, rule):
    class Called(Stack):
        def forward(self, x, edge_index):
            for i, layer in enumerate(self.layers):
                x = layer(WAYS[way](x) if i else x, edge_index)
            return x

    data, model = random_graph(2), random_model(2, depth=3)
    one = lrp(Called(model.layers).double(), data, 0, rule=rule)
    assert difference(one, lrp(model, data, 0, rule=rule)) < 1e-12


def test_epsilon_takes_the_line_to_0_at_a_smooth_activation():
    class Smooth(Stack):
        def forward(self, x, edge_index):
            return self.layers[1](F.gelu(self.layers[0](x, edge_index)), edge_index)

    data, model = random_graph(2), Smooth(random_model(2, "gcn no bias").layers).double()
    with torch.no_grad():
        score = float(model(data.x, data.edge_index)[0, 0])
    explanation = lrp(model, data, 0, rule="epsilon", epsilon=1e-12)
    assert float(explanation.node_mask.sum()) == pytest.approx(score, rel=1e-9)


@pytest.mark.parametrize("conv", sorted(set(CONVS) - {"gat", "gatv2", "transformer"}))
def test_epsilon_with_relu_is_gradient_times_input_of_the_raw_score(conv):
    data, model = random_graph(4), random_model(4, conv)
    plain = Stack(model.layers, "none").double().eval()
    (expected,) = explainers.load("input_x_gradient").explain(plain, data, 0, target=0)
    assert difference(lrp(model, data, 0, rule="epsilon", epsilon=1e-12), expected) < 1e-9


class Normed(Stack):
    def __init__(self, norm):
        super().__init__([GCNConv(5, 6), GCNConv(6, 3)], "none")
        self.norm = norm

    def forward(self, x, edge_index):
        return self.layers[1](self.norm(self.layers[0](x, edge_index)).relu(), edge_index)


class Own(Stack):
    """A model that multiplies by what depends on the features."""

    def __init__(self):
        super().__init__([GCNConv(5, 6), GCNConv(6, 3)], "none")

    def forward(self, x, edge_index):
        x = self.layers[0](x, edge_index)
        return self.layers[1](x * x.mean(dim=1, keepdim=True), edge_index)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda: Stack([GATConv(5, 3)]), {}, r"GATConv \('layers.0'\) has no rule; use .*'integra"),
        (lambda: Normed(nn.LayerNorm(6)), {"rule": "epsilon"}, r"LayerNorm \('norm'\) has no rule"),
        (Own, {"rule": "epsilon"}, "its forward computes something else than layers do; use"),
        (
            lambda: Stack([SAGEConv(5, 3, aggr="max")]),
            {"rule": "epsilon"},
            "it takes a maximum over",
        ),
        (
            lambda: Normed(nn.BatchNorm1d(6)),
            {},
            r"BatchNorm1d \(norm\) has weights .*; use rule='ep",
        ),
        (
            lambda: Stack([SAGEConv(5, 3, project=True)]),
            {},
            r"SAGEConv \(layers.0\) projects or nor",
        ),
        (
            lambda: Stack([GINConv(nn.Linear(5, 3), eps=-2.0)]),
            {},
            r"\(layers.0\) has eps -2, below",
        ),
    ],
)
def test_refused_before_any_work(make, options, message):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, data = make().double().eval(), random_graph(0)
    method = explainers.load("lrp", **options)
    assert not method.supports(model, data)
    with pytest.raises(ValueError, match=message):
        method.stream(model, data, 0)  # nothing is asked for yet


def test_refuses_a_maximum_over_nodes():
    model = random_graph_model(0, "graph", pool="max")
    with pytest.raises(
        ValueError, match="cannot be explained by lrp: it takes a maximum over nodes"
    ):
        explainers.load("lrp", rule="epsilon").stream(model, random_batch(0), 0)


def test_refuses_edge_weights_below_0():
    data, model = random_graph(0, weighted=True), random_model(0, "graph")
    assert lrp(model, data, 0).edge_mask.any()
    data.edge_weight[3] = -0.5
    with pytest.raises(ValueError, match=r"edge_weight has values below 0 \(least -0.5\)"):
        lrp(model, data, 0)
    assert lrp(model, data, 0, rule="epsilon").edge_mask.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "gamma"}, "unknown rule 'gamma'; use one of z.*, epsilon"),
        ({"epsilon": 0.1}, "epsilon 0.1: rule 'z.' has none; use rule='epsilon'"),
        ({"rule": "epsilon", "epsilon": 0.0}, "epsilon must be above 0, got 0.0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        explainers.load("lrp", **options)


def test_a_layer_that_is_used_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.linear = GraphConv(5, 5), nn.Linear(5, 3)

        def forward(self, x, edge_index):
            for _ in range(2):
                x = self.conv(x, edge_index).relu()
            return self.linear(x)

    class Apart(Twice):
        def __init__(self):
            super().__init__()
            self.other = GraphConv(5, 5)
            self.other.load_state_dict(self.conv.state_dict())

        def forward(self, x, edge_index):
            return self.linear(self.other(self.conv(x, edge_index).relu(), edge_index).relu())

    data, one, two = random_graph(3), Twice().double().eval(), Apart().double().eval()
    assert difference(lrp(one, data, 0), lrp(two, data, 0)) < 1e-12


@pytest.mark.parametrize(
    ("rule", "task"),
    [
        *(("z+", f"white-box-{head}:gated") for head in ("count", "or", "and")),
        ("z+", "white-box-or:gcn"),
        ("epsilon", "white-box-count:gated"),
    ],
)
def test_ranks_every_right_edge_above_every_dummy(rule, task):
    task = tasks.load(task)
    for explanation in explainers.load("lrp", rule=rule).explain(task.model, task.data, task.nodes):
        right = task.ground_truth[int(explanation.n_id[explanation.index])][explanation.e_id]
        assert explanation.edge_mask[right].min() > 0
        assert not explanation.edge_mask[~right].any()


@in_float64()
def test_equals_graph_explain():
    """graph-explain 0.8's z+ starts from 1 and leaves out biases; edges and features >= 0."""
    relevance = pytest.importorskip("graph_explain.methods.relevance.gnn_lrp")
    for seed in range(3):
        model, data = Modules(seed), random_graph(seed)
        data.x = data.x.abs()
        theirs = relevance.GNNGatedLRP(eps=1e-15, node_mask_type="attributes").explain(
            Plain(), model, data, index=3, target_class=0
        )
        with torch.no_grad():
            score = model(data.x, data.edge_index)[3, 0].abs()
        nodes, edges = explainers.to_full(lrp(model, data, 3), data)
        torch.testing.assert_close(nodes, theirs.feature_importance * score)
        torch.testing.assert_close(edges, theirs.edge_importance * score)


def test_relevance_of_data_without_edges():
    model = random_model(0)
    data = Data(x=torch.rand(2, 5).double(), edge_index=torch.zeros(2, 0, dtype=torch.long))
    assert lrp(model, data, 1).edge_mask.shape == (0,)
