"""Fidelity against sparsity."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.data.metrics import Metrics
from benchmarks.report.data.quality import SEMANTICS
from benchmarks.report.data.section import BASELINES
from benchmarks.report.figures.palette import GREY, Palette, readable
from benchmarks.report.figures.style import grid, style
from benchmarks.report.stats.standings import short

SHOWN = 5  # methods besides the baselines: more lines nobody can distinguish
_REMOVED = {"mask": "masked", "delete": "deleted"}
_HEADLINE = 0.8  # the sparsity at which the best are found


def draw(
    curves: pd.DataFrame, palette: Palette, metrics: Metrics, changed: str = "probability"
) -> Figure | None:
    """Panels: fidelity+ and fidelity- by masked and deleted edges; see ``quality.curves``.

    The best methods and the baselines, each named at the end of its line.
    """
    if curves.empty:
        return None
    curves = curves[curves["method"].isin(chosen(curves))]
    rows = list(curves["metric"].unique())
    columns = [one for one in SEMANTICS if (curves["semantics"] == one).any()]
    with style():
        longest = max(len(short(name)) for name in curves["method"].unique())
        room = 0.07 * min(longest, 50)  # inches, for the names
        figure, axes = grid(len(rows), len(columns), (4.0 + room, 3.4), sharex=True, sharey="row")
        for i, name in enumerate(rows):
            for j, semantics in enumerate(columns):
                here = (curves["metric"] == name) & (curves["semantics"] == semantics)
                _panel(axes[i, j], curves[here], palette)
                axes[i, j].set_title(f"{metrics[name].heading}, edges {_REMOVED[semantics]}")
                axes[i, j].set_ylabel(f"change of {changed}" if j == 0 else "")
                if i == len(rows) - 1:
                    axes[i, j].set_xlabel("sparsity (share of edges not selected)")
        for axis in axes.flat:
            _name_lines(axis)
    return figure


def chosen(curves: pd.DataFrame) -> list[str]:
    """The baselines, and the methods with the highest fidelity+ where a fifth is selected."""
    first = curves[
        (curves["metric"] == curves["metric"].iloc[0])
        & (curves["semantics"] == curves["semantics"].iloc[0])
    ]
    if "fidelity+_prob" in set(curves["metric"]):
        plus = curves[curves["metric"] == "fidelity+_prob"]
        first = plus[plus["semantics"] == plus["semantics"].iloc[0]]
    near = (first["sparsity"] - _HEADLINE).abs()
    at = first.loc[near.groupby(first["method"]).idxmin()]
    order = list(at.sort_values("mean", ascending=False, kind="stable")["method"])
    names = [*order, *(name for name in curves["method"].unique() if name not in order)]
    baselines = [name for name in names if name.partition(" = ")[0] in BASELINES]
    return [name for name in names if name not in baselines][:SHOWN] + baselines


def _panel(axis: Axes, values: pd.DataFrame, palette: Palette) -> None:
    axis.axhline(0, color=GREY, linewidth=0.8)
    for name in palette.ordered(values["method"]):
        line = values[values["method"] == name].sort_values("sparsity")
        marks = palette.marks(name) | {"marker": "o", "markersize": 4, "markeredgewidth": 0.8}
        axis.plot(
            line["sparsity"], line["mean"], linestyle=palette.dash(name), label=short(name), **marks
        )
        axis.fill_between(
            line["sparsity"],
            line["low"],
            line["high"],
            color=palette.colour(name),
            alpha=0.08,
            linewidth=0,
        )


def _name_lines(axis: Axes) -> None:
    """Each line's name at its right end; names keep their distance, a thin line leads to each."""
    lines = [one for one in axis.get_lines() if not str(one.get_label()).startswith("_")]
    if not lines:
        return
    low, high = axis.get_ylim()
    gap = 0.062 * (high - low)
    lines.sort(key=lambda one: float(np.asarray(one.get_ydata())[-1]))
    ends = [float(np.asarray(one.get_ydata())[-1]) for one in lines]
    places = list(ends)
    for i in range(1, len(places)):  # upwards, as far as needed ...
        places[i] = max(places[i], places[i - 1] + gap)
    shift = float(np.mean(places) - np.mean(ends))  # ... and the whole stack back to its lines
    for one, end, place in zip(lines, ends, places, strict=True):
        axis.annotate(
            str(one.get_label()),
            (float(np.asarray(one.get_xdata())[-1]), end),
            (1.03, (place - shift - low) / (high - low)),
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            color=readable(one.get_color()),
            arrowprops={"arrowstyle": "-", "color": "0.7", "linewidth": 0.6},
        )
