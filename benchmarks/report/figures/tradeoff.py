"""Quality against cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from benchmarks.report.data.runtimes import Tradeoff
from benchmarks.report.figures.palette import GREY, Palette, handle
from benchmarks.report.figures.style import grid, legend, logarithmic, style
from benchmarks.report.render.blocks import seconds


def draw(points: Sequence[Tradeoff], palette: Palette, quality: str) -> Figure | None:
    """Fidelity+ against the time of one explanation, with the Pareto front.

    Args:
        points: What is drawn.
        palette: The methods' colours, the engines' markers.
        quality: The title of the axis of fidelity+.
    """
    if not points:
        return None
    with style():
        figure, axes = grid(1, 1, (8.0, 4.6))
        axis = axes[0, 0]
        front = [(point.seconds, point.fidelity.value) for point in points if point.front]
        line = {"color": GREY, "linestyle": "--", "linewidth": 1.2}
        axis.step(*zip(*front, strict=True), where="post", **line)
        for point in points:
            mean, bounds = point.fidelity, None
            if np.isfinite(mean.low):
                bounds = [[mean.value - mean.low], [mean.high - mean.value]]
            axis.errorbar(
                [point.seconds],
                [mean.value],
                yerr=bounds,
                marker=palette.marker(point.engine),
                markersize=9,
                elinewidth=1.5,
                **palette.marks(point.label),
            )
        logarithmic(axis, "x", [point.seconds for point in points], seconds)
        axis.set_xlabel("median time of one explanation")
        axis.set_ylabel(quality)
        legend(
            figure,
            palette.method_handles(point.label for point in points)
            + palette.engine_handles(point.engine for point in points)
            + [handle("Pareto front", **line)],
        )
    return figure
