"""The first message passing taken out of the path: which models, and that the scores are right."""

import itertools
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch_geometric.nn import (
    GAT,
    GCN,
    GIN,
    MLP,
    EdgeConv,
    GATConv,
    GCN2Conv,
    GCNConv,
    GINConv,
    GraphConv,
    GraphSAGE,
    JumpingKnowledge,
    LGConv,
    SAGEConv,
    SGConv,
    global_add_pool,
)

import explainers
from explainers.engines import batched, registry
from explainers.engines.batched import BatchedProblem
from explainers.engines.hoisted import first, problem
from explainers.prepare import prepare

from ..conftest import (
    LOOPS,
    Stack,
    difference,
    examples,
    random_batch,
    random_graph,
    random_graph_model,
    random_model,
)

LINEAR = ("gcn", "gcn improved", "gcn no loops", "gcn no bias", "graph", "sage", "gin")
METHODS = {"saliency": {}, "input_x_gradient": {}, "integrated_gradients": {"n_steps": 5}}
MASKS = ("node_and_edge", "edge", "node")


def double(model, seed=0):
    """With numbers of its own in place of every zero that a bias or a norm begins with."""
    generator = torch.Generator().manual_seed(seed)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.copy_(torch.randn(part.num_features, generator=generator))
            part.running_var.copy_(torch.rand(part.num_features, generator=generator) + 0.5)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            with torch.no_grad():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model.double().eval()


def refusal(model, data):
    return registry.get("hoisted").refusal(prepare(model, data))


def explain(name, engine, model, data, units, **options):
    method = explainers.load(name, engine=engine, **METHODS[name], **options)
    return method.explain(model, data, units)


def assert_equal(model, data, units, other="stock", **options):
    for name in METHODS:
        expected = explain(name, other, model, data, units, **options)
        found = explain(name, "hoisted", model, data, units, **options)
        for one, two in zip(found, expected, strict=True):
            assert difference(one, two) < 1e-9, name
            if "convergence_delta" in two:
                torch.testing.assert_close(one.convergence_delta, two.convergence_delta)


@settings(max_examples=examples(30))
@given(
    seed=st.integers(0, 10_000),
    nodes=st.sampled_from([1, 2, 6, 12]),
    conv=st.sampled_from(LINEAR),
    depth=st.integers(1, 4),
    loops=st.sampled_from(LOOPS),
    weighted=st.booleans(),
    mask_type=st.sampled_from(MASKS),
    budget=st.sampled_from([1, 2**28]),
)
def test_equal_to_stock(seed, nodes, conv, depth, loops, weighted, mask_type, budget):
    weighted = weighted and conv.startswith("g") and conv != "gin"
    data = random_graph(seed, nodes, 4 * nodes, loops=loops, weighted=weighted)
    model = random_model(seed, conv, depth)
    assert refusal(model, data) in ((None,) if data.num_edges else ("the graph has no edges",))
    if data.num_edges and refusal(model, data) is None:
        assert_equal(
            model, data, torch.arange(nodes)[:4], mask_type=mask_type, memory_budget=budget
        )


@settings(max_examples=examples(15))
@given(
    seed=st.integers(0, 10_000),
    graphs=st.sampled_from([2, 5]),
    conv=st.sampled_from(LINEAR),
    depth=st.integers(1, 3),
    loops=st.sampled_from(LOOPS),
    pool=st.sampled_from(["mean", "add"]),
)
def test_graphs_equal_to_stock(seed, graphs, conv, depth, loops, pool):
    data = random_batch(seed, graphs, loops=loops)
    model = random_graph_model(seed, conv, depth, pool=pool)
    assert refusal(model, data) is None
    assert_equal(model, data, torch.arange(graphs).flip(0))


class Residual(nn.Module):
    """The features go past the convolutions, too, and every layer's result is read at the end."""

    def __init__(self, conv=GCNConv):
        super().__init__()
        self.layers = nn.ModuleList(conv(a, 6) for a in (5, 6, 6))
        self.past, self.jump = nn.Linear(5, 6), JumpingKnowledge("cat")
        self.end = nn.Linear(18, 3)

    def forward(self, x, edge_index):
        results, value = [], x
        for i, layer in enumerate(self.layers):
            value = layer(value, edge_index)
            value = (value + self.past(x) if i != 1 else value).relu()
            results.append(value)
        return self.end(self.jump(results)).log_softmax(dim=-1)


class Encoded(Stack):
    """A linear layer, and perhaps ReLU, before the first convolution."""

    def __init__(self, relu, conv=SAGEConv):
        super().__init__([conv(6, 6), conv(6, 3)])
        self.encoder, self.nonlinear = nn.Linear(5, 6), relu

    def forward(self, x, edge_index):
        x = self.encoder(x)
        return super().forward(x.relu() if self.nonlinear else x, edge_index)


class Shared(nn.Module):
    """One convolution, three times."""

    def __init__(self, conv):
        super().__init__()
        self.conv = conv

    def forward(self, x, edge_index):
        for _ in range(3):
            x = self.conv(x, edge_index).tanh()
        return x


class InPlace(Stack):
    def forward(self, x, edge_index):
        for layer in self.layers:
            x = F.relu_(layer(x, edge_index))
        return x


class Initial(nn.Module):
    """GCNII: the features are part of every layer's result."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            GCN2Conv(5, 0.1, 0.5, layer, normalize=False) for layer in (1, 2, 3)
        )

    def forward(self, x, edge_index):
        value = x
        for layer in self.layers:
            value = layer(value, x, edge_index, edge_weight=None).relu()
        return value


class Two(nn.Module):
    """Two convolutions side by side, then one."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.end = SAGEConv(5, 4), GraphConv(5, 4), SAGEConv(8, 3)

    def forward(self, x, edge_index):
        both = torch.cat([self.one(x, edge_index), self.two(x, edge_index).relu()], dim=1)
        return self.end(both.relu(), edge_index)


def gin_conv(a, b):
    return GINConv(MLP([a, 7, b], norm="batch_norm"), train_eps=True)


OTHERS = {
    "residual": Residual,
    "residual sage": lambda: Residual(SAGEConv),
    "gin with norms": lambda: Stack([gin_conv(5, 6), gin_conv(6, 3)]),
    "linear encoder": lambda: Encoded(relu=False),
    "linear encoder, gin": lambda: Encoded(relu=False, conv=gin_conv),
    "shared weights": lambda: Shared(SAGEConv(5, 5)),
    "shared weights, gcn": lambda: Shared(GCNConv(5, 5)),
    "writes in place": lambda: InPlace([SAGEConv(5, 6), SAGEConv(6, 3)]),
    "sage, add": lambda: Stack([SAGEConv(5, 6, aggr="add"), SAGEConv(6, 3, aggr="add")]),
    "sage, normalized": lambda: Stack([SAGEConv(5, 6, normalize=True), SAGEConv(6, 3)]),
    "graph, mean": lambda: Stack([GraphConv(5, 6, aggr="mean"), GraphConv(6, 3, aggr="max")]),
    "gcn, not normalised": lambda: Stack([GCNConv(5, 6, normalize=False), GraphConv(6, 3)]),
    "graph, then attention": lambda: Stack([GraphConv(5, 6), GATConv(6, 3, add_self_loops=False)]),
    "lg": lambda: Stack([LGConv(normalize=False), LGConv(normalize=False), SAGEConv(5, 3)]),
    "initial features": Initial,
    "side by side": Two,
    "pyg gcn, jk and norm": lambda: GCN(5, 6, 3, 3, norm="batch_norm", jk="max"),
    "pyg sage, norm": lambda: GraphSAGE(
        5, 6, 3, 3, norm="layer_norm", norm_kwargs={"mode": "node"}, act="elu"
    ),
    "pyg gin, jk": lambda: GIN(5, 6, 3, 3, norm="batch_norm", jk="cat"),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("mask_type", MASKS)
def test_models_of_many_kinds(name, mask_type):
    torch.manual_seed(0)
    data, model = random_graph(1, 14, 40, loops="none"), double(OTHERS[name]())
    config = {"mode": "multiclass_classification", "task_level": "node", "return_type": "raw"}
    if name.startswith("residual"):
        config["return_type"] = "log_probs"
    prepared = prepare(model, data, config)
    assert registry.get("hoisted").refusal(prepared) is None
    for method, options in METHODS.items():
        loads = [
            explainers.load(method, engine=engine, mask_type=mask_type, **options)
            for engine in ("hoisted", "stock")
        ]
        found = [one.explain(model, data, range(6), None, config) for one in loads]
        for one, other in zip(*found, strict=True):
            assert difference(one, other) < 1e-9


VARIANTS = {
    "occlusion": {},
    "smooth_grad": {"n_samples": 3},
    "gradient_shap": {"n_samples": 3},
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("mask_type", MASKS)
def test_variants_of_the_inputs(name, mask_type):
    """Masks and features that lie on no path, of models of many kinds."""
    torch.manual_seed(0)
    data, model = random_graph(1, 14, 40, loops="none"), double(OTHERS[name]())
    config = {"mode": "multiclass_classification", "task_level": "node", "return_type": "raw"}
    if name.startswith("residual"):
        config["return_type"] = "log_probs"
    assert registry.get("hoisted").refusal(prepare(model, data, config)) is None
    for method, options in VARIANTS.items():
        one, other = (
            explainers.load(method, engine=engine, mask_type=mask_type, **options).explain(
                model, data, [0, 5], None, config
            )
            for engine in ("hoisted", "batched")
        )
        for mine, theirs in zip(one, other, strict=True):
            assert difference(mine, theirs) < 1e-9, method


@pytest.mark.parametrize("conv", LINEAR)
@pytest.mark.parametrize("budget", [1, 2**28])
def test_variants_of_graphs(conv, budget):
    data, model = random_batch(5, 4), random_graph_model(5, conv, 2)
    for method, options in VARIANTS.items():
        one, other = (
            explainers.load(method, engine=engine, memory_budget=budget, **options).explain(
                model, data, [3, 0]
            )
            for engine in ("hoisted", "batched")
        )
        for mine, theirs in zip(one, other, strict=True):
            assert difference(mine, theirs) < 1e-9, method


def test_small_graphs_take_variants_to_batched_and_paths_here():
    data, model = random_batch(5, 4), random_graph_model(5, "gin", 2)
    assert explainers.load("integrated_gradients").chosen_engine(model, data) == "hoisted"
    for name in ("saliency", "occlusion"):
        assert explainers.load(name).chosen_engine(model, data) == "batched"
    data, model = random_graph(0), random_model(0, "gin", 3)
    for name in ("integrated_gradients", "saliency", "occlusion"):
        assert explainers.load(name).chosen_engine(model, data) == "hoisted"


class Sampled(nn.Module):
    """Simplified graph convolution of whole graphs, which has norms of its own."""

    def __init__(self, steps):
        super().__init__()
        self.conv, self.end = SGConv(5, 6, K=steps), nn.Linear(6, 3)

    def forward(self, x, edge_index, batch):
        return self.end(global_add_pool(self.conv(x, edge_index).relu(), batch)).log_softmax(-1)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_simplified_convolutions_of_graphs(steps):
    torch.manual_seed(0)
    data, model = random_batch(2, 4), double(Sampled(steps))
    assert refusal(model, data) is None
    assert_equal(model, data, range(4))


class Detached(Stack):
    """Outputs are linear in the features, but no gradient says so."""

    def forward(self, x, edge_index):
        return super().forward(x.detach() * 0.5 + x * 0.5, edge_index)


class Normed(Stack):
    """Rows are divided by their norm first, which no gradient passes."""

    def forward(self, x, edge_index):
        return super().forward(x / x.norm(dim=1, keepdim=True).detach(), edge_index)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Encoded(relu=True), r"SAGEConv.*not linear"),
        (lambda: Stack([EdgeConv(nn.Linear(10, 3))]), r"EdgeConv.*not linear"),
        (lambda: Stack([SAGEConv(5, 6, aggr="max"), SAGEConv(6, 3)]), r"SAGEConv.*not linear"),
        (lambda: Stack([SAGEConv(5, 6, project=True)]), r"SAGEConv.*not linear"),
        (lambda: GAT(5, 6, 2, 3, heads=2, add_self_loops=False), r"GATConv.*not linear"),
        (lambda: Normed([GraphConv(5, 6), GraphConv(6, 3)]), r"GraphConv.*not linear"),
        (lambda: Detached([GraphConv(5, 6), GraphConv(6, 3)]), "gradients"),
    ],
)
def test_a_model_that_is_not_linear_there_is_refused_and_explained_by_batched(make, reason):
    torch.manual_seed(0)
    data, model = random_graph(1, 14, 40), double(make())
    config = {"mode": "multiclass_classification", "task_level": "node", "return_type": "raw"}
    method = explainers.load("saliency")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # another engine does it: no news
        (one,) = method.explain(model, data, 0, model_config=config)
    assert method.engine == "batched"
    with pytest.raises(ValueError, match=f"engine 'hoisted' does not support .*{reason}"):
        explainers.load("saliency", engine="hoisted").explain(model, data, 0, model_config=config)
    (other,) = explainers.load("saliency", engine="stock").explain(
        model, data, 0, model_config=config
    )
    assert difference(one, other) < 1e-9


@pytest.mark.parametrize("conv", LINEAR)
@pytest.mark.parametrize("loops", LOOPS)
def test_large_graphs_are_looked_at_in_parts(conv, loops, monkeypatch):
    """The edges into each node by themselves, and gradients on a few edges only."""
    monkeypatch.setattr(first, "PART", 0)
    monkeypatch.setattr(first, "PARTS", 10**9)
    monkeypatch.setattr(batched, "CHECKED_BYTES", 0)
    data, model = random_graph(3, 30, 200, loops=loops), random_model(3, conv, depth=3)
    parts = []
    of_part = first._into

    def noted(prepared, edges, targets):
        parts.append(prepared.edge_index[1, edges])
        return of_part(prepared, edges, targets)

    monkeypatch.setattr(first, "_into", noted)
    assert refusal(model, data) is None
    assert all(len(targets.unique()) == 1 for targets in parts)
    assert len(parts) >= len(prepare(model, data).edge_index[1].unique())
    assert_equal(model, data, [0, 7])


@pytest.mark.parametrize("make", [Detached, Normed])
def test_gradients_are_compared_on_a_part_of_a_large_graph(make, monkeypatch):
    monkeypatch.setattr(batched, "CHECKED_BYTES", 0)
    data, model = random_graph(1, 60, 400), double(make([GraphConv(5, 6), GraphConv(6, 3)]))
    assert "gradients" in refusal(model, data) or "not linear" in refusal(model, data)


def test_how_layers_are_joined_shows_on_a_part_of_a_large_graph(monkeypatch):
    monkeypatch.setattr(batched, "CHECKED_BYTES", 0)
    data, model = random_graph(1, 60, 400, loops="none"), double(Residual(SAGEConv))
    assert refusal(model, data) is None
    assert_equal(model, data, [0, 7])


def test_graphs_of_a_batch_that_are_large_are_looked_at_in_parts(monkeypatch):
    monkeypatch.setattr(batched, "CHECKED_BYTES", 0)
    data, model = random_batch(2, 4), random_graph_model(2, "gin", 2)
    assert refusal(model, data) is None
    assert_equal(model, data, range(4))


def test_a_layer_exempt_from_explanation_is_refused():
    model, data = random_model(0, "sage"), random_graph(0)
    model.layers[0].explain = False
    assert "exempt" in refusal(model, data)


def noted_rows(model, monkeypatch):
    """The numbers of nodes and edges that the model is called with from now on."""
    rows = []
    forward = type(model).forward

    def noted(self, x, edge_index, **rest):
        rows.append((len(x), edge_index.size(1)))
        return forward(self, x, edge_index, **rest)

    monkeypatch.setattr(type(model), "forward", noted)
    return rows


@pytest.mark.parametrize("mask_type", MASKS)
@pytest.mark.parametrize(
    ("name", "variants"),
    [("saliency", 1), ("integrated_gradients", 7), ("smooth_grad", 4), ("occlusion", None)],
)
def test_variants_of_a_small_computation_graph_go_in_one_part(
    name, variants, mask_type, monkeypatch
):
    options = {"integrated_gradients": {"n_steps": 5}, "smooth_grad": {"n_samples": 4}}
    data, model = random_graph(0, 200, 400), random_model(0, "sage", depth=3)
    method = explainers.load(name, engine="hoisted", mask_type=mask_type, **options.get(name, {}))
    expected = method.explain(model, data, [5, 7, 5])
    cut = explainers.prepare.computation_graph.cut(prepare(model, data).index, torch.tensor([5]), 3)
    n, e, columns = len(cut.n_id), len(cut.e_id), data.x.size(1)
    players = {"node": n, "edge": e, "node_and_edge": n + e}[mask_type]
    numbers = (variants or players) * (n * columns + (n + e) * 6)  # the first layer gives six
    assert len(data.x) > n
    for least, one_part in ((numbers - 1, False), (numbers, True)):
        monkeypatch.setattr(problem, "LEAST_NUMBERS", least)
        rows = noted_rows(model, monkeypatch)
        found = method.explain(model, data, 5)
        assert (((variants or players) * n, (variants or players) * e) in rows) == one_part
        assert difference(found[0], expected[0]) < 1e-12
    monkeypatch.setattr(problem, "LEAST_NUMBERS", 10**9)
    found = method.explain(model, data, [5, 7, 5])
    assert max(map(difference, found, expected)) < 1e-12


def test_learned_masks_of_a_small_computation_graph_go_in_one_part(monkeypatch):
    data, model = random_graph(0, 200, 400), random_model(0, "sage", depth=3)
    method = explainers.load("gnn_explainer", engine="hoisted", epochs=5)
    (expected,) = method.explain(model, data, 5)
    n, e = len(expected.n_id), len(expected.e_id)
    numbers = n * data.x.size(1) + (n + e) * 6
    monkeypatch.setattr(problem, "LEAST_NUMBERS", 10**9)
    for least, one_part in ((numbers - 1, False), (numbers, True)):
        monkeypatch.setattr(problem, "LEAST_RECORDED", least)
        rows = noted_rows(model, monkeypatch)
        (found,) = method.explain(model, data, 5)
        assert (rows[0] == (n, e)) == one_part
        assert difference(found, expected) < 1e-9


def test_the_rest_sees_a_hop_less(monkeypatch):
    """The widest hop goes through no layer at any point of the path."""
    data, model = random_graph(0, 200, 400), random_model(0, "sage", depth=3)
    assert refusal(model, data) is None
    rows = noted_rows(model, monkeypatch)
    monkeypatch.setattr(BatchedProblem, "predict", None)
    node = 5
    (found,) = explain("integrated_gradients", "hoisted", model, data, node)
    prepared = prepare(model, data)
    inner = explainers.prepare.computation_graph.cut(prepared.index, torch.tensor([node]), 2)
    steps = METHODS["integrated_gradients"]["n_steps"] + 2
    assert rows == [(steps * len(inner.n_id), steps * len(inner.e_id))]
    assert len(inner.n_id) < len(found.n_id)


def test_many_nodes_share_a_pass_and_the_budget_says_how_many(monkeypatch):
    data, model = random_graph(0, 60, 150), random_model(0, "graph", depth=3)
    engine, prepared = registry.get("hoisted"), prepare(model, data)
    nodes = torch.arange(20)
    sizes = [
        [len(problem.nodes) for problem in engine.problems(prepared, nodes, nodes * 0, budget, 5)]
        for budget in (1, 2**20, 2**40)
    ]
    assert sizes[0] == [1] * 20
    assert sizes[2] == [20]
    assert sum(sizes[1]) == 20
    assert 1 < len(sizes[1]) < 20
    assert_equal(model, data, nodes, "batched")
    assert_equal(model, data, nodes, "batched", memory_budget=2**20)


def test_weights_that_change_are_found_anew():
    data, model = random_graph(0), random_model(0, "sage", depth=3)
    assert_equal(model, data, [0, 3])
    with torch.no_grad():
        model.layers[0].lin_l.weight.mul_(2)
    assert_equal(model, data, [0, 3])


def test_every_depth_is_linear_in_float32():
    """What is rounded is not taken for nonlinear."""
    data = random_graph(7, 300, 1500, features=64)
    data.x = data.x.float() * 20
    for conv, depth in itertools.product(("gcn", "sage", "gin"), (1, 2, 3)):
        one = random_model(7, conv, depth, features=64).float()
        assert refusal(one, data) is None
