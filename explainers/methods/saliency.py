"""Saliency: the gradient's size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from captum.attr import Saliency as CaptumSaliency

from explainers.engines.analytic.gradients import AnalyticProblem
from explainers.engines.base import Attribution, Problem
from explainers.methods._base import Method


@dataclass(kw_only=True)
class Saliency(Method):
    """The absolute gradient of the output: how much a small change of an input would move it.

    Simonyan, Vedaldi and Zisserman, arXiv:1312.6034, section 3, computed by Captum.
    """

    signed: ClassVar[bool] = False
    engines: ClassVar[tuple[str, ...]] = ("analytic", "batched", "stock")
    citation: ClassVar[str] = "Simonyan et al. 2013, arXiv:1312.6034"

    def attribute(self, problem: Problem) -> Attribution:
        """Captum's attributions."""
        if isinstance(problem, AnalyticProblem):
            sums = problem.path_gradients()
            features = problem.feature_scores(
                sums, lambda gradient, _, out: torch.abs(gradient, out=out)
            )
            return Attribution(features, problem.edge_scores(sums).abs_())
        inputs = (problem.x[None].requires_grad_(), problem.edge_mask[None].requires_grad_())
        node_mask, edge_mask = CaptumSaliency(problem).attribute(inputs)
        return Attribution(node_mask[0].detach(), edge_mask[0].detach())


METHOD = Saliency
