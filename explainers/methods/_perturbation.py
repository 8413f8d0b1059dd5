"""What methods share that change their inputs: nodes and edges as players of a game."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from explainers.engines.base import Attribution, Engine, Problem
from explainers.methods._base import Method


class Players:
    """The output of a problem of one node, as a function of who takes part.

    See :meth:`explainers.engines.base.Problem.coalition_outputs`. Coalitions are chosen on the CPU,
    whatever the device of the model, so that the random numbers are the same on any.

    Attributes:
        everyone: [1, n + e], ones.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._counts = problem.player_counts
        self.everyone = torch.ones(1, sum(self._counts), dtype=problem.edge_mask.dtype)

    def __call__(self, coalitions: Tensor) -> Tensor:
        """The outputs [S] of ``coalitions`` [S, n + e]."""
        return self.problem.coalition_outputs(coalitions.to(self.problem.edge_mask)).cpu()

    def marginal_contributions(self, orders: Tensor) -> Tensor:
        """What each player adds as it joins, [n + e]: the mean over ``orders`` [T, n + e]."""
        outputs = self.problem.insertion_outputs(orders.to(self.problem.edge_mask.device)).cpu()
        added = torch.zeros_like(self.everyone[0])
        added.index_add_(0, orders.flatten(), outputs.diff(dim=1).flatten())
        return added / len(orders)

    def attribution(self, scores: Tensor) -> Attribution:
        """For ``scores`` [n + e]."""
        problem = self.problem
        nodes, edges = scores.to(problem.edge_mask).split(self._counts)
        if not problem.with_features:
            nodes = edges.new_zeros(problem.graphs.node_counts[0])
        if not problem.with_edges:
            edges = nodes.new_zeros(problem.graphs.edge_counts[0])
        return shared(problem, nodes, edges)

    def complete(self, values: Tensor) -> Attribution:
        """:meth:`attribution` with ``convergence_delta``: the scores' sum minus F(x) - F(0)."""
        return self.problem.completed(self.attribution(values))


def shared(problem: Problem, nodes: Tensor, edges: Tensor) -> Attribution:
    """For scores [n] and [e]; a node's is shared equally by its features that are not zero.

    Others have nothing to lose. So sums over features are the nodes' scores; that of a node without
    any feature is left out.
    """
    used = problem.x[problem.node_rows] != 0
    node_mask = torch.zeros_like(problem.x, dtype=problem.edge_mask.dtype)
    edge_mask = torch.zeros_like(problem.edge_mask)
    node_mask[problem.node_rows] = used * (nodes / used.sum(dim=1).clamp(min=1))[:, None]
    edge_mask[problem.edge_rows] = edges
    return Attribution(node_mask, edge_mask)


@dataclass(kw_only=True)
class PerturbationMethod(Method):
    """A method that scores :class:`Players` by the outputs of coalitions, one node at a time."""

    explains_forms: ClassVar[bool] = True
    engines: ClassVar[tuple[str, ...]] = ("analytic", "hoisted", "batched", "stock")
    granularity: ClassVar[tuple[str, ...]] = ("edges", "nodes")
    costly: ClassVar[bool] = True
    needs_gradients: ClassVar[bool] = False
    adds_up: ClassVar[bool] = False  # to F(x) - F(0), so that explanations say what is missing

    def scores(self, problem: Problem) -> Attribution:
        """Without players, such as of a node without edges if only these are scored, nothing."""
        if len(problem.nodes) > 1 or any(problem.player_counts):
            return super().scores(problem)
        players = Players(problem)
        nothing = players.everyone[0]
        return players.complete(nothing) if self.adds_up else players.attribution(nothing)

    def share(self, engine: Engine) -> tuple[int, int | None]:
        """One node at a time."""
        return 1, 1
