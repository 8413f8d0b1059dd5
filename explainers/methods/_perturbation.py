"""A node's explanation as a game: its computation graph's nodes and edges are the players."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from explainers.engines.analytic.gradients import AnalyticProblem
from explainers.engines.base import Attribution, Problem
from explainers.methods._base import Method

PLAYER_BYTES = 64  # what the masks hold for each player of a coalition, roughly


class Players:
    """The output of a problem of one computation graph, as a function of who takes part.

    A node that is out has features of zero, all of them; it still sends its messages. An edge that
    is out sends none, in all layers; degrees stay. Nodes come first, then edges. Coalitions are
    chosen on the CPU, whatever the device of the model, so that the random numbers are the same on
    any.

    Attributes:
        everyone: [1, n + e], ones.
        at_once: How many coalitions one pass may take.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._counts = [problem.graphs.node_counts[0], problem.graphs.edge_counts[0]]
        self.everyone = torch.ones(1, sum(self._counts), dtype=problem.x.dtype)
        within_budget = problem.memory_budget // (PLAYER_BYTES * self.everyone.numel())
        self.at_once = max(1, min(problem.copies, within_budget))

    def __call__(self, taking_part: Tensor) -> Tensor:
        """The output of the target, [B], for ``taking_part`` [B, n + e]."""
        nodes, edges = taking_part.to(self.problem.x).split(self._counts, dim=1)
        return self.problem.mask(edges, nodes)[:, 0, self.problem.targets[0]].cpu()

    def play(self, coalitions: Tensor) -> Tensor:
        """The outputs [S] of ``coalitions`` [S, n + e], as many at once as one pass may take."""
        return torch.cat([self(some) for some in coalitions.split(self.at_once)])

    def leave_one_out(self) -> Tensor:
        """What the output loses without each player, [n + e]."""
        number = torch.arange(self.everyone.numel())
        left = [self(number != some[:, None]) for some in number.split(self.at_once)]
        return self(self.everyone) - torch.cat(left)

    def gains(self, orders: Tensor) -> Tensor:
        """What each player adds as it joins, [n + e]: the mean over ``orders`` [T, n + e]."""
        if isinstance(self.problem, AnalyticProblem):
            outputs = self.problem.insertion_outputs(orders.to(self.problem.nodes.device)).cpu()
        else:
            join, before = orders.argsort(dim=1), self(self.everyone * 0).expand(len(orders), 1)
            moments = torch.cartesian_prod(*map(torch.arange, orders.shape))
            after = [
                self(join[order] <= moment[:, None])
                for order, moment in (some.unbind(1) for some in moments.split(self.at_once))
            ]
            outputs = torch.cat([before, torch.cat(after).view(orders.shape)], dim=1)
        gains = torch.zeros_like(self.everyone[0])
        gains.index_add_(0, orders.flatten(), outputs.diff(dim=1).flatten())
        return gains / len(orders)

    def attribution(self, scores: Tensor) -> Attribution:
        """For ``scores`` [n + e]."""
        return shared(self.problem, *scores.to(self.problem.x).split(self._counts))

    def complete(self, values: Tensor) -> Attribution:
        """:meth:`attribution` with ``convergence_delta``: the scores' sum minus F(x) - F(0)."""
        attribution = self.attribution(values)
        missing = self.problem.total(attribution) - self.problem.change()
        attribution.extra["convergence_delta"] = missing
        return attribution


def shared(problem: Problem, nodes: Tensor, edges: Tensor) -> Attribution:
    """For scores [n] and [e]; a node's is shared equally by its features that are not zero.

    Others have nothing to lose. So sums over features are the nodes' scores; that of a node without
    any feature is left out.
    """
    used = problem.x[problem.node_rows] != 0
    node_mask, edge_mask = torch.zeros_like(problem.x), torch.zeros_like(problem.edge_mask)
    node_mask[problem.node_rows] = used * (nodes / used.sum(dim=1).clamp(min=1))[:, None]
    edge_mask[problem.edge_rows] = edges
    return Attribution(node_mask, edge_mask)


@dataclass(kw_only=True)
class PerturbationMethod(Method):
    """A method that scores :class:`Players` by the outputs of coalitions, one node at a time."""

    engines: ClassVar[tuple[str, ...]] = ("analytic", "batched", "stock")
    granularity: ClassVar[tuple[str, ...]] = ("edges", "nodes")
    costly: ClassVar[bool] = True

    def share(self) -> tuple[int, int | None]:
        """One node at a time."""
        return 1, 1
