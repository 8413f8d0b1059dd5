"""The time of one explanation, node by node."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from benchmarks.report.figures.palette import Palette
from benchmarks.report.figures.style import grid, legend, logarithmic, style
from benchmarks.report.render.blocks import seconds


def draw(times: pd.DataFrame, palette: Palette, words: str = "nodes") -> Figure | None:
    """A row for each method: every explanation's time, and the median.

    Args:
        times: See ``runtimes.node_seconds``.
        palette: The report's.
        words: What was explained: ``nodes``, say.
    """
    if times.empty:
        return None
    medians = times.groupby(["method", "engine"])["seconds"].median()
    order = list(medians.groupby(level="method").min().sort_values(kind="stable").index)
    with style():
        engines = [name for name in palette.engines if name in set(times["engine"])]
        height = 1.4 + len(order) * max(0.36, 0.2 * len(engines))
        figure, axes = grid(1, 1, (8.0, height))
        axis = axes[0, 0]
        for (label, engine), rows in times.groupby(["method", "engine"], sort=True)["seconds"]:
            # The engines of a method share its row, one a little below the other.
            here = [one for one in engines if (label, one) in medians.index]
            offset = (here.index(str(engine)) - (len(here) - 1) / 2) * 0.8 / len(engines)
            place = order.index(label) + offset
            marks: dict[str, Any] = {
                "marker": palette.marker(str(engine)),
                "linestyle": "none",
                **palette.marks(str(label)),
            }
            nodes = marks | {"markersize": 4, "markeredgewidth": 0.5, "alpha": 0.4}
            axis.plot(rows, [place] * len(rows), **nodes)
            axis.plot([rows.median()], [place], markersize=9, **marks)
        axis.set_yticks(range(len(order)), order)
        axis.set_ylim(len(order) - 0.5, -0.5)
        axis.grid(axis="y", visible=False)
        for edge in range(1, len(order)):
            axis.axhline(edge - 0.5, color="0.9", linewidth=0.8)
        logarithmic(axis, "x", times["seconds"], seconds)
        axis.set_xlabel(f"time of one explanation (small markers: {words}; large: their median)")
        legend(figure, palette.engine_handles(engines))
    return figure
