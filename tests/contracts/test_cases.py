"""Known cases of a wrong answer, and others of their kinds: right now, or refused.

A section is a kind, with the numbers that its cases have in the issue.
"""

from __future__ import annotations

import pytest
import torch
import torch_geometric.nn as gnn
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.utils import sort_edge_index

import explainers
from explainers import metrics

from .cases import (
    METHODS,
    Model,
    OnlyByKeyword,
    WithAttr,
    WithBatch,
    WithWeight,
    edges,
    explained,
    fidelity,
    made,
    numbers,
    one,
    right_or_refused,
)
from .checks import refused
from .models import Anything, graph
from .reference import call

pytestmark = pytest.mark.filterwarnings("ignore:.*explaining with the slower engine")

# 1, 2, 6: the explained model is a copy that was never compared with the user's.


def test_1_weights_in_edge_attr_and_a_loop():
    data = edges((0, 1), (0, 0), edge_attr=numbers(4, 1))
    model = one(gnn.GCNConv(2, 2), WithAttr)
    right_or_refused(model, data, [0, 1])
    (explanation,) = explainers.load("saliency").explain(model, data, 1)
    # In-degrees 1 and 4 + 1: what 1 gets is 4 / sqrt(5) of 0's and 1 / 5 of its own.
    by_hand = model.c.lin.weight.t()[0] * 4 / 5**0.5 + model.c.lin.weight.t()[1] / 5 + model.c.bias
    torch.testing.assert_close(explanation.prediction, by_hand.detach())


@pytest.mark.parametrize(
    "layer",
    [
        gnn.SGConv(2, 2),
        gnn.SSGConv(2, 2, alpha=0.1),
        gnn.MixHopConv(2, 1, powers=[0, 1]),
        gnn.ClusterGCNConv(2, 2),
        gnn.GATConv(2, 2, edge_dim=1, fill_value=5.0),
        gnn.GCNConv(2, 2, improved=True),
        gnn.GCNConv(2, 2, normalize=False),
    ],
    ids=repr,
)
def test_2_weighted_self_loops(layer):
    takes_weight = not isinstance(layer, gnn.ClusterGCNConv)
    model = one(layer, WithWeight if takes_weight else Model)
    data = edges((0, 1), (0, 0), (1, 0), edge_weight=numbers(1, 9, 2))
    right_or_refused(model, data, [0, 1])


def weighted():
    return one(gnn.GraphConv(2, 2), WithWeight)


WRAPPERS = {
    "data parallel": nn.DataParallel,
    "compiled": lambda model: torch.compile(model, backend="eager"),
    "any arguments": Anything,
    "two wrappers": lambda model: Anything(nn.DataParallel(model)),
    "in a list": lambda model: nn.DataParallel(nn.DataParallel(model)),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_6_wrappers(wrap):
    model, data = weighted(), edges((0, 1), edge_weight=numbers(5))
    right_or_refused(wrap(model), data, [1], plain=model, methods={"saliency": {}})


def test_6_pyg_sequential():
    """Its forward is (*args, **kwargs)."""
    given = "x, edge_index, edge_weight"
    parts = [
        (gnn.GraphConv(3, 4), f"{given} -> x"),
        nn.ReLU(),
        (gnn.GCNConv(4, 2), f"{given} -> x"),
    ]
    right_or_refused(made(gnn.Sequential(given, parts)), graph(edge_weight=0, loops="some"), [0, 3])


def test_6_weights_by_keyword_only():
    model = one(gnn.GraphConv(3, 2), OnlyByKeyword)
    right_or_refused(model, graph(edge_weight=0), [0, 3])


def test_1_a_cached_norm_of_another_graph():
    """The user's model answers by its cache."""
    model = one(gnn.GCNConv(3, 2, cached=True))
    data = graph(0)
    model(data.x, torch.cat([data.edge_index, data.edge_index[:, :3]], dim=1))
    try:
        (explanation,) = explainers.load("saliency").explain(model, data, 0)
    except ValueError as error:
        refused(error)
        return
    torch.testing.assert_close(explanation.prediction, model(data.x, data.edge_index)[0].detach())


def test_1_a_forward_that_was_replaced():
    """What a copy would run is the user's own layer, on which no mask is set."""
    inner, data = made(gnn.GCN(3, 4, 2, 2)), graph(0)
    model = made(gnn.GCN(3, 4, 2, 2), seed=1)
    model.forward = lambda x, edge_index: inner(x, edge_index)
    right_or_refused(model, data, [0, 3], plain=inner)


def test_1_layers_in_a_list():
    """They are no modules of the model, but they pass messages."""
    hidden = made(gnn.SAGEConv(4, 4))
    model = made(
        Model(
            lambda self, x, e: self.b(hidden(self.a(x, e).relu(), e).relu(), e),
            a=gnn.SAGEConv(3, 4),
            b=gnn.SAGEConv(4, 2),
        )
    )
    right_or_refused(model, graph(0), [0, 3], layers=[model.a, hidden, model.b])


# 3, 7: the computation graph is counted and not verified.


def test_3_dir_gnn():
    model = one(gnn.DirGNNConv(gnn.SAGEConv(2, 2)))
    data = edges((0, 1))
    right_or_refused(model, data, [0, 1])
    (explanation,) = explainers.load("integrated_gradients").explain(model, data, 0)
    assert explanation.n_id.tolist() == [0, 1]  # 0 hears of 1, against the edge
    assert explanation.e_id.tolist() == [0]
    change = model(data.x, data.edge_index) - model(0 * data.x, data.edge_index[:, :0])
    total = explanation.node_mask.sum() + explanation.edge_mask.sum()
    torch.testing.assert_close(total, change[0, explanation.target].detach())


def test_7_hops_of_a_compiled_model():
    plain = made(gnn.GraphSAGE(3, 4, 2, 2), seed=2)
    data = edges((0, 1), (1, 2), x=torch.eye(3, dtype=torch.float64))
    compiled = torch.compile(plain, backend="eager")
    right_or_refused(compiled, data, [2], plain=plain, methods={"saliency": {}})
    (explanation,) = explainers.load("saliency").explain(compiled, data, 2)
    assert explanation.e_id.tolist() == [0, 1]


def neighbours_by_hand(x, edge_index):
    return x + torch.zeros_like(x).index_add(0, edge_index[1], x[edge_index[0]])


@pytest.mark.parametrize(
    "run",
    [
        lambda self, x, e: self.c(neighbours_by_hand(neighbours_by_hand(x, e), e), e),
        lambda self, x, e: neighbours_by_hand(self.c(x, e), e),
        lambda self, x, e: self.c(x, e) + x[3].mean(),
        lambda self, x, e: self.c(x, e) * x.norm(),
        lambda self, x, e: self.c(x, e).softmax(0),
        lambda self, x, e: self.c(x - x.mean(0), e),
        lambda self, x, e: self.c(x, e) + self.c(x, e.flip(0)),
        lambda self, x, e: self.c(x.roll(1, 0), e),
    ],
    ids=["hop before", "hop after", "node 3", "norm", "softmax", "mean", "both ways", "moved"],
)
@pytest.mark.parametrize("layer", [gnn.SAGEConv(3, 2), gnn.GCNConv(3, 2)], ids=repr)
def test_3_dependence_past_the_layers(layer, run):
    model, data = made(Model(run, c=layer)), graph(0, undirected=True)
    by_features = {name: METHODS[name] for name in ("saliency", "integrated_gradients")}
    right_or_refused(model, data, [0, 3, 7], methods=by_features)


# 4: a mask is applied by position.


def test_4_edges_sorted_inside():
    model = made(
        Model(
            lambda self, x, e: self.c(x, sort_edge_index(e, sort_by_row=False)),
            c=gnn.GraphConv(1, 1, bias=False),
        )
    )
    data = edges((1, 2), (0, 2), x=numbers(1, 10, 0).view(3, 1))
    said = {"model_config": {"mode": "regression", "task_level": "node", "return_type": "raw"}}
    for name, share in (("occlusion", 1), ("saliency", 1), ("integrated_gradients", 0.5)):
        explanation = explained(model, data, 2, name, match="edge", said=said)
        if explanation is not None:
            weight = float(
                model.c.lin_rel.weight
            )  # 2 gets weight times 10 along 1->2, 1 along 0->2
            by_hand = share * torch.tensor([10 * weight, weight], dtype=torch.float64)
            found = explanation.edge_mask
            torch.testing.assert_close(found.abs(), by_hand.abs())


REWRITERS = {
    "strong and weak": lambda self, x, e, w: self.a(x, e[:, w > 1]) + self.b(x, e[:, w <= 1]),
    "halves": lambda self, x, e, w: self.a(x, e[:, : len(w) // 2]) + self.b(x, e[:, len(w) // 2 :]),
    "by weight": lambda self, x, e, w: self.a(x, e[:, w.argsort()]),
    "by weight, one layer": lambda self, x, e, w: self.a(x, e[:, w.argsort()]) + self.b(x, e),
    "without node 3's": lambda self, x, e, w: self.a(x, e[:, (e != 3).all(0)]),
    "with node 3's twice": lambda self, x, e, w: self.a(x, torch.cat([e, e[:, e[0] == 3]], 1)),
    "a new edge": lambda self, x, e, w: self.a(x, torch.cat([torch.tensor([[5], [0]]), e], 1)),
    "renamed": lambda self, x, e, w: self.a(x.flip(0), 7 - e).flip(0),
}


@pytest.mark.parametrize("run", REWRITERS.values(), ids=REWRITERS)
def test_4_edges_rewritten_inside(run):
    model = made(
        WithWeight(run, a=gnn.SAGEConv(3, 2, aggr="sum"), b=gnn.SAGEConv(3, 2, aggr="sum"))
    )
    right_or_refused(model, graph(0, multi=False, edge_weight=0), [0, 3], match="edge")


def test_4_chebyshev_with_a_loop_at_every_node():
    right_or_refused(one(gnn.ChebConv(3, 2, K=3)), graph(0, loops="all"), [0, 3], match="loop|edge")


# 9: a cache that trusts ``_version``.


def halve(tensor):
    tensor.data.mul_(0.5)


def by_numpy(tensor):
    tensor.detach().numpy()[...] *= 0.5


CHANGES = {
    "weights": lambda model, data, change: [change(p) for p in model.parameters()],
    "one weight": lambda model, data, change: change(next(model.parameters())),
    "running mean": lambda model, data, change: change(model.n.running_mean),
    "features": lambda model, data, change: change(data.x),
    "edge weights": lambda model, data, change: change(data.edge_weight),
    "edges": lambda model, data, change: data.edge_index.data.copy_(data.edge_index.flip(0)),
    "edges by numpy": lambda model, data, change: data.edge_index.numpy().__setitem__(
        slice(None), data.edge_index.numpy()[::-1].copy()
    ),
    "replaced": lambda model, data, change: setattr(
        model.a.lin.weight, "data", 2 * model.a.lin.weight.data
    ),
}


@pytest.mark.parametrize("change", [halve, by_numpy])
@pytest.mark.parametrize("what", CHANGES)
def test_9_writes_that_no_version_counts(what, change):
    data = graph(0, edge_weight=0)
    model = made(
        WithWeight(
            lambda self, x, e, w: self.b(self.n(self.a(x, e, w)).relu(), e, w),
            a=gnn.GCNConv(3, 4),
            b=gnn.GCNConv(4, 2),
            n=nn.BatchNorm1d(4),
        )
    )
    with torch.no_grad():
        right_or_refused(model, data, [0], methods={})
        for engine in (None, "stock"):
            (before,) = explainers.load("saliency", engine=engine).explain(model, data, 0)
            metrics.evaluate(model, data, [before], at=["k=1"])
        CHANGES[what](model, data, change)
    right_or_refused(model, data, [0, 3], methods={"saliency": {}, "input_x_gradient": {}})
    (after,) = explainers.load("saliency").explain(model, data, 0)
    p = [
        call(model, data, kept=kept)[0].softmax(-1)[after.target]
        for kept in (None, torch.arange(data.num_edges) != after.e_id[after.edge_mask.argmax()])
    ]
    assert fidelity(model, data, after) == pytest.approx(float(p[0] - p[1]))


# 16: a gradient that is not contiguous, handed to a fused optimiser.

ARRANGED = {
    "concatenated": lambda x: torch.cat([x, x.new_ones(len(x), 1)], 1),
    "turned": lambda x: torch.cat([x[:, [2, 0, 1]], x[:, :1]], 1),
    "transposed": lambda x: (torch.diag(numbers(1, 2, 3)) @ x.t()).t().repeat(1, 2)[:, :4],
    "expanded": lambda x: x[:, :1].expand(-1, 4) + torch.cat([x, x[:, :1]], 1),
}


@pytest.mark.parametrize("name", ["gnn_explainer", "smooth_grad", "gradient_shap"])
@pytest.mark.parametrize("arrange", ARRANGED.values(), ids=ARRANGED)
def test_16_features_arranged_inside(arrange, name):
    model = made(
        Model(
            lambda self, x, e: self.b(self.a(arrange(x), e).relu(), e).log_softmax(-1),
            a=gnn.GCNConv(4, 6),
            b=gnn.GCNConv(6, 3),
        )
    )
    data = graph(0, nodes=12, edges=30)
    data.x = data.x.t().contiguous().t()  # as a table by columns
    options = {"gnn_explainer": {"epochs": 20}}.get(name, {"n_samples": 4})
    fast, slow = (
        explainers.load(name, engine=engine, **options).explain(model, data, [0, 3, 5])
        for engine in ("batched", "stock")
    )
    for own, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(own.node_mask, other.node_mask, atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(own.edge_mask, other.edge_mask, atol=1e-6, rtol=1e-6)


# 17: a check that the easy nodes pass.


def mostly_pairs(n=200, path=12, directed=False):
    """Pairs of nodes, and one path; or one node with many sources, which has one itself."""
    pairs = torch.arange(n).view(-1, 2).t()
    nodes = torch.arange(n, n + path)
    if directed:
        hub = torch.stack([nodes[1:], nodes[:1].expand(path - 1)])
        more = torch.tensor([[n], [0]])
        edge_index = torch.cat([pairs, hub, more], dim=1)
    else:
        edge_index = torch.cat([pairs, torch.stack([nodes[:-1], nodes[1:]])], dim=1)
        edge_index = torch.cat([edge_index, edge_index.flip(0)], dim=1)
    x = torch.randn(n + path, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Data(x=x, edge_index=edge_index)


HARD = {
    "sg": gnn.SGConv(4, 2, K=2),
    "ssg": gnn.SSGConv(4, 2, alpha=0.1, K=2),
    "tag": gnn.TAGConv(4, 2, K=3),
    "appnp": nn.Sequential(nn.Linear(4, 2)),
    "mixhop": gnn.MixHopConv(4, 1, powers=[1, 2]),
    "cluster": gnn.ClusterGCNConv(4, 2),
    "arma": gnn.ARMAConv(4, 2),
    "cheb": gnn.ChebConv(4, 2, K=3),
}


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("layer", HARD)
def test_17_easy_nodes_and_hard_ones(layer, directed):
    def run(self, x, e):
        x = self.p(self.c(x), e) if layer == "appnp" else self.c(x, e)
        return x.log_softmax(-1)

    model = made(Model(run, c=HARD[layer], p=gnn.APPNP(3, 0.1)))
    data = mostly_pairs(directed=directed)
    nodes = [200, 206] if not directed else [200, 0]
    for engine in (None, "batched", "stock"):
        method = explainers.load("saliency", engine=engine)
        try:
            explanations = method.explain(model, data, nodes)
        except ValueError as error:
            refused(error)
            continue
        for node, explanation in zip(nodes, explanations, strict=True):
            x = data.x.clone().requires_grad_()
            model(x, data.edge_index)[node, explanation.target].backward()
            found = explainers.to_full(explanation, data)[0]
            torch.testing.assert_close(found, x.grad.abs(), atol=1e-9, rtol=1e-6)


# 10 of the issue: a graph among others.


@pytest.mark.parametrize("name", ["gnn_explainer", "gradient_shap", "shapley_sampling", "lime"])
@pytest.mark.parametrize("engine", [None, "stock"])
def test_a_graph_is_explained_as_if_it_were_alone(name, engine):
    graphs = [graph(seed, nodes=5, edges=7) for seed in range(18)]
    batch = Batch.from_data_list(graphs)
    model = made(
        WithBatch(lambda self, x, e, b: gnn.global_mean_pool(self.c(x, e), b), c=gnn.GCNConv(3, 2))
    )
    options = {"gnn_explainer": {"epochs": 5}}.get(name, {"n_samples": 5})
    method = explainers.load(name, engine=engine, **options)
    (among,) = method.explain(model, batch, 17)
    (alone,) = method.explain(model, Batch.from_data_list(graphs[17:]), 0)
    torch.testing.assert_close(among.node_mask, alone.node_mask)
    torch.testing.assert_close(among.edge_mask, alone.edge_mask)


# What is checked once a model and graph is cheap.


@pytest.mark.parametrize("layer", [gnn.GCNConv, gnn.SAGEConv, gnn.GATConv])
@pytest.mark.parametrize("engine", [None, "stock"])
def test_the_check_takes_few_passes(layer, engine):
    data, passes = graph(0, nodes=60, edges=300), []

    def run(self, x, e):
        passes.append(e.size(1))
        return self.b(self.a(x, e).relu(), e)

    model = made(Model(run, a=layer(3, 4), b=layer(4, 2)))
    assert explainers.load("saliency", engine=engine).supports(model, data)
    # Three, and one with gradients; where a layer is taken out, three more, and four up to it.
    taken_out = layer is gnn.SAGEConv and engine is None
    # And some over a few edges.
    assert sum(passes) <= (12 if taken_out else 4) * data.num_edges + 64
    passes.clear()
    assert explainers.load("saliency", engine=engine).supports(model, data)
    assert sum(passes) <= data.num_edges  # known by now, but for what no version counts
