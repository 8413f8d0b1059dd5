"""The layers behind the first, on graphs in which few nodes receive anything.

Of the inner graph of a prediction only the nodes within L - 2 hops get messages; the others, on the
border, are there to send. A layer's result is needed at the nodes that receive, so what a layer does
to sums of messages is done for those alone; a GCNConv, which transforms what it sends, does so to the
sums instead, W being the same for all. And where messages are what is sent, times a weight, their
weighted sums are taken and differentiated as products with a sparse matrix, without anything of size
edges x H.

A layer is taken for one of that kind if its ``propagate`` gave those sums when it was evaluated; see
:func:`kinds`. Everything else is left to the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv, Linear, MessagePassing

from explainers.engines.analytic.params import products, weighted_sums
from explainers.engines.batched import Blocks
from explainers.prepare.computation_graph import ComputationGraphs
from explainers.prepare.copies import ModelCopy
from explainers.prepare.csr import to_indptr
from explainers.prepare.model import PreparedModel
from explainers.prepare.outputs import alike


@dataclass(frozen=True)
class Order:
    """A graph's edges by their target and by their source.

    Attributes:
        ptr: [n + 1]; the edges into node v are ``order[ptr[v]:ptr[v + 1]]``.
        order: [E].
        source: [E], the source of each of them.
        out_ptr: As ``ptr``, for edges out of a node.
        out_order: As ``order``.
        target: [E], the target of each of ``out_order``.
    """

    ptr: Tensor
    order: Tensor
    source: Tensor
    out_ptr: Tensor
    out_order: Tensor
    target: Tensor

    @classmethod
    def of(cls, edge_index: Tensor, num_nodes: int) -> Order:
        """That of a graph."""
        source, target = edge_index
        order, out_order = target.argsort(stable=True), source.argsort(stable=True)
        ptr, out_ptr = (
            to_indptr(torch.bincount(ends, minlength=num_nodes)) for ends in (target, source)
        )
        return cls(ptr, order, source[order], out_ptr, out_order, target[out_order])


class _Sums(torch.autograd.Function):
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
            by_weights = torch.empty_like(found).index_copy_(0, order.order, found)
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
    prepared: PreparedModel, graph: Blocks, x: Tensor, edge_mask: Tensor, first: int
) -> dict[int, str]:
    """Of layers behind ``first``, by number, whether their messages are added or averaged.

    Layers of which neither is so, or which send messages more than once, are not among them.

    Args:
        prepared: The model.
        graph: All of the graph.
        x: [N, F], drawn at random.
        edge_mask: [E'], drawn at random.
        first: The number of the first layer.
    """
    found: dict[int, str] = {}
    calls = [0] * len(prepared.layers)
    masks = prepared.masks(
        edge_mask, graph.edge_index, None, graph.num_nodes, has_loops=prepared.has_loops
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
            order = Order.of(edges, len(x))
            sums = weighted_sums(order.ptr, order.source, weight[order.order], x)
            count = order.ptr.diff().clamp(min=1)[:, None]
            for kind, value in (("mean", sums / count), ("sum", sums)):
                if alike(value, output):
                    found[number] = kind

        return note

    if graph.inputs.keys() & {"edge_type", "edge_attr"}:
        return {}
    with prepared.borrowed() as copy, ExitStack() as stack:
        for number, layer in enumerate(copy.layers):
            hook = layer.register_propagate_forward_hook(noted(number))
            stack.callback(hook.remove)
        graph.run(x, edge_mask)
    return {n: kind for n, kind in found.items() if n != first and calls[n] == 1}


class Inner:
    """Inner graphs, so many times side by side, and who of their nodes receives messages.

    Args:
        prepared: The model.
        graphs: The computation graphs of its rest.
        receiving: Positions of their nodes that are not on the border.
        count: How many times.
        fused: See :func:`kinds`.
    """

    def __init__(
        self,
        prepared: PreparedModel,
        graphs: ComputationGraphs,
        receiving: Tensor,
        count: int,
        fused: dict[int, str],
    ) -> None:
        self.graphs, self.count, self.fused = graphs, count, fused
        self.blocks = Blocks.copies(prepared, graphs, count)
        self._inside = receiving
        whole = self.blocks.norms
        # On the border a loop's message is for nobody.
        edges = self.blocks.edge_index.size(1)
        loops = [number for number, (index, _) in whole.items() if index.size(1) > edges]
        if loops:
            index = torch.cat([self.blocks.edge_index, self.inside.expand(2, -1)], dim=1)
            for number in loops:
                norm = whole[number][1]
                own = norm[edges:].index_select(0, self.inside)
                whole[number] = index, torch.cat([norm[:edges], own])

    @cached_property
    def inside(self) -> Tensor:
        """The nodes that are not on the border, in all copies."""
        return self._tiled(self._inside, len(self.graphs.n_id)).flatten()

    def _tiled(self, base: Tensor, shift: int) -> Tensor:
        steps = torch.arange(self.count, device=base.device) * shift
        return base + steps[:, None]

    @cached_property
    def _plain(self) -> Order:
        return self._order(0)

    @cached_property
    def _with_loops(self) -> Order:
        return self._order(len(self._inside))

    def _order(self, loops: int) -> Order:
        """Of all copies: that of one, so many times."""
        graphs, n, e = self.graphs, len(self.graphs.n_id), len(self.graphs.e_id)
        own = self._inside[:loops].expand(2, -1)
        one = Order.of(torch.cat([graphs.edge_index, own], dim=1), n)

        def places(order: Tensor) -> Tensor:
            """All edges come before all loops."""
            edge, loop = self._tiled(order, e), self._tiled(order - e + self.count * e, loops)
            return torch.where(order < e, edge, loop).flatten()

        def ptr(base: Tensor) -> Tensor:
            starts = self._tiled(base[:-1], e + loops).flatten()
            return torch.cat([starts, starts.new_tensor([self.count * (e + loops)])])

        return Order(
            ptr(one.ptr),
            places(one.order),
            self._tiled(one.source, n).flatten(),
            ptr(one.out_ptr),
            places(one.out_order),
            self._tiled(one.target, n).flatten(),
        )

    def order(self, edges: int) -> Order | None:
        """Of what a layer sends along, if it is the graph's edges, with its loops or without."""
        e = self.count * len(self.graphs.e_id)
        if edges == e:
            return self._plain
        return self._with_loops if edges == e + self.count * len(self._inside) else None

    @contextmanager
    def sparse(self, copy: ModelCopy) -> Iterator[None]:
        """Inside, the layers of a copy work as the module says."""
        with ExitStack() as stack:
            for number, kind in self.fused.items():
                layer = copy.layers[number]
                _Sparse(self, copy, number, kind).install(layer, stack)
            yield


class _Sparse:
    """One layer's way of working during a pass."""

    def __init__(self, inner: Inner, copy: ModelCopy, number: int, kind: str) -> None:
        self.inner, self.copy, self.number, self.kind = inner, copy, number, kind
        self.layer = copy.layers[number]
        self.sent = False
        # The transformation of what is sent, done to the sums instead.
        self.later = self.layer.lin if type(self.layer) is GCNConv else None

    def install(self, layer: MessagePassing, stack: ExitStack) -> None:
        """Puts it in force until the stack is left."""
        _instead(layer, "propagate", self._propagate(layer.propagate), stack)
        for module in layer.modules():
            if isinstance(module, (nn.Linear, Linear)):
                run = self._unchanged if module is self.later else self._on_few(module.forward)
                _instead(module, "forward", run, stack)

    def _unchanged(self, x: Tensor) -> Tensor:
        return x

    def _on_few(self, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def run(x: Tensor) -> Tensor:
            return self._inside(forward, x) if self.sent else forward(x)

        return run

    def _inside(self, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        few = forward(x.index_select(0, self.inner.inside))
        return few.new_zeros(len(x), few.size(1)).index_copy(0, self.inner.inside, few)

    def _propagate(self, propagate: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def run(edge_index: Tensor, size: Any = None, **kwargs: Any) -> Tensor:
            sent, order = _sent(kwargs), self.inner.order(edge_index.size(1))
            if sent is None or order is None:
                output = propagate(edge_index, size=size, **kwargs)
            else:
                x, weight = sent
                factor = self.copy.take_mask(self.number)
                if weight is None:
                    weight = x.new_ones(edge_index.size(1)) if factor is None else factor
                elif factor is not None:
                    weight = weight * factor
                if self.kind == "mean":
                    weight = weight / self._degree(order, x)
                output = _Sums.apply(x, weight, order)
            self.sent = True
            if self.later is not None:
                output = self._inside(type(self.later).forward.__get__(self.later), output)
            return output

        return run

    def _degree(self, order: Order, like: Tensor) -> Tensor:
        """How many messages the target of each edge receives."""
        count = order.ptr.diff().to(like)
        along = count.repeat_interleave(order.ptr.diff())
        return torch.empty_like(along).index_copy_(0, order.order, along)


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
