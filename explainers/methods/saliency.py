"""Saliency: the gradient's size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from explainers.engines.base import Attribution, Problem, ReferenceProblem
from explainers.methods._base import Method
from explainers.methods._gradients import absolute


@dataclass(kw_only=True)
class Saliency(Method):
    """The absolute gradient of the output: how much a small change of an input would move it.

    Simonyan, Vedaldi and Zisserman, arXiv:1312.6034, section 3, computed by Captum.
    """

    signed: ClassVar[bool] = False
    explains_forms: ClassVar[bool] = True
    engines: ClassVar[tuple[str, ...]] = ("analytic", "hoisted", "batched", "stock")
    citation: ClassVar[str] = "Simonyan et al. 2013, arXiv:1312.6034"

    def attribute(self, problem: Problem) -> Attribution:
        """The sizes of the gradients at the inputs."""
        return problem.path_gradients((1.0,), (1.0,), absolute)

    def reference(self, problem: ReferenceProblem) -> Attribution:
        """Captum's attributions."""
        from captum.attr import Saliency as CaptumSaliency  # not before it is needed

        inputs = (problem.x[None].requires_grad_(), problem.edge_mask[None].requires_grad_())
        node_mask, edge_mask = CaptumSaliency(problem).attribute(inputs)
        return Attribution(node_mask[0].detach(), edge_mask[0].detach())


METHOD = Saliency
