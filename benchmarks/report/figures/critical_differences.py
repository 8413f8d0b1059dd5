"""Critical-difference diagrams, after Demsar (2006): mean ranks, and which of them are tied."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.figures.palette import GREY, Palette
from benchmarks.report.figures.style import style
from benchmarks.report.render.wording import p_equals
from benchmarks.report.stats.ranks import Ranks


def draw(found: Mapping[str, Ranks], palette: Palette) -> Figure | None:
    """A diagram for each title: an axis of ranks, methods below it, bars that join tied ones."""
    if not found:
        return None
    with style():
        heights = [1.0 + 0.28 * (len(one.means) // 2 + len(one.groups)) for one in found.values()]
        figure = Figure(figsize=(8.0, sum(heights)), layout="constrained")
        axes = figure.subplots(len(found), 1, squeeze=False, height_ratios=heights)
        for axis, (title, one) in zip(axes[:, 0], found.items(), strict=True):
            _diagram(axis, one, palette)
            distance = one.critical_difference
            axis.set_title(f"{title} (CD = {distance:.2f}, Friedman: {p_equals(one.p)})")
    return figure


def _diagram(axis: Axes, one: Ranks, palette: Palette) -> None:
    names, k = list(one.means), len(one.means)
    left = (k + 1) // 2  # the better half is named on the left
    groups = one.groups
    top = 0.4 + 0.3 * len(groups)
    for line, group in enumerate(groups):
        ends = [one.means[group[0]] - 0.04, one.means[group[-1]] + 0.04]
        axis.plot(ends, [0.35 + 0.3 * line] * 2, color=GREY, linewidth=3.5)
    for place, name in enumerate(names):
        better = place < left
        depth = top + 0.45 * (place if better else k - 1 - place)
        end, side = (0.6, "right") if better else (k + 0.4, "left")
        rank, colour = one.means[name], palette.colour(name)
        axis.plot([rank, rank, end], [0, depth, depth], color=colour, linewidth=1.2)
        shift = -0.05 if better else 0.05
        axis.text(end + shift, depth, f"{name} {rank:.2f}", ha=side, va="center", fontsize=9)
    axis.set_xlim(1 - 0.45 * k, k + 0.45 * k)
    axis.set_ylim(top + 0.45 * left, -0.6)
    axis.plot([1, k], [0, 0], color="black", linewidth=1)
    for rank in range(1, k + 1):
        axis.plot([rank, rank], [0, -0.08], color="black", linewidth=1)
        axis.text(rank, -0.12, str(rank), ha="center", va="bottom", fontsize=8)
    axis.set_axis_off()
