"""Computation graphs: the part of the data on which a prediction depends.

For a node, a network of L message-passing layers sees the nodes within L hops, and the edges into
nodes within L - 1 hops. Computation graphs are cut from an index of the edges by their destination,
which is built once a graph, so that the cost of a cut is the size of the computation graph. For a
graph of a batch, the field is that graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


class CSC:
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
        self.ptr = to_indptr(degree)
        self.edge = edge_index[1].argsort(stable=True)
        self.source = edge_index[0][self.edge]

    @cached_property
    def slots(self) -> SourceOrder:
        """The edges by source; built once a graph."""
        return SourceOrder(self)

    def size_bound(self, hops: int) -> Tensor:
        """How many edges the computation graph of each node has at most, float64 [N].

        Counts walks, so an edge that is reached twice counts twice.
        """
        degree = self.ptr.diff().double()
        bound = degree.clone()
        target = torch.repeat_interleave(self.ptr.diff())
        for _ in range(hops - 1):
            bound = degree.index_add(0, target, bound[self.source])
        return bound.clamp_(max=self.num_edges)


class BatchIndex:
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
        """The computation graphs of ``graphs`` [R]: the graphs."""
        n_id, n_ptr = self._nodes.of(graphs)
        e_id, e_ptr = self._edges.of(graphs)
        shift = n_ptr[:-1].repeat_interleave(e_ptr.diff())
        edge_index = self._position[self.edge_index[:, e_id]] + shift
        return WholeGraphs(n_id, n_ptr, e_id, e_ptr, edge_index, roots=graphs.new_empty(0))


class _Groups:
    """Things by the group that each is in; ascending within a group."""

    def __init__(self, group: Tensor, minlength: int = 0) -> None:
        count = torch.bincount(group, minlength=minlength)
        self.ptr = to_indptr(count)
        self.member = group.argsort(stable=True)

    def of(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        """The members of ``groups`` [R], one group after the other; and where each begins."""
        ptr, place, _ = expand(self.ptr, groups)
        return self.member[place], ptr


class SourceOrder:
    """The edges of a graph in the order of their source, each node's place before its edges.

    Attributes:
        edge: [E], the slot of each edge, in the order of the index.
        node: [N], the slot of each node.
        owner: [E + N], the node at, or at the source of, each slot; ascending.
        ascending: Whether the edges as given have this order, too.
    """

    def __init__(self, index: CSC) -> None:
        source = index.edge_index[0]
        self.ascending = bool((source.diff() >= 0).all())
        order = source.argsort(stable=True)
        number = torch.arange(len(source), device=source.device)
        rank = torch.empty_like(order).index_copy_(0, order, number)
        self.edge = (rank + source + 1)[index.edge]
        degree = torch.bincount(source, minlength=index.num_nodes) + 1
        self.node = to_indptr(degree)[:-1]
        self.owner = torch.repeat_interleave(degree)


@dataclass(frozen=True)
class ComputationGraphs:
    """The computation graphs of R nodes, side by side as one block-diagonal graph.

    Attributes:
        n_id: [n] ids of the nodes in the whole graph, ascending within a computation graph.
        n_ptr: [R + 1]; the nodes of computation graph r are ``n_ptr[r]:n_ptr[r + 1]``.
        e_id: [e] ids of the edges in the whole graph, ascending within a computation graph.
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
        """The explained rows [R] of what the model returns for all of them as one graph."""
        return self.roots

    @cached_property
    def node_counts(self) -> list[int]:
        """Nodes of each computation graph."""
        return self.n_ptr.diff().tolist()

    @cached_property
    def edge_counts(self) -> list[int]:
        """Edges of each computation graph."""
        return self.e_ptr.diff().tolist()

    @cached_property
    def border(self) -> Tensor:
        """Which nodes have none of their incoming edges in the computation graph, [n]."""
        inside = torch.zeros(len(self.n_id), dtype=torch.bool, device=self.n_id.device)
        inside[self.edge_index[1]] = True
        return ~inside

    @cached_property
    def node_batch(self) -> Tensor:
        """The computation graph of each node, [n]."""
        return torch.repeat_interleave(self.n_ptr.diff())

    @cached_property
    def edge_batch(self) -> Tensor:
        """The computation graph of each edge, [e]."""
        return torch.repeat_interleave(self.e_ptr.diff())


class WholeGraphs(ComputationGraphs):
    """Graphs of a batch as fields; there are no explained nodes, so ``roots`` is empty."""

    @property
    def rows(self) -> Tensor:
        """The model returns one row for each graph, in their order."""
        return torch.arange(len(self), device=self.n_id.device)

    @cached_property
    def border(self) -> Tensor:
        """No node: all edges of a graph are in its computation graph."""
        return torch.zeros(len(self.n_id), dtype=torch.bool, device=self.n_id.device)


@dataclass(frozen=True)
class Reach:
    """Computation graphs as they are found: their edges by destination, and by source.

    Inner nodes are those whose incoming edges are in the computation graph: within L - 1 hops.

    Attributes:
        graphs: The computation graphs.
        inner: [P], positions of inner nodes in ``graphs.n_id``, ascending.
        inner_id: [P], their ids; ascending within a computation graph.
        inner_batch: [P], their fields.
        own: [R], the place in ``inner`` of each explained node.
        ptr: [P + 1]; the edges into inner node p are those at ``ptr[p]:ptr[p + 1]``.
        position: [e], the edges in that order, as positions in the index.
        target: [e], the place in ``inner`` of the destination of each.
        order: [e], the same edges in the order of ``graphs``, as places in ``position``.
        out_ptr: [n + 1]; what node k of the computation graphs sends is at ``out_ptr[k]:out_ptr[k +
            1]``.
        out: [e + P], its edges, as places in ``position``, and if it is inner, to itself: e plus
            its place in ``inner``.
    """

    graphs: ComputationGraphs
    inner: Tensor
    inner_id: Tensor
    inner_batch: Tensor
    own: Tensor
    ptr: Tensor
    position: Tensor
    target: Tensor
    order: Tensor
    out_ptr: Tensor
    out: Tensor

    def places(self, index: CSC, nodes: Tensor, graphs: Tensor) -> Tensor:
        """The places in ``inner`` of ``nodes`` of ``graphs``, which are inner nodes."""
        n = index.num_nodes
        return torch.searchsorted(self.inner_batch * n + self.inner_id, graphs * n + nodes)


def cut(index: CSC, roots: Tensor, hops: int) -> ComputationGraphs:
    """The computation graphs of ``roots`` [R] in a network of ``hops`` message-passing layers."""
    return reach(index, roots, hops).graphs


def reach(index: CSC, roots: Tensor, hops: int) -> Reach:
    """The computation graphs of ``roots`` [R] in a network of ``hops`` message-passing layers.

    A node in several computation graphs is there several times: fields share nothing. Nodes and
    edges are handled as one number each, of computation graph and id, so that all computation
    graphs grow in the same few operations.
    """
    n, slots = index.num_nodes, index.slots
    graphs = torch.arange(len(roots) + 1, device=roots.device)
    start = graphs[:-1] * n + roots
    inner, inner_id, inner_batch = start, roots, graphs[:-1]
    for _ in range(hops - 1):
        _, position, which = expand(index.ptr, inner_id)
        graph = inner_batch.index_select(0, which)
        reached = torch.add(index.source.index_select(0, position), graph, alpha=n)
        inner = torch.cat([inner, reached]).unique()
        inner_id, inner_batch = inner % n, inner // n
    own = torch.searchsorted(inner, start)
    ptr, position, target = expand(index.ptr, inner_id)
    edge_batch = inner_batch.index_select(0, target)

    # One sort puts the edges in the order of their sources and finds the nodes of the computation
    # graphs.
    bits = _bits(len(slots.owner))
    low = (1 << bits) - 1
    slot = torch.cat([slots.edge.index_select(0, position), slots.node.index_select(0, inner_id)])
    keys, out = _sorted(slot + (torch.cat([edge_batch, inner_batch]) << bits), bits, len(roots))
    owner = slots.owner.index_select(0, keys & low) + (keys & ~low)
    owner, row, sent = owner.unique_consecutive(return_inverse=True, return_counts=True)
    row = torch.empty_like(out).index_copy_(0, out, row)

    e_id = index.edge.index_select(0, position)
    if slots.ascending:
        order = out[out < len(e_id)]
    else:
        width = _bits(index.num_edges)
        order = _sorted(e_id + (edge_batch << width), width, len(roots))[1]
    source, inner_row = row[: len(e_id)], row[len(e_id) :]
    edge_index = torch.stack([source, inner_row.index_select(0, target)])
    found = ComputationGraphs(
        n_id=owner & low,
        n_ptr=torch.searchsorted(owner, graphs << bits),
        e_id=e_id.index_select(0, order),
        e_ptr=ptr.index_select(0, torch.searchsorted(inner_batch, graphs)),
        edge_index=edge_index.index_select(1, order),
        roots=inner_row.index_select(0, own),
    )
    return Reach(
        found,
        inner_row,
        inner_id,
        inner_batch,
        own,
        ptr,
        position,
        target,
        order,
        to_indptr(sent),
        out,
    )


def _bits(count: int) -> int:
    """How many bits the numbers below ``count`` take."""
    return max(count - 1, 0).bit_length()


def _sorted(keys: Tensor, bits: int, graphs: int) -> tuple[Tensor, Tensor]:
    """Distinct keys, ascending, and their order; a key is a graph and a number of ``bits`` bits."""
    room = _bits(len(keys))
    if keys.device.type != "cpu" or bits + _bits(graphs) + room > 63:
        return keys.sort()
    # NumPy sorts numbers with vector instructions, ten times as fast; so the order goes with them.
    packed = (keys << room) + torch.arange(len(keys))
    packed.numpy().sort()
    return packed >> room, packed & ((1 << room) - 1)


def expand(ptr: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The entries of some rows of a CSR pattern, one row after the other.

    Returns:
        The rows' own pointers, [P + 1]; their entries, as places in the pattern [e]; and of each
        the place in ``rows`` of its row [e].
    """
    first = ptr.index_select(0, rows)  # quicker than brackets
    degree = ptr.index_select(0, rows + 1) - first
    own, which = to_indptr(degree), torch.repeat_interleave(degree)
    shift = (first - own[:-1]).index_select(0, which)
    return own, torch.arange(len(which), device=ptr.device) + shift, which


def to_indptr(length: Tensor) -> Tensor:
    """0, and where each of some runs of ``length`` [P] ends that follow each other: [P + 1]."""
    return torch.cat([length.new_zeros(1), length.cumsum(0)])
