"""Guided backpropagation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from explainers.engines.base import Attribution, Problem
from explainers.methods._base import Method
from explainers.methods._relu import relu_gradients


@dataclass(kw_only=True)
class GuidedBackprop(Method):
    """The gradient without its negative parts at every ReLU: what would raise the output.

    Springenberg et al., arXiv:1412.6806, section 3.4: at a ReLU the gradient goes back where both
    it and the unit are above 0. As Captum's GuidedBackprop, for every way to call ReLU. Other
    activations, LeakyReLU and ELU (GAT) too, keep their gradients: a model without a ReLU gets the
    plain gradient.
    """

    explains_forms: ClassVar[bool] = True
    citation: ClassVar[str] = "Springenberg et al. 2014, arXiv:1412.6806"

    def attribute(self, problem: Problem) -> Attribution:
        """The gradients by the rule."""
        return relu_gradients(problem, through_dead=False)


METHOD = GuidedBackprop
