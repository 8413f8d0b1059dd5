"""Compressed sparse indices: the edges of a graph by destination, by source and by graph."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from explainers.prepare.one_reach import HostIndex


class CSC:
    """The edges of a graph, ordered by their destination (a CSC index).

    Args:
        edge_index: [2, E], sources and destinations.
        num_nodes: N.

    Attributes:
        indptr: [N + 1]; the edges into node v are ``edge[indptr[v]:indptr[v + 1]]``.
        edge: [E] edge ids, ascending for each destination.
        source: [E], the source of each of ``edge``.
    """

    def __init__(self, edge_index: Tensor, num_nodes: int) -> None:
        self.edge_index = edge_index
        self.num_nodes, self.num_edges = num_nodes, edge_index.size(1)
        degree = torch.bincount(edge_index[1], minlength=num_nodes)
        self.indptr = to_indptr(degree)
        self.edge = edge_index[1].argsort(stable=True)
        self.source = edge_index[0][self.edge]

    @cached_property
    def by_source(self) -> SourceOrder:
        """The edges by source; built once a graph."""
        return SourceOrder(self)

    @cached_property
    def on_host(self) -> HostIndex:
        """The same memory as NumPy has it, of an index on the CPU."""
        by_source = self.by_source
        return HostIndex(
            indptr=self.indptr.numpy(),
            edge=self.edge.numpy(),
            source=self.source.numpy(),
            slot_of_edge=by_source.edge.numpy(),
            slot_of_node=by_source.node.numpy(),
            owner=by_source.owner.numpy(),
            ascending=by_source.ascending,
        )

    def size_bound(self, hops: int) -> Tensor:
        """How many edges the computation graph of each node has at most, float64 [N].

        Counts walks, so an edge that is reached twice counts twice.
        """
        degree = self.indptr.diff().double()
        bound = degree.clone()
        target = torch.repeat_interleave(self.indptr.diff(), output_size=self.num_edges)
        for _ in range(hops - 1):
            bound = degree.index_add(0, target, bound[self.source])
        return bound.clamp_(max=self.num_edges)


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
        self.owner = torch.repeat_interleave(degree, output_size=len(source) + index.num_nodes)


class Groups:
    """Things by the group that each is in; ascending within a group."""

    def __init__(self, group: Tensor, minlength: int = 0) -> None:
        count = torch.bincount(group, minlength=minlength)
        self.ptr = to_indptr(count)
        self.member = group.argsort(stable=True)

    @cached_property
    def bounds(self) -> list[int]:
        """``ptr`` on the host."""
        return self.ptr.tolist()

    def of(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        """The members of ``groups`` [R], one group after the other; and where each begins."""
        ptr, place, _ = expand(self.ptr, groups)
        return self.member[place], ptr

    def of_one(self, group: int) -> slice:
        """The places of the members of a group among all."""
        return slice(self.bounds[group], self.bounds[group + 1])


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


def counts(numbers: Tensor, size: int) -> Tensor:
    """How often each of 0, ..., ``size`` - 1 is among ``numbers`` [e]: [size].

    As ``bincount``, for whose result the host of a GPU waits.
    """
    return numbers.new_zeros(size).index_add_(0, numbers, torch.ones_like(numbers))
