"""Layers on graphs in which few nodes receive anything.

Of a computation graph only the nodes within L - 1 hops get messages; the others, on the border, are
there to send. A layer's result is needed at the nodes that receive, so what a layer does to sums of
messages is done for those alone, and where every layer allows it, later layers see only their rows.
A GCNConv, which transforms what it sends, does so to the sums instead, W being the same for all.
And where messages are what is sent, times a weight, their sums are taken and differentiated as
products with a sparse matrix, without anything of size edges x H.

So are all layers of a model run on whole computation graphs, and those behind the first on the
inner graphs that are left once the first is taken out. A layer is taken for one of that kind if its
``propagate`` gave those sums when it was evaluated; see :func:`kinds`. Everything else is left to
the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv, GINConv, GraphConv, Linear, MessagePassing, SAGEConv

from explainers.engines.analytic.params import products, weighted_sums
from explainers.engines.base import NotTheModel
from explainers.engines.blocks import Blocks
from explainers.prepare.computation_graph import ComputationGraphs, LinkGraphs
from explainers.prepare.copies import ModelCopy
from explainers.prepare.csr import counts, to_indptr
from explainers.prepare.layers import edge_type
from explainers.prepare.model import PreparedModel
from explainers.prepare.outputs import alike


@dataclass(frozen=True)
class Order:
    """Edges by their target and by their source, which may be rows of different tensors.

    Attributes:
        ptr: [t + 1]; the edges into row v are ``order[ptr[v]:ptr[v + 1]]``.
        order: [k], as positions among the weights that a layer has.
        source: [k], the source of each of them.
        out_ptr: [n + 1], as ``ptr``, for edges out of a row.
        out_order: [k], as ``order``.
        target: [k], the target of each of ``out_order``.
    """

    ptr: Tensor
    order: Tensor
    source: Tensor
    out_ptr: Tensor
    out_order: Tensor
    target: Tensor

    @classmethod
    def of(cls, source: Tensor, target: Tensor, sources: int, targets: int) -> Order:
        """That of edges [k] among so many rows."""
        order, out_order = target.argsort(stable=True), source.argsort(stable=True)
        return cls(
            to_indptr(counts(target, targets)),
            order,
            source[order],
            to_indptr(counts(source, sources)),
            out_order,
            target[out_order],
        )

    def tiled(self, count: int, places: Callable[[Tensor], Tensor]) -> Order:
        """The same so many times side by side; ``places`` says where all copies' weights are."""
        edges, sources, targets = len(self.order), len(self.out_ptr) - 1, len(self.ptr) - 1

        def ptr(base: Tensor) -> Tensor:
            starts = tiled(base[:-1], edges, count)
            return torch.cat([starts, starts.new_full((1,), count * edges)])

        return Order(
            ptr(self.ptr),
            places(self.order),
            tiled(self.source, sources, count),
            ptr(self.out_ptr),
            places(self.out_order),
            tiled(self.target, targets, count),
        )


def tiled(base: Tensor, shift: int, count: int) -> Tensor:
    """Positions [k] in the first of ``count`` copies, then in the others: [count k]."""
    return (base + (torch.arange(count, device=base.device) * shift)[:, None]).flatten()


class Sums(torch.autograd.Function):
    """Weighted sums of what arrives at each node, [n, H], of what is sent [n, H], weights [E]."""

    @staticmethod
    def forward(ctx: Any, sent: Tensor, weights: Tensor, order: Order) -> Tensor:
        ctx.save_for_backward(sent, weights)
        ctx.order = order
        along = weights.index_select(0, order.order)
        return weighted_sums(order.ptr, order.source, along, sent)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (gradient,), (sent, weights), order = gradients, ctx.saved_tensors, ctx.order
        gradient = gradient.contiguous()
        by_sent = by_weights = None
        if ctx.needs_input_grad[0]:
            back = weights.index_select(0, order.out_order)
            by_sent = weighted_sums(order.out_ptr, order.target, back, gradient)
        if ctx.needs_input_grad[1]:
            found = products(order.ptr, order.source, gradient, sent.detach())
            by_weights = torch.zeros_like(weights).index_copy_(0, order.order, found)
        return by_sent, by_weights, None


def _sent(kwargs: dict[str, Any]) -> tuple[Tensor, Tensor | None] | None:
    """What a layer sends [n, H] and its weights [E], if that is all that it hands on."""
    given = {name: value for name, value in kwargs.items() if value is not None}
    x, weight = given.pop("x", None), given.pop("edge_weight", None)
    x = x[0] if isinstance(x, tuple) else x
    plain = isinstance(x, Tensor) and x.dim() == 2 and not given
    if not plain or (weight is not None and weight.dim() != 1):
        return None
    return x, weight


def kinds(
    prepared: PreparedModel,
    graph: Blocks,
    x: Tensor,
    edge_mask: Tensor,
    first: int | None = None,
) -> tuple[Tensor, dict[int, str]]:
    """The model's outputs, and of its layers whether messages are added or averaged.

    Layers of which neither is so, or which send messages more than once, are not among them.

    Args:
        prepared: The model.
        graph: All of the graph.
        x: [N, F], drawn at random.
        edge_mask: [E'], drawn at random.
        first: The number of a layer that is left out.
    """
    found: dict[int, str] = {}
    calls = [0] * len(prepared.layers)
    masks = prepared.masks(
        edge_mask,
        graph.edge_index,
        edge_type(graph.inputs),
        graph.num_nodes,
        has_loops=prepared.has_loops,
    )

    def noted(number: int) -> Callable[..., None]:
        def note(layer: MessagePassing, inputs: Any, output: Any) -> None:
            calls[number] += 1
            edges, _, kwargs = inputs
            sent = _sent(kwargs)
            if sent is None or not isinstance(output, Tensor):
                return
            x, weight = sent
            if weight is None:
                weight = x.new_ones(edges.size(1))
            if number not in graph.norms:
                factor = masks(number, calls[number] - 1)
                if len(factor) != len(weight):
                    return
                weight = weight * factor
            order = Order.of(edges[0], edges[1], len(x), len(x))
            sums = weighted_sums(order.ptr, order.source, weight[order.order], x)
            if alike(sums, output):
                found[number] = "sum"
            elif alike(sums.div_(order.ptr.diff().clamp(min=1)[:, None]), output):
                found[number] = "mean"

        return note

    with prepared.borrowed() as copy, ExitStack() as stack:
        for number, layer in enumerate(copy.layers):
            hook = layer.register_propagate_forward_hook(noted(number))
            stack.callback(hook.remove)
        output = graph.run(x, edge_mask)
    if graph.inputs.keys() & {"edge_type", "edge_attr"}:
        return output, {}
    return output, {n: kind for n, kind in found.items() if n != first and calls[n] == 1}


class Inner:
    """Computation graphs, so many times side by side, and who of their nodes receives messages.

    Args:
        prepared: The model.
        graphs: The computation graphs, of n nodes and e edges: its own, or those of its rest.
        receiving: [t], positions of their nodes that are not on the border.
        count: How many times, S.
        fused: See :func:`kinds`.
        few: Whether only the rows of those t nodes are handed on from layer to layer.
    """

    def __init__(
        self,
        prepared: PreparedModel,
        graphs: ComputationGraphs,
        receiving: Tensor,
        count: int,
        fused: dict[int, str],
        *,
        few: bool,
    ) -> None:
        self.graphs, self.receiving, self.count, self.fused = graphs, receiving, count, fused
        self.nodes, self.edges, self.kept = len(graphs.n_id), len(graphs.e_id), len(receiving)
        # A single row would be broadcast to many unseen.
        self.few = few and self.kept < self.nodes and self.kept * count > 1
        self._orders: dict[tuple[bool, bool, bool], Order] = {}
        self.blocks = Blocks.copies(prepared, graphs, count)
        if self.few and isinstance(graphs, LinkGraphs):
            self.blocks.inputs["edge_label_index"] = graphs.links(count, receiving)
        whole, edges = self.blocks.norms, count * self.edges
        # On the border a loop's message is for nobody.
        loops = [number for number, (index, _) in whole.items() if index.size(1) > edges]
        if loops:
            index = torch.cat([self.blocks.edge_index, self.inside.expand(2, -1)], dim=1)
            for number in loops:
                norm = whole[number][1]
                own = norm[edges:].index_select(0, self.inside)
                whole[number] = index, torch.cat([norm[:edges], own])

    @cached_property
    def inside(self) -> Tensor:
        """The nodes that are not on the border, in all copies, [S t]."""
        return tiled(self.receiving, self.nodes, self.count)

    def explained(self, output: Tensor) -> Tensor:
        """The rows [S, R, C] that are explained, of what the model returned for all copies."""
        rows = self.graphs.rows
        few = self.few and not isinstance(self.graphs, LinkGraphs)
        if few and len(output) == self.count * self.kept:
            rows = torch.searchsorted(self.receiving, rows)
        return output.view(self.count, len(output) // self.count, -1)[:, rows]

    def order(self, rows: int, weights: int, *, to_few: bool) -> Order | None:
        """Of what a layer sends, rows of so many nodes, with so many weights; None if unknown.

        To the rows of the nodes that receive, or to those of all.
        """
        loops = weights == self.count * (self.edges + self.kept)
        if not loops and weights != self.count * self.edges:
            return None
        small = self.few and rows == self.count * self.kept
        if not small and rows != self.count * self.nodes:
            return None
        key = loops, small, to_few and not small
        if key not in self._orders:
            self._orders[key] = self._order(*key)
        return self._orders[key]

    def _order(self, loops: bool, small: bool, to_few: bool) -> Order:
        """Of all copies: that of one, so many times."""
        n, e, t = self.nodes, self.edges, self.kept
        number = torch.arange(e + t * loops, device=self.receiving.device)
        ends = torch.cat([self.graphs.edge_index, self.receiving[: t * loops].expand(2, -1)], dim=1)
        source, target = ends
        place = torch.full((n,), -1, device=number.device)
        place[self.receiving] = torch.arange(t, device=number.device)
        if small or to_few:
            target = place[target]
        if small:  # sources on the border send no more
            number = (place[source] >= 0).nonzero().view(-1)
            source, target = place[source[number]], target[number]
        rows = t if small else n, t if small or to_few else n
        count, copy = self.count, torch.arange(self.count, device=number.device)

        def places(order: Tensor) -> Tensor:
            """Positions among the weights: those of all edges come before those of all loops."""
            order = number[order]
            own = order >= e
            first = order + own * (count - 1) * e
            return (first + copy[:, None] * torch.where(own, t, e)).flatten()

        return Order.of(source, target, *rows).tiled(count, places)

    @contextmanager
    def sparse(self, copy: ModelCopy) -> Iterator[None]:
        """Inside, the layers of a copy work as the module says."""
        with ExitStack() as stack:
            for number, kind in self.fused.items():
                _Sparse(self, copy, number, kind).install(stack)
            yield


class _Sparse:
    """One layer's way of working during a pass."""

    def __init__(self, inner: Inner, copy: ModelCopy, number: int, kind: str) -> None:
        self.inner, self.copy, self.number, self.kind = inner, copy, number, kind
        self.layer = copy.layers[number]
        self.wide = False  # whether messages have been summed, of rows of all nodes
        # The transformation of what is sent, done to the sums instead.
        self.later = self.layer.lin if type(self.layer) is GCNConv else None
        # These do nothing to a row but with linear layers and the sums: both give few rows. A
        # GINConv adds the row itself to the sums; it is given few of them, as in a bipartite graph.
        self.pair = inner.few and type(self.layer) is GINConv
        self.few = inner.few and type(self.layer) in (GCNConv, SAGEConv, GraphConv, GINConv)

    def install(self, stack: ExitStack) -> None:
        """Puts it in force until the stack is left."""
        _instead(self.layer, "propagate", self._propagate(self.layer.propagate), stack)
        _instead(self.layer, "forward", self._forward(self.layer.forward), stack)
        for module in self.layer.modules():
            if isinstance(module, (nn.Linear, Linear)):
                run = _unchanged if module is self.later else self._on_few(module.forward)
                _instead(module, "forward", run, stack)

    def _forward(self, forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def run(*args: Any, **kwargs: Any) -> Tensor:
            self.wide = False
            inner = self.inner
            if self.pair and args and isinstance(args[0], Tensor):
                x = args[0]
                if len(x) == inner.count * inner.nodes:
                    args = (x, x.index_select(0, inner.inside)), *args[1:]
            output = forward(*args, **kwargs)
            if inner.few and len(output) == inner.count * inner.nodes:
                output = output.index_select(0, inner.inside)
            return output

        return run

    def _on_few(self, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def run(x: Tensor) -> Tensor:
            wide = self.wide and len(x) == self.inner.count * self.inner.nodes
            return self._inside(forward, x) if wide else forward(x)

        return run

    def _inside(self, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """What a module makes of the rows of the nodes that receive; other rows are zeros."""
        if self.inner.kept == self.inner.nodes:
            return forward(x)
        found = forward(x.index_select(0, self.inner.inside))
        if self.few:
            return found
        return found.new_zeros(len(x), found.size(1)).index_copy(0, self.inner.inside, found)

    def _propagate(self, propagate: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def run(edge_index: Tensor, size: Any = None, **kwargs: Any) -> Tensor:
            sent, order = _sent(kwargs), None
            if sent is not None:
                order = self.inner.order(len(sent[0]), edge_index.size(1), to_few=self.few)
            if sent is None or order is None:
                if self.inner.few:
                    raise NotTheModel("a layer sends something else than in other passes")
                self.wide = True
                return self._transformed(propagate(edge_index, size=size, **kwargs))
            x, weight = sent
            factor = self.copy.take_mask(self.number)
            if weight is None:
                weight = x.new_ones(edge_index.size(1)) if factor is None else factor
            elif factor is not None:
                weight = weight * factor
            output: Tensor = Sums.apply(x, weight, order)
            if self.kind == "mean":
                output = output / order.ptr.diff().clamp(min=1)[:, None]
            self.wide = len(x) == self.inner.count * self.inner.nodes
            return self._transformed(output)

        return run

    def _transformed(self, sums: Tensor) -> Tensor:
        if self.later is None:
            return sums
        forward = type(self.later).forward.__get__(self.later)
        few = len(sums) < self.inner.count * self.inner.nodes
        return forward(sums) if few else self._inside(forward, sums)


def _unchanged(x: Tensor) -> Tensor:
    return x


def _instead(
    module: nn.Module, name: str, function: Callable[..., Tensor], stack: ExitStack
) -> None:
    """Has a module's method be another until the stack is left."""
    own = vars(module)
    before = own.get(name)
    own[name] = function

    def put_back() -> None:
        if before is None:
            own.pop(name, None)
        else:
            own[name] = before

    stack.callback(put_back)
