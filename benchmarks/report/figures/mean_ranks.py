"""Diagrams of mean ranks: how methods are ordered, with the marks of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.figures.palette import Palette
from benchmarks.report.figures.style import style
from benchmarks.report.stats.standings import NO_WINNER, TOO_FEW, Standing, Standings, short

_LETTER, _RANKS = 0.08, 4.4  # inches: of a letter; between the names on both sides
SIGNS = {"best": "*", "tied": "†", "": ""}


@dataclass(frozen=True)
class Ranked:
    """One metric's ranks.

    Attributes:
        title: The metric.
        ranks: Mean rank of each method, the best first; of those that are the same, the first.
        standings: How the methods compare.
    """

    title: str
    ranks: Mapping[str, float]
    standings: Standings


def signs(mark: str, *, not_better: bool) -> str:
    """What stands behind a method's rank: `` *``, `` †``, `` ‡`` or nothing."""
    shown = SIGNS[mark] + ("‡" if not_better else "")
    return f" {shown}" if shown else ""


def draw(found: Sequence[Ranked], palette: Palette) -> Figure | None:
    """A diagram for each metric: an axis of ranks, and the methods below it."""
    if not found:
        return None
    with style():
        heights = [1.0 + 0.28 * (len(one.ranks) // 2) for one in found]
        texts = [
            _text(one.standings[name], rank) for one in found for name, rank in one.ranks.items()
        ]
        room = max(1.8, 0.1 + _LETTER * max(map(len, texts)))  # inches, for names on a side
        size = _RANKS + 2 * room, sum(heights)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(found), 1, squeeze=False, height_ratios=heights)
        for axis, one in zip(axes[:, 0], found, strict=True):
            _diagram(axis, one, palette, room)
            outcome = one.standings.outcome
            said = f" ({outcome})" if outcome in (NO_WINNER, TOO_FEW) else ""
            axis.set_title(f"{one.title}{said}")
    return figure


def _diagram(axis: Axes, one: Ranked, palette: Palette, room: float) -> None:
    names, k = list(one.ranks), len(one.ranks)
    left = (k + 1) // 2  # the better half is named on the left
    for place, name in enumerate(names):
        better = place < left
        depth = 0.4 + 0.45 * (place if better else k - 1 - place)
        end, side = (0.6, "right") if better else (k + 0.4, "left")
        rank, colour = one.ranks[name], palette.colour(name)
        standing = one.standings[name]
        width = 2.4 if standing.mark else 1.0  # the best and those tied with it stand out
        axis.plot([rank, rank, end], [0, depth, depth], color=colour, linewidth=width)
        shift = -0.05 if better else 0.05
        text = _text(standing, rank)
        axis.text(end + shift, depth, text, ha=side, va="center", fontsize=9)
    aside = room * (k - 0.2) / _RANKS  # as many ranks as the names are wide
    axis.set_xlim(0.6 - aside, k + 0.4 + aside)
    axis.set_ylim(0.4 + 0.45 * left, -0.6)
    axis.plot([1, k], [0, 0], color="black", linewidth=1)
    for rank in range(1, k + 1):
        axis.plot([rank, rank], [0, -0.08], color="black", linewidth=1)
        if k <= 10 or rank in (1, k) or (rank % 5 == 0 and rank < k - 1):
            axis.text(rank, -0.12, str(rank), ha="center", va="bottom", fontsize=8)
    axis.set_axis_off()


def _text(standing: Standing, rank: float) -> str:
    marks = signs(standing.mark, not_better=standing.not_better_than_random)
    return f"{short(standing.title)} {rank:.2f}{marks}"
