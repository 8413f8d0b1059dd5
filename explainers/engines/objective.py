"""Losses of a model's outputs and their gradients, at many inputs one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from explainers.engines.tape import NotRecorded, Tape

if TYPE_CHECKING:
    from explainers.engines.base import Problem

Losses = Callable[[Tensor], Tensor]  # [R] of outputs [R, C]

LEAST_CALLS = 8  # a tape takes as long to be made as this many calls
DEVICES = ("cpu", "cuda")  # others need not have what a tape asks of tensors


class Objective:
    """Losses [R] of R nodes' outputs, and the gradients of their sum by features and edge mask.

    Called at inputs [n, F] and [e], as often as ``calls`` says. The second call tells whether a
    :class:`~explainers.engines.tape.Tape` of the first one, model and gradients, gives what the
    model gives, at inputs at which it was not made; if so, the others are played back.

    Args:
        problem: Whose outputs.
        losses: Of outputs [R, C].
        calls: How often it will be called; 1 for no tape.
    """

    def __init__(self, problem: Problem, losses: Losses, calls: int = 1) -> None:
        self.problem, self.losses = problem, losses
        self._tape: Tape | None = None
        self._checked = False
        self._may_record = calls >= LEAST_CALLS and problem.x.device.type in DEVICES

    def __call__(self, x: Tensor, edge_mask: Tensor) -> tuple[Tensor, ...]:
        """The losses [R], and of the gradients [n, F] and [e] those by what is attributed."""
        if self._tape is not None and self._checked:
            return self._tape(*self._inputs(x, edge_mask))
        if self._may_record:
            self._may_record = False
            try:
                self._tape = Tape(self._differentiated, self._leaves(x, edge_mask))
            except NotRecorded:
                pass
            else:
                return self._tape.results
        found = self._differentiated(*self._leaves(x, edge_mask))
        if self._tape is not None:
            again = self._tape(*self._inputs(x, edge_mask))
            self._checked = all(map(_same, again, found))
            self._tape = self._tape if self._checked else None
        return found

    def _inputs(self, x: Tensor, edge_mask: Tensor) -> list[Tensor]:
        on = (self.problem.with_features, self.problem.with_edges)
        return [one for one, wanted in zip((x, edge_mask), on, strict=True) if wanted]

    def _leaves(self, x: Tensor, edge_mask: Tensor) -> list[Tensor]:
        # Of their own: whoever calls may write to what was given.
        return [one.detach().clone().requires_grad_() for one in self._inputs(x, edge_mask)]

    def _differentiated(self, *leaves: Tensor) -> tuple[Tensor, ...]:
        problem, left = self.problem, iter(leaves)
        x = next(left) if problem.with_features else problem.x
        edge_mask = next(left) if problem.with_edges else problem.edge_mask
        with torch.enable_grad():
            losses = self.losses(problem.predict(x[None], edge_mask[None])[0])
            slopes = torch.autograd.grad(losses.sum(), leaves, materialize_grads=True)
        return losses.detach(), *slopes


def _same(one: Tensor, other: Tensor) -> bool:
    """The same operations in the same order: equal but for sums whose order is not fixed."""
    tolerance = 100 * torch.finfo(other.dtype).eps
    size = float(other.abs().max()) if other.numel() else 0.0
    return one.shape == other.shape and bool(((one - other).abs() <= tolerance * size).all())
