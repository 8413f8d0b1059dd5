"""The metrics that there are: of this package's modules, and of other packages."""

from __future__ import annotations

from typing import Any

from explainers._discovery import discover, fetch
from explainers.metrics._base import Metric


def available() -> list[str]:
    """The names of all metrics, sorted."""
    return list(discover("metrics", "METRIC"))


def load(name: str) -> Metric:
    """The metric called ``name``.

    Raises:
        ValueError: There is none, it cannot be imported, or its ``METRIC`` is no :class:`Metric`.
    """
    metric = fetch("metrics", name, "METRIC")
    if not isinstance(metric, Metric):
        raise ValueError(
            f"the metric {name!r} must be an explainers.metrics.Metric, got {metric!r}"
        )
    return metric


def describe() -> list[dict[str, Any]]:
    """All values that the metrics give, as plain data: ``name``, ``metric``, and its attributes.

    Raises:
        ValueError: Two metrics give a value of the same name, or one cannot be loaded.
    """
    found: dict[str, dict[str, Any]] = {}
    for metric in available():
        for name, value in load(metric).values.items():
            if name in found:
                raise ValueError(
                    f"the metrics {found[name]['metric']!r} and {metric!r} both give {name!r}; "
                    "rename one of them"
                )
            found[name] = {"name": name, "metric": metric, **value.describe()}
    return list(found.values())
