"""Colours, dashes and markers: the same for a method and an engine in all figures of a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import seaborn as sns
from matplotlib.lines import Line2D

GREY = "0.35"
_COLOURS = sns.color_palette("colorblind")
_COLOURS[8] = (0.0, 0.0, 0.0)  # its yellow is hardly seen on white
_DASHES: Sequence[Any] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
_MARKERS = "osD^vPXph*"


@dataclass(frozen=True)
class Palette:
    """Which colour, dash and marker stand for which method and engine.

    Attributes:
        methods: All methods; neighbours differ in their dashes, too. The eleventh has the first
            one's colour, and so on, but other dashes and hollow markers, the twenty-first half
            filled ones.
        engines: All engines.
    """

    methods: Sequence[str]
    engines: Sequence[str]

    def _place(self, method: str) -> int:
        """A method's place; several that are the same, ``a = b``, have the first one's."""
        return self.methods.index(method.partition(" = ")[0])

    def colour(self, method: str) -> tuple[float, float, float]:
        """A method's colour."""
        return _COLOURS[self._place(method) % len(_COLOURS)]

    def dash(self, method: str) -> Any:
        """A method's line style."""
        return _DASHES[self._place(method) % len(_DASHES)]

    def marks(self, method: str) -> dict[str, Any]:
        """How a method's markers are filled and framed, whatever their shape."""
        colour = self.colour(method)
        turn = self._place(method) // len(_COLOURS) % 3
        hollow = turn == 1
        return {
            "fillstyle": "left" if turn == 2 else "full",
            "markerfacecoloralt": "white",
            "color": colour,
            "markerfacecolor": "white" if hollow else colour,
            "markeredgecolor": colour if hollow else "black",
            "markeredgewidth": 2.0 if hollow else 1.0,
        }

    def marker(self, engine: str) -> str:
        """An engine's marker."""
        return _MARKERS[self.engines.index(engine) % len(_MARKERS)]

    def method_handles(self, shown: Iterable[str]) -> list[Line2D]:
        """The legend's lines for the methods."""
        return [
            handle(name, marker="o", linestyle=self.dash(name), **self.marks(name))
            for name in self.ordered(shown)
        ]

    def ordered(self, shown: Iterable[str]) -> list[str]:
        """The methods in the report's order, each once."""
        return sorted(set(shown), key=self._place)

    def engine_handles(self, shown: Iterable[str]) -> list[Line2D]:
        """The legend's markers for the engines."""
        shown = set(shown)
        return [
            handle(f"engine {name}", marker=self.marker(name), color=GREY, linestyle="none")
            for name in self.engines
            if name in shown
        ]


def handle(label: str, **style: Any) -> Line2D:
    """A legend's entry."""
    return Line2D([], [], label=label, **style)
