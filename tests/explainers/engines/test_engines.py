"""Every engine against stock: Captum and PyG on the whole graph, in float64."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GCNConv, GINConv, PairNorm, SAGEConv

import explainers
from explainers.engines import batched
from explainers.engines.stock import StockProblem
from explainers.prepare import prepare

from ..conftest import (
    CONVS,
    LOOPS,
    NONLINEAR,
    POOLS,
    WEIGHTED,
    Stack,
    difference,
    examples,
    quick,
    random_batch,
    random_graph,
    random_graph_model,
    random_model,
    suited,
)

OPTIONS = {
    "cf_explainer": {"epochs": 6},
    "integrated_gradients": {"n_steps": 7},
    "gnn_explainer": {"epochs": 6, "lr": 0.1},
    "gradient_shap": {"n_samples": 5},
    "kernel_shap": {"n_samples": 12},
    "lime": {"n_samples": 12},
    "graph_mask": {"epochs": 1},
    "pg_explainer": {"training_nodes": 4},
    "shapley_sampling": {"n_samples": 2},
    "smooth_grad": {"n_samples": 5},
}
ROUNDED = 1e-5
TOLERANCE = {
    "gnn_explainer": 1e-6,
    "pg_explainer": 1e-6,
    # Captum adds up Shapley values, and hands on outputs for a fit, in float32 whatever the model;
    # test_games.py compares what it draws, and closer.
    "kernel_shap": ROUNDED,
    "lime": ROUNDED,
    "shapley_sampling": ROUNDED,
}
PAIRS = [
    (name, engine)
    for name in explainers.available()
    for engine in explainers.load(name).engines
    if engine != "stock" and "stock" in explainers.load(name).engines
]


def equal(name, one, other):
    """Whether explanations are equal; what is rounded to float32 is outputs, not their changes."""
    least = float(other.prediction.abs().max()) if TOLERANCE.get(name) == ROUNDED else 1e-6
    return difference(one, other, least) < TOLERANCE.get(name, 1e-9)


def explain(name, engine, model, data, nodes, **options):
    method = explainers.load(name, engine=engine, **quick(name, OPTIONS), **options)
    return method.explain(model, data, nodes)


@pytest.mark.parametrize(("name", "engine"), PAIRS)
@settings(max_examples=examples(25))
@given(
    seed=st.integers(0, 10_000),
    nodes=st.sampled_from([1, 2, 6, 12]),
    conv=st.sampled_from(sorted(CONVS)),
    depth=st.integers(1, 4),
    loops=st.sampled_from(LOOPS),
    weighted=st.booleans(),
    output=st.sampled_from(["log_softmax", "softmax", "none"]),
)
def test_equal_to_stock(name, engine, seed, nodes, conv, depth, loops, weighted, output):
    weighted = weighted and conv in WEIGHTED
    data = random_graph(seed, nodes, 4 * nodes, loops=loops, weighted=weighted)
    model = random_model(seed, conv, depth, output=output)
    method = explainers.load(name, engine=engine, **quick(name, OPTIONS))
    if not explainers.load(name, engine="stock").supports(model, data):
        return  # the method itself does not take the model, or its outputs leave doubt
    # What an engine must take; a refusal would make it equal to anything.
    must = engine == "batched" or (conv.startswith("gcn") and depth <= 2)
    if engine == "hoisted":
        # Edges that are explained: loops that the layers put in the place of the graph's are none.
        must = conv not in NONLINEAR and bool(prepare(model, data).edge_index.numel())
        if conv in NONLINEAR and len(data.edge_index[0].unique()) < 2:
            return  # attention to a single source is linear: it may be taken
    assert method.supports(model, data) == must
    if not must:
        return
    asked = torch.arange(nodes)[:5]
    stock = explain(name, "stock", model, data, asked)
    for one, other in zip(method.explain(model, data, asked), stock, strict=True):
        assert equal(name, one, other)


@pytest.mark.parametrize("name", ["integrated_gradients", "gradient_shap", "occlusion"])
@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000),
    conv=st.sampled_from(sorted(CONVS)),
    depth=st.integers(1, 4),
    loops=st.sampled_from(LOOPS),
    weighted=st.booleans(),
    joined=st.booleans(),
    level=st.sampled_from(["node", "graph"]),
)
def test_sums_of_messages_equal_stock(
    name, seed, conv, depth, loops, weighted, joined, level, monkeypatch
):
    """On small graphs, too, which the layers are quicker on."""
    monkeypatch.setattr(batched, "LEAST_EDGES", {True: 0, False: 0})
    weighted = weighted and conv in WEIGHTED
    if level == "graph":
        data = random_batch(seed, 3, loops=loops, weighted=weighted)
        model = random_graph_model(seed, conv, min(depth, 3))
    else:
        data = random_graph(seed, 12, 30, loops=loops, weighted=weighted)
        model = random_model(seed, conv, depth)
        model = _Joined(model) if joined and not weighted else model
    asked = torch.arange(3)
    stock = explain(name, "stock", model, data, asked)
    for one, other in zip(explain(name, "batched", model, data, asked), stock, strict=True):
        assert equal(name, one, other)
    way = prepare(model, data)._of_graph[batched.WAY]
    if conv in NONLINEAR:
        assert way is None
    else:
        assert way is not None
        assert way.fused.keys() == set(range(len(prepare(model, data).layers)))
        assert way.few == (level == "node" and not isinstance(model, _Joined))


class _Joined(torch.nn.Module):
    """Adds a linear form of the features to a model's rows: all of them have to be there."""

    def __init__(self, model):
        super().__init__()
        self.model, self.linear = model, torch.nn.Linear(5, 3, dtype=torch.float64)

    def forward(self, x, edge_index):
        return self.model(x, edge_index) + self.linear(x)


def test_layers_that_take_a_maximum_are_left_alone(graph, monkeypatch):
    monkeypatch.setattr(batched, "LEAST_EDGES", {True: 0, False: 0})
    torch.manual_seed(0)
    model = Stack([SAGEConv(5, 6, aggr="max"), SAGEConv(6, 3)]).double().eval()
    (stock,) = explain("integrated_gradients", "stock", model, graph, 0)
    (one,) = explain("integrated_gradients", "batched", model, graph, 0)
    assert difference(one, stock) < 1e-9
    assert prepare(model, graph)._of_graph[batched.WAY] == batched.Way({1: "mean"}, few=False)


@pytest.mark.parametrize("name", [name for name, engine in PAIRS if engine == "batched"])
@settings(max_examples=examples(25))
@given(
    seed=st.integers(0, 10_000),
    graphs=st.sampled_from([1, 2, 5]),
    conv=st.sampled_from(sorted(CONVS)),
    depth=st.integers(1, 3),
    loops=st.sampled_from(LOOPS),
    weighted=st.booleans(),
    output=st.sampled_from(["log_softmax", "softmax", "none"]),
    pool=st.sampled_from(sorted(POOLS)),
    budget=st.sampled_from([1, 2**28]),
)
def test_graphs_equal_to_stock(
    name, seed, graphs, conv, depth, loops, weighted, output, pool, budget
):
    # Nodes with equal surroundings tie in a maximum, and rounding decides where its gradient goes;
    # in a layer that weighs a node otherwise than its neighbours there are none.
    conv = "graph" if pool == "max" else conv
    weighted = weighted and conv in WEIGHTED
    data = random_batch(seed, graphs, loops=loops, weighted=weighted)
    model = random_graph_model(seed, conv, depth, output=output, pool=pool)
    if not explainers.load(name).supports(model, data):
        return
    asked = torch.arange(graphs).flip(0)
    stock = explain(name, "stock", model, data, asked)
    batched = explain(name, "batched", model, data, asked, memory_budget=budget)
    for one, other in zip(batched, stock, strict=True):
        assert equal(name, one, other)


@pytest.mark.parametrize("name", explainers.available())
def test_a_graph_is_explained_as_if_it_were_alone(name):
    data, model = random_batch(3, loops="some"), suited(name, 3, level="graph")
    method = explainers.load(name, **quick(name, OPTIONS))
    together = method.explain(model, data, [4, 0])
    if method.deterministic:
        for graph, one in zip((4, 0), together, strict=True):
            single = Batch.from_data_list([data.get_example(graph)])
            (other,) = method.explain(model, single, 0)
            torch.testing.assert_close(one.node_mask, other.node_mask, rtol=1e-9, atol=1e-12)
            torch.testing.assert_close(one.edge_mask, other.edge_mask, rtol=1e-9, atol=1e-12)
    (apart,) = method.explain(model, data, 0)
    assert difference(apart, together[1]) < 1e-9
    backwards = Batch.from_data_list([data.get_example(g) for g in reversed(range(12))])
    (other,) = method.explain(model, backwards, 11)
    if method.deterministic:
        torch.testing.assert_close(other.edge_mask, apart.edge_mask, rtol=1e-9, atol=1e-12)


def test_graphs_in_any_order_of_nodes():
    """``batch`` need not ascend for layers and pooling that do not ask for it."""
    data, model = random_batch(6), random_graph_model(6)
    order = torch.randperm(data.num_nodes, generator=torch.Generator().manual_seed(0))
    place = order.argsort()
    mixed = Data(x=data.x[order], edge_index=place[data.edge_index], batch=data.batch[order])
    for engine in ("batched", "stock"):
        (one,) = explain("saliency", engine, model, data, 3)
        (other,) = explain("saliency", engine, model, mixed, 3)
        nodes, edges = explainers.to_full(one, data)
        torch.testing.assert_close(
            explainers.to_full(other, mixed), (nodes[order], edges), rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize(("name", "engine"), PAIRS)
@pytest.mark.parametrize("loops", LOOPS)
def test_order_of_edges_and_nodes_does_not_matter(name, engine, loops):
    data, model = random_graph(5, loops=loops), suited(name, 5)
    order = torch.randperm(data.num_edges, generator=torch.Generator().manual_seed(1))
    shuffled = Data(x=data.x, edge_index=data.edge_index[:, order])
    if not explainers.load(name).deterministic:
        pytest.skip("what it draws belongs to nodes and positions")
    (one,) = explain(name, engine, model, data, 0)
    (other,) = explain(name, engine, model, shuffled, 0)
    nodes, edges = explainers.to_full(one, data)
    torch.testing.assert_close(explainers.to_full(other, shuffled), (nodes, edges[order]))

    names = torch.randperm(data.num_nodes, generator=torch.Generator().manual_seed(2))
    x = torch.empty_like(data.x)
    x[names] = data.x
    renamed = Data(x=x, edge_index=names[data.edge_index])
    (other,) = explain(name, engine, model, renamed, int(names[0]))
    other_nodes, other_edges = explainers.to_full(other, renamed)
    torch.testing.assert_close(other_edges, edges)
    torch.testing.assert_close(other_nodes[names], nodes)


@pytest.mark.parametrize(("name", "engine"), PAIRS)
def test_company_in_a_batch_does_not_matter(name, engine, graph):
    model = suited(name)
    together = explain(name, engine, model, graph, [3, 0, 7, 0])
    apart = [explain(name, engine, model, graph, v, memory_budget=1)[0] for v in (3, 0, 7, 0)]
    squeezed = explain(name, engine, model, graph, [3, 0, 7, 0], memory_budget=1)
    for one, other, third in zip(together, apart, squeezed, strict=True):
        assert equal(name, one, other)
        assert equal(name, third, other)


class _Global(Stack):
    def forward(self, x, edge_index):
        return super().forward(x, edge_index) + x.mean()


@pytest.mark.parametrize(
    "make",
    [
        lambda: _Global(random_model(0).layers, "none"),
        lambda: torch.nn.ModuleDict({"a": PairNorm()}) and _Normed(),
    ],
)
def test_a_model_that_looks_further_falls_back_to_stock(make, graph):
    model = make().double().eval()
    with pytest.raises(ValueError, match=r"does not support .* depends on more than the messages"):
        explain("saliency", "batched", model, graph, 0)
    method = explainers.load("saliency")
    with pytest.warns(UserWarning, match="slower engine 'stock'"):
        (one,) = method.explain(model, graph, 0)
    assert method.engine == "stock"
    (other,) = explain("saliency", "stock", model, graph, 0)
    assert difference(one, other) == 0


class _Normed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.norm, self.two = GCNConv(5, 4), PairNorm(), GCNConv(4, 3)

    def forward(self, x, edge_index):
        return self.two(self.norm(self.one(x, edge_index)), edge_index)


def test_layer_exempt_from_explanation(graph):
    model = random_model(0)
    model.layers[0].explain = False  # PyG: leave this layer's messages alone
    (stock,) = explain("integrated_gradients", "stock", model, graph, 0)
    (batched,) = explain("integrated_gradients", "batched", model, graph, 0)
    assert difference(batched, stock) < 1e-9
    (all_layers,) = explain("integrated_gradients", "stock", random_model(0), graph, 0)
    assert difference(all_layers, stock) > 1e-3


def test_edge_attributes_are_cut_with_the_edges(graph):
    class Edges(torch.nn.Module):
        def __init__(self):
            super().__init__()
            from torch_geometric.nn import GINEConv

            self.conv = GINEConv(torch.nn.Linear(5, 3), edge_dim=2)

        def forward(self, x, edge_index, edge_attr):
            return self.conv(x, edge_index, edge_attr)

    torch.manual_seed(0)
    model = Edges().double()
    graph.edge_attr = torch.randn(graph.num_edges, 2, dtype=torch.float64)
    (stock,) = explain("integrated_gradients", "stock", model, graph, 0)
    (batched,) = explain("integrated_gradients", "batched", model, graph, 0)
    assert difference(batched, stock) < 1e-9


def test_gin_with_batch_norm_in_training_mode_is_explained_in_eval_mode(graph):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.BatchNorm1d(3))
    model = Stack([GINConv(layers)]).double().train()
    (stock,) = explain("saliency", "stock", model, graph, 0)
    (batched,) = explain("saliency", "batched", model, graph, 0)
    assert difference(batched, stock) < 1e-9
    assert model.training


def test_stock_verifies_a_graph_once_and_times_nothing_of_its_own_later(monkeypatch):
    data, model = random_batch(5, 4), random_graph_model(5, "gin", 2)
    passes, predict = [], StockProblem.predict

    def noted(self, x, edge_mask):
        passes.append(int(self.nodes))
        return predict(self, x, edge_mask)

    monkeypatch.setattr(StockProblem, "predict", noted)
    method = explainers.load("saliency", engine="stock")
    for graphs in ([1], [1], [1, 2]):
        method.explain(model, data, graphs)
    assert passes == [1, 1, 1, 1, 2, 2]
