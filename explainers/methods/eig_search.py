"""EiG-Search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from explainers.engines.base import Attribution, Problem
from explainers.methods._base import Method
from explainers.prepare.outputs import to_probabilities


@dataclass(kw_only=True)
class EiGSearch(Method):
    """The few edges that best hold the prediction by themselves: edges in order, cut where it pays.

    Lu et al., arXiv:2405.01762, as in the authors' code. First each edge is scored by what the
    output loses if it alone is deleted, degrees and all (there "linear gradients": the slope from
    no edge to the edge). Then the edges are put in the order of their scores, and of the sets of
    the first 1, 2, ... the one is taken for which the class's probability with these edges alone
    most exceeds that without them: fidelity+ less fidelity-. Sets hold no more than a share of the
    edges. The search is over one set of each size, and so linear: a pass for each edge, and two for
    each size. Here edges are directed and deleted one by one; there both directions go together.
    Of a regression the output takes the place of the probability.

    An edge's score is the one it is put in order by, signed. It ranks every edge that matters above
    every other on the white-box task ``white-box-count`` (without ``gcn``: deleting an edge changes
    what a GCNConv divides by); where edges can stand in for each other (``-or``), none is missed
    alone.

    Args:
        sparsity: The share of the edges that sets leave out at least, in [0, 1); one edge is always
            allowed. The authors' code has 0.7.

    Explanations have ``selected_edges`` [e], which edges are taken, and ``set_size``, their number.
    """

    granularity: ClassVar[tuple[str, ...]] = ("edges",)
    needs_gradients: ClassVar[bool] = False
    explains_forms: ClassVar[bool] = True
    engines: ClassVar[tuple[str, ...]] = ("analytic", "batched", "stock")
    costly: ClassVar[bool] = True
    citation: ClassVar[str] = "Lu et al. 2024, arXiv:2405.01762"

    sparsity: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.sparsity < 1:
            raise ValueError(f"sparsity must be 0 or more and below 1, got {self.sparsity!r}")

    def attribute(self, problem: Problem) -> Attribution:
        """What the output loses without each edge; zeros for the features."""
        with torch.no_grad():
            scores = losses(problem)
            ranks = order(problem, scores)
            sizes = self._sizes(problem, ranks)
        edge_mask = torch.zeros_like(problem.edge_mask)
        edge_mask[problem.edge_rows] = scores
        taken = (ranks < sizes[problem.graphs.edge_batch]).split(problem.graphs.edge_counts)
        found = {"set_size": sizes, "selected_edges": taken}
        return Attribution(problem.no_features(), edge_mask, found)

    def _sizes(self, problem: Problem, ranks: Tensor) -> Tensor:
        """How many edges, by their ranks [e], each node's [R] best set has."""
        counts = problem.graphs.e_ptr.diff()
        largest = ((1 - self.sparsity) * counts + 1e-9).long().clamp(min=1).minimum(counts)
        if not int(largest.max()):
            return largest
        values = []
        sizes = torch.arange(1, int(largest.max()) + 1, device=ranks.device)
        for some in sizes.split(problem.copies):
            kept = ranks < some[:, None]
            alone = probability(problem, problem.deleted_outputs(kept, alone=True))
            values.append(alone - probability(problem, problem.deleted_outputs(~kept, alone=False)))
        value = torch.cat(values).masked_fill(sizes[:, None] > largest, -torch.inf)
        # The smallest of equal ones, which rounding may order in any way.
        best = value.amax(dim=0)
        enough = value >= best - rounding(problem) * best.abs().clamp(min=1)
        return torch.where(counts > 0, sizes[enough.long().argmax(dim=0)], 0)


def losses(problem: Problem) -> Tensor:
    """What each node's output loses if an edge [e] of its computation graph is deleted."""
    number, batch = numbers(problem), problem.graphs.edge_batch
    whole = problem.explained(problem.prepared.output[problem.nodes][None])[0]
    lost = whole.new_zeros(len(number))
    most = int(problem.graphs.e_ptr.diff().max())
    turns = torch.arange(most, device=batch.device).split(problem.copies) if most else ()
    for some in turns:
        # One edge of every computation graph at a time: they share nothing.
        kept = number != some[:, None]
        outputs = problem.explained(problem.deleted_outputs(kept, alone=False))
        now = (number >= some[0]) & (number <= some[-1])
        lost[now] = whole[batch[now]] - outputs[number[now] - some[0], batch[now]]
    return lost


def order(problem: Problem, scores: Tensor) -> Tensor:
    """The rank [e] of each edge in its computation graph by its score, from 0; ties by position."""
    batch = problem.graphs.edge_batch
    largest = scores.new_zeros(len(problem.graphs)).scatter_reduce(0, batch, scores.abs(), "amax")
    step = rounding(problem) * largest.masked_fill(largest == 0, 1)
    rounded = (scores / step[batch]).round()
    by_score = rounded.argsort(descending=True, stable=True)
    arranged = by_score[batch[by_score].argsort(stable=True)]
    ranks = torch.empty_like(arranged)
    ranks[arranged] = numbers(problem)
    return ranks


def numbers(problem: Problem) -> Tensor:
    """The positions of the edges [e] in their computation graphs, which come one by one."""
    graphs = problem.graphs
    number = torch.arange(len(graphs.edge_batch), device=graphs.edge_batch.device)
    return number - graphs.e_ptr[graphs.edge_batch]


def probability(problem: Problem, outputs: Tensor) -> Tensor:
    """Of outputs [B, R, C] the probability of each node's target, float64 [B, R]."""
    found = to_probabilities(outputs, problem.prepared.config)
    return found.gather(2, problem.targets.expand(len(found), -1)[..., None]).squeeze(2)


def rounding(problem: Problem) -> float:
    """What scores may differ by without a difference, relative to the largest."""
    return float(torch.finfo(problem.edge_mask.dtype).eps ** 0.6)


METHOD = EiGSearch
