"""Mean ranks of the methods, and which differences between them are critical."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from benchmarks.report.data import quality as tables
from benchmarks.report.data.section import FLOOR, Section
from benchmarks.report.figures import draw as figures
from benchmarks.report.render.blocks import Block
from benchmarks.report.render.wording import picture
from benchmarks.report.stats import estimates as statistics

_RANKED = (
    ("fidelity+_prob", tables.HEADLINE_LEVEL, "mask"),
    ("fidelity-_prob", tables.HEADLINE_LEVEL, "mask"),
    ("auroc", "", ""),
)


def overview(sections: Sequence[Section]) -> Iterator[Block]:
    """The mean ranks of all methods on all tasks, if there are several tasks."""
    found = [
        (title, section.title, method, rank, at_floor(section, key, method), one.n)
        for section in sections
        for key, (title, one) in _ranked(section).items()
        for method, rank in one.means.items()
    ]
    columns = ["metric", "task", "method", "mean_rank", "at_floor", "n"]
    data = pd.DataFrame(found, columns=columns)
    if data["task"].nunique() < 2:
        return
    yield from picture(
        "overview",
        "Which method, over all tasks: mean ranks over the nodes, 1 (the lightest) the best; "
        "the methods from the best to the worst by the mean over tasks and metrics. ‡: not better "
        f"than the floor, {FLOOR}, beyond chance. How far apart ranks have to be is in each "
        "task's section.",
        figures.overview(data),
        data,
    )


def at_floor(section: Section, key: tuple[str, str, str], method: str) -> bool:
    """Whether a method cannot be told to be better than the floor."""
    standing = tables.compare(section, *key).get(method)
    return standing is not None and standing.at_floor


def _ranked(section: Section) -> dict[tuple[str, str, str], tuple[str, statistics.Ranks]]:
    """Title and ranks of each of the main metrics, and of new ones, that the section has."""
    found = {}
    others = [key for key in tables.other_metrics(section) if key[2] != "delete"]
    for key in (*_RANKED, *others):
        known = section.metrics[key[0]]
        ranked = statistics.ranks(tables.node_values(section, *key), known.direction)
        if ranked is not None:
            found[key] = known.title + _conditions(*key[1:]), ranked
    return found


def _conditions(level: str, semantics: str) -> str:
    """What a title adds: ``, 10 edges, masked``."""
    edges = {"": "", tables.HEADLINE_LEVEL: ", 10 edges"}.get(level, f", {level}")
    return edges + (", masked" if semantics else "")


def ranks(section: Section, palette: figures.Palette) -> Iterator[Block]:
    """A critical-difference diagram for each of the main metrics, one below the other."""
    found = dict(_ranked(section).values())
    yield from picture(
        f"ranks-{section.slug}",
        f"{section.title}: mean ranks over the nodes, the best (1) on the left, after Demsar "
        "(2006). Bars join methods that cannot be told apart: their ranks differ by less than "
        "CD, the critical difference of Nemenyi's test at 0.05, or Friedman's test finds no "
        "difference at all.",
        figures.ranks(found, palette),
        pd.DataFrame(
            [
                (title, method, rank, one.distance, one.n)
                for title, one in found.items()
                for method, rank in one.means.items()
            ],
            columns=["metric", "method", "mean_rank", "critical_difference", "n"],
        ),
    )
