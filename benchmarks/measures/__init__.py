"""Measures that need more than one explanation: agreement, axioms, cost, equivalent networks.

A module has the functions of its measures, and ``VALUES``: what their values mean, by the names
that cells have them under.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

# The edge budget of the report's tables; what is costly is measured at this one only. It is a
# share: many a computation graph has no more than ten edges, say, and then methods tie.
HEADLINE = "f=20%"


def describe() -> list[dict[str, Any]]:
    """All values of these modules, as plain data, as :func:`explainers.metrics.describe` has them.

    Raises:
        ValueError: Two modules have a value of the same name.
    """
    found: dict[str, dict[str, Any]] = {}
    for module in pkgutil.iter_modules(__path__):
        values = getattr(importlib.import_module(f"{__name__}.{module.name}"), "VALUES", {})
        for name, value in values.items():
            if name in found:
                raise ValueError(
                    f"the measures {found[name]['metric']!r} and {module.name!r} both give {name!r}"
                )
            found[name] = {"name": name, "metric": module.name, **value.describe()}
    return list(found.values())
