"""Published numbers, and the same measured here in two ways."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks.report.figures.forest import LETTER
from benchmarks.report.figures.palette import handle
from benchmarks.report.figures.style import legend, style

_PANEL = 2.6  # inches, so that a phone shows all of it; names come on top
_OURS: dict[str, Any] = {
    "marker": "o",
    "color": "0.45",
    "markerfacecolor": "white",
    "markersize": 6,
}
_THEIRS: dict[str, Any] = {"marker": "o", "color": "#0b5394", "markersize": 6}
_PUBLISHED: dict[str, Any] = {
    "marker": "x",
    "color": "black",
    "markersize": 6.5,
    "markeredgewidth": 1.6,
}


def draw(rows: pd.DataFrame) -> Figure | None:
    """A row for each published number.

    Args:
        rows: what, published, ours, theirs, low, high; ``low`` to ``high`` is the interval of
            ``theirs``, the number measured as its authors did.
    """
    if rows.empty:
        return None
    names = list(rows["what"])
    with style():
        width = LETTER * max(map(len, names)) + _PANEL
        figure = Figure(figsize=(width, 0.7 + 0.26 * len(names)), layout="constrained")
        axis = figure.subplots()
        for place, row in enumerate(rows.to_dict("records")):
            if np.isfinite(row["low"]):
                axis.plot([row["low"], row["high"]], [place, place], color=_THEIRS["color"], lw=2)
            axis.plot([row["ours"]], [place], linestyle="", **_OURS)
            axis.plot([row["theirs"]], [place], linestyle="", **_THEIRS)
            axis.plot([row["published"]], [place], linestyle="", **_PUBLISHED)
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.set_xlim(-0.03, 1.03)
        axis.tick_params(axis="y", length=0)
        axis.grid(axis="y", color="0.93")
        axis.set_xlabel("value")
        legend(
            figure,
            [
                handle("published", linestyle="", **_PUBLISHED),
                handle("measured as its authors did", **_THEIRS),
                handle("as this benchmark measures", linestyle="", **_OURS),
            ],
        )
    return figure
