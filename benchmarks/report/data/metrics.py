"""What a run's manifest says of the metrics: the direction, the bounds, the source of each value.

A value that the manifest does not describe is shown all the same, without a best method.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Metric:
    """How a value is shown.

    Attributes:
        title: Its name in headings and on axes.
        direction: ``up`` if higher is better, ``down`` if lower is, empty if neither is known.
        text: One sentence: what it says, its range and direction.
        source: The paper it is taken from; empty for a metric of this benchmark's own.
        bounded: Whether its values lie in [-1, 1], and are printed with three decimals.
        compared: Whether methods, and runs, are compared by it.
        regression: Its title where the model's outputs are real numbers, if it then is a change of
            the output over its standard deviation; else empty.
        selection: By which scores the edges of its headline are selected: ``signed``, ``absolute``,
            or empty where no order matters, or where an older run does not say.
        limits: The lowest and highest value, None where there is no limit.
    """

    title: str
    direction: str = ""
    text: str = ""
    source: str = ""
    bounded: bool = False
    compared: bool = True
    regression: str = ""
    selection: str = ""
    limits: tuple[float | None, float | None] = (None, None)

    @property
    def heading(self) -> str:
        """The title with an arrow that points to the better values."""
        return self.title + {"up": " ↑", "down": " ↓"}.get(self.direction, "")

    @property
    def url(self) -> str:
        """Where the source is, if it is on arXiv."""
        number = re.search(r"arXiv:(\d{4}\.\d{4,5})", self.source)
        return f"https://arxiv.org/abs/{number[1]}" if number else ""


class Metrics(dict[str, Metric]):
    """The values that are described, by name; any other has its name for title."""

    def __missing__(self, name: str) -> Metric:
        return Metric(name)

    def of_regression(self) -> Metrics:
        """The same as they are named where the model's outputs are real numbers."""
        return Metrics(
            (
                name,
                replace(one, title=one.regression, limits=(None, None)) if one.regression else one,
            )
            for name, one in self.items()
        )


def described(manifest: Mapping[str, Any]) -> Metrics:
    """The metrics that a manifest describes, in its order; none, if the run is from before that."""
    return Metrics(
        (
            str(entry.get("name")),
            Metric(
                title=str(entry.get("title") or entry.get("name")),
                direction=str(entry.get("direction") or ""),
                text=str(entry.get("description") or ""),
                source=str(entry.get("source") or ""),
                bounded=_bounded(entry.get("bounds")),
                compared=bool(entry.get("compared", True)),
                regression=str(entry.get("regression") or ""),
                selection=str(entry.get("selection") or ""),
                limits=_limits(entry.get("bounds")),
            ),
        )
        for entry in manifest.get("metrics") or ()
    )


def _bounded(bounds: Any) -> bool:
    """Whether both bounds are numbers in [-1, 1]."""
    return bool(bounds) and all(isinstance(at, (int, float)) and abs(at) <= 1 for at in bounds)


def _limits(bounds: Any) -> tuple[float | None, float | None]:
    """The bounds that are numbers."""
    if not isinstance(bounds, (list, tuple)) or len(bounds) != 2:
        return None, None
    low, high = (float(at) if isinstance(at, (int, float)) else None for at in bounds)
    return low, high
