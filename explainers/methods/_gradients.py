"""Scores of gradients, as engines call for them; see :data:`explainers.engines.base.Finish`."""

from __future__ import annotations

import torch
from torch import Tensor


def times_input(gradient: Tensor, x: Tensor, out: Tensor) -> None:
    """The gradient times the input."""
    torch.mul(gradient, x, out=out)


def absolute(gradient: Tensor, x: Tensor, out: Tensor) -> None:
    """The size of the gradient."""
    torch.abs(gradient, out=out)
