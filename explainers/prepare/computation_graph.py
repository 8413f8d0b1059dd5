"""Computation graphs: the part of the data on which a prediction depends.

For a node, a network of L message-passing layers sees the nodes within L hops, and the edges into
nodes within L - 1 hops; for a link, what it sees for both of its ends. Computation graphs are cut
from an index of the edges by their destination, which is built once a graph, so that the cost of a
cut is the size of the computation graph. For a graph of a batch, the computation graph is that
graph; for a node of a model that looks beyond its messages, it is the whole graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from explainers.prepare.csr import CSC, Groups, expand, to_indptr
from explainers.prepare.one_reach import OneReach, one_reach


class BatchIndex:
    """The graphs of a batch, by their nodes and edges.

    Args:
        edge_index: [2, E], sources and destinations; no edge joins two graphs.
        batch: [N], the graph of each node.
    """

    def __init__(self, edge_index: Tensor, batch: Tensor) -> None:
        self.edge_index = edge_index
        self._nodes = Groups(batch)
        self._edges = Groups(batch[edge_index[0]], minlength=len(self._nodes.ptr) - 1)
        # Of each node, the position in its graph.
        self._position = torch.empty_like(batch)
        shift = self._nodes.ptr[batch[self._nodes.member]]
        self._position[self._nodes.member] = torch.arange(len(batch), device=batch.device) - shift

    def sizes(self) -> Tensor:
        """Nodes and edges of each graph together, float64 [G]."""
        return (self._nodes.ptr.diff() + self._edges.ptr.diff()).double()

    def cut(self, graphs: Tensor) -> WholeGraphs:
        """The computation graphs of ``graphs`` [R]: the graphs."""
        if len(graphs) == 1 and graphs.device.type == "cpu":
            return self._one(int(graphs))
        n_id, n_ptr = self._nodes.of(graphs)
        e_id, e_ptr = self._edges.of(graphs)
        shift = n_ptr[:-1].repeat_interleave(e_ptr.diff(), output_size=len(e_id))
        edge_index = self._position[self.edge_index[:, e_id]] + shift
        return WholeGraphs(n_id, n_ptr, e_id, e_ptr, edge_index, roots=graphs.new_empty(0))

    def _one(self, graph: int) -> WholeGraphs:
        """The same of a single graph, whose members lie side by side."""
        nodes, edges = self._nodes.of_one(graph), self._edges.of_one(graph)
        # What is given away owns its memory.
        n_id, e_id = self._nodes.member[nodes].clone(), self._edges.member[edges].clone()
        return WholeGraphs(
            n_id,
            torch.tensor([0, len(n_id)]),
            e_id,
            torch.tensor([0, len(e_id)]),
            self._local[:, edges].clone(),
            roots=n_id.new_empty(0),
        )

    @cached_property
    def _local(self) -> Tensor:
        """The edges graph after graph, as positions in their graphs, [2, E]."""
        return self._position[self.edge_index[:, self._edges.member]]

    def reach(self, index: CSC, graphs: Tensor) -> Reach:
        """The computation graphs of ``graphs`` [R], all nodes of which are inner nodes."""
        found = self.cut(graphs)
        nodes, (source, target) = (
            torch.arange(len(found.n_id), device=graphs.device),
            found.edge_index,
        )
        place = torch.empty_like(index.edge)
        place[index.edge] = torch.arange(len(place), device=graphs.device)
        by_target = target.argsort(stable=True)
        order = torch.empty_like(by_target)
        order[by_target] = torch.arange(len(by_target), device=graphs.device)
        # What each node sends: its edges, then what it keeps for itself.
        sender, out = torch.cat([source[by_target], nodes]).sort(stable=True)
        return Reach(
            found,
            inner=nodes,
            inner_id=found.n_id,
            inner_batch=found.node_batch,
            own=graphs.new_empty(0),
            ptr=to_indptr(torch.bincount(target, minlength=len(nodes))),
            position=place[found.e_id[by_target]],
            target=target[by_target],
            order=order,
            out_ptr=to_indptr(torch.bincount(sender, minlength=len(nodes))),
            out=out,
        )


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
        return torch.repeat_interleave(self.n_ptr.diff(), output_size=len(self.n_id))

    @cached_property
    def edge_batch(self) -> Tensor:
        """The computation graph of each edge, [e]."""
        return torch.repeat_interleave(self.e_ptr.diff(), output_size=len(self.e_id))


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


class LinkGraphs(ComputationGraphs):
    """What links depend on, that of both ends together; ``roots`` [R, 2] are those ends."""

    @property
    def rows(self) -> Tensor:
        """The model returns one row for each link, in their order."""
        return torch.arange(len(self), device=self.n_id.device)

    def links(self, count: int, rows: Tensor | None = None) -> Tensor:
        """The links [2, count R] of so many copies side by side, as a model takes them.

        Args:
            count: How many.
            rows: The nodes [k], ascending, that are there, if they are not all.
        """
        ends = self.roots if rows is None else torch.searchsorted(rows, self.roots)
        nodes = len(self.n_id) if rows is None else len(rows)
        shift = torch.arange(count, device=ends.device) * nodes
        return (ends.t()[:, None] + shift[:, None]).flatten(1)


@dataclass(frozen=True)
class Reach:
    """Computation graphs as they are found: their edges by destination, and by source.

    Inner nodes are those whose incoming edges are in the computation graph: within L - 1 hops.

    Attributes:
        graphs: The computation graphs.
        inner: [P], positions of inner nodes in ``graphs.n_id``, ascending.
        inner_id: [P], their ids; ascending within a computation graph.
        inner_batch: [P], their fields.
        own: [R], the place in ``inner`` of each explained node; [R, 2] of the ends of each link.
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


def whole_graph(edge_index: Tensor, num_nodes: int, roots: Tensor) -> ComputationGraphs:
    """The whole graph as the computation graph of each of ``roots``, [R], or links [R, 2]."""
    count, edges, device = len(roots), edge_index.size(1), roots.device
    shift = torch.arange(count + 1, device=device)
    first = _by_graph(roots, shift[:-1]) * num_nodes
    return _kind(roots)(
        n_id=torch.arange(num_nodes, device=device).repeat(count),
        n_ptr=shift * num_nodes,
        e_id=torch.arange(edges, device=device).repeat(count),
        e_ptr=shift * edges,
        edge_index=(edge_index[:, None] + (shift[:-1] * num_nodes)[:, None]).flatten(1),
        roots=roots + first,
    )


def _by_graph(roots: Tensor, values: Tensor) -> Tensor:
    """A value for each computation graph [R], so that it goes with its roots, [R] or [R, 2]."""
    return values if roots.dim() == 1 else values[:, None]


def _kind(roots: Tensor) -> type[ComputationGraphs]:
    return LinkGraphs if roots.dim() == 2 else ComputationGraphs


def cut(index: CSC, roots: Tensor, hops: int) -> ComputationGraphs:
    """The computation graphs of ``roots`` in a network of ``hops`` message-passing layers."""
    return reach(index, roots, hops).graphs


def reach(index: CSC, roots: Tensor, hops: int) -> Reach:
    """The computation graphs of ``roots`` in a network of ``hops`` message-passing layers.

    Roots are nodes [R], or both ends of links [R, 2], whose computation graph is that of the two
    together.

    A node in several computation graphs is there several times: fields share nothing. Nodes and
    edges are handled as one number each, of computation graph and id, so that all computation
    graphs grow in the same few operations.
    """
    # long: one pass over the same few arrays; each step is a line or two.
    if len(roots) == 1 and roots.device.type == "cpu":
        return _of_one(one_reach(index.on_host, roots.numpy(), hops))
    n, by_source = index.num_nodes, index.by_source
    graphs = torch.arange(len(roots) + 1, device=roots.device)
    start = _by_graph(roots, graphs[:-1]) * n + roots
    inner, inner_id, inner_batch = start, roots, graphs[:-1]
    if roots.dim() == 2:  # both ends of a link, which may be one node
        inner = start.unique()
        inner_id, inner_batch = inner % n, inner // n
    for _ in range(hops - 1):
        _, position, which = expand(index.indptr, inner_id)
        graph = inner_batch.index_select(0, which)
        reached = torch.add(index.source.index_select(0, position), graph, alpha=n)
        inner = torch.cat([inner, reached]).unique()
        inner_id, inner_batch = inner % n, inner // n
    own = torch.searchsorted(inner, start)
    ptr, position, target = expand(index.indptr, inner_id)
    edge_batch = inner_batch.index_select(0, target)

    # One sort puts the edges in the order of their sources and finds the nodes of the computation
    # graphs.
    bits = _bits(len(by_source.owner))
    low = (1 << bits) - 1
    slot = torch.cat(
        [by_source.edge.index_select(0, position), by_source.node.index_select(0, inner_id)]
    )
    keys, out = _sorted(slot + (torch.cat([edge_batch, inner_batch]) << bits), bits, len(roots))
    owner = by_source.owner.index_select(0, keys & low) + (keys & ~low)
    owner, row, sent = owner.unique_consecutive(return_inverse=True, return_counts=True)
    row = torch.empty_like(out).index_copy_(0, out, row)

    e_id = index.edge.index_select(0, position)
    if by_source.ascending:
        order = out[out < len(e_id)]
    else:
        width = _bits(index.num_edges)
        order = _sorted(e_id + (edge_batch << width), width, len(roots))[1]
    source, inner_row = row[: len(e_id)], row[len(e_id) :]
    edge_index = torch.stack([source, inner_row.index_select(0, target)])
    found = _kind(roots)(
        n_id=owner & low,
        n_ptr=torch.searchsorted(owner, graphs << bits),
        e_id=e_id.index_select(0, order),
        e_ptr=ptr.index_select(0, torch.searchsorted(inner_batch, graphs)),
        edge_index=edge_index.index_select(1, order),
        roots=inner_row[own],
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


def _of_one(found: OneReach) -> Reach:
    """A :class:`Reach` of what was found for one node or link."""
    graphs = _kind(found.root)(
        found.n_id,
        torch.tensor([0, len(found.n_id)]),
        found.e_id,
        torch.tensor([0, len(found.e_id)]),
        found.edge_index,
        found.root,
    )
    return Reach(
        graphs,
        found.inner,
        found.inner_id,
        torch.zeros_like(found.inner),
        found.own,
        found.ptr,
        found.position,
        found.target,
        found.order,
        found.out_ptr,
        found.out,
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
