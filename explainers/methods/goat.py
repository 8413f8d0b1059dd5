"""Graph output attribution (GOAt)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from explainers.engines.base import Attribution, Problem
from explainers.methods._base import Method
from explainers.methods._rules import Rules, refuse_without_rule
from explainers.prepare import PreparedModel
from explainers.prepare.computation_graph import ComputationGraphs
from explainers.prepare.csr import CSC

RELU = {"relu", "relu_"}


@dataclass(kw_only=True)
class GOAt(Method):
    """What each edge adds to the raw score, if the factors of every product share it equally.

    Lu et al., ICLR 2024, arXiv:2401.14578, by the authors' code (sluxsr/GOAt on GitHub), which is
    written out for networks of three layers. With ReLU a network is a sum of products: of weights,
    features or a bias, one edge for each message on the way, and one activation pattern (which
    units are above 0) for each node on it. Weights, features, biases, and what a node gives to
    itself count as constants; edges and patterns share each product equally. A pattern's part goes
    on to the edges that it depends on: after l layers those 1, ..., l hops before the node, each
    as often as it is at one of these distances; of a unit for the whole graph all edges alike. What
    the patterns would add without any edge is taken off, and so the scores add up to the class's
    raw score less that without messages. A pattern that no edge reaches is a constant, too (the
    authors' graphs have none). The authors take the mean over both directions of an edge; here
    edges are directed.

    The equal shares are those of the path along which edges and patterns grow together from 0 to
    1, on which the network is a polynomial: a few gradients give them without enumerating any
    product. For models of affine layers and ReLU; a softmax at the end is passed by.

    It ranks every edge that matters above every other on the white-box task ``white-box-count``.
    An edge that changes nothing has a score all the same, its part in the patterns, which on
    ``-or``, ``-and`` and ``-inhibit`` is more than some that matter have.
    """

    granularity: ClassVar[tuple[str, ...]] = ("edges",)
    homogeneous_only: ClassVar[str] = "its activation patterns are those of nodes of one type"
    citation: ClassVar[str] = "Lu et al. 2024, arXiv:2401.14578"

    def attribute(self, problem: Problem) -> Attribution:
        """The shares of the edges, and those of the patterns handed on to them."""
        with problem.prepared.borrowed() as copy:

            def shares(mask: Tensor) -> tuple[Tensor, Tensor]:
                patterns = _Patterns(problem)
                leaf = problem.x[None].detach().requires_grad_()
                with torch.enable_grad(), patterns.following(copy):
                    problem.predict(leaf, mask[None])
                return _shares(problem, patterns, mask, copy)

            of_edges, of_patterns = shares(problem.edge_mask)
            _, without = shares(torch.zeros_like(problem.edge_mask))
        edge_mask = torch.zeros_like(problem.edge_mask)
        edge_mask[problem.edge_rows] = of_edges[problem.edge_rows] + of_patterns - without
        return Attribution(problem.no_features(), edge_mask)

    def refuse(self, prepared: PreparedModel) -> None:
        """Refuses models that are not sums of products of edges and activation patterns."""
        refuse_without_rule(prepared, "goat", constants=True)
        if other := prepared.memo("goat", lambda: _other_activation(prepared)):
            raise ValueError(
                f"model {prepared.name} cannot be explained by goat: its activation function "
                f"{other!r} has no pattern of units that pass and units that do not, as ReLU has; "
                "use a method that takes any, such as 'deep_lift'"
            )


@dataclass
class _Pattern:
    """Which units of a ReLU's rows pass, and the rows' place in the network.

    Attributes:
        passing: [rows, ...], 1 or 0.
        depth: How many times messages were sent before.
        varies: [rows], whether there are edges that the row depends on.
        factor: [rows, 1, ...], by what the passing units are multiplied in the present pass.
    """

    passing: Tensor
    depth: int
    varies: Tensor
    factor: Tensor = field(default_factory=lambda: torch.empty(0))


class _Patterns(Rules):
    """The first pass notes the patterns of a problem's ReLU; those that follow keep them."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.found: list[_Pattern] = []
        self.sent = 0
        self._problem = problem
        self._at: float | None = None
        self._call = 0

    @contextmanager
    def following(self, copy: Any, at: float | None = None) -> Iterator[None]:
        """Inside, the model's copy runs with the patterns times ``at``; None to note them."""
        self._at, self._call, self.sent = at, 0, 0

        def count(*_: object) -> None:
            self.sent += 1

        handles = [one.register_propagate_forward_pre_hook(count) for one in copy.layers]
        try:
            with self.inside(copy.model):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _activation(
        self,
        func: Callable[..., Any],
        input: Tensor,  # noqa: A002
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        if func.__name__ not in RELU:  # of what does not depend on the features
            return super()._activation(func, input, *args, **kwargs)
        in_place = func.__name__.endswith("_") or kwargs.get("inplace", any(args))
        value = input.clone()  # the gradient's, whatever comes in its place
        if self._at is None:
            passing = (value > 0).to(value.dtype)
            self.found.append(_Pattern(passing, self.sent, self._varies(value)))
            result = value * passing
        else:
            pattern = self.found[self._call]
            factor = value.new_ones(len(value), *[1] * (value.dim() - 1))
            factor[pattern.varies] = self._at
            factor.requires_grad_()
            pattern.factor = factor
            result = value * pattern.passing * factor
            self._call += 1
        return input.copy_(result) if in_place else result

    def _varies(self, value: Tensor) -> Tensor:
        """Which rows of a ReLU's input depend on edges that are explained."""
        problem, rows = self._problem, len(value)
        graphs = problem.graphs
        edges = torch.zeros(rows, dtype=torch.bool, device=value.device)
        if not self.sent or not value.requires_grad:
            return edges
        if rows == len(problem.x):
            reached = torch.zeros_like(graphs.border)
            reached[graphs.edge_index[1]] = True
            edges[problem.node_rows] = reached
        elif rows == len(graphs):
            edges[graphs.edge_batch] = True
        else:
            raise ValueError(
                f"goat: a ReLU of {rows} rows, where there are {len(problem.x)} nodes; use a "
                "method that takes any layer, such as 'deep_lift'"
            )
        return edges


def _shares(
    problem: Problem, patterns: _Patterns, mask: Tensor, copy: Any
) -> tuple[Tensor, Tensor]:
    """The edges' shares [e'], and those of the patterns, spread over the edges [e].

    A product of k factors that grow together is t ** k, and the derivative by one of them, times
    that one at 1, t ** (k - 1): its integral is the share 1 / k. Gauss's quadrature is exact.
    """
    factors = patterns.sent + len(patterns.found)
    points, weights = np.polynomial.legendre.leggauss((factors + 1) // 2)
    edges = torch.zeros_like(mask)
    nodes = [torch.zeros_like(one.varies, dtype=mask.dtype) for one in patterns.found]
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        with torch.enable_grad(), patterns.following(copy, at=float(point)):
            leaf = (mask * float(point)).requires_grad_()
            output = problem(problem.x[None], leaf[None])
        leaves = [leaf, *(one.factor for one in patterns.found)]
        by_mask, *by_factors = torch.autograd.grad(
            output.sum(), leaves, allow_unused=True, materialize_grads=True
        )
        edges += float(weight) * by_mask * mask
        for total, found in zip(nodes, by_factors, strict=True):
            total += float(weight) * found.flatten().to(total)
    spread = mask.new_zeros(len(problem.graphs.e_id))
    for pattern, total in zip(patterns.found, nodes, strict=True):
        share = total * pattern.varies
        if len(share) == len(problem.x):
            spread += _before(problem.graphs, share[problem.node_rows], pattern.depth)
        else:
            counts = problem.graphs.e_ptr.diff().clamp(min=1)
            spread += (share / counts)[problem.graphs.edge_batch]
    return edges, spread


def _before(graphs: ComputationGraphs, share: Tensor, depth: int) -> Tensor:
    """The shares [n] of nodes, spread over the edges [e] that are 1 to ``depth`` hops before.

    An edge is h hops before a node if a walk of h edges begins with it and ends there.
    """
    index = CSC(graphs.edge_index, len(share))
    degree = index.indptr.diff()
    owner = node = share.nonzero().view(-1)
    reached = []
    counts = torch.zeros_like(degree)
    for hop in range(depth):
        if hop:  # one step back, each node once
            many = degree[node]
            start = torch.repeat_interleave(index.indptr[node] - many.cumsum(0) + many, many)
            slot = start + torch.arange(len(start), device=start.device)
            pairs = torch.repeat_interleave(owner, many) * len(share) + index.source[slot]
            pairs = pairs.unique()
            owner, node = pairs // len(share), pairs % len(share)
        counts.index_add_(0, owner, degree[node])
        reached.append((owner, node))
    each = share / counts.clamp(min=1)
    into = torch.zeros_like(share)
    for owner, node in reached:
        into.index_add_(0, node, each[owner])
    return into[graphs.edge_index[1]]


def _other_activation(prepared: PreparedModel) -> str:
    """The first activation function that is no ReLU, or ``""``."""
    seen: list[str] = []

    class Names(Rules):
        def _activation(
            self,
            func: Callable[..., Any],
            input: Tensor,  # noqa: A002
            *args: Any,
            **kwargs: Any,
        ) -> Tensor:
            seen.extend([func.__name__] if input.requires_grad else [])
            return super()._activation(func, input, *args, **kwargs)

    x, (edge_index, inputs) = prepared.x.detach().clone().requires_grad_(), prepared.given
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        prepared.borrowed() as copy,
        Names().inside(copy.model),
    ):
        copy.run(x, edge_index, prepared.with_batch(inputs))
    return next((one for one in seen if one not in RELU), "")


METHOD = GOAt
