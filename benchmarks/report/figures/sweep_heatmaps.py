"""The sweep over the steps and batch sizes of Integrated Gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from benchmarks.report.data import steps
from benchmarks.report.data.steps import Setting
from benchmarks.report.figures.style import grid, stepped, style, vector_bars
from benchmarks.report.render.blocks import seconds, share, size


def draw(settings: list[Setting]) -> Figure | None:
    """Heatmaps over n_steps and internal_batch_size: time, memory, errors; the best is framed."""
    fastest = min(
        (setting.values["seconds"] for setting in settings if setting.status == "ok"),
        default=float("nan"),
    )
    panels: list[tuple[str, str, float, Callable[[float], str]]] = [
        ("seconds", f"time, relative to the fastest ({seconds(fastest)})", fastest, _times),
        ("peak_bytes", "peak memory", 1.0, size),
        ("relative_error", "relative error (to 1,000 steps)", 1.0, share),
        ("convergence_delta", "convergence delta (units of the output)", 1.0, "{:.2g}".format),
    ]
    known = {name for setting in settings for name in setting.values}
    panels = [panel for panel in panels if panel[0] in known]
    if not panels:
        return None
    with style():
        columns = min(2, len(panels))
        lines = -(-len(panels) // columns)
        figure, axes = grid(lines, columns, (6.6, 3.6))
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        for axis, (name, title, unit, text) in zip(axes.flat, panels, strict=False):
            values, statuses = steps.sweep_grid(settings, name)
            _heatmap(axis, values / unit, statuses, text)
            axis.set_title(title)
            if (best := steps.cheapest(settings)) is not None:
                _frame(axis, values, best)
        vector_bars(figure)
    return figure


def _times(value: float) -> str:
    return f"{value:.2g}" if value < 99.5 else f"{value:,.0f}"


def _heatmap(
    axis: Axes, values: pd.DataFrame, statuses: pd.DataFrame, text: Callable[[float], str]
) -> None:
    found = values.to_numpy()[np.isfinite(values.to_numpy())]
    positive = found[found > 0]
    norm: Normalize | None = None
    shaded = values
    if len(positive) and positive.min() < positive.max():
        norm = LogNorm(positive.min(), positive.max())
        shaded = values.clip(lower=positive.min())  # a zero has no logarithm
    sns.heatmap(
        shaded,
        ax=axis,
        cmap=stepped("crest"),
        norm=norm,
        annot=values.map(text).to_numpy(),
        fmt="",
        annot_kws={"fontsize": 8},
        cbar=bool(len(found)),
        # By itself a logarithmic bar is numbered in formulas, which a report shows as they are.
        cbar_kws={"format": FuncFormatter(lambda value, _: text(value))},
        linewidths=0.8,
    )
    axis.grid(visible=False)
    for i, row in enumerate(statuses.to_numpy()):
        for j, status in enumerate(row):
            if status not in ("", "ok"):
                axis.add_patch(Rectangle((j, i), 1, 1, facecolor="0.88", edgecolor="white"))
                axis.text(j + 0.5, i + 0.5, status, ha="center", va="center", fontsize=8)
    axis.set_xlabel("internal_batch_size")
    axis.set_ylabel("n_steps")
    axis.tick_params(axis="both", rotation=0, length=0)


def _frame(axis: Axes, values: pd.DataFrame, setting: Setting) -> None:
    columns = [str(setting.batch), *([steps.ALL] if setting.batch == setting.n_steps else [])]
    row = list(values.index).index(setting.n_steps)
    for column in columns:
        if column in values.columns:
            corner = list(values.columns).index(column), row
            axis.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="black", linewidth=2.2))
