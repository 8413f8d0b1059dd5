"""Random heterogeneous graphs of random schemas, and models of them, in float64."""

import torch
from torch import nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import (
    FastRGCNConv,
    GATConv,
    GCNConv,
    GraphConv,
    HANConv,
    HeteroConv,
    HGTConv,
    RGCNConv,
    SAGEConv,
    to_hetero,
)


def random_hetero(seed, weighted=False):
    """Two to four node types; edge types at random, some between the same types, one empty."""
    generator = torch.Generator().manual_seed(seed)

    def number(low, high):
        return int(torch.randint(low, high + 1, (), generator=generator))

    data = HeteroData()
    names = list("abcd"[: number(2, 4)])
    for name in names:
        size = number(3, 9), number(1, 4)
        data[name].x = torch.randn(size, generator=generator, dtype=torch.float64)
    # Every type gets messages, so that every convolution has an output for it.
    ends = [(names[number(0, len(names) - 1)], name) for name in names]
    ends += [(names[number(0, len(names) - 1)], names[number(0, len(names) - 1)]) for _ in range(3)]
    for i, (source, target) in enumerate(ends):
        sizes = data[source].num_nodes, data[target].num_nodes
        count = 0 if i == len(ends) - 1 else number(1, 2 * sizes[1])
        edges = torch.stack([torch.randint(n, (count,), generator=generator) for n in sizes])
        if source == target:
            edges = edges[:, edges[0] != edges[1]]
        data[source, f"r{i}", target].edge_index = edges
        if weighted:
            weights = torch.rand(edges.size(1), generator=generator, dtype=torch.float64)
            data[source, f"r{i}", target].edge_weight = weights + 0.1
    return data


class Convolutions(nn.Module):
    """Layers of ``HeteroConv``; ``make(same_type)`` gives the convolution of an edge type."""

    def __init__(self, data, make, layers=2, out="a", width=4, classes=3):
        super().__init__()
        self.lift = nn.ModuleDict(
            {name: nn.Linear(data[name].num_features, width) for name in data.node_types}
        )
        self.layers = nn.ModuleList(
            HeteroConv({one: make(one[0] == one[2], width) for one in data.edge_types}, aggr="sum")
            for _ in range(layers)
        )
        self.out, self.read = out, nn.Linear(width, classes)

    def forward(self, x_dict, edge_index_dict, edge_weight_dict=None):
        x_dict = {name: self.lift[name](x).tanh() for name, x in x_dict.items()}
        keywords = {} if edge_weight_dict is None else {"edge_weight_dict": edge_weight_dict}
        for layer in self.layers:
            x_dict = {k: x.relu() for k, x in layer(x_dict, edge_index_dict, **keywords).items()}
        return self.read(x_dict[self.out])


class OfAllTypes(nn.Module):
    """Layers that take all types at once: ``HGTConv`` or ``HANConv``; a dictionary of outputs."""

    def __init__(self, data, conv):
        super().__init__()
        self.lift = nn.ModuleDict(
            {name: nn.Linear(data[name].num_features, 4) for name in data.node_types}
        )
        self.layers = nn.ModuleList(conv(4, 4, data.metadata(), heads=2) for _ in range(2))
        self.read = nn.Linear(4, 3)

    def forward(self, x_dict, edge_index_dict):
        x_dict = {name: self.lift[name](x).tanh() for name, x in x_dict.items()}
        for layer in self.layers:
            x_dict = layer(x_dict, edge_index_dict)
        return {name: self.read(x) for name, x in x_dict.items()}


class Merged(nn.Module):
    """Types merged inside of the model, then relational convolutions."""

    def __init__(self, data, conv, out="a"):
        super().__init__()
        self.out, self.types = out, data.edge_types
        self.lift = nn.ModuleDict(
            {name: nn.Linear(data[name].num_features, 4) for name in data.node_types}
        )
        relations = len(data.edge_types)
        self.layers = nn.ModuleList(conv(4, 4, relations) for _ in range(2))
        self.read = nn.Linear(4, 3)

    def forward(self, x_dict, edge_index_dict):
        start, total = {}, 0
        for name, x in x_dict.items():
            start[name], total = total, total + len(x)
        x = torch.cat([self.lift[name](x).tanh() for name, x in x_dict.items()])
        edges = [
            edge_index_dict[one] + torch.tensor([[start[one[0]]], [start[one[2]]]])
            for one in self.types
        ]
        kinds = torch.cat([torch.full((e.size(1),), i) for i, e in enumerate(edges)])
        for layer in self.layers:
            x = layer(x, torch.cat(edges, dim=1), kinds).relu()
        first = start[self.out]
        return self.read(x[first : first + len(x_dict[self.out])])


class Homogeneous(nn.Module):
    """For ``to_hetero``."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = SAGEConv((-1, -1), 4), SAGEConv((-1, -1), 3)

    def forward(self, x, edge_index):
        return self.conv2(self.conv1(x, edge_index).relu(), edge_index)


class Selected(nn.Module):
    """The outputs of one type, as PyG's explainers want them."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x_dict, edge_index_dict):
        return self.model(x_dict, edge_index_dict)["a"]


def _sage(same_type, width):
    return SAGEConv((-1, -1), width)


def _mixed(same_type, width):
    if same_type:  # weighed by degrees, with loops of its own
        return GCNConv(-1, width)
    return GATConv((-1, -1), width, heads=2, concat=False, add_self_loops=False)


def _add(same_type, width):
    return GraphConv((-1, -1), width, aggr="add")


MODELS = {
    "sage": lambda data: Convolutions(data, _sage),
    "three-layers": lambda data: Convolutions(data, _sage, layers=3),
    "gcn-and-gat": lambda data: Convolutions(data, _mixed),
    "weighted-sum": lambda data: Convolutions(data, _add),
    "to-hetero": lambda data: Selected(to_hetero(Homogeneous(), data.metadata(), aggr="sum")),
    "hgt": lambda data: OfAllTypes(data, HGTConv),
    "rgcn": lambda data: Merged(data, RGCNConv),
    "fast-rgcn": lambda data: Merged(data, FastRGCNConv),
}
# Its attention over relations is that of a mean over all nodes: predictions depend on all of them.
HAN = {"han": lambda data: OfAllTypes(data, HANConv)}
BY_PYG = ("sage", "three-layers", "gcn-and-gat", "to-hetero")  # whose masks PyG can place


def random_case(kind, seed):
    """A model and a graph."""
    data = random_hetero(seed, weighted=kind == "weighted-sum")
    torch.manual_seed(seed)
    model = (MODELS | HAN)[kind](data)
    with torch.no_grad():  # lazy layers take their shapes
        single = data.clone()
        for store in single.node_stores:
            store.x = store.x.float()
        for store in single.edge_stores:
            if "edge_weight" in store:
                store.edge_weight = store.edge_weight.float()
        predict(model, single)
    return model.double().eval(), data


def predict(model, data, node_type="a", **changed):
    """What the model says, [N, C]."""
    keywords = {}
    if "edge_weight" in data.edge_stores[0]:
        keywords["edge_weight_dict"] = data.edge_weight_dict
    output = model(changed.get("x", data.x_dict), data.edge_index_dict, **keywords)
    return output[node_type] if isinstance(output, dict) else output
