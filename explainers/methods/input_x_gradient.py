"""Input x gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from explainers.engines.base import Attribution, Problem, ReferenceProblem
from explainers.methods._base import Method
from explainers.methods._gradients import times_input


@dataclass(kw_only=True)
class InputXGradient(Method):
    """The gradient times the input: the output's change if it were linear down to zero.

    Shrikumar et al., arXiv:1605.01713, computed by Captum. An edge's input is its mask, 1.
    """

    explains_forms: ClassVar[bool] = True
    engines: ClassVar[tuple[str, ...]] = ("analytic", "hoisted", "batched", "stock")
    citation: ClassVar[str] = "Shrikumar et al. 2016, arXiv:1605.01713"

    def attribute(self, problem: Problem) -> Attribution:
        """The products at the inputs."""
        return problem.path_gradients((1.0,), (1.0,), times_input)

    def reference(self, problem: ReferenceProblem) -> Attribution:
        """Captum's attributions."""
        from captum.attr import InputXGradient as CaptumInputXGradient  # not before it is needed

        inputs = (problem.x[None].requires_grad_(), problem.edge_mask[None].requires_grad_())
        node_mask, edge_mask = CaptumInputXGradient(problem).attribute(inputs)
        return Attribution(node_mask[0].detach(), edge_mask[0].detach())


METHOD = InputXGradient
