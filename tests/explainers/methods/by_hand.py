"""Networks worked out by hand, or for other libraries; and what PyG alone gives."""

from contextlib import contextmanager

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks
from torch_geometric.nn import GCNConv, GraphConv


class Tiny(nn.Module):
    """``2 relu(2 a - b of the messages + a + b of the node - 1) + 3``, and 0 of the other class."""

    def __init__(self, bias=3.0, closing=None):
        super().__init__()
        self.conv, self.linear, self.closing = GraphConv(2, 1), nn.Linear(1, 2), closing
        self.double().eval()
        with torch.no_grad():
            self.conv.lin_rel.weight[:] = torch.tensor([[2.0, -1.0]])
            self.conv.lin_rel.bias[:] = -1.0
            self.conv.lin_root.weight[:] = 1.0
            self.linear.weight[:] = torch.tensor([[2.0], [0.0]])
            self.linear.bias[:] = torch.tensor([bias, 0.0])

    def forward(self, x, edge_index):
        x = self.linear(self.conv(x, edge_index).relu())
        return x if self.closing is None else self.closing(x)


def tiny(**options):
    """The network, and nodes 1 and 2 that send to 0."""
    x = torch.tensor([[1.0, 1.0], [1.0, 2.0], [3.0, 0.0]], dtype=torch.float64)
    return Tiny(**options), Data(x=x, edge_index=torch.tensor([[1, 2], [0, 0]]))


class Modules(nn.Module):
    """Two GCNConv and a linear layer with ReLU as modules of their own, each used once."""

    def __init__(self, seed):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.one, self.two, self.three = GCNConv(5, 6), GCNConv(6, 6), nn.Linear(6, 3)
            for bias in (self.one.bias, self.two.bias, self.three.bias):
                nn.init.normal_(bias, 0, 0.3)
        self.relu, self.other = nn.ReLU(), nn.ReLU()
        self.double().eval()

    def forward(self, x, edge_index):
        x = self.other(self.two(self.relu(self.one(x, edge_index)), edge_index))
        return self.three(x)


class Plain:
    """The backend that graph-explain asks for."""

    def node_features(self, data):
        return data.x

    def edge_index(self, data):
        return data.edge_index

    def edge_weight(self, data):
        return None

    def forward(self, model, x, edge_index, edge_weight=None):
        return model(x, edge_index)


@contextmanager
def in_float64():
    """graph-explain makes its tensors in the default type, whatever the data's."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@torch.no_grad()
def output(model, data, nodes, index, target):
    """The output with only the subgraph of ``nodes``, by PyG's masks."""
    inside = torch.zeros(data.num_nodes, dtype=torch.bool)
    inside[list(nodes)] = True
    set_masks(model, inside[data.edge_index].all(dim=0).double(), data.edge_index, False)
    batch = {"batch": data.batch} if "batch" in data else {}
    value = model(data.x * inside[:, None], data.edge_index, **batch)[index, target]
    clear_masks(model)
    return float(value)
