"""Message passing among the steps of a tape, as products of matrices.

A layer that adds up weighted messages gathers what is sent, multiplies it by the weights and
scatters it: four operations, and six backwards, on something of size edges x H. With the matrix A
that has the weights at the places of the edges, sums are A X, and backwards A' G and, at those
places, G X'. A is dense for a small graph, where operations cost what it takes to start them, and
sparse for a large one. The rules are algebra on what is constant in a tape, the ends of the edges;
they look at no layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from explainers.engines.analytic.params import products, weighted_sums
from explainers.engines.tape.steps import Step, Value, flat
from explainers.prepare.csr import counts, to_indptr

DENSE = 10_000  # entries of a matrix that is made in full


class Edges:
    """Edges from ``source`` [e] among n rows to ``target`` [e] among t rows."""

    def __init__(self, source: Tensor, target: Tensor, sources: int, targets: int) -> None:
        self.source, self.target, self.sources, self.targets = source, target, sources, targets
        self.dense = sources * targets <= DENSE

    @cached_property
    def place(self) -> Tensor:
        """Where each edge is in the matrix [t, n], row by row."""
        return self.target * self.sources + self.source

    @cached_property
    def empty(self) -> Tensor:
        """The matrix without entries, as a vector."""
        return self.source.new_zeros(self.targets * self.sources)

    @cached_property
    def ones(self) -> Tensor:
        """The matrix [t, n] of edges that weigh 1."""
        return matrix(torch.ones_like(self.source), self)

    @cached_property
    def into(self) -> tuple[Tensor, Tensor, Tensor]:
        """Edges by their targets: where those of each begin, their sources, and their numbers."""
        order = self.target.argsort(stable=True)
        ptr = to_indptr(counts(self.target, self.targets))
        return ptr, self.source[order], order

    @cached_property
    def back(self) -> Tensor:
        """Where each edge is among those ``into``."""
        return self.into[2].argsort()

    @cached_property
    def reversed(self) -> Edges:
        """The same edges the other way."""
        return Edges(self.target, self.source, self.targets, self.sources)


def matrix(weights: Tensor, edges: Edges) -> Tensor:
    """The matrix [t, n] with the weights [e] of the edges; those that share a place add up."""
    flat = edges.empty.to(weights.dtype).index_add_(0, edges.place, weights)
    return flat.view(edges.targets, edges.sources)


def by_target(weights: Tensor, edges: Edges) -> Tensor:
    """Weights in the order of the targets."""
    return weights.index_select(0, edges.into[2])


def sparse_sums(ordered: Tensor, dense: Tensor, edges: Edges) -> Tensor:
    """Sums at the targets [t, H] of rows [n, H] times weights by target."""
    ptr, source, _ = edges.into
    return weighted_sums(ptr, source, ordered, dense)


def edge_products(pairs: Sequence[tuple[Tensor, Tensor]], edges: Edges) -> Tensor:
    """<gradient[target], x[source]> of each edge, [e, 1], summed over pairs of gradient and x."""
    if edges.dense:
        gradient, x = pairs[0]
        every = gradient.mm(x.t())
        for gradient, x in pairs[1:]:
            every.addmm_(gradient, x.t())
        return every.view(-1).index_select(0, edges.place).unsqueeze_(1)
    ptr, source, _ = edges.into
    found = products(ptr, source, *pairs[0])
    for pair in pairs[1:]:
        found += products(ptr, source, *pair)
    return found.index_select(0, edges.back).unsqueeze_(1)


def added(rows: Tensor, edges: Edges) -> Tensor:
    """Sums of rows [e, H] at their targets, [t, H]."""
    zeros = rows.new_zeros(edges.targets, rows.size(1))
    return zeros.index_add_(0, edges.target, rows)


# ------------------------------------------------------------------------------------------ rules


def summed(steps: list[Step], shapes: dict[int, tuple[int, ...]]) -> list[Step]:
    """The steps with message passing as products of matrices; ``shapes`` [...] of the values."""
    return _Rules(steps, shapes).applied()


class _Rules:
    """Steps in the place of others, which give the same."""

    def __init__(self, steps: list[Step], shapes: dict[int, tuple[int, ...]]) -> None:
        self.steps, self.shapes, self.count = steps, shapes, max(shapes)
        self.maker = {number: step for step in steps for number in step.made.values()}
        self.made: list[Step] = []
        self._edges: list[Edges] = []

    def applied(self) -> list[Step]:
        rules = {
            "scatter_add_": self._scattered,
            "index_add": self._sent_back,
            "sum": self._of_weights,
            "gather": self._gathered,
            "add": self._plus,
        }
        for step in self.steps:
            rule = rules.get(step.name)
            found = None if rule is None or step.several or step.kwargs else rule(step)
            if found is not None:
                step = Step(*found, {}, step.made)
                self.maker[step.made[0]] = step
            self.made.append(step)
        return self.made

    # Each gives the operation and the arguments that take the step's place, or None.

    def _scattered(self, step: Step) -> tuple[Any, tuple[Any, ...]] | None:
        """``zeros.scatter_add_(0, target, rows)``, rows being anything or weighted messages."""
        into, dim, index, rows = step.args
        target = _column(index) if dim == 0 else None
        zeros = self._maker(into)
        fresh = zeros is not None and zeros.name == "clone" and _is_zero(zeros.args[0])
        if target is None or zeros is None or not fresh or not isinstance(rows, Value):
            return None
        count, sent = self._shape(into)[0], self._message(rows)
        if sent is not None:
            x, source, weights = sent
            edges = self._edges_of(
                source, target, self._shape(x)[0], self._shape(Value(step.made[0]))[0]
            )
            return self._sums(weights, edges, x)
        number = torch.arange(len(target), device=target.device)
        edges = self._edges_of(number, target, len(target), count)
        if edges.dense:
            return torch.ops.aten.mm.default, (edges.ones.to(zeros.args[0]), rows)
        return added, (rows, edges)

    def _sent_back(self, step: Step) -> tuple[Any, tuple[Any, ...]] | None:
        """``zeros.index_add(0, source, gradient[target] * weights)``."""
        into, dim, source, rows = step.args
        product = self._maker(rows)
        if not (_is_zero(into) and dim in (0, -2) and product is not None):
            return None
        found = self._times(product, self._at_target)
        if found is None or not isinstance(source, Tensor):
            return None
        (gradient, target), weights = found
        edges = self._edges_of(source, target, into.size(0), self._shape(gradient)[0])
        return self._sums(weights, edges, gradient, back=True)

    def _of_weights(self, step: Step) -> tuple[Any, tuple[Any, ...]] | None:
        """``(gradient[target] * x[source]).sum(1, keepdim=True)``."""
        if list(step.args[1:]) != [[1], True]:
            return None
        product = self._maker(step.args[0])
        if product is None or product.name != "mul":
            return None
        for one, other in (product.args, product.args[::-1]):
            gradient, sent = self._at_target(one), self._at_source(other)
            if gradient is not None and sent is not None:
                sizes = self._shape(sent[0])[0], self._shape(gradient[0])[0]
                edges = self._edges_of(sent[1], gradient[1], *sizes)
                return edge_products, (((gradient[0], sent[0]),), edges)
        return None

    def _gathered(self, step: Step) -> tuple[Any, tuple[Any, ...]] | None:
        """``x.gather(0, index)`` of whole rows."""
        x, dim, index = step.args[:3]
        target = _column(index) if dim == 0 else None
        if target is None or index.size(1) != self._shape(x)[1]:
            return None
        return torch.ops.aten.index_select.default, (x, 0, target)

    def _plus(self, step: Step) -> tuple[Any, tuple[Any, ...]] | None:
        """``one.mm(other) + bias``, and what several layers give an edge."""
        one, other = step.args[:2]
        made = self._maker(one)
        if made is not None and made.name == "mm" and isinstance(other, Tensor):
            return (torch.ops.aten.addmm.default, (other, *made.args)) if other.dim() == 1 else None
        both = [self._behind_views(part) for part in (one, other)]
        if not all(made is not None and made.operation is edge_products for made in both):
            return None
        (pairs, edges), (more, others) = (made.args for made in both if made is not None)
        if edges is not others or self._shape(one) != self._shape(other):
            return None
        found = self._do(edge_products, (*pairs, *more), edges)
        return torch.ops.aten.view.default, (found, list(self._shape(one)))

    # ------------------------------------------------------------------------------------- parts

    def _sums(
        self, weights: Any, edges: Edges, x: Any, *, back: bool = False
    ) -> tuple[Any, tuple[Any, ...]]:
        """The products that give the sums at targets, or ``back`` at sources."""
        if edges.dense:
            full = self._do(matrix, weights, edges)
            full = self._do(torch.ops.aten.t.default, full) if back else full
            return torch.ops.aten.mm.default, (full, x)
        edges = edges.reversed if back else edges
        return sparse_sums, (self._do(by_target, weights, edges), x, edges)

    def _do(self, operation: Any, *args: Any) -> Any:
        """A new step's value; what is constant is computed now."""
        if not any(isinstance(one, Value) for one in flat(args)):
            return operation(*args)
        self.count += 1
        self.made.append(Step(operation, args, {}, {0: self.count}))
        self.maker[self.count] = self.made[-1]
        return Value(self.count)

    def _message(self, rows: Value) -> tuple[Any, Tensor, Any] | None:
        """What is sent, its sources and its weights [e], if that is how rows were made."""
        made = self._maker(rows)
        found = None if made is None else self._times(made, self._at_source)
        return None if found is None else (*found[0], found[1])

    def _times(self, step: Step, read: Any) -> tuple[tuple[Any, Tensor], Any] | None:
        """What ``read`` tells of one factor of a product, and the other, weights [e]."""
        if step.name != "mul":
            return None
        for one, other in (step.args, step.args[::-1]):
            found, weights = read(one), self._weights(other)
            if found is not None and weights is not None:
                return found, weights
        return None

    def _weights(self, part: Any) -> Any:
        """The numbers [e] of a column [e, 1]."""
        if isinstance(part, Tensor):
            return part.view(-1) if part.dim() == 2 and part.size(1) == 1 else None
        shape = self._shape(part)
        if len(shape) != 2 or shape[1] != 1:
            return None
        return self._do(torch.ops.aten.view.default, part, [-1])

    def _at_source(self, part: Any) -> tuple[Any, Tensor] | None:
        """X and the rows of it that were taken."""
        made = self._maker(part)
        if made is None or made.name != "index_select" or len(self._shape(part)) != 2:
            return None
        x, dim, source = made.args
        return (x, source) if dim in (0, -2) and isinstance(source, Tensor) else None

    # A gradient is read where messages arrive; by now with the same operation.
    _at_target = _at_source

    def _edges_of(self, source: Tensor, target: Tensor, sources: int, targets: int) -> Edges:
        """The same object for the same edges, so that what is done twice is seen to be."""
        for edges in self._edges:
            same = edges.sources == sources and edges.targets == targets
            if same and _equal(edges.source, source) and _equal(edges.target, target):
                return edges
        self._edges.append(Edges(source, target, sources, targets))
        return self._edges[-1]

    def _maker(self, part: Any) -> Step | None:
        return self.maker.get(part.number) if isinstance(part, Value) else None

    def _behind_views(self, part: Any) -> Step | None:
        made = self._maker(part)
        while made is not None and made.name == "view":
            made = self._maker(made.args[0])
        return made

    def _shape(self, part: Any) -> tuple[int, ...]:
        return self.shapes[part.number] if isinstance(part, Value) else tuple(part.shape)


def _equal(one: Tensor, other: Tensor) -> bool:
    # Shapes first: for the numbers the host of a GPU waits.
    return one is other or (one.shape == other.shape and torch.equal(one, other))


def _is_zero(part: Any) -> bool:
    """Whether it is a constant matrix of zeros."""
    return isinstance(part, Tensor) and part.dim() == 2 and not bool(part.any())


def _column(index: Any) -> Tensor | None:
    """The numbers of whole rows [e], of an index [e, H] that repeats them; None if it does not."""
    if not isinstance(index, Tensor) or index.dim() != 2 or not index.size(1):
        return None
    first = index[:, 0].contiguous()
    repeats = index.stride(1) == 0 or bool((index == first[:, None]).all())
    return first if repeats else None
