"""What a metric says of itself: its function, what it needs, and the values that it gives."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from explainers.engines.memory import is_out_of_memory
from explainers.metrics._case import Case
from explainers.metrics._ranking import Bools, Floats

ROUNDING = 1e-4  # by which a number may lie outside of its bounds


@dataclass(frozen=True, kw_only=True)
class Value:
    """One value that a metric gives, as tables, figures and comparisons treat it.

    Attributes:
        title: Its name in headings and on axes.
        direction: ``"up"`` if higher is better, ``"down"`` if lower is, empty if neither is.
        description: One sentence: what it says, its range and its direction.
        bounds: The least and the largest value; infinite where there is none.
        unit: In words, such as ``"output"`` for the units of the model's output; empty for a
            number without a unit.
        source: Authors and number of the paper, such as ``"Yuan et al., arXiv:2012.15445"``; empty
            where there is none.
        compared: Whether methods are compared by it; not if it is the same for all of them.
        regression: Its name in headings where the model's outputs are real numbers: the value is
            then a change of the explained output, in units of that output's standard deviation
            over the explained nodes, and without bounds. Empty if it means the same there.
        selection: How edges are selected where tables and figures show one value: ``"signed"`` by
            falling score, ``"absolute"`` by falling absolute score; empty for a value that depends
            on no order of the edges, of which there is one row only.
    """

    title: str
    direction: Literal["up", "down", ""]
    description: str
    bounds: tuple[float, float] = (-math.inf, math.inf)
    unit: str = ""
    source: str = ""
    compared: bool = True
    regression: str = ""
    selection: Literal["signed", "absolute", ""] = ""

    def __post_init__(self) -> None:
        if self.direction not in ("up", "down", ""):
            raise ValueError(f"direction must be 'up', 'down' or '', got {self.direction!r}")
        if self.selection not in ("signed", "absolute", ""):
            raise ValueError(
                f"selection must be 'signed', 'absolute' or '', got {self.selection!r}"
            )
        if not self.bounds[0] < self.bounds[1]:
            raise ValueError(f"bounds must be a lower and a larger number, got {self.bounds}")

    def checked(self, name: str, number: float) -> float:
        """A number of this value; nan says that there is none.

        Raises:
            ValueError: It lies outside of the bounds by more than rounding.
        """
        low, high = (-math.inf, math.inf) if self.regression else self.bounds
        if number < low - ROUNDING or number > high + ROUNDING:
            raise ValueError(
                f"the value {name!r} must be in [{low:g}, {high:g}], as its METRIC declares, got "
                f"{number:g}; correct the function or the bounds"
            )
        return float(number)

    def describe(self) -> dict[str, Any]:
        """The attributes as JSON can hold them: an infinite bound is None."""
        bounds = [bound if math.isfinite(bound) else None for bound in self.bounds]
        return dataclasses.asdict(self) | {"bounds": bounds}


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric: the ``METRIC`` of its module.

    Attributes:
        function: Gives of a case the values by name, each a number, or an array [K] with one number
            for each edge budget. A value that a case does not have is left out.
        needs: ``"predictions"`` if the function looks at them (it is then called under each
            semantics), else ``"scores"``.
        values: What it gives, by name. No two metrics share a name.
        draw: Gives the edges to be kept, bool [M, e], of which the function finds the model's
            answers in the case; None for a metric that needs no more predictions than those at the
            edge budgets. Such metrics are costly, and evaluated only if they are named.
        perturbs: What ``draw`` is about: ``"edges"``, or ``"features"``: then it gives the nodes
            whose features stay, bool [M, n], all others have those of random nodes, and no edge is
            taken away. Such a metric is evaluated under ``mask`` only, since both semantics agree.
    """

    function: Callable[[Case], Mapping[str, float | Floats]]
    needs: Literal["predictions", "scores"]
    values: Mapping[str, Value]
    draw: Callable[[Case, np.random.Generator], Bools] | None = None
    perturbs: Literal["edges", "features"] = "edges"

    def __post_init__(self) -> None:
        if self.needs not in ("predictions", "scores"):
            raise ValueError(f"needs must be 'predictions' or 'scores', got {self.needs!r}")
        if self.draw is not None and self.needs != "predictions":
            raise ValueError("a metric with draw must need predictions")
        if self.perturbs not in ("edges", "features"):
            raise ValueError(f"perturbs must be 'edges' or 'features', got {self.perturbs!r}")
        if not self.values:
            raise ValueError("a metric must declare the values that it gives")

    def of(self, name: str, case: Case) -> dict[str, Any]:
        """What the function gives of a case.

        Raises:
            ValueError: It raises, or gives no mapping; the message has the metric's name.
        """
        try:
            return dict(self.function(case))
        except Exception as error:
            if is_out_of_memory(error):  # has a status of its own
                raise
            raise ValueError(f"the metric {name!r}: {type(error).__name__}: {error}") from error

    def require(self, name: str, given: Mapping[str, Any], budgets: int) -> None:
        """Raises ValueError for values that are not declared, or neither numbers nor [K]."""
        for value, numbers in given.items():
            if value not in self.values:
                raise ValueError(
                    f"the metric {name!r} gives {value!r}, which is not among the values that its "
                    f"METRIC declares: {', '.join(self.values)}"
                )
            array = np.asarray(numbers)
            if array.dtype.kind not in "fiub" or array.shape not in ((), (budgets,)):
                raise ValueError(
                    f"the metric {name!r} gives {value!r} as {array.dtype} {list(array.shape)}; "
                    f"must be a number, or [{budgets}] with one for each edge budget"
                )
