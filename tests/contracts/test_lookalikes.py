"""Models that look like another at the data, or are called otherwise than their users call them."""

# long: one kind of model after the other, a test or two for each

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
import torch_geometric.nn as gnn
from torch import nn
from torch_geometric.data import Batch, HeteroData
from torch_geometric.utils import softmax

import explainers
from explainers import metrics

from .cases import Model, WithBatch, WithWeight, config, made, right_or_refused
from .models import graph
from .reference import Reference

pytestmark = pytest.mark.filterwarnings("ignore:.*explaining with the slower engine")

NODES = [0, 1, 3, 5]


class Turned(torch.autograd.Function):
    """The identity, whose gradient is turned round, as for domain adaptation."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


def gcn(between=torch.relu, last=lambda x: x, first=lambda x: x):
    def run(self, x, edge_index):
        return last(self.b(between(self.a(first(x), edge_index)), edge_index))

    return made(Model(run, a=gnn.GCNConv(3, 4), b=gnn.GCNConv(4, 3)), seed=4)


def cut_off(data):
    """ReLU, cut off just above what there is at the data."""
    plain = gcn()
    largest = float(plain.a(data.x, data.edge_index).max()) + 1e-6
    return gcn(lambda h: h.relu().clamp(max=largest))


def without_activation(data):
    """What a ReLU would let through at the data."""
    model = gcn(lambda h: h)
    model.a.bias.data -= model.a(data.x, data.edge_index).min(dim=0).values - 1e-3
    return model


def bounded(data):
    """An output that is bounded just beyond those at the data."""
    largest = float(gcn()(data.x, data.edge_index).abs().max()) + 1e-6
    return gcn(last=lambda out: out.clamp(-largest, largest))


def hooked(_):
    model = gcn()
    model.a.register_full_backward_hook(
        lambda layer, given, _: tuple(None if one is None else 3 * one for one in given)
    )
    return model


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda _: gcn(lambda h: Turned.apply(h.relu())), id="gradient turned round"),
        pytest.param(lambda _: gcn(first=Turned.apply), id="turned round at the input"),
        pytest.param(
            lambda _: gcn(lambda h: 0.5 * h.relu() + 0.5 * h.relu().detach()), id="half detached"
        ),
        pytest.param(
            lambda _: gcn(last=lambda z: z - z.detach().logsumexp(-1, keepdim=True)),
            id="normaliser detached",
        ),
        hooked,
        cut_off,
        without_activation,
        bounded,
    ],
)
def test_what_only_looks_like_a_gcn(make):
    data = graph(0, nodes=10)
    right_or_refused(make(data), data, [0, 2, 5])


def test_a_gcn_is_still_explained_in_closed_form():
    for last in (lambda z: z, lambda z: z.log_softmax(-1), lambda z: 40 * z.softmax(-1) / 40):
        model = gcn(last=last)
        for dtype in (torch.float64, torch.float32):
            data = graph(0, nodes=10)
            data.x = data.x.to(dtype)
            assert explainers.load("saliency").chosen_engine(model.to(dtype), data) == "analytic"


def test_one_node_with_huge_features_hides_nothing():
    """Two steps with degrees of the border: a cut would give something else."""
    data = graph(1, nodes=12, edges=16, undirected=True)
    data.x[-1] *= 1e12  # it has no edge
    model = made(Model(lambda self, x, e: self.c(x, e), c=gnn.SGConv(3, 3, K=2)))
    right_or_refused(model, data, NODES)


def test_one_column_of_huge_numbers_hides_nothing():
    data = graph(1, nodes=12, edges=16, undirected=True)

    def run(self, x, edge_index):
        return torch.cat([1e12 * self.l(x), self.c(x, edge_index)], dim=1)

    model = made(Model(run, c=gnn.SGConv(3, 1, K=2), l=nn.Linear(3, 1)))
    said = config("regression", "raw")
    reference = Reference(model, data)
    for engine in explainers.load("saliency").engines:
        method = explainers.load("saliency", engine=engine)
        try:
            found = method.explain(model, data, NODES, target=[1] * len(NODES), **said)
        except ValueError:
            continue
        for node, explanation in zip(NODES, found, strict=True):
            expected = reference.saliency(node, 1)
            for mine, right in zip(explainers.to_full(explanation, data), expected, strict=True):
                torch.testing.assert_close(mine, right)


# A part of the model reads all of its nodes or edges, past gradients.


@pytest.mark.parametrize("layer", [gnn.GCNConv, gnn.SAGEConv])
def test_features_over_the_largest_of_all(layer):
    def run(self, x, edge_index):
        x = x / x.detach().abs().max().clamp(min=1e-3)
        return self.b(self.a(x, edge_index).relu(), edge_index)

    model = made(Model(run, a=layer(3, 4), b=layer(4, 3)))
    right_or_refused(model, graph(2, nodes=12), NODES)


def over_the_largest(layer):
    def run(self, x, edge_index, weight):
        weight = weight / weight.max() if len(weight) else weight
        return self.b(self.a(x, edge_index, weight).relu(), edge_index, weight)

    return made(WithWeight(run, a=layer(3, 4), b=layer(4, 3)))


def test_fidelity_if_deleted_edges_change_the_largest_of_all():
    model = over_the_largest(gnn.GraphConv)
    data = graph(2, nodes=8, edges=14, edge_weight=0)
    reference = Reference(model, data)
    found = explainers.load("random").explain(model, data, NODES)
    rows = metrics.evaluate(
        model, data, found, at=["k=1", "k=3"], semantics=["delete"], metrics=["fidelity"]
    )
    by_node = {int(explainers.unit(one)): one for one in found}
    compared = 0
    for row in rows:
        if row["metric"] != "fidelity+_prob" or row["selection"] != "signed":
            continue
        one, count = by_node[row["node"]], int(row["level"][2:])
        kept = torch.ones(data.num_edges, dtype=torch.bool)
        kept[one.e_id[one.edge_mask.argsort(descending=True)[:count]]] = False
        full, less = reference.output.softmax(-1), reference.keeping(kept).softmax(-1)
        change = (full - less)[row["node"], one.target]
        assert row["value"] == pytest.approx(float(change), abs=1e-9)
        compared += 1
    assert compared == 2 * len(NODES)


def typed():
    data, generator = HeteroData(), torch.Generator().manual_seed(0)
    for name, count in (("a", 5), ("b", 7)):
        data[name].x = torch.randn(count, 3, generator=generator).double()
    for name, ends in ((("a", "to", "b"), (5, 7)), (("b", "to", "a"), (7, 5))):
        rows = [torch.randint(count, (12,), generator=generator) for count in ends]
        data[name].edge_index = torch.stack(rows)
        data[name].edge_weight = torch.rand(12, generator=generator).double() + 0.1
    return data


class Typed(nn.Module):
    """Weights are divided by the largest of all types."""

    def __init__(self):
        super().__init__()
        layers = {("a", "to", "b"): gnn.GraphConv(3, 3), ("b", "to", "a"): gnn.GraphConv(3, 3)}
        self.a, self.b = (
            gnn.HeteroConv(layers),
            gnn.HeteroConv({("a", "to", "b"): layers["a", "to", "b"]}),
        )

    def forward(self, x_dict, edge_index_dict, edge_weight_dict, pos_dict=None):
        every = torch.cat([*edge_weight_dict.values(), x_dict["a"].new_full((1,), 1e-3)])
        weights = {name: value / every.max() for name, value in edge_weight_dict.items()}
        x = self.a(x_dict, edge_index_dict, weights)
        return self.b({k: v.relu() for k, v in x.items()}, edge_index_dict, weights)["b"]


def test_fidelity_if_deleted_edges_of_types_change_the_largest_of_all():
    data, model = typed(), made(Typed())
    found = explainers.load("random").explain(model, data, ("b", [0, 1, 2, 3]))
    options = {"at": ["k=1", "k=3"], "semantics": ["delete"], "metrics": ["fidelity"]}
    values = [
        [row["value"] for row in metrics.evaluate(model, data, found, **options, **engine)]
        for engine in ({}, {"engine": "stock"})
    ]
    assert values[0] == pytest.approx(values[1], abs=1e-9)


# Graphs of a batch, and links, are explained one by one; the model's answer may be another.


@pytest.mark.parametrize("engine", [None, "stock", "batched"])
def test_graphs_over_the_largest_of_the_batch(engine):
    """Graph 0, which has it, has the same output alone."""

    def run(self, x, edge_index, batch):
        x = x / x.detach().abs().max()
        return self.l(gnn.global_mean_pool(self.a(x, edge_index).relu(), batch))

    model = made(WithBatch(run, a=gnn.SAGEConv(3, 4), l=nn.Linear(4, 3)))
    data = Batch.from_data_list([graph(seed, nodes=5, edges=8) for seed in range(3)])
    data.x[0] *= 10
    with pytest.raises(ValueError, match=r"other|side"):
        explainers.load("saliency", engine=engine).explain(model, data, [1])


@pytest.mark.parametrize("engine", [None, "stock", "batched"])
def test_links_that_compete(engine):
    """The first and the last are alone among those of their source."""

    class Links(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = gnn.GCNConv(3, 4)

        def forward(self, x, edge_index, edge_label_index):
            z = self.a(x, edge_index)
            source, target = edge_label_index
            one = softmax((z[source] * z[target]).sum(-1), source, num_nodes=len(x))
            return torch.stack([one, (z[source] - z[target]).sum(-1)], dim=1)

    data = graph(0)
    data.edge_label_index = torch.tensor([[0, 1, 1, 2], [3, 4, 5, 6]])
    with pytest.raises(ValueError, match=r"other|send"):
        explainers.load("saliency", engine=engine).explain(made(Links()), data, [1])


# What is explained is called as the user calls it.


class Placed(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = gnn.SAGEConv(3, 3)

    def forward(self, x, edge_index, pos=None):
        return self.a(x if pos is None else x + pos, edge_index)


@pytest.mark.parametrize("wrap", [lambda model: model, nn.DataParallel])
def test_what_the_model_takes_and_would_not_get(wrap):
    data, model = graph(0), made(Placed())
    explainers.load("saliency").explain(wrap(model), data, 0)
    data.pos = torch.randn(8, 3).double()
    with pytest.raises(ValueError, match=r"forward takes pos, which the data have"):
        explainers.load("saliency").explain(wrap(model), data, 0)


def test_what_a_model_of_types_takes_and_would_not_get():
    data, model = typed(), made(Typed())
    data["a"].pos = data["a"].x.clone()
    with pytest.raises(ValueError, match=r"forward takes pos_dict, which the data have"):
        explainers.load("saliency").explain(model, data, ("b", [0]))


@pytest.mark.parametrize("method", ["occlusion", "saliency"])
def test_a_model_that_writes_to_its_inputs(method):
    data = graph(0, edge_weight=0)
    model = made(
        WithWeight(lambda self, x, e, w: self.a(x, e, w.clamp_(max=1)), a=gnn.GraphConv(3, 3))
    )
    with pytest.raises(ValueError, match=r"writes to its inputs in place \(edge_weight\)"):
        explainers.load(method).explain(model, data, 0)
    features = typed()
    types = made(Typed())

    def write(_, given):
        given[0]["a"].relu_()

    types.register_forward_pre_hook(write)
    with pytest.raises(ValueError, match=r"in place \(x of a\)"):
        explainers.load(method).explain(types, features, ("b", [0]))


def option(model):
    model.p.alpha = 0.9


def number(model):
    model.scale = 5.0


def part(model):
    model.act = nn.Tanh()


def function(model):
    model.scaled = torch.tanh


def hook(model):
    model.register_forward_hook(lambda _, given, output: 3 * output)


@pytest.mark.parametrize("change", [option, number, part, function, hook])
def test_a_model_that_has_changed_since(change):
    def run(self, x, edge_index):
        return self.p(self.act(self.scale * self.scaled(self.l(x))), edge_index)

    model = made(Model(run, l=nn.Linear(3, 3), p=gnn.APPNP(2, 0.1), act=nn.ReLU()))
    model.scale, model.scaled = 1.0, F.elu
    data, method = graph(0), explainers.load("saliency")
    method.explain(model, data, 0)
    change(model)
    (found,) = method.explain(model, data, 0)
    torch.testing.assert_close(found.prediction, model(data.x, data.edge_index)[0].detach())


def test_a_model_in_another_mode_is_not_prepared_anew():
    from explainers.prepare import prepare

    model, data = made(gnn.GCN(3, 4, 2, 3)), graph(0)
    first = prepare(model, data)
    assert prepare(model.train(), data) is first


# Half precision, by the type of the weights or by autocast.


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_a_gcn_in_half_precision(kind):
    data, model = graph(0), gcn()
    right = Reference(model, data).saliency(0, 1)
    data.x = data.x.to(kind)
    (found,) = explainers.load("saliency").explain(model.to(kind), data, 0, 1)
    for mine, known in zip(explainers.to_full(found, data), right, strict=True):
        torch.testing.assert_close(mine.double(), known, rtol=0, atol=0.05 * float(known.max()))


def test_autocast_begins_after_the_first_explanation():
    data, model = graph(0), gcn().float()
    data.x = data.x.float()
    method = explainers.load("saliency")
    method.explain(model, data, 0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (found,) = method.explain(model, data, 0)
        expected = model(data.x, data.edge_index)[0].detach()
    assert torch.equal(found.prediction, expected)


class Keeping(nn.Module):
    """Keeps what its first layer gave in the first call."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.kept = gnn.SAGEConv(3, 4), gnn.SAGEConv(4, 3), None

    def forward(self, x, edge_index):
        if self.kept is None:
            self.kept = self.a(x, edge_index).relu().detach()
        return self.b(self.kept, edge_index)


@pytest.mark.parametrize("edges", [14, 60])
def test_a_model_that_keeps_results(edges):
    data = graph(0, nodes=20, edges=edges)
    for name in ("occlusion", "saliency", "gnn_explainer"):
        with pytest.raises(ValueError, match="keeps results of an earlier one"):
            explainers.load(name).explain(made(Keeping()), data, 0)


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.calls = gnn.SAGEConv(3, 3), 0

    def forward(self, x, edge_index):
        self.calls += 1
        return self.a(x, edge_index) * (1 + 0.1 * self.calls)


def test_a_model_that_counts_its_calls():
    model, data = made(Counting()), graph(0)
    with pytest.raises(ValueError, match="counts its calls"):
        explainers.load("saliency").explain(model, data, 0)


@pytest.mark.parametrize("layer", [gnn.GCNConv, gnn.SAGEConv])
def test_occlusion_of_a_model_without_gradients(layer):
    """Its activation is changed in place, which autograd refuses."""

    def run(self, x, edge_index):
        return self.b(self.a(x, edge_index).relu_().add_(1), edge_index)

    model = made(Model(run, a=layer(3, 4), b=layer(4, 3)))
    right_or_refused(model, graph(0), NODES, methods={"occlusion": {}})
    assert explainers.load("occlusion").supports(model, graph(0))


# Nothing to score: a node without edges, of which only edges are scored.


@pytest.mark.parametrize("engine", [None, "stock", "batched"])
@pytest.mark.parametrize("name", ["occlusion", "lime", "kernel_shap", "shapley_sampling"])
def test_a_node_without_edges_where_only_edges_are_scored(name, engine):
    data, alone = graph(0), 7
    method = explainers.load(name, engine=engine, mask_type="edge")
    other, nothing = method.explain(gcn(), data, [0, alone])
    assert other.edge_mask.any()
    assert nothing.edge_mask.shape == (0,)
    assert not nothing.node_mask.any()
    if "convergence_delta" in nothing:
        assert float(nothing.convergence_delta) == 0


@pytest.mark.parametrize("name", ["pg_explainer", "graph_mask", "page_rank", "degree"])
def test_whole_numbers_that_select_rows_of_an_embedding(name):
    data = graph(0)
    data.x = torch.arange(8)[:, None]
    model = made(
        Model(
            lambda self, x, e: self.a(self.rows(x.view(-1)), e),
            rows=nn.Embedding(8, 4),
            a=gnn.SAGEConv(4, 3),
        )
    )
    options = {"pg_explainer": {"epochs": 2}, "graph_mask": {"epochs": 2}}.get(name, {})
    found = explainers.load(name, **options).explain(model, data, [1, 7])
    assert found[0].edge_mask.is_floating_point()
    assert bool(found[0].edge_mask.isfinite().all())
