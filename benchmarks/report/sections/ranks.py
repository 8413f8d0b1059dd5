"""Mean ranks of the methods, with the marks of the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from benchmarks.report.data.quality import (
    HEADLINE_BUDGET,
    compare,
    conditions,
    find,
    node_values,
    other_metrics,
)
from benchmarks.report.data.section import Section, units
from benchmarks.report.figures import mean_ranks as diagrams
from benchmarks.report.figures import rank_heatmaps
from benchmarks.report.figures.mean_ranks import Ranked
from benchmarks.report.figures.palette import Palette
from benchmarks.report.render.blocks import Block, picture
from benchmarks.report.stats.ranks import mean_ranks
from benchmarks.report.stats.standings import NO_WINNER, SAME

_HEADLINES = (
    ("fidelity+_prob", HEADLINE_BUDGET, "mask"),
    ("fidelity-_prob", HEADLINE_BUDGET, "mask"),
)
_COLUMNS = ["metric", "method", "mean_rank", "mark", "not_better_than_random", "nodes", "models"]
_MARKS = (
    "*: best, †: tied with the best (not significantly worse), ‡: not significantly better than "
    "random, as in the tables: marks come from the means, not from the ranks."
)


def overview(sections: Sequence[Section]) -> Iterator[Block]:
    """A heatmap of the mean ranks in fidelity on all tasks, if there are several tasks."""
    tables = [_table_of(_ranked(one, _HEADLINES)).assign(task=one.title) for one in sections]
    found = pd.concat([table for table in tables if len(table)] or tables or [_table_of([])])
    if "task" not in found or found["task"].nunique() < 2:
        return
    # A row for each method: those that are the same on one task are not on another.
    found = found.assign(method=found["method"].str.split(SAME)).explode("method")
    data = found[["metric", "task", *_COLUMNS[1:]]].reset_index(drop=True)
    cells = data["metric"].nunique() * data["method"].nunique() * data["task"].nunique()
    empty = " Empty: the method does not take the model, or failed." if len(data) < cells else ""
    yield from picture(
        "overview",
        f"All tasks: mean ranks of the methods over the {units(sections)} and models; 1 (lightest) "
        "is best. "
        "Methods are sorted by their mean over tasks and metrics; those that are the same on a "
        f"task share a rank. {_MARKS}{empty}",
        rank_heatmaps.draw(data),
        data,
    )


def ranks(section: Section, palette: Palette) -> Iterator[Block]:
    """A diagram of mean ranks for each of the main metrics, one below the other."""
    headlines = len(_ranked(section, _HEADLINES))
    found = _ranked(section, _every(section))
    # Where the best is tied with random, ranks say little: only the headline's are shown then.
    drawn = found[:headlines]
    left_out: list[str] = []
    for one in found[headlines:]:
        if one.standings.outcome == NO_WINNER:
            left_out.append(one.title)
        else:
            drawn.append(one)
    without = f" Not drawn, for there is no winner: {'; '.join(left_out)}." if left_out else ""
    yield from picture(
        f"ranks-{section.slug}",
        f"{section.title}: mean ranks over the {units([section])} and models, the best (1) on the "
        f"left. {_MARKS}{without}",
        diagrams.draw(drawn, palette),
        _table_of(drawn),
    )


def _table_of(found: Sequence[Ranked]) -> pd.DataFrame:
    rows = [
        (
            one.title,
            standing.title,
            rank,
            standing.mark,
            standing.not_better_than_random,
            one.standings.nodes,
            one.standings.models,
        )
        for one in found
        for name, rank in one.ranks.items()
        for standing in [one.standings[name]]
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _every(section: Section) -> list[tuple[str, str, str]]:
    """The main metrics, and those that the section has besides."""
    others = [key for key in other_metrics(section) if key[2] != "delete"]
    return [*_HEADLINES, ("auroc", "", ""), *others]


def _ranked(section: Section, metrics: Sequence[tuple[str, str, str]]) -> list[Ranked]:
    """Ranks by each of the metrics that the section has."""
    found = []
    for wanted in metrics:
        key = find(section, *wanted)
        if key is None:
            continue
        standings = compare(section, *key)
        # Methods that are the same have one rank.
        leaders = [one.names[0] for one in standings.distinct]
        known = section.metrics[key.name]
        ranked = mean_ranks(node_values(section, *key)[leaders], known.direction)
        if ranked is not None:
            parts = (known.title, conditions(key), "masked" if key.semantics else "")
            found.append(Ranked(", ".join(part for part in parts if part), ranked, standings))
    return found
