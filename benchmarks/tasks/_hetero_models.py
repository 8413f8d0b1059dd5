"""The network of heterogeneous tasks: a relational GCN."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import HeteroConv, SAGEConv

from explainers.hetero import EdgeType

KIND = "rgcn"  # as reports name it


def hetero_conv(convs: Mapping[EdgeType, nn.Module]) -> HeteroConv:
    """PyG's ``HeteroConv``, without its warning of node types to which none of the messages go."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There exist node types")
        return HeteroConv(dict(convs))


class RelationalGNN(nn.Module):
    """A linear map for each type of nodes, and mean messages for each type of edges.

    Layer l makes of a node v of type t::

        h_v = W_t h_v + b_t + sum over edge types r into t of W_r mean_{u in N_r(v)} h_u

    Between layers ReLU and dropout. The last layer is that of the explained type alone.

    Source: Schlichtkrull et al., "Modeling Relational Data with Graph Convolutional Networks",
    arXiv:1703.06103, equation 2, normalised by the number of neighbours; there all nodes share one
    map for themselves.

    Args:
        widths: Features of each node type.
        edge_types: All of them.
        dims: Widths of what the layers give; the last is the number of classes.
        node_type: The type whose nodes are classified.
        dropout: Probability to drop a hidden unit.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        edge_types: Sequence[EdgeType],
        dims: Sequence[int],
        node_type: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.node_type, self.dropout = node_type, dropout
        self.convs, self.own = nn.ModuleList(), nn.ModuleList()
        widths = dict(widths)
        for number, width in enumerate(dims, start=1):
            types = [node_type] if number == len(dims) else list(widths)
            into = [edge_type for edge_type in edge_types if edge_type[2] in types]
            self.convs.append(
                hetero_conv(
                    {
                        (source, name, target): SAGEConv(
                            (widths[source], widths[target]), width, root_weight=False, bias=False
                        )
                        for source, name, target in into
                    }
                )
            )
            self.own.append(nn.ModuleDict({name: nn.Linear(widths[name], width) for name in types}))
            widths = dict.fromkeys(types, width)

    def forward(
        self,
        x_dict: Mapping[str, Tensor],
        edge_index_dict: Mapping[EdgeType, Tensor],
    ) -> Tensor:
        """Log-probabilities [N, C] of the explained type.

        Args:
            x_dict: [N_t, F_t] of each node type.
            edge_index_dict: [2, E_t] of each edge type.
        """
        x = dict(x_dict)
        layers: list[Any] = list(self.own)
        for number, (conv, own) in enumerate(zip(self.convs, layers, strict=True)):
            if number:
                x = {
                    name: F.dropout(value.relu(), self.dropout, self.training)
                    for name, value in x.items()
                }
            messages = conv(x, edge_index_dict)
            x = {name: linear(x[name]) + messages.get(name, 0) for name, linear in own.items()}
        return x[self.node_type].log_softmax(dim=-1)
