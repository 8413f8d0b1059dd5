"""The first message passing at any features and edge masks: the widest hop of some nodes."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from explainers.engines.hoisted.first import FirstHop
from explainers.engines.inner import Order, Sums, tiled
from explainers.prepare.computation_graph import Reach


class Widest:
    """The edges into the P inner nodes of some computation graphs, of n nodes and e edges.

    Args:
        first: The first message passing.
        found: The computation graphs.
        norm: [e], the first layer's weights of the edges as they are found.
    """

    def __init__(self, first: FirstHop, found: Reach, norm: Tensor) -> None:
        self.first, self.found = first, found
        self.norm = norm.index_select(0, found.order)  # in the order of the computation graphs

    @cached_property
    def order(self) -> Order:
        """The edges of the computation graphs, into inner nodes."""
        source, target = self.found.graphs.edge_index
        return Order.of(source, self._place[target], len(self._place), len(self.found.inner))

    @cached_property
    def _with_own(self) -> Order:
        """As ``order``, with what an inner node keeps as edges behind these.

        One for its self loop, if the layer adds any, and one to a row of its own, P + its place, if
        the layer reads the node itself: then the features are differentiated in one go.
        """
        (source, target), inner = self.found.graphs.edge_index, self.found.inner
        place = torch.arange(len(inner), device=inner.device)
        sources, targets, rows = [source], [self._place[target]], len(inner)
        if self.loops is not None:
            sources, targets = [*sources, inner], [*targets, place]
        if self.first.root is not None:
            sources, targets, rows = [*sources, inner], [*targets, rows + place], 2 * rows
        return Order.of(torch.cat(sources), torch.cat(targets), len(self._place), rows)

    @cached_property
    def _place(self) -> Tensor:
        """Of each inner node, its place among them, [n]."""
        place = torch.empty_like(self.found.graphs.n_id)
        place[self.found.inner] = torch.arange(len(self.found.inner), device=place.device)
        return place

    @cached_property
    def loops(self) -> Tensor | None:
        """The first layer's weights of the inner nodes' self loops, [P], or None."""
        loops = self.first.loops
        return None if loops is None else loops.index_select(0, self.found.inner_id)

    @cached_property
    def constant(self) -> Tensor:
        """The part b of the value at the inner nodes, [P, H] or [1, H]."""
        b = self.first.b
        return b.index_select(0, self.found.inner_id) if len(b) > 1 else b

    def value(self, x: Tensor, edge_mask: Tensor, read: Tensor) -> Tensor:
        """The value behind the first message passing at the inner nodes, [B, P, H].

        Args:
            x: [B, n, F].
            edge_mask: [B, e].
            read: [B, P, F], x at the inner nodes.
        """
        if self.sums_first:
            return self._summed(x, edge_mask) + self.constant
        value = self._sent(x, edge_mask, read) + self.constant
        return value if self.first.root is None else value + read @ self.first.root.t()

    @cached_property
    def sums_first(self) -> bool:
        """Whether it costs less to transform the sums of features than the features."""
        first, graphs = self.first, self.found.graphs
        if first.weight is None or first.constant is not None:
            return False
        (width, features), pairs = first.weight.shape, len(self.found.inner)
        n, e = len(graphs.n_id), len(graphs.e_id)
        return e * features + pairs * features * width < n * features * width + e * width

    def _summed(self, x: Tensor, edge_mask: Tensor) -> Tensor:
        """What W makes of the sums of features, and R of the features."""
        weight, root, count, pairs = (
            self.first.weight,
            self.first.root,
            len(x),
            len(self.found.inner),
        )
        assert weight is not None
        weights = [self.norm * edge_mask]
        if self.loops is not None:
            weights.append(self.loops.expand(count, -1))
        if root is not None:
            weights.append(self.norm.new_ones(()).expand(count, pairs))
        order = _tiled(self._with_own, count)
        sums: Tensor = Sums.apply(x.flatten(0, 1), torch.cat(weights, dim=1).flatten(), order)
        summed, *own = sums.view(count, -1, x.size(2)).split(pairs, dim=1)
        value = summed @ weight.t()
        return value if root is None else value + own[0] @ root.t()

    def _sent(self, x: Tensor, edge_mask: Tensor, read: Tensor) -> Tensor:
        """The sums of what W makes of the features."""
        weight, constant, count = self.first.weight, self.first.constant, len(x)
        linear = x if weight is None else x @ weight.t()
        sent = linear if constant is None else linear + constant
        order, weights = _tiled(self.order, count), self.norm * edge_mask
        sums: Tensor = Sums.apply(sent.flatten(0, 1), weights.flatten(), order)
        value = sums.view(count, len(self.found.inner), -1)
        if self.loops is None:
            return value
        own = read if weight is None else linear.index_select(1, self.found.inner)
        return value + self.loops[:, None] * own


def _tiled(order: Order, count: int) -> Order:
    """The order of so many variants side by side, whose weights are one after the other."""
    if count == 1:
        return order
    return order.tiled(count, lambda one: tiled(one, len(order.order), count))
