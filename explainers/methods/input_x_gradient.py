"""Input x gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from captum.attr import InputXGradient as CaptumInputXGradient

from explainers.engines.analytic.gradients import AnalyticProblem, times_input
from explainers.engines.base import Attribution, Problem
from explainers.methods._base import Method


@dataclass(kw_only=True)
class InputXGradient(Method):
    """The gradient times the input: the output's change if it were linear down to zero.

    Shrikumar et al., arXiv:1605.01713, computed by Captum. An edge's input is its mask, 1.
    """

    engines: ClassVar[tuple[str, ...]] = ("analytic", "batched", "stock")
    citation: ClassVar[str] = "Shrikumar et al. 2016, arXiv:1605.01713"

    def attribute(self, problem: Problem) -> Attribution:
        """Captum's attributions."""
        if isinstance(problem, AnalyticProblem):
            sums = problem.path_gradients()
            return Attribution(problem.feature_scores(sums, times_input), problem.edge_scores(sums))
        inputs = (problem.x[None].requires_grad_(), problem.edge_mask[None].requires_grad_())
        node_mask, edge_mask = CaptumInputXGradient(problem).attribute(inputs)
        return Attribution(node_mask[0].detach(), edge_mask[0].detach())


METHOD = InputXGradient
