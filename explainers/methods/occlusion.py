"""Occlusion: leave one out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from explainers.engines.base import Attribution, Engine, Problem, ReferenceProblem
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
        """What is lost without each."""
        return shared(problem, *problem.leave_one_out())

    def reference(self, problem: ReferenceProblem) -> Attribution:
        """Captum's attributions."""
        from captum.attr import FeatureAblation  # not before it is needed

        players = Players(problem)
        (lost,) = FeatureAblation(players).attribute(players.everyone)
        return players.attribution(lost)

    def share(self, engine: Engine) -> tuple[int, int | None]:
        """One node at a time, but in closed form."""
        return 1, None if engine.closed_form else 1


METHOD = Occlusion
