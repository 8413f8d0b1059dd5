"""Gradients that follow another rule at ReLU, however a model calls it.

Captum's hooks find ``nn.ReLU`` modules only. Here every call is found: of such a module, of
``F.relu``, ``torch.relu``, ``Tensor.relu`` and of those in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from explainers.engines.base import Attribution, Problem

RELU = {F.relu, torch.relu, Tensor.relu}
IN_PLACE = {torch.relu_, Tensor.relu_}


def relu_gradients(problem: Problem, *, through_dead: bool) -> Attribution:
    """The gradient, of which only what is above 0 goes back through a ReLU.

    Args:
        problem: What is explained.
        through_dead: Whether it also goes through units that are 0, which have no gradient.
    """
    with _ReluRule(through_dead):
        node_mask, edge_mask = problem.gradients(
            problem.x[None], problem.edge_mask[None], full=True
        )
    return Attribution(node_mask[0], edge_mask[0])


class _ReluRule(TorchFunctionMode):
    """Puts :class:`_Relu` in the place of ReLU."""

    def __init__(self, through_dead: bool) -> None:
        super().__init__()
        self.through_dead = through_dead

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in RELU or func in IN_PLACE:
            return self._relu(func in IN_PLACE, *args, **kwargs)
        return func(*args, **kwargs)

    def _relu(self, always_in_place: bool, input: Tensor, inplace: bool = False) -> Tensor:  # noqa: A002
        result = _Relu.apply(input, self.through_dead)
        return input.copy_(result) if inplace or always_in_place else result


class _Relu(torch.autograd.Function):
    """ReLU with the rule on the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, through_dead: bool) -> Tensor:
        ctx.passes = None if through_dead else x > 0
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        above = gradients[0].clamp(min=0)
        return above if ctx.passes is None else above * ctx.passes, None
