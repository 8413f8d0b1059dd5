"""The same network with another output: what a task's model returns before its log-softmax."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from explainers.prepare.outputs import alike


class _WithoutLogSoftmax(TorchFunctionMode):
    """Inside, a log-softmax gives what it is given."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if getattr(func, "__name__", "") == "log_softmax":
            return args[0]
        return func(*args, **(kwargs or {}))


def before_log_softmax(model: nn.Module, *inputs: Any, **keywords: Any) -> nn.Module | None:
    """A copy of a model that returns raw scores in place of their log-softmax.

    Args:
        model: Anything that ends in a log-softmax; it stays as it is.
        inputs: On which that is verified.
        keywords: More of them.

    Returns:
        The copy; None if the log-softmax of what it returns is not what the model returns, or if
        the model returns raw scores already.
    """
    original = type(model).forward

    @functools.wraps(original)  # with the signature, by which inputs are matched
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        with _WithoutLogSoftmax():
            return original(self, *args, **kwargs)

    raw = copy.deepcopy(model)
    raw.__class__ = type(f"Raw{type(model).__name__}", (type(model),), {"forward": forward})
    with torch.no_grad():
        expected, found = model(*inputs, **keywords), raw(*inputs, **keywords)
    if alike(found, expected) or not alike(found.log_softmax(-1), expected):
        return None
    return raw
