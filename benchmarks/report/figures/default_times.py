"""The time of one explanation with each method, on the engine that runs by default."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from benchmarks.report.figures.forest import LETTER, put_times
from benchmarks.report.figures.palette import Palette
from benchmarks.report.figures.style import legend, logarithmic, style
from benchmarks.report.render.blocks import seconds

_PANEL = 2.9  # inches, so that a phone shows all of it; names and times come on top


def draw(rows: pd.DataFrame, palette: Palette, title: str) -> Figure | None:
    """A row for each method: the median of its times, and from the fastest to the slowest.

    Args:
        rows: method, engine, seconds, fastest, slowest; in the order of the rows.
        palette: The methods' colours and the engines' markers.
        title: What the figure shows.
    """
    if rows.empty:
        return None
    order = list(rows["method"])
    with style():
        width = LETTER * max(map(len, order)) + _PANEL + 0.75
        figure = Figure(figsize=(width, 1.15 + 0.235 * len(order)), layout="constrained")
        axis = figure.subplots()
        for place, row in enumerate(rows.to_dict("records")):
            name, colour = row["method"], palette.colour(row["method"])
            axis.plot([row["fastest"], row["slowest"]], [place, place], color=colour, linewidth=2)
            marks = palette.marks(name) | {"markersize": 6.5, "markeredgewidth": 0.8}
            axis.plot([row["seconds"]], [place], marker=palette.marker(row["engine"]), **marks)
        logarithmic(axis, "x", [*rows["fastest"], *rows["slowest"]], seconds)
        axis.set_yticks(range(len(order)), order)
        axis.set_ylim(len(order) - 0.5, -0.5)
        axis.tick_params(axis="y", length=0)
        axis.grid(axis="y", color="0.93")
        axis.set_xlabel("time of one explanation")
        figure.suptitle(title, fontsize=11)
        put_times(axis, list(rows["seconds"]))
        legend(figure, palette.engine_handles(rows["engine"]))
    return figure
