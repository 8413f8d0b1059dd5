"""Mean ranks of the methods, and which of them are tied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from benchmarks.report.data.quality import HEADLINE_BUDGET, compare, node_values, other_metrics
from benchmarks.report.data.section import Section
from benchmarks.report.figures import critical_differences, rank_heatmaps
from benchmarks.report.figures.palette import Palette
from benchmarks.report.render.blocks import Block, picture
from benchmarks.report.stats.ranks import Ranks, mean_ranks

_RANKED = (
    ("fidelity+_prob", HEADLINE_BUDGET, "mask"),
    ("fidelity-_prob", HEADLINE_BUDGET, "mask"),
    ("auroc", "", ""),
)


def overview(sections: Sequence[Section]) -> Iterator[Block]:
    """A heatmap of the mean ranks on all tasks, if there are several tasks."""
    found = [
        (title, section.title, method, rank, _not_better(section, key, method), one.n)
        for section in sections
        for key, (title, one) in _ranked(section).items()
        for method, rank in one.means.items()
    ]
    columns = ["metric", "task", "method", "mean_rank", "not_better_than_random", "n"]
    data = pd.DataFrame(found, columns=columns)
    if data["task"].nunique() < 2:
        return
    yield from picture(
        "overview",
        "All tasks: mean ranks of the methods over the nodes; 1 (lightest) is best. Methods are "
        "sorted by their mean over tasks and metrics. ‡: not significantly better than random. "
        "Which differences between ranks are significant is shown in each task's section.",
        rank_heatmaps.draw(data),
        data,
    )


def _not_better(section: Section, key: tuple[str, str, str], method: str) -> bool:
    standing = compare(section, *key).get(method)
    return standing is not None and standing.not_better_than_random


def _ranked(section: Section) -> dict[tuple[str, str, str], tuple[str, Ranks]]:
    """Title and ranks of each of the main metrics, and of new ones, that the section has."""
    found = {}
    others = [key for key in other_metrics(section) if key[2] != "delete"]
    for key in (*_RANKED, *others):
        known = section.metrics[key[0]]
        ranked = mean_ranks(node_values(section, *key), known.direction)
        if ranked is not None:
            found[key] = known.title + _conditions(*key[1:]), ranked
    return found


def _conditions(budget: str, semantics: str) -> str:
    """What a title adds: ``, 10 edges, masked``."""
    edges = {"": "", HEADLINE_BUDGET: ", 10 edges"}.get(budget, f", {budget}")
    return edges + (", masked" if semantics else "")


def ranks(section: Section, palette: Palette) -> Iterator[Block]:
    """A critical-difference diagram for each of the main metrics, one below the other."""
    found = dict(_ranked(section).values())
    yield from picture(
        f"ranks-{section.slug}",
        f"{section.title}: critical-difference diagrams (Demsar, 2006). Mean ranks over the nodes, "
        "the best (1) on the left. Bars join tied methods: their mean ranks differ by less than "
        "CD, the critical difference of the Nemenyi test at 0.05, or the Friedman test finds no "
        "significant difference at all.",
        critical_differences.draw(found, palette),
        pd.DataFrame(
            [
                (title, method, rank, one.critical_difference, one.n)
                for title, one in found.items()
                for method, rank in one.means.items()
            ],
            columns=["metric", "method", "mean_rank", "critical_difference", "n"],
        ),
    )
