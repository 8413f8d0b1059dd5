"""Finds methods and metrics: one module each in its package, and entry points of others.

A module whose name starts with ``_`` is none. Names are unique.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from explainers._names import did_you_mean


def discover(package: str, attribute: str) -> dict[str, EntryPoint]:
    """Names and places of what ``explainers.<package>`` and other distributions offer, sorted.

    Others offer theirs by entry points of the group ``gnn_explainer_bench.<package>``.

    Args:
        package: ``"methods"`` or ``"metrics"``.
        attribute: What a module of the package calls the thing it offers, such as ``"METHOD"``.

    Raises:
        ValueError: Two have the same name.
    """
    group = f"gnn_explainer_bench.{package}"
    home = f"explainers.{package}"
    path = importlib.import_module(home).__path__
    points = [
        EntryPoint(module.name, f"{home}.{module.name}:{attribute}", group)
        for module in pkgutil.iter_modules(path)
        if not module.name.startswith("_")
    ]
    found: dict[str, EntryPoint] = {}
    for point in sorted([*points, *entry_points(group=group)], key=lambda point: point.name):
        if point.name in found:
            raise ValueError(
                f"two {package} are called {point.name!r}: {found[point.name].value} and "
                f"{point.value}; rename one of them"
            )
        found[point.name] = point
    return found


def fetch(package: str, name: str, attribute: str) -> Any:
    """The thing called ``name``.

    Raises:
        ValueError: There is none, or it cannot be imported.
    """
    found = discover(package, attribute)
    if name not in found:
        raise ValueError(
            f"unknown {package[:-1]} {name!r}; available: {', '.join(found)}"
            f"{did_you_mean(name, found)}"
        )
    try:
        return found[name].load()
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"the {package[:-1]} {name!r} cannot be imported from {found[name].value!r}: {error}"
        ) from error
