"""Receptive fields: the part of the data on which a prediction depends.

For a node, a network of L message-passing layers sees the nodes within L hops, and the edges into
nodes within L - 1 hops. Fields are cut from an index of the edges by their destination, which is
built once a graph, so that the cost of a cut is the size of the field. For a graph of a batch, the
field is that graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


class InEdges:
    """The edges of a graph, ordered by their destination (a CSC index).

    Args:
        edge_index: [2, E], sources and destinations.
        num_nodes: N.

    Attributes:
        ptr: [N + 1]; the edges into node v are ``edge[ptr[v]:ptr[v + 1]]``.
        edge: [E] edge ids, ascending for each destination.
        source: [E], the source of each of ``edge``.
    """

    def __init__(self, edge_index: Tensor, num_nodes: int) -> None:
        self.edge_index = edge_index
        self.num_nodes, self.num_edges = num_nodes, edge_index.size(1)
        degree = torch.bincount(edge_index[1], minlength=num_nodes)
        self.ptr = torch.cat([degree.new_zeros(1), degree.cumsum(0)])
        self.edge = edge_index[1].argsort(stable=True)
        self.source = edge_index[0][self.edge]

    def size_bound(self, hops: int) -> Tensor:
        """How many edges the field of each node has at most, float64 [N].

        Counts walks, so an edge that is reached twice counts twice.
        """
        degree = self.ptr.diff().double()
        bound = degree.clone()
        target = torch.repeat_interleave(self.ptr.diff())
        for _ in range(hops - 1):
            bound = degree.index_add(0, target, bound[self.source])
        return bound.clamp_(max=self.num_edges)


class Graphs:
    """The graphs of a batch, by their nodes and edges.

    Args:
        edge_index: [2, E], sources and destinations; no edge joins two graphs.
        batch: [N], the graph of each node.
    """

    def __init__(self, edge_index: Tensor, batch: Tensor) -> None:
        self.edge_index = edge_index
        self._nodes = _Groups(batch)
        self._edges = _Groups(batch[edge_index[0]], minlength=len(self._nodes.ptr) - 1)
        # Of each node, the position in its graph.
        self._position = torch.empty_like(batch)
        shift = self._nodes.ptr[batch[self._nodes.member]]
        self._position[self._nodes.member] = torch.arange(len(batch), device=batch.device) - shift

    def sizes(self) -> Tensor:
        """Nodes and edges of each graph together, float64 [G]."""
        return (self._nodes.ptr.diff() + self._edges.ptr.diff()).double()

    def cut(self, graphs: Tensor) -> WholeGraphs:
        """The fields of ``graphs`` [R]: the graphs."""
        n_id, n_ptr = self._nodes.of(graphs)
        e_id, e_ptr = self._edges.of(graphs)
        shift = n_ptr[:-1].repeat_interleave(e_ptr.diff())
        edge_index = self._position[self.edge_index[:, e_id]] + shift
        return WholeGraphs(n_id, n_ptr, e_id, e_ptr, edge_index, roots=graphs.new_empty(0))


class _Groups:
    """Things by the group that each is in; ascending within a group."""

    def __init__(self, group: Tensor, minlength: int = 0) -> None:
        count = torch.bincount(group, minlength=minlength)
        self.ptr = torch.cat([count.new_zeros(1), count.cumsum(0)])
        self.member = group.argsort(stable=True)

    def of(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        """The members of ``groups`` [R], one group after the other; and where each begins."""
        first = self.ptr[groups]
        count = self.ptr[groups + 1] - first
        return self.member[_ranges(first, count)], torch.cat([count.new_zeros(1), count.cumsum(0)])


@dataclass(frozen=True)
class Fields:
    """The receptive fields of R nodes, side by side as one block-diagonal graph.

    Attributes:
        n_id: [n] ids of the nodes in the whole graph, ascending within a field.
        n_ptr: [R + 1]; the nodes of field r are ``n_ptr[r]:n_ptr[r + 1]``.
        e_id: [e] ids of the edges in the whole graph, ascending within a field.
        e_ptr: [R + 1]; as ``n_ptr``, for edges.
        edge_index: [2, e], positions in ``n_id``.
        roots: [R], positions of the explained nodes in ``n_id``.
    """

    n_id: Tensor
    n_ptr: Tensor
    e_id: Tensor
    e_ptr: Tensor
    edge_index: Tensor
    roots: Tensor

    def __len__(self) -> int:
        return self.n_ptr.numel() - 1

    @property
    def rows(self) -> Tensor:
        """The explained rows [R] of what the model returns for the fields as one graph."""
        return self.roots

    @cached_property
    def node_counts(self) -> list[int]:
        """Nodes of each field."""
        return self.n_ptr.diff().tolist()

    @cached_property
    def edge_counts(self) -> list[int]:
        """Edges of each field."""
        return self.e_ptr.diff().tolist()

    @cached_property
    def border(self) -> Tensor:
        """Which nodes have none of their incoming edges in the field, [n]."""
        inside = torch.zeros(len(self.n_id), dtype=torch.bool, device=self.n_id.device)
        inside[self.edge_index[1]] = True
        return ~inside

    @cached_property
    def node_field(self) -> Tensor:
        """The field of each node, [n]."""
        return torch.repeat_interleave(self.n_ptr.diff())

    @cached_property
    def edge_field(self) -> Tensor:
        """The field of each edge, [e]."""
        return torch.repeat_interleave(self.e_ptr.diff())


class WholeGraphs(Fields):
    """Graphs of a batch as fields; there are no explained nodes, so ``roots`` is empty."""

    @property
    def rows(self) -> Tensor:
        """The model returns one row for each graph, in their order."""
        return torch.arange(len(self), device=self.n_id.device)

    @cached_property
    def border(self) -> Tensor:
        """No node: all edges of a graph are in its field."""
        return torch.zeros(len(self.n_id), dtype=torch.bool, device=self.n_id.device)


def cut(index: InEdges, roots: Tensor, hops: int) -> Fields:
    """The receptive fields of ``roots`` [R] in a network of ``hops`` message-passing layers.

    A node in several fields is there several times: fields share nothing. Nodes and edges are
    handled as one number each, (field, id), so that all fields grow in the same few operations.
    """
    n, e = index.num_nodes, index.num_edges
    start = torch.arange(len(roots), device=roots.device) * n + roots
    nodes = frontier = start
    edges = [start[:0]]
    for _ in range(hops):
        node, field = frontier % n, frontier // n
        first = index.ptr.index_select(0, node)  # quicker than brackets, here and below
        degree = index.ptr.index_select(0, node + 1) - first
        position = _ranges(first, degree)
        field = field.repeat_interleave(degree)
        edges.append(field * e + index.edge.index_select(0, position))
        reached = (field * n + index.source.index_select(0, position)).unique()
        # Every node is expanded once, so every edge is found once.
        at = torch.searchsorted(nodes, reached).clamp_(max=nodes.numel() - 1)
        frontier = reached[nodes[at] != reached]
        nodes = torch.cat([nodes, frontier]).sort().values
    keys = torch.cat(edges).sort().values
    e_id, field = keys % max(e, 1), keys // max(e, 1)
    fields = torch.arange(len(roots) + 1, device=roots.device)
    return Fields(
        n_id=nodes % n,
        n_ptr=torch.searchsorted(nodes, fields * n),
        e_id=e_id,
        e_ptr=torch.searchsorted(keys, fields * e),
        edge_index=torch.searchsorted(nodes, field * n + index.edge_index.index_select(1, e_id)),
        roots=torch.searchsorted(nodes, start),
    )


def _ranges(first: Tensor, length: Tensor) -> Tensor:
    """``first[i], first[i] + 1, ..., first[i] + length[i] - 1`` for every i, in one tensor."""
    shift = first - (length.cumsum(0) - length)
    return torch.arange(int(length.sum()), device=first.device) + shift.repeat_interleave(length)
