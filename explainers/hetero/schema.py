"""A heterogeneous graph as one graph: its types one after the other, its features side by side.

Nodes of all types are numbered through, in the order of ``data.node_types``, and edges likewise, in
the order of ``data.edge_types``. So what is known of homogeneous graphs (computation graphs, sets
of edges, budgets over all of them) holds for the union of the types; only when the model is called
is it taken apart again, see :class:`explainers.hetero.layout.Layout`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from explainers.prepare.copies import usable

EdgeType = tuple[str, str, str]


@dataclass(frozen=True)
class Schema:
    """Types, and the ranges that they have in the union.

    Attributes:
        node_types: In the order of the data.
        edge_types: Likewise.
        node_ptr: The nodes of type t are ``node_ptr[t]`` to ``node_ptr[t + 1]`` of all.
        edge_ptr: Likewise.
        widths: The number of features of each node type; 0 for one without ``x``.
        featured: Whether a node type has an ``x``.
    """

    node_types: tuple[str, ...]
    edge_types: tuple[EdgeType, ...]
    node_ptr: tuple[int, ...]
    edge_ptr: tuple[int, ...]
    widths: tuple[int, ...]
    featured: tuple[bool, ...]

    @property
    def counts(self) -> list[int]:
        """The number of nodes of each type."""
        return [end - start for start, end in zip(self.node_ptr, self.node_ptr[1:], strict=False)]

    def ends(self, edge_type: int) -> tuple[int, int]:
        """The node types from which and to which edges of a type go, by number."""
        source, _, target = self.edge_types[edge_type]
        return self.node_types.index(source), self.node_types.index(target)

    def type_of(self, n_id: Tensor) -> Tensor:
        """The type of each node [n], by number."""
        return _range_of(self.node_ptr, n_id)

    def edge_type_of(self, e_id: Tensor) -> Tensor:
        """The type of each edge [e], by number."""
        return _range_of(self.edge_ptr, e_id)

    def nodes_by_type(self, n_id: Tensor) -> list[int]:
        """Of ascending nodes [n] how many there are of each type."""
        return _sizes(self.node_ptr, n_id)

    def edges_by_type(self, e_id: Tensor) -> list[int]:
        """Of ascending edges [e] how many there are of each type."""
        return _sizes(self.edge_ptr, e_id)


def _sizes(ptr: tuple[int, ...], ids: Tensor) -> list[int]:
    ends: list[int] = torch.searchsorted(ids, ids.new_tensor(ptr)).tolist()
    return [end - start for start, end in pairwise(ends)]


def _range_of(ptr: tuple[int, ...], ids: Tensor) -> Tensor:
    return torch.searchsorted(ids.new_tensor(ptr[1:]), ids, right=True)


@dataclass(frozen=True)
class Union:
    """The graph: all nodes and edges.

    Attributes:
        schema: The types.
        x: [N, F], F the width of the widest type; what a narrower one does not have is 0.
        edge_index: [2, E], nodes numbered through.
    """

    schema: Schema
    x: Tensor
    edge_index: Tensor


def union(data: HeteroData) -> Union:
    """The union of the types of ``data``, checked.

    Raises:
        ValueError: Features or edges are not as the methods take them; names the type.
    """
    node_types, edge_types = tuple(data.node_types), tuple(data.edge_types)
    if not edge_types:
        raise ValueError("data has no edge types: there is no edge to explain")
    features = [data[name].get("x") for name in node_types]
    _check_features(node_types, features)
    counts = [_count(data, name) for name in node_types]
    edges = [_edges(data, name, node_types, counts) for name in edge_types]
    present = [x for x in features if x is not None]
    device, dtype = present[0].device, present[0].dtype
    for what, tensor in zip((*node_types, *edge_types), (*features, *edges), strict=True):
        if tensor is not None and tensor.device != device:
            raise ValueError(
                f"the tensors of data are on {device} and, of type {what!r}, on {tensor.device}; "
                "put all on one device"
            )
    widths = tuple(0 if x is None else x.size(1) for x in features)
    schema = Schema(
        node_types,
        edge_types,
        tuple(accumulate(counts, initial=0)),
        tuple(accumulate((one.size(1) for one in edges), initial=0)),
        widths,
        tuple(x is not None for x in features),
    )
    x = torch.zeros(schema.node_ptr[-1], max(1, *widths), dtype=dtype, device=device)
    for start, own in zip(schema.node_ptr, features, strict=False):
        if own is not None:
            x[start : start + len(own), : own.size(1)] = usable(own)
    shifted = []
    for number, edge_index in enumerate(edges):
        first, last = (schema.node_ptr[end] for end in schema.ends(number))
        shifted.append(usable(edge_index) + edge_index.new_tensor([[first], [last]]))
    return Union(schema, x, torch.cat(shifted, dim=1))


def _check_features(node_types: tuple[str, ...], features: list[Any]) -> None:
    found = [(name, x) for name, x in zip(node_types, features, strict=True) if x is not None]
    if not found:
        raise ValueError(
            "data has no node type with features x [N, F]: there is nothing to explain"
        )
    for name, x in found:
        if not isinstance(x, Tensor) or x.layout != torch.strided or x.dim() != 2:
            got = f"{x.layout} {list(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise ValueError(
                f"data[{name!r}].x must be a dense tensor of node features [N, F], got {got}"
            )
        if not x.is_floating_point():
            raise ValueError(
                f"data[{name!r}].x is {x.dtype}: features of heterogeneous graphs must be real "
                "numbers; look up embeddings before the model is called"
            )
        if not bool(x.isfinite().all()):
            bad = int((~x.isfinite()).any(dim=1).nonzero()[0])
            raise ValueError(
                f"data[{name!r}].x has NaN or infinite features (first at node {bad}); replace "
                "them before explaining, for example with torch.nan_to_num"
            )
        if x.dtype != found[0][1].dtype:
            raise ValueError(
                f"data[{found[0][0]!r}].x is {found[0][1].dtype} and data[{name!r}].x {x.dtype}; "
                "make them the same"
            )


def _count(data: HeteroData, name: str) -> int:
    count = data[name].num_nodes
    if count is None:
        raise ValueError(f"data[{name!r}] has neither x nor num_nodes; set its num_nodes")
    return int(count)


def _edges(
    data: HeteroData, name: EdgeType, node_types: tuple[str, ...], counts: list[int]
) -> Tensor:
    edge_index = data[name].get("edge_index")
    if (
        not isinstance(edge_index, Tensor)
        or edge_index.layout != torch.strided
        or edge_index.dtype != torch.int64
        or edge_index.dim() != 2
        or edge_index.size(0) != 2
    ):
        got = (
            f"{edge_index.dtype} {list(edge_index.shape)}"
            if isinstance(edge_index, Tensor)
            else type(edge_index).__name__
        )
        raise ValueError(
            f"data[{name!r}].edge_index must be a dense int64 tensor [2, E], got {got}; a sparse "
            "adjacency matrix has no edges in an order: convert it with "
            "torch_geometric.utils.to_edge_index"
        )
    for row, end in zip(edge_index, (name[0], name[2]), strict=True):
        if end not in node_types:
            raise ValueError(f"edges of type {name!r} end at {end!r}, which data has no nodes of")
        count = counts[node_types.index(end)]
        if row.numel() and not 0 <= int(row.min()) <= int(row.max()) < count:
            raise ValueError(
                f"data[{name!r}].edge_index names nodes {int(row.min())} to {int(row.max())} of "
                f"type {end!r}, which has nodes 0 to {count - 1}"
            )
    return edge_index
