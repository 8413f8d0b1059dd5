"""Models and graphs as users have them, by name: what :mod:`test_user_model` explains.

Graphs are small, directed, with duplicate edges and an isolated node, all in float64. A
configuration is made by a function without arguments; ``CONFIGURATIONS`` has them all. The file is
long because it is a table, of which each entry is a model that somebody has.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch_geometric.nn as gnn
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.utils import (
    add_self_loops,
    coalesce,
    degree,
    remove_self_loops,
    sort_edge_index,
    to_undirected,
)

IN, HIDDEN, CLASSES, EDGE_DIM = 3, 4, 3, 2


@dataclass
class Configuration:
    """A model, the data it is called with, and what is known of the two.

    Attributes:
        model: As the user has it.
        data: A graph, or a batch of graphs.
        plain: What is inside of a wrapper; else the model.
        model_config: What the user says of the output, if that has to be said.
    """

    model: nn.Module
    data: Data
    plain: nn.Module | None = None
    model_config: dict[str, str] | None = None

    def __post_init__(self) -> None:
        self.plain = self.plain or self.model


CONFIGURATIONS: dict[str, Callable[[], Configuration]] = {}


def graph(seed=0, loops="none", undirected=False, multi=True, nodes=8, edges=14, **inputs):
    """A graph; ``inputs`` are edge-level inputs: names, and their widths (0: one number each)."""
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(nodes - 1, (2, edges), generator=generator)  # the last one is alone
    edge_index[1, :4] = 0  # a hub
    edge_index = coalesce(remove_self_loops(edge_index)[0])
    if undirected:
        edge_index = to_undirected(edge_index)
    elif multi:
        edge_index = torch.cat([edge_index, edge_index[:, 2:4]], dim=1)
    own = torch.arange(nodes).expand(2, -1)
    own = {"none": own[:, :0], "some": own[:, 1::3], "all": own}[loops]
    edge_index = torch.cat([edge_index, own], dim=1)
    edge_index = edge_index[:, torch.randperm(edge_index.size(1), generator=generator)]
    x = torch.randn(nodes, IN, generator=generator, dtype=torch.float64)
    data = Data(x=x, edge_index=edge_index)
    for name, width in inputs.items():
        size = (edge_index.size(1), width) if width else (edge_index.size(1),)
        data[name] = 3 * torch.rand(size, generator=generator, dtype=torch.float64) + 0.2
    return data


def typed(**options):
    data = graph(**options)
    data.edge_type = torch.arange(data.num_edges) % 3
    return data


def batch(**options):
    return Batch.from_data_list(
        [graph(seed, nodes=4 + seed, edges=8, **options) for seed in range(3)]
    )


class Net(nn.Module):
    """Layers with ReLU between them, a norm after the first."""

    def __init__(self, *layers, norm=None, out="log_softmax"):
        super().__init__()
        self.layers, self.norm, self.out = nn.ModuleList(layers), norm, out

    def run(self, x, edge_index, *given):
        for i, layer in enumerate(self.layers):
            x = layer(x.relu() if i else x, edge_index, *given)
            if i == 0 and self.norm is not None:
                x = self.norm(x)
        return self.head(x)

    def head(self, x):
        if self.out == "sigmoid":
            return x.sigmoid()
        return x if self.out == "raw" else getattr(x, self.out)(dim=-1)

    def forward(self, x, edge_index):
        return self.run(x, edge_index)


class ByWeight(Net):
    def forward(self, x, edge_index, edge_weight):
        return self.run(x, edge_index, edge_weight)


class ByAttr(Net):
    def forward(self, x, edge_index, edge_attr):
        return self.run(x, edge_index, edge_attr)


class ByType(Net):
    def forward(self, x, edge_index, edge_type):
        return self.run(x, edge_index, edge_type)


class LearnedWeight(Net):
    """Edge weights are computed from the edges' attributes."""

    def __init__(self, *layers, **options):
        super().__init__(*layers, **options)
        self.weigh = nn.Sequential(
            nn.Linear(EDGE_DIM, 4), nn.ReLU(), nn.Linear(4, 1), nn.Softplus()
        )

    def forward(self, x, edge_index, edge_attr):
        return self.run(x, edge_index, self.weigh(edge_attr).view(-1))


class SecondOnly(Net):
    """The weights are for the second layer."""

    def forward(self, x, edge_index, edge_weight):
        one, two = self.layers
        return self.head(two(one(x, edge_index).relu(), edge_index, edge_weight))


class Initial(Net):
    """Layers that take the first representation, too; with weights."""

    def __init__(self, *layers, **options):
        super().__init__(*layers, **options)
        self.first, self.last = nn.Linear(IN, HIDDEN), nn.Linear(HIDDEN, CLASSES)

    def forward(self, x, edge_index, edge_weight=None):
        x = x0 = self.first(x)
        for layer in self.layers:
            x = layer(x, x0, edge_index, edge_weight).relu()
        return self.head(self.last(x))


class Between(Net):
    """Linear layers before and after, for layers that have no width of their own."""

    def __init__(self, *layers, **options):
        super().__init__(*layers, **options)
        self.first, self.last = nn.Linear(IN, HIDDEN), nn.Linear(HIDDEN, CLASSES)

    def run(self, x, edge_index, *given):
        x = self.first(x).relu()
        for layer in self.layers:
            x = layer(x, edge_index, *given)
        return self.head(self.last(x))


class BetweenByWeight(Between):
    def forward(self, x, edge_index, edge_weight):
        return self.run(x, edge_index, edge_weight)


class Rewriting(Net):
    """The edges, and their weights, are rewritten inside of ``forward``."""

    def __init__(self, rewrite, *layers, **options):
        super().__init__(*layers, **options)
        self.rewrite = rewrite

    def forward(self, x, edge_index):
        return self.run(x, self.rewrite(edge_index, len(x)))


def rewriting(rewrite):
    return functools.partial(Rewriting, rewrite)


class RewritingWeighted(Rewriting):
    def forward(self, x, edge_index, edge_weight):
        return self.run(x, *self.rewrite(edge_index, edge_weight))


class TurnedInOneLayer(Net):
    def forward(self, x, edge_index):
        one, two = self.layers
        return self.head(two(one(x, edge_index).relu(), edge_index.flip(0)))


class GlobalContext(Net):
    """The mean over all nodes is added to each."""

    def forward(self, x, edge_index):
        one, two = self.layers
        x = one(x, edge_index).relu()
        return self.head(two(x + x.mean(dim=0, keepdim=True), edge_index))


class DegreeFeature(Net):
    """A feature is computed from the edges, past all layers."""

    def forward(self, x, edge_index):
        own = degree(edge_index[1], len(x), dtype=x.dtype)[:, None]
        return self.run(torch.cat([x, own], dim=1), edge_index)


class Concatenating(Net):
    """A constant and a product are concatenated to the features."""

    def forward(self, x, edge_index):
        return self.run(torch.cat([x, x[:, :1] * x[:, 1:2], x.new_ones(len(x), 1)], 1), edge_index)


class Residual(Net):
    def forward(self, x, edge_index):
        one, two, three = self.layers
        x = one(x, edge_index).relu()
        return self.head(three(x + two(x, edge_index).relu(), edge_index))


class Jumping(Net):
    """The representations of all layers are concatenated."""

    def __init__(self, *layers, **options):
        super().__init__(*layers, **options)
        self.last = nn.Linear(HIDDEN * len(layers), CLASSES)

    def forward(self, x, edge_index):
        found = []
        for layer in self.layers:
            x = layer(x, edge_index).relu()
            found.append(x)
        return self.head(self.last(torch.cat(found, dim=1)))


class SharedLayer(Net):
    """One layer is called thrice."""

    def forward(self, x, edge_index):
        first, again, last = self.layers
        x = first(x, edge_index).relu()
        for _ in range(3):
            x = again(x, edge_index).relu()
        return self.head(last(x, edge_index))


class ClassifiesGraphs(Net):
    """Nodes are pooled, and a linear layer is on top."""

    def __init__(self, *layers, pool=gnn.global_mean_pool, norm_by_batch=None, **options):
        super().__init__(*layers, **options)
        self.pool, self.norm_by_batch = pool, norm_by_batch
        self.last = nn.Linear(HIDDEN, CLASSES)

    def embed(self, x, edge_index, batch, *given):
        for layer in self.layers:
            x = layer(x, edge_index, *given).relu()
        if self.norm_by_batch is not None:
            x = self.norm_by_batch(x, batch)
        return self.head(self.last(self.pool(x, batch)))

    def forward(self, x, edge_index, batch):
        return self.embed(x, edge_index, batch)


class ClassifiesGraphsByWeight(ClassifiesGraphs):
    def forward(self, x, edge_index, edge_weight, batch):
        return self.embed(x, edge_index, batch, edge_weight)


class Anything(nn.Module):
    """A wrapper that hides the signature."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, *args, **kwargs):
        return self.inner(*args, **kwargs)


def add(name, model, data=graph, wrap=None, model_config=None):
    """Adds a configuration; ``model`` and ``data`` are functions without arguments."""

    def make() -> Configuration:
        with torch.random.fork_rng():
            torch.manual_seed(len(name))
            plain = model().double().eval()
            for key, parameter in plain.named_parameters():
                if key.endswith("bias"):  # PyG starts with zeros, which would hide mistakes
                    nn.init.normal_(parameter)
            for part in plain.modules():
                if isinstance(part, nn.BatchNorm1d):
                    nn.init.normal_(part.running_mean)
                    nn.init.uniform_(part.running_var, 0.5, 2.0)
        whole = plain if wrap is None else wrap(plain)
        return Configuration(whole, data(), plain, model_config)

    assert name not in CONFIGURATIONS
    CONFIGURATIONS[name] = make


def two(conv, net=Net, **options):
    """A function that makes a net of two layers."""
    return lambda: net(conv(IN, HIDDEN), conv(HIDDEN, CLASSES), **options)


def mlp(a, b):
    return nn.Sequential(nn.Linear(a, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, b))


def weight_normed(net):
    for layer in net.layers:
        nn.utils.parametrizations.weight_norm(layer.lin_l)
    return net


# Convolutions that take weights, on graphs with more and more loops.
WEIGHTED = {
    "gcn": two(gnn.GCNConv, ByWeight),
    "gcn improved": two(lambda a, b: gnn.GCNConv(a, b, improved=True), ByWeight),
    "gcn no loops": two(lambda a, b: gnn.GCNConv(a, b, add_self_loops=False), ByWeight),
    "gcn no norm": two(lambda a, b: gnn.GCNConv(a, b, normalize=False), ByWeight),
    "gcn three layers": lambda: ByWeight(
        gnn.GCNConv(IN, HIDDEN), gnn.GCNConv(HIDDEN, HIDDEN), gnn.GCNConv(HIDDEN, CLASSES)
    ),
    "graph": two(gnn.GraphConv, ByWeight),
    "sg": lambda: ByWeight(gnn.SGConv(IN, CLASSES, K=2)),
    "ssg": lambda: ByWeight(gnn.SSGConv(IN, CLASSES, alpha=0.2, K=2)),
    "appnp": lambda: BetweenByWeight(gnn.APPNP(K=3, alpha=0.1)),
    "tag": lambda: ByWeight(gnn.TAGConv(IN, CLASSES, K=2)),
    "cheb": two(lambda a, b: gnn.ChebConv(a, b, K=3), ByWeight),
    "gcn2": lambda: Initial(*(gnn.GCN2Conv(HIDDEN, 0.2, 0.5, layer) for layer in (1, 2))),
    "mixhop": lambda: ByWeight(
        gnn.MixHopConv(IN, HIDDEN), gnn.MixHopConv(3 * HIDDEN, 1, powers=[0, 1, 2])
    ),
    "arma": two(lambda a, b: gnn.ARMAConv(a, b, num_stacks=2, num_layers=2), ByWeight),
    "le": two(gnn.LEConv, ByWeight),
    "lg": lambda: BetweenByWeight(gnn.LGConv(), gnn.LGConv()),
    "gated graph": lambda: BetweenByWeight(gnn.GatedGraphConv(HIDDEN, 2)),
    "fa": lambda: Initial(gnn.FAConv(HIDDEN, normalize=False), gnn.FAConv(HIDDEN, normalize=False)),
    "wl continuous": lambda: BetweenByWeight(gnn.WLConvContinuous()),
}
for _name, _model in WEIGHTED.items():
    for _loops in ("none", "some", "all"):
        if _loops == "all" and _name not in ("gcn", "graph", "sg", "cheb"):
            continue
        add(
            f"{_name}, weights, loops {_loops}",
            _model,
            lambda loops=_loops: graph(loops=loops, edge_weight=0),
        )

# Weights that are not data.edge_weight, or not in every layer.
for _loops in ("none", "some"):
    add(
        f"gcn, weights in edge_attr, loops {_loops}",
        two(gnn.GCNConv, ByAttr),
        lambda loops=_loops: graph(loops=loops, edge_attr=0),
    )
    add(
        f"graph, weights in edge_attr, loops {_loops}",
        two(gnn.GraphConv, ByAttr),
        lambda loops=_loops: graph(loops=loops, edge_attr=0),
    )
    for _name, _conv in (("gcn", gnn.GCNConv), ("graph", gnn.GraphConv)):
        add(
            f"{_name}, learned weights, loops {_loops}",
            two(_conv, LearnedWeight),
            lambda loops=_loops: graph(loops=loops, edge_attr=EDGE_DIM),
        )
        add(
            f"{_name}, weights in one layer, loops {_loops}",
            two(_conv, SecondOnly),
            lambda loops=_loops: graph(loops=loops, edge_weight=0),
        )

# Convolutions without weights.
_POWERS = torch.tensor([2, 3, 2, 1])  # how many nodes have 0, 1, ... edges, for PNAConv
OWN_LOOPS = (
    *("gcn", "sage", "gat", "gatv2", "supergat", "cluster gcn", "dir gcn", "agnn", "eg", "fa"),
    "gcn and graph mixed",
)
UNWEIGHTED = {
    "gcn": two(gnn.GCNConv),
    "sage": two(gnn.SAGEConv),
    "sage max": two(lambda a, b: gnn.SAGEConv(a, b, aggr="max")),
    "sage sum, project": two(lambda a, b: gnn.SAGEConv(a, b, aggr="sum", project=True)),
    "gin": two(lambda a, b: gnn.GINConv(mlp(a, b), train_eps=True)),
    "gat": two(lambda a, b: gnn.GATConv(a, b, heads=2, concat=False)),
    "gat no loops": two(lambda a, b: gnn.GATConv(a, b, add_self_loops=False)),
    "gatv2": two(gnn.GATv2Conv),
    "supergat": two(gnn.SuperGATConv),
    "transformer": two(gnn.TransformerConv),
    "cluster gcn": two(gnn.ClusterGCNConv),
    "dir sage": two(lambda a, b: gnn.DirGNNConv(gnn.SAGEConv(a, b))),
    "dir gcn": two(lambda a, b: gnn.DirGNNConv(gnn.GCNConv(a, b))),
    "pna": two(lambda a, b: gnn.PNAConv(a, b, ["mean", "max"], ["identity", "linear"], _POWERS)),
    "edge": two(lambda a, b: gnn.EdgeConv(mlp(2 * a, b))),
    "res gated": two(gnn.ResGatedGraphConv),
    "film": two(gnn.FiLMConv),
    "agnn": lambda: Between(gnn.AGNNConv(), gnn.AGNNConv()),
    "mf": two(gnn.MFConv),
    "gen": two(gnn.GENConv),
    "eg": two(lambda a, b: gnn.EGConv(a, b, num_heads=1)),
    "antisymmetric": lambda: Between(gnn.AntiSymmetricConv(HIDDEN, num_iters=2)),
    "fa": lambda: Initial(gnn.FAConv(HIDDEN), gnn.FAConv(HIDDEN)),
    "gps": lambda: Between(gnn.GPSConv(HIDDEN, gnn.SAGEConv(HIDDEN, HIDDEN), norm=None)),
    "gcn and graph mixed": lambda: Net(gnn.GCNConv(IN, HIDDEN), gnn.GraphConv(HIDDEN, CLASSES)),
    "gcn, sum of five": lambda: Net(
        gnn.GCNConv(IN, HIDDEN),
        *(gnn.GCNConv(HIDDEN, HIDDEN) for _ in range(3)),
        gnn.GCNConv(HIDDEN, CLASSES),
    ),
}
for _name, _model in UNWEIGHTED.items():
    add(_name, _model)
    if _name in OWN_LOOPS:
        add(f"{_name}, loops some", _model, lambda: graph(loops="some"))
for _name in ("dir sage", "dir gcn", "gcn", "gat"):
    add(f"{_name}, undirected", UNWEIGHTED[_name], lambda: graph(undirected=True))

# Edge attributes, and relations.
for _name, _conv in {
    "gat": lambda a, b: gnn.GATConv(a, b, edge_dim=EDGE_DIM),
    "gine": lambda a, b: gnn.GINEConv(mlp(a, b), edge_dim=EDGE_DIM),
    "transformer": lambda a, b: gnn.TransformerConv(a, b, edge_dim=EDGE_DIM),
    "nn": lambda a, b: gnn.NNConv(a, b, mlp(EDGE_DIM, a * b)),
    "pdn": lambda a, b: gnn.PDNConv(a, b, EDGE_DIM, HIDDEN),
}.items():
    add(f"{_name}, edge_attr", two(_conv, ByAttr), lambda: graph(edge_attr=EDGE_DIM))
    if _name in ("gat", "pdn"):
        add(
            f"{_name}, edge_attr, loops some",
            two(_conv, ByAttr),
            lambda: graph(loops="some", edge_attr=EDGE_DIM),
        )
for _name, _conv in {
    "rgcn": lambda a, b: gnn.RGCNConv(a, b, 3),
    "fast rgcn": lambda a, b: gnn.FastRGCNConv(a, b, 3),
    "rgat": lambda a, b: gnn.RGATConv(a, b, 3),
}.items():
    add(_name, two(_conv, ByType), lambda: typed(loops="some"))

# What depends on more than the messages into a node.
for _name, _norm in {
    "batch norm": lambda: nn.BatchNorm1d(HIDDEN),
    "pyg batch norm": lambda: gnn.BatchNorm(HIDDEN),
    "graph norm": lambda: gnn.GraphNorm(HIDDEN),
    "pair norm": gnn.PairNorm,
    "layer norm": lambda: gnn.LayerNorm(HIDDEN),
    "layer norm of a node": lambda: gnn.LayerNorm(HIDDEN, mode="node"),
    "instance norm": lambda: gnn.InstanceNorm(HIDDEN),
    "mean subtraction": gnn.MeanSubtractionNorm,
}.items():
    for _conv in ("GCNConv", "SAGEConv") if "norm" in _name[:10] else ("SAGEConv",):
        add(
            f"{_conv}, {_name}",
            lambda conv=_conv, norm=_norm: two(getattr(gnn, conv), norm=norm())(),
        )
add("gcn, global context", two(gnn.GCNConv, GlobalContext))
add("gin, global context", two(lambda a, b: gnn.GINConv(mlp(a, b)), GlobalContext))
add("sage, degree as a feature", lambda: DegreeFeature(gnn.SAGEConv(IN + 1, CLASSES)))

# The shape of the network.
add(
    "gcn, concatenating", lambda: Concatenating(gnn.GCNConv(IN + 2, HIDDEN), gnn.GCNConv(HIDDEN, 3))
)
add("gcn, residual", lambda: Residual(*(gnn.GCNConv(*d) for d in ((3, 4), (4, 4), (4, 3)))))
add("sage, residual", lambda: Residual(*(gnn.SAGEConv(*d) for d in ((3, 4), (4, 4), (4, 3)))))
add("gcn, jumping", lambda: Jumping(gnn.GCNConv(IN, HIDDEN), gnn.GCNConv(HIDDEN, HIDDEN)))
add("gcn, shared layer", lambda: SharedLayer(*(gnn.GCNConv(*d) for d in ((3, 4), (4, 4), (4, 3)))))
add("sage, one layer", lambda: Net(gnn.SAGEConv(IN, CLASSES)))
add("pyg's GCN", lambda: gnn.GCN(IN, HIDDEN, 2, CLASSES))
add("pyg's GAT, jumping", lambda: gnn.GAT(IN, HIDDEN, 2, CLASSES, jk="cat"))
add(
    "sage, weight norm",
    lambda: weight_normed(Net(gnn.SAGEConv(IN, HIDDEN), gnn.SAGEConv(HIDDEN, CLASSES))),
)

# Wrappers.
for _name, _wrap in {
    "compiled": lambda model: torch.compile(model, backend="eager"),
    "data parallel": nn.DataParallel,
    "hidden signature": Anything,
}.items():
    add(f"gcn, {_name}", UNWEIGHTED["gcn"], wrap=_wrap)
    add(f"graph, weights, {_name}", WEIGHTED["graph"], lambda: graph(edge_weight=0), wrap=_wrap)
    if _name == "compiled":  # takes seconds
        continue
    add(f"sage, {_name}", UNWEIGHTED["sage"], wrap=_wrap)
    add(
        f"gcn, weights, loops some, {_name}",
        WEIGHTED["gcn"],
        lambda: graph(loops="some", edge_weight=0),
        wrap=_wrap,
    )

# Edges rewritten inside.
ONLY_SAGE = ("turned around", "coalesced", "loops dropped", "every second", "shuffled", "twice")
for _name, _rewrite in {
    "sorted": lambda e, n: sort_edge_index(e, sort_by_row=False),
    "turned around": lambda e, n: e.flip(0),
    "coalesced": lambda e, n: coalesce(e),
    "undirected": lambda e, n: to_undirected(e),
    "both ways": lambda e, n: torch.cat([e, e.flip(0)], dim=1),
    "loops dropped": lambda e, n: remove_self_loops(e)[0],
    "loops appended": lambda e, n: add_self_loops(e, num_nodes=n)[0],
    "loops in front": lambda e, n: torch.cat([torch.arange(n).expand(2, -1), e], dim=1),
    "every second": lambda e, n: e[:, ::2],
    "shuffled": lambda e, n: e[:, torch.arange(e.size(1)).mul(5).remainder(e.size(1)).argsort()],
    "twice": lambda e, n: torch.cat([e, e], dim=1),
}.items():
    for _conv in ("SAGEConv",) if _name in ONLY_SAGE else ("GCNConv", "SAGEConv"):
        add(
            f"{_conv}, {_name} inside",
            lambda conv=_conv, rewrite=_rewrite: two(getattr(gnn, conv), rewriting(rewrite))(),
            lambda: graph(loops="some"),
        )
for _name, _rewrite in {
    "sorted": lambda e, n: sort_edge_index(e, sort_by_row=False),
    "turned around": lambda e, n: e.flip(0),
    "undirected": lambda e, n: to_undirected(e),
    "last first": lambda e, n: e.flip(1),
}.items():
    add(
        f"graph, {_name} inside, undirected",
        two(gnn.GraphConv, rewriting(_rewrite)),
        lambda: graph(undirected=True),
    )
add(
    "graph, weights, sorted inside",
    lambda: RewritingWeighted(
        lambda e, w: sort_edge_index(e, w, sort_by_row=False),
        gnn.GraphConv(IN, HIDDEN),
        gnn.GraphConv(HIDDEN, CLASSES),
    ),
    lambda: graph(edge_weight=0, multi=False),
)
add(
    "gcn, weights, loops added inside",
    lambda: RewritingWeighted(
        lambda e, w: add_self_loops(e, w, fill_value=0.5, num_nodes=8),
        gnn.GCNConv(IN, HIDDEN),
        gnn.GCNConv(HIDDEN, CLASSES),
    ),
    lambda: graph(edge_weight=0),
)
add("sage, turned around in one layer", two(gnn.SAGEConv, TurnedInOneLayer))
add(
    "sage, turned around in one layer, undirected",
    two(gnn.SAGEConv, TurnedInOneLayer),
    lambda: graph(undirected=True),
)
add("sage, flow reversed", two(lambda a, b: gnn.SAGEConv(a, b, flow="target_to_source")))

# Outputs.
for _out in ("raw", "softmax"):
    add(f"gcn, {_out}", two(gnn.GCNConv, out=_out))
    add(f"sage, {_out}", two(gnn.SAGEConv, out=_out))


def says(mode, return_type, task_level="node"):
    return {"mode": mode, "return_type": return_type, "task_level": task_level}


for _name, _conv in (("gcn", gnn.GCNConv), ("sage", gnn.SAGEConv)):
    add(
        f"{_name}, regression",
        lambda conv=_conv: Net(conv(IN, HIDDEN), conv(HIDDEN, 1), out="raw"),
        model_config=says("regression", "raw"),
    )
    add(
        f"{_name}, binary raw",
        lambda conv=_conv: Net(conv(IN, HIDDEN), conv(HIDDEN, 1), out="raw"),
        model_config=says("binary_classification", "raw"),
    )
    add(
        f"{_name}, binary sigmoid",
        lambda conv=_conv: Net(conv(IN, HIDDEN), conv(HIDDEN, 1), out="sigmoid"),
        model_config=says("binary_classification", "probs"),
    )
    add(
        f"{_name}, several labels",
        two(_conv, out="sigmoid"),
        model_config=says("binary_classification", "probs"),
    )

# Graphs of a batch.
for _name, _pool in {
    "mean": gnn.global_mean_pool,
    "sum": gnn.global_add_pool,
    "max": gnn.global_max_pool,
}.items():
    add(
        f"graphs, gcn, {_name}",
        lambda pool=_pool: ClassifiesGraphs(
            gnn.GCNConv(IN, HIDDEN), gnn.GCNConv(HIDDEN, HIDDEN), pool=pool
        ),
        batch,
    )
add(
    "graphs, sage, graph norm",
    lambda: ClassifiesGraphs(gnn.SAGEConv(IN, HIDDEN), norm_by_batch=gnn.GraphNorm(HIDDEN)),
    batch,
)
for _loops in ("none", "some"):
    add(
        f"graphs, gcn, weights, loops {_loops}",
        lambda: ClassifiesGraphsByWeight(gnn.GCNConv(IN, HIDDEN), gnn.GCNConv(HIDDEN, HIDDEN)),
        lambda loops=_loops: batch(loops=loops, edge_weight=0),
    )
add(
    "graphs, graph norm without batch",
    lambda: ClassifiesGraphs(
        gnn.SAGEConv(IN, HIDDEN), norm_by_batch=Anything(gnn.PairNorm(scale=2.0))
    ),
    batch,
)
add(
    "graphs, gcn, data parallel",
    lambda: ClassifiesGraphs(gnn.GCNConv(IN, HIDDEN)),
    batch,
    wrap=nn.DataParallel,
)
