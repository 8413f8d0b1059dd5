"""Small graphs and models, drawn at random, in float64."""

from __future__ import annotations

import itertools
import os

import hypothesis
import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import (
    GATConv,
    GATv2Conv,
    GCNConv,
    GINConv,
    GraphConv,
    SAGEConv,
    TransformerConv,
    global_add_pool,
    global_max_pool,
    global_mean_pool,
)

import explainers
from explainers.engines.hoisted import problem

hypothesis.settings.register_profile("default", deadline=None, derandomize=True)
hypothesis.settings.load_profile("default")

LOOPS = ("none", "some", "one each")


def examples(many):
    """How many models and graphs a property is tried on: ``many`` before a release, else a third.

    Each property is tried for every method and engine, or so, which share the space they are drawn
    from: even a third of each is hundreds of draws.
    """
    return many if os.environ.get("GNN_BENCH_LARGE") else max(4, many // 3)


def random_graph(seed, nodes=12, edges=40, features=5, loops="none", weighted=False):
    """Directed, with duplicate edges, isolated nodes and a hub; shuffled."""
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(nodes, (2, edges), generator=generator)
    edge_index[1, : edges // 4] = 0  # a hub
    edge_index = edge_index[:, edge_index[0] != edge_index[1]]
    if nodes > 3:  # the last one is alone
        edge_index = edge_index[:, (edge_index != nodes - 1).all(dim=0)]
    own = torch.arange(nodes).expand(2, -1)
    if loops == "some":
        own = own[:, torch.rand(nodes, generator=generator) < 0.5]
    if loops != "none":
        edge_index = torch.cat([edge_index, own], dim=1)
    edge_index = edge_index[:, torch.randperm(edge_index.size(1), generator=generator)]
    x = torch.randn(nodes, features, generator=generator, dtype=torch.float64)
    data = Data(x=x, edge_index=edge_index)
    if weighted:
        weights = torch.rand(edge_index.size(1), generator=generator, dtype=torch.float64)
        data.edge_weight = weights + 0.1
    return data


def random_batch(seed, graphs=12, features=5, loops="none", weighted=False):
    """Small graphs of several sizes; the last is a node without edges."""
    sizes = torch.randint(2, 9, (graphs,), generator=torch.Generator().manual_seed(seed)).tolist()
    sizes[-1] = 1
    make = (
        random_graph(seed + i, n, 4 * n, features, loops, weighted) for i, n in enumerate(sizes)
    )
    return Batch.from_data_list(list(make))


class Stack(nn.Module):
    """Layers with ReLU between them."""

    def __init__(self, layers, output="log_softmax"):
        super().__init__()
        self.layers, self.output = nn.ModuleList(layers), output

    def forward(self, x, edge_index, edge_weight=None):
        weight = {} if edge_weight is None else {"edge_weight": edge_weight}
        for i, layer in enumerate(self.layers):
            x = layer(x.relu() if i else x, edge_index, **weight)
        if self.output == "softmax":
            return x.softmax(dim=-1)
        return x.log_softmax(dim=-1) if self.output == "log_softmax" else x


class LinkStack(Stack):
    """A stack, and a decoder of both ends on top: the inner product, [R], or classes, [R, 3].

    Of classes there are two kinds: ``classes`` and, with ReLU in the place of tanh, ``relu``.
    """

    def __init__(self, layers, decoder="inner", features=6):
        super().__init__(layers, output="none")
        self.linear = None if decoder == "inner" else nn.Linear(2 * features, 3)
        self.function = torch.relu if decoder == "relu" else torch.tanh

    def forward(self, x, edge_index, edge_label_index, edge_weight=None):
        x = super().forward(x, edge_index, edge_weight)
        source, target = x[edge_label_index]
        if self.linear is None:
            return (source * target).sum(dim=-1)
        ends = self.function(torch.cat([source, target], dim=-1))
        return self.linear(ends).log_softmax(dim=-1)


LINKS = {  # what the outputs of the decoders mean
    "inner": {"mode": "binary_classification", "task_level": "edge", "return_type": "raw"},
    "classes": None,
}
POOLS = {"mean": global_mean_pool, "add": global_add_pool, "max": global_max_pool}


class GraphStack(Stack):
    """A stack whose nodes are pooled, and a linear layer on top: it classifies graphs."""

    def __init__(self, layers, output="log_softmax", pool="mean", features=6, classes=3):
        super().__init__(layers, output="none")
        self.pool, self.linear, self.kind = POOLS[pool], nn.Linear(features, classes), output

    def forward(self, x, edge_index, edge_weight=None, batch=None):
        x = super().forward(x, edge_index, edge_weight).relu()
        x = self.linear(self.pool(x, batch))
        return x if self.kind == "none" else getattr(x, self.kind)(dim=-1)


CONVS = {
    "gcn": GCNConv,
    "gcn improved": lambda a, b: GCNConv(a, b, improved=True),
    "gcn no loops": lambda a, b: GCNConv(a, b, add_self_loops=False),
    "gcn cached": lambda a, b: GCNConv(a, b, cached=True),
    "gcn no bias": lambda a, b: GCNConv(a, b, bias=False),
    "graph": GraphConv,
    "sage": SAGEConv,
    "gin": lambda a, b: GINConv(nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Linear(b, b))),
    "gat": lambda a, b: GATConv(a, b, heads=2, concat=False),
    "gatv2": lambda a, b: GATv2Conv(a, b),
    "transformer": TransformerConv,
}
NONLINEAR = ("gat", "gatv2", "transformer")
WEIGHTED = [name for name in CONVS if name.startswith("gcn") or name == "graph"]


def random_model(seed, conv="gcn", depth=2, features=5, classes=3, output="log_softmax"):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        dims = [features, *[6] * (depth - 1), classes]
        layers = [CONVS[conv](a, b) for a, b in itertools.pairwise(dims)]
        model = Stack(layers, output).double().eval()
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # PyG starts with zeros, which would hide mistakes
                nn.init.normal_(parameter)
    return model


def random_graph_model(seed, conv="gcn", depth=2, features=5, output="log_softmax", pool="mean"):
    layers = random_model(seed, conv, depth, features, classes=6).layers
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return GraphStack(layers, output, pool).double().eval()


def random_links(seed, nodes=12, count=5):
    """Among them one of a node with itself, one to a node without edges, and one twice."""
    generator = torch.Generator().manual_seed(seed)
    links = torch.randint(nodes, (2, count), generator=generator)
    own = torch.tensor([[0, 0, 1 % nodes], [0, nodes - 1, 0]])
    return torch.cat([links, own, links[:, :1]], dim=1)


def random_link_model(seed, conv="gcn", depth=2, features=5, decoder="inner"):
    layers = random_model(seed, conv, depth, features, classes=6).layers
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LinkStack(layers, decoder).double().eval()


def predict(model, data):
    with torch.no_grad():
        batch = {} if "batch" not in data else {"batch": data.batch}
        return model(data.x, data.edge_index, **batch)


def suited(name, seed=0, level="node"):
    """A model that a method supports: of GCNConv layers, or one with attention."""
    make, data = (
        (random_model, random_graph(seed))
        if level == "node"
        else (random_graph_model, random_batch(seed))
    )
    models = (make(seed, conv) for conv in ("gcn", "gat"))
    method = explainers.load(name)
    return next(model for model in models if method.supports(model, data))


# Options of which a method does little, by their names.
LITTLE = {
    **{"epochs": 3, "n_samples": 3, "n_steps": 5, "rollouts": 2, "min_nodes": 1, "exact_nodes": 3},
    **{"training_nodes": 3, "game_nodes": 3},
}


def quick(name, special=()):
    """Options with which a method does little: ``special`` has those of some methods by name."""
    own = explainers.load(name).options
    return {option: few for option, few in LITTLE.items() if option in own} | dict(
        dict(special).get(name, {})
    )


def difference(one, other, least=1e-6):
    """The largest difference of two explanations' scores, relative to the largest, or ``least``."""
    assert explainers.unit(one) == explainers.unit(other)
    assert torch.equal(one.n_id, other.n_id)
    assert torch.equal(one.e_id, other.e_id)
    assert torch.equal(one.edge_index, other.edge_index)
    worst = 0.0
    for name in ("node_mask", "edge_mask"):
        a, b = one[name], other[name]
        assert a.shape == b.shape
        if a.numel():
            worst = max(worst, float((a - b).abs().max() / b.abs().max().clamp(min=least)))
    return worst


@pytest.fixture(autouse=True, scope="package")
def in_two_parts():
    """Has ``hoisted`` take models apart at computation graphs of any size, small as they are."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("LEAST_NUMBERS", "LEAST_RECORDED"):
            monkeypatch.setattr(problem, name, 0)
        yield


@pytest.fixture
def graph():
    return random_graph(0)


@pytest.fixture
def model():
    return random_model(0)
