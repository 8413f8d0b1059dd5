"""What nodes of a two-layer GCN do along the path from nothing to the input, and sums over it.

At the point a of the path a node's pre-activation is P(a) = a^2 A + a S + b. The sums of which
gradients along the path are made are, for an explained node v with q_v [S, H] and a node u,

    B_k(v, u) = sum over steps of a^k * q_v(a) * [P_u(a) > 0].

P is quadratic in a, so for each hidden unit the steps with P > 0 are at most two runs, and B_k is a
difference of prefix sums of q_v over the steps: many steps cost little more than few, and what has
to be known of u, its runs, is found once for all v.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from explainers.engines.analytic.params import GCNParameters

BLOCK = 500_000  # entries of [nodes, S, H] at a time: they stay in a CPU's cache
DIRECT = 500_000  # with no more, for one explained node, the sums as they are written are quicker


class Path:
    """Nodes at the points of the path.

    Args:
        params: Two layers.
        nodes: [U], ids.
        alphas: [S], the points, ascending.
        alone: Whether sums will be asked for one explained node only, and for ``nodes`` in their
            order or some of them.

    Attributes:
        alphas: [S], the points.
        transformed: [U, S, C], h W2 with h = relu(P).
    """

    def __init__(
        self, params: GCNParameters, nodes: Tensor, alphas: Tensor, *, alone: bool
    ) -> None:
        self._params, self.alphas = params, alphas
        width = len(alphas) * params.y.size(1)
        self._positive: Tensor | None = None
        if alone and len(nodes) * width <= DIRECT:
            self._positive, self.transformed = self._hidden(nodes)
            return
        self.transformed = params.y.new_empty(len(nodes), len(alphas), len(params.layers[1].weight))
        # Of each hidden unit the first step above 0, and one past the last; 0 and 0 if none is.
        self._start, self._end = torch.empty(
            2, len(nodes), params.y.size(1), dtype=torch.long, device=nodes.device
        )
        places, missing = [], []
        rows = max(1, BLOCK // width)
        for first in range(0, len(nodes), rows):
            block = slice(first, first + rows)
            positive, self.transformed[block] = self._hidden(nodes[block])
            self._start[block], self._end[block], (node, unit), steps = _runs(positive)
            places.append(torch.stack([node + first, unit]))
            missing.append(steps)
        gaps, self._missing = torch.cat(places, dim=1), torch.cat(missing)
        self._gap = None
        if gaps.numel():
            # Of each hidden unit the row of `missing` that tells its gap, or -1.
            self._gap = torch.full_like(self._start, -1)
            self._gap[gaps[0], gaps[1]] = torch.arange(gaps.size(1), device=gaps.device)

    def _hidden(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """Where pre-activations are above 0, as ones and zeros [U, S, H]; and ``transformed``."""
        one, two = self._params.layers
        a = self.alphas[:, None]
        squared, own = (t.index_select(0, nodes)[:, None] for t in (self._params.a, self._params.s))
        hidden = torch.addcmul(one.bias, own, a).addcmul_(squared, a * a).relu_()
        return hidden.sign(), hidden @ two.weight.t()

    def sums(self, terms: Sequence[Tensor], nodes: Tensor, explained: Tensor) -> list[Tensor]:
        """``B`` of P pairs for each of some ``terms``, [P, H].

        Args:
            terms: a^k q [R, S, H] for some k, with the quadrature's weights.
            nodes: [P], rows of ``transformed``.
            explained: [P], rows of the terms.
        """
        if self._positive is not None:
            positive = self._positive
            if len(nodes) < len(positive):
                positive = positive.index_select(0, nodes)
            return [(positive * term).sum(dim=1) for term in terms]
        shift = (explained * (len(self.alphas) + 1))[:, None]
        start = self._start.index_select(0, nodes).add_(shift)
        end = self._end.index_select(0, nodes).add_(shift)
        result = []
        for term in terms:
            prefix = torch.cat([torch.zeros_like(term[:, :1]), term.cumsum(dim=1)], dim=1)
            prefix = prefix.flatten(0, 1)
            result.append(prefix.gather(0, end).sub_(prefix.gather(0, start)))
        if self._gap is not None:
            gap = self._gap.index_select(0, nodes)
            pairs, units = (gap >= 0).nonzero(as_tuple=True)
            missing = self._missing.index_select(0, gap[pairs, units])
            for values, term in zip(result, terms, strict=True):
                inside = (term[explained[pairs], :, units] * missing).sum(dim=1)
                values[pairs, units] -= inside
        return result


class HiddenPathCache:
    """The inner nodes of some fields, each once: what the second layer reads.

    Args:
        params: The layers.
        nodes: [U], ids, ascending.
        alone: Whether they are of one computation graph only.
    """

    def __init__(self, params: GCNParameters, nodes: Tensor, *, alone: bool) -> None:
        self.params, self.nodes, self.alone = params, nodes, alone
        self._path: tuple[object, Path] | None = None

    def path(self, alphas: Sequence[float]) -> Path:
        """The nodes along the path; kept, as all problems of a call ask for the same."""
        if self._path is None or self._path[0] is not alphas:
            points = self.params.y.new_tensor(alphas)
            self._path = alphas, Path(self.params, self.nodes, points, alone=self.alone)
        return self._path[1]


def _runs(positive: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The runs of ones in ``positive`` [U, S, H] along the steps.

    Returns:
        The first one [U, H]; one past the last; the places [2, K] (u, h) at which not all between
        are ones; and there, where they are not, [K, S].
    """
    steps = positive.size(1)
    number = torch.arange(1, steps + 1, device=positive.device, dtype=positive.dtype)[:, None]
    end = (positive * number).amax(dim=1)
    start = (steps - (positive * number.flip(0)).amax(dim=1)).minimum(end)
    gaps = (end - start - positive.sum(dim=1)).nonzero().t()
    first, last = start[gaps[0], gaps[1], None], end[gaps[0], gaps[1], None]
    inside = (number.t() > first) & (number.t() <= last)
    missing = inside.to(positive) - positive[gaps[0], :, gaps[1]]
    return start.long(), end.long(), gaps, missing
