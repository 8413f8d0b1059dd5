"""Occlusion: leave one out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from captum.attr import FeatureAblation

from explainers.engines.analytic.gradients import AnalyticProblem
from explainers.engines.base import Attribution, Problem
from explainers.engines.stock import StockProblem
from explainers.methods._perturbation import PerturbationMethod, Players, shared


@dataclass(kw_only=True)
class Occlusion(PerturbationMethod):
    """What the output loses if one edge's messages, or all features of one node, are set to zero.

    Zeiler and Fergus, arXiv:1311.2901, section 4.2, as Captum's FeatureAblation: the score is
    F(x) - F(x without it), of the output as the model returns it. A node's score is shared equally
    by its features that are not zero.
    """

    citation: ClassVar[str] = "Zeiler and Fergus 2014, arXiv:1311.2901"

    def attribute(self, problem: Problem) -> Attribution:
        """The losses."""
        if isinstance(problem, AnalyticProblem):
            return shared(problem, *problem.leave_one_out())
        players = Players(problem)
        if isinstance(problem, StockProblem):
            (leave_one_out,) = FeatureAblation(players).attribute(players.everyone)
            return players.attribution(leave_one_out)
        return players.attribution(players.leave_one_out())

    def share(self) -> tuple[int, int | None]:
        """One node at a time, but in closed form."""
        return 1, None if self.engine == "analytic" else 1


METHOD = Occlusion
