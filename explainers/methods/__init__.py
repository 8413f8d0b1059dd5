"""Methods, one a module: what is asked of the model, whatever engine computes it."""

from __future__ import annotations

import dataclasses
from typing import Any

from explainers._discovery import fetch
from explainers._names import did_you_mean
from explainers.methods._base import Method
from explainers.methods._trained import TrainedMethod

__all__ = ["Method", "TrainedMethod", "load"]


def load(name: str, **options: Any) -> Method:
    """The method ``name``, ready to explain.

    Args:
        name: One of :func:`explainers.available`.
        **options: ``engine`` (``"stock"``, ``"batched"``, ...; default: the fastest that supports
            the model), ``memory_budget`` in bytes, and the method's own.

    Raises:
        ValueError: Unknown method or option, or a value that cannot be.
    """
    kind = fetch("methods", name, "METHOD")
    if not (isinstance(kind, type) and issubclass(kind, Method)):
        raise ValueError(f"the method {name!r} must be a subclass of explainers.methods.Method")
    known = [field.name for field in dataclasses.fields(kind) if field.init]
    for option in options:
        if option not in known:
            raise ValueError(
                f"{name} has no option {option!r}; it has: {', '.join(known)}"
                f"{did_you_mean(option, known)}"
            )
    method = kind(**options)
    method.name = name
    return method
