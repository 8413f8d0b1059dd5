"""Quality against cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.data.runtimes import Tradeoff
from benchmarks.report.figures.palette import GREY, Palette, handle
from benchmarks.report.figures.style import grid, legend, logarithmic, style
from benchmarks.report.render.blocks import seconds
from benchmarks.report.stats.standings import short

_Box = tuple[float, float, float, float]
_LETTER, _LINE = 4.9, 10.0  # size of a label's text in points
# Where a label may stand: offset from its point in points, and which side of it is there.
_PLACES = [
    (x, y, "left" if x > 0 else "right")
    for reach in (0, 12, 24, 38, 54)
    for x in (9, -9)
    for y in ([reach, -reach] if reach else [0])
]


def draw(points: Sequence[Tradeoff], palette: Palette, quality: str) -> Figure | None:
    """Fidelity+ against the time of one explanation, one labelled point a method, and the front.

    Args:
        points: What is drawn.
        palette: The methods' colours and markers.
        quality: The title of the axis of fidelity+.
    """
    if not points:
        return None
    with style():
        figure, axes = grid(1, 1, (8.4, 5.0))
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
                marker=palette.shape(point.label),
                markersize=8,
                elinewidth=1.0,
                **palette.marks(point.label),
            )
        logarithmic(axis, "x", [point.seconds for point in points], seconds)
        axis.margins(y=0.08)
        axis.set_xlabel("median time of one explanation on the default engine")
        axis.set_ylabel(quality)
        legend(figure, [handle("Pareto front", **line)])
        figure.draw_without_rendering()  # places the axes, which the labels' places are found by
        _label(axis, points, 72 / figure.dpi)
    return figure


def _label(axis: Axes, points: Sequence[Tradeoff], scale: float) -> None:
    """Each point's name beside it, where it covers no other name and no point.

    ``scale`` turns pixels into points.
    """
    at = axis.transData.transform([(one.seconds, one.fidelity.value) for one in points]) * scale
    frame = [edge * scale for edge in axis.get_window_extent().extents]
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in at]
    for point, (x, y) in zip(points, at, strict=True):
        text = short(point.label)
        width = _LETTER * len(text)
        boxes = {place: _box(x, y, width, place) for place in _PLACES}
        best = min(_PLACES, key=lambda place: _cost(boxes[place], taken, frame, place[1]))
        taken.append(boxes[best])
        line = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.6}
        axis.annotate(
            text,
            (point.seconds, point.fidelity.value),
            best[:2],
            textcoords="offset points",
            ha=best[2],
            va="center",
            fontsize=8,
            arrowprops=line if abs(best[1]) > 12 else None,
        )


def _box(x: float, y: float, width: float, place: tuple[int, int, str]) -> _Box:
    """The corners of a label at a place beside a point, in points."""
    left = x + place[0] - (0 if place[2] == "left" else width)
    return left, y + place[1] - _LINE / 2, left + width, y + place[1] + _LINE / 2


def _cost(box: _Box, taken: Sequence[_Box], frame: Sequence[float], shift: int) -> float:
    """How much of a box is covered or outside of the panel; near its point is better."""
    left, low, right, high = box
    covered = sum(
        max(0.0, min(right, other[2]) - max(left, other[0]))
        * max(0.0, min(high, other[3]) - max(low, other[1]))
        for other in taken
    )
    outside = max(0.0, frame[0] - left) + max(0.0, right - frame[2])
    return covered + 20 * outside + 0.01 * abs(shift)
