"""Losses of a model's outputs and their gradients, at many inputs one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from explainers.engines.base import Problem

Losses = Callable[[Tensor], Tensor]  # [R] of outputs [R, C]


class Objective:
    """Losses [R] of R nodes' outputs, and the gradients of their sum by features and edge mask.

    Args:
        problem: Whose outputs.
        losses: Of outputs [R, C].
    """

    def __init__(self, problem: Problem, losses: Losses) -> None:
        self.problem, self.losses = problem, losses

    def __call__(self, x: Tensor, edge_mask: Tensor) -> tuple[Tensor, ...]:
        """At features [n, F] and a mask [e]: losses [R], and of the gradients those that are asked.

        [n, F] by the features and [e] by the mask, as far as they are attributed.
        """
        return self.differentiated(*self.leaves(x, edge_mask))

    def inputs(self, x: Tensor, edge_mask: Tensor) -> list[Tensor]:
        """Of the inputs those that are attributed."""
        on = (self.problem.with_features, self.problem.with_edges)
        return [one for one, wanted in zip((x, edge_mask), on, strict=True) if wanted]

    def leaves(self, x: Tensor, edge_mask: Tensor) -> list[Tensor]:
        """The same, to be differentiated by; whoever calls may write to what was given."""
        return [one.detach().clone().requires_grad_() for one in self.inputs(x, edge_mask)]

    def differentiated(self, *leaves: Tensor) -> tuple[Tensor, ...]:
        """What a call returns, by the model itself."""
        problem, left = self.problem, iter(leaves)
        x = next(left) if problem.with_features else problem.x
        edge_mask = next(left) if problem.with_edges else problem.edge_mask
        with torch.enable_grad():
            losses = self.losses(problem.predict(x[None], edge_mask[None]).squeeze(0))
            slopes = torch.autograd.grad(losses.sum(), leaves, materialize_grads=True)
        return losses.detach(), *slopes
