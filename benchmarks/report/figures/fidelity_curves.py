"""Fidelity against sparsity."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.data.metrics import Metrics
from benchmarks.report.data.quality import SEMANTICS
from benchmarks.report.figures.palette import GREY, Palette
from benchmarks.report.figures.style import grid, legend, style

_REMOVED = {"mask": "masked", "delete": "deleted"}


def draw(
    curves: pd.DataFrame, palette: Palette, metrics: Metrics, changed: str = "probability"
) -> Figure | None:
    """Panels: fidelity+ and fidelity- by masked and deleted edges; see ``quality.curves``."""
    if curves.empty:
        return None
    rows = list(curves["metric"].unique())
    columns = [one for one in SEMANTICS if (curves["semantics"] == one).any()]
    with style():
        figure, axes = grid(len(rows), len(columns), (5.2, 3.4), sharex=True, sharey="row")
        for i, name in enumerate(rows):
            for j, semantics in enumerate(columns):
                here = (curves["metric"] == name) & (curves["semantics"] == semantics)
                _panel(axes[i, j], curves[here], palette)
                axes[i, j].set_title(f"{metrics[name].heading}, edges {_REMOVED[semantics]}")
                axes[i, j].set_ylabel(f"change of {changed}" if j == 0 else "")
                if i == len(rows) - 1:
                    axes[i, j].set_xlabel("sparsity (share of edges not selected)")
        legend(figure, palette.method_handles(set(curves["method"])))
    return figure


def _panel(axis: Axes, values: pd.DataFrame, palette: Palette) -> None:
    axis.axhline(0, color=GREY, linewidth=0.8)
    shown = palette.ordered(values["method"])
    for name in shown:
        line = values[values["method"] == name].sort_values("sparsity")
        marks = palette.marks(name) | {"marker": "o", "markersize": 4, "markeredgewidth": 0.8}
        axis.plot(line["sparsity"], line["mean"], linestyle=palette.dash(name), **marks)
        axis.fill_between(
            line["sparsity"],
            line["low"],
            line["high"],
            color=palette.colour(name),
            alpha=0.13 if len(shown) <= 6 else 0.05,  # many bands would hide the lines
            linewidth=0,
        )
