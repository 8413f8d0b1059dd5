"""Colours, dashes and markers: by a method's name, the same in all figures of all reports."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from benchmarks.report.data.frames import natural
from benchmarks.report.data.section import BASELINES

GREY = "0.35"
_COLOURS = sns.color_palette("colorblind")
# Its grey is the baselines', and its yellow is hardly seen on white.
_COLOURS[7], _COLOURS[8] = (0.0, 0.0, 0.0), (0.36, 0.16, 0.55)
_BASELINE_GREYS = dict(zip(BASELINES, (0.25, 0.45, 0.62), strict=True))
_DASHES: Sequence[Any] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
_MARKERS = "osD^vPXph*"
# How markers are filled, a turn of the colours each; the second one is hollow.
_FILLS = ("full", "full", "left", "bottom", "right", "top")
# Methods of published figures keep the place that they have there. Every other has one that comes
# from its name: a new method has nothing to add here.
_KNOWN = (
    *("integrated_gradients", "saliency", "gnn_explainer", "occlusion", "input_x_gradient"),
    *("guided_backprop", "deconvolution", "gradient_shap", "smooth_grad", "shapley_sampling"),
    *("kernel_shap", "lime", "pg_explainer", "graph_mask", "attention"),
    *("lrp", "deep_lift", "eig_search"),
    *("cf_explainer", "subgraphx", "pgm_explainer", "myerson", "zorro"),
    "gstarx",
)


@dataclass(frozen=True)
class Palette:
    """Which colour, dash and marker stand for which method and engine.

    Attributes:
        methods: All methods. The known ones, and the baselines, which are grey, look the same in
            every report; so do others, unless two names of one report claim the same place.
        engines: All engines.
    """

    methods: Sequence[str]
    engines: Sequence[str]

    @cached_property
    def _places(self) -> dict[str, int]:
        """The place of each method that is no baseline; places differ while there are any left."""
        found = {name: place for place, name in enumerate(_KNOWN)}
        slots = len(_FILLS) * len(_COLOURS)
        for name in sorted(set(self.methods) - set(found) - set(BASELINES), key=natural):
            place = zlib.crc32(name.encode()) % slots
            if len(found) < slots:
                while place in found.values():
                    place = (place + 1) % slots
            found[name] = place
        return found

    def _place(self, method: str) -> int:
        """A method's place; several that are the same, ``a = b``, have the first one's."""
        name = method.partition(" = ")[0]
        return 0 if name in BASELINES else self._places[name]

    def colour(self, method: str) -> tuple[float, float, float]:
        """A method's colour; baselines are grey."""
        grey = _BASELINE_GREYS.get(method.partition(" = ")[0])
        return (grey, grey, grey) if grey else _COLOURS[self._place(method) % len(_COLOURS)]

    def dash(self, method: str) -> Any:
        """A method's line style; baselines are dashed finely."""
        if method.partition(" = ")[0] in BASELINES:
            return _DASHES[2]
        return _DASHES[self._place(method) % len(_DASHES)]

    def shape(self, method: str) -> str:
        """A method's marker, where no engines are distinguished."""
        if method.partition(" = ")[0] in BASELINES:
            return "|"
        return _MARKERS[self._place(method) % len(_MARKERS)]

    def marks(self, method: str) -> dict[str, Any]:
        """How a method's markers are filled and framed, whatever their shape."""
        colour = self.colour(method)
        turn = self._place(method) // len(_COLOURS) % len(_FILLS)
        hollow = turn == 1
        return {
            "fillstyle": _FILLS[turn],
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
        """The methods in the order of all reports, each once: baselines are last."""

        def key(method: str) -> tuple[bool, int, tuple[object, ...]]:
            name = method.partition(" = ")[0]
            known = _KNOWN.index(name) if name in _KNOWN else len(_KNOWN)
            return name in BASELINES, known, natural(method)

        return sorted(set(shown), key=key)

    def engine_handles(self, shown: Iterable[str]) -> list[Line2D]:
        """The legend's markers for the engines."""
        shown = set(shown)
        return [
            handle(f"engine {name}", marker=self.marker(name), color=GREY, linestyle="none")
            for name in self.engines
            if name in shown
        ]


def readable(colour: Any) -> tuple[float, ...]:
    """The colour, darkened until words in it can be read on white: a contrast of 4.5 (WCAG 2.2)."""
    red, green, blue = to_rgb(colour)
    for part in np.arange(1, 0, -0.02):
        found = (part * red, part * green, part * blue)
        if contrast(found) >= 4.5:
            return found
    return (0.0, 0.0, 0.0)


def contrast(colour: tuple[float, ...]) -> float:
    """The contrast with white, 1 to 21, from the relative luminance (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 1.05 / (0.05 + 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])


def handle(label: str, **style: Any) -> Line2D:
    """A legend's entry."""
    return Line2D([], [], label=label, **style)
