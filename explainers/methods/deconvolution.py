"""Deconvolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from explainers.engines.base import Attribution, Problem
from explainers.methods._base import Method
from explainers.methods._relu import relu_gradients


@dataclass(kw_only=True)
class Deconvolution(Method):
    """The gradient with ReLU on the way back in place of ReLU's own slope.

    Zeiler and Fergus, arXiv:1311.2901, section 2.1: at a ReLU the gradient goes back where it is
    above 0, whether the unit is or not. As Captum's Deconvolution, for every way to call ReLU.
    Other activations, LeakyReLU and ELU (GAT) too, keep their gradients: a model without a ReLU
    gets the plain gradient.
    """

    explains_forms: ClassVar[bool] = True
    citation: ClassVar[str] = "Zeiler and Fergus 2014, arXiv:1311.2901"

    def attribute(self, problem: Problem) -> Attribution:
        """The gradients by the rule."""
        return relu_gradients(problem, through_dead=True)


METHOD = Deconvolution
