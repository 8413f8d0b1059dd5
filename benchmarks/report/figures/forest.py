"""One task on one screen: how good each method is, how sure that is, and what it costs."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.data.section import RANDOM
from benchmarks.report.figures.palette import GREY, Palette
from benchmarks.report.figures.style import style
from benchmarks.report.render.blocks import seconds

_PANEL = 1.55  # inches, so that a phone shows all of it; names and times come on top
LETTER = 0.073  # inches of a letter of a method's name
_TITLE_LETTER = 0.093


def draw(rows: pd.DataFrame, palette: Palette, title: str) -> Figure | None:
    """A panel for each metric, side by side, with a row for each method.

    Args:
        rows: metric, method, shown, mean, low, high, seconds, in the order of the rows; ``shown``
            is what a row is called. See ``sections.first``.
        palette: The methods' colours and markers.
        title: What the figure shows.
    """
    if rows.empty:
        return None
    metrics = list(rows["metric"].unique())
    first = rows.drop_duplicates("method")
    order = list(first["method"])
    timed = bool(first["seconds"].notna().any())
    with style():
        names = LETTER * max(len(text) for text in first["shown"])
        width = names + _PANEL * len(metrics) + (0.75 if timed else 0.1)
        lines = textwrap.wrap(title, int(width / _TITLE_LETTER), break_long_words=False)
        height = 0.75 + 0.2 * len(lines) + 0.235 * len(order)
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(1, len(metrics), squeeze=False, sharey=True)[0]
        for axis, metric in zip(axes, metrics, strict=True):
            _panel(axis, rows[rows["metric"] == metric], order, palette)
            axis.set_xlabel(metric)
        axes[0].set_yticks(range(len(order)), list(first["shown"]))
        axes[0].set_ylim(len(order) - 0.5, -0.5)
        figure.suptitle("\n".join(lines), fontsize=11)
        if timed:
            put_times(axes[-1], list(first["seconds"]))
    return figure


def _panel(axis: Axes, rows: pd.DataFrame, order: list[str], palette: Palette) -> None:
    values = rows[["mean", "low", "high"]].to_numpy(dtype=float)
    for name, (mean, low, high) in zip(rows["method"].astype(str), values, strict=True):
        place = order.index(name)
        if name == RANDOM:
            axis.axvline(mean, color=GREY, linestyle="--", linewidth=1.1, zorder=1)
        if np.isfinite(low):
            axis.plot([low, high], [place, place], color=palette.colour(name), linewidth=2)
        marks = palette.marks(name) | {"markersize": 6.5, "markeredgewidth": 0.8}
        axis.plot([mean], [place], marker=palette.shape(name), **marks)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="y", color="0.93")
    axis.locator_params(axis="x", nbins=4)


def put_times(axis: Axes, times: list[float]) -> None:
    """The time of one explanation at the right of each row."""
    across = axis.get_yaxis_transform()
    for place, time in enumerate(times):
        text = seconds(time) if np.isfinite(time) else "–"
        axis.text(1.04, place, text, transform=across, va="center", fontsize=8.5, color="0.2")
    axis.text(1.04, -0.75, "time", transform=across, va="bottom", fontsize=8.5, color="0.2")
