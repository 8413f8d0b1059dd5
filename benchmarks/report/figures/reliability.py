"""All tasks on one screen: whether scores depend on the weights, on chance and on small changes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.data.reliability import MOVED, NEW_WEIGHTS, SEEDS, TRAINED
from benchmarks.report.figures.forest import LETTER
from benchmarks.report.figures.palette import Palette
from benchmarks.report.figures.style import logarithmic, style

_PANELS = 3.6  # inches, so that a phone shows all of it
_TITLES = {
    NEW_WEIGHTS: "correlation,\nall weights new",
    SEEDS: "tau-b, seeds of\nthe explainer",
    MOVED: "max-sensitivity",
}
MOST = 10.0  # of max-sensitivity: what is larger is drawn there


def draw(table: pd.DataFrame, palette: Palette) -> Figure | None:
    """A row for each method, a panel for each measure: a small marker a task, the median large.

    A line across a row is the median correlation between two trained models.

    Args:
        table: See ``data.reliability.by_task``.
        palette: The methods' colours and markers.
    """
    panels = [name for name in _TITLES if (table[name].notna() & (table[name] != 0)).any()]
    if not panels:
        return None
    order = palette.ordered(table.loc[table[panels].notna().any(axis=1), "method"])
    with style():
        width = LETTER * max(map(len, order)) + max(2.2, _PANELS * len(panels) / len(_TITLES)) + 0.1
        figure = Figure(figsize=(width, 0.85 + 0.235 * len(order)), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axis, name in zip(axes, panels, strict=True):
            _panel(axis, table, name, order, palette)
            axis.set_xlabel(_TITLES[name])
        axes[0].set_yticks(range(len(order)), order)
        axes[0].set_ylim(len(order) - 0.5, -0.5)
    return figure


def _panel(axis: Axes, table: pd.DataFrame, name: str, order: list[str], palette: Palette) -> None:
    shown = table[name]
    if name == MOVED:  # relative to scores that may be next to nothing
        shown = shown.where(shown > 0).clip(upper=MOST)
    for place, method in enumerate(order):
        of_method = table["method"] == method
        values = shown[of_method].dropna()
        if values.empty:
            continue
        marks = {"marker": palette.shape(method), "linestyle": "none", **palette.marks(method)}
        if marks["marker"] == "|":  # which is nothing but its edge
            marks["markeredgecolor"] = palette.colour(method)
        tasks = marks | {"markersize": 4, "markeredgewidth": 0.4, "alpha": 0.45}
        if len(values) > 1:
            axis.plot(values, np.full(len(values), place), **tasks)
        median = marks | {"markersize": 7, "markeredgewidth": 0.9}
        axis.plot([values.median()], [place], **median)
        trained = table.loc[of_method, TRAINED].dropna()
        if name == NEW_WEIGHTS and len(trained) and not table.loc[of_method, "baseline"].any():
            ends = [place - 0.42, place + 0.42]
            axis.plot([trained.median()] * 2, ends, color="black", linewidth=1.6)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="y", color="0.93")
    if name == MOVED:
        logarithmic(axis, "x", shown.dropna(), "{:g}".format)
        axis.set_xticks(_ticks(float(shown.min()), float(shown.max())))
    else:
        axis.set_xlim(min(-0.05, 1.1 * float(shown.min())), 1.05)
        axis.locator_params(axis="x", nbins=4)


def _ticks(low: float, high: float) -> list[float]:
    """Few, for a narrow panel: powers of ten, or about the ends where there are not two."""
    powers = np.arange(np.ceil(np.log10(low) - 0.1), np.floor(np.log10(high) + 0.1) + 1)
    if len(powers) < 2:
        return [float(f"{end:.0e}") for end in (low, high)]
    return [float(f"1e{power:.0f}") for power in powers[:: -(-len(powers) // 3)]]
