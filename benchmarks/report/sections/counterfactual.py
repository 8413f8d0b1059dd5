"""Counterfactuals: whether deleting edges changes the class, how many that takes, and how long."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd

from benchmarks.report.data.frames import natural
from benchmarks.report.data.section import Section
from benchmarks.report.render.blocks import (
    NOTHING,
    Block,
    Entry,
    Heading,
    Table,
    Text,
    by_model_and_node,
    estimate,
    measured,
    number,
    seconds,
    share,
)
from benchmarks.report.stats import crossed, estimates

OWN = "own search"  # as in the column `other`


def counterfactual(section: Section) -> Iterator[Block]:
    """Each method's counterfactuals; and, of small computation graphs, the fewest deletions."""
    rows, _ = section.of("counterfactual")
    valid = _table(rows, "flip_validity")
    if valid.empty:
        return
    sizes = _table(rows, "flip_size").reindex(columns=valid.columns)
    yield Heading("Counterfactuals", f"counterfactuals-{section.slug}", 3)
    yield Text(
        "A counterfactual is a set of edges whose deletion, degrees and all, changes the predicted "
        "class (Lucic et al., arXiv:2102.03322). Any ranking gives one: its first edges, as few as "
        "change the class (Ramon et al., arXiv:1912.01819). Prefixes of every length up to 100 "
        "edges are tried, then each 2 % longer, up to all edges; equal scores come in one random "
        "order. None found means that no prefix changes the class; another set might. A method "
        f"with the addition ({OWN}) searches for sets itself, and may find none where its ranking "
        "leads to one, since a ranking is followed to the last edge. Deleted are directed edges: "
        "an undirected edge counts twice if both directions go."
    )
    yield _overall(section, rows, valid, sizes)
    yield from _small(section, rows, valid, sizes)


def _overall(
    section: Section, rows: pd.DataFrame, valid: pd.DataFrame, sizes: pd.DataFrame
) -> Table:
    common = estimates.paired(sizes)
    left_out = [str(name) for name in sizes if name not in common]
    known = section.metrics
    lines = []
    for name in sorted(map(str, valid), key=natural):
        found = valid[name].dropna()
        own, shared = sizes[name].dropna(), common.get(name, pd.Series(dtype=float))
        lines.append(
            [
                Entry(name),
                measured(partial(estimate, bounded=True), crossed.mean(found, (0, 1))),
                measured(share, 1 - float(found.mean())),
                *_mean_and_median(shared),
                *_mean_and_median(own),
                *(measured(seconds, _seconds(rows, name, what)) for what in ("explain", "flip")),
            ]
        )
    over = f"{len(common)} of {len(valid)} explanations (models times {section.level}s)"
    aside = (
        f" Not among these methods, as they find one for fewer than half as many as another: "
        f"{', '.join(sorted(left_out, key=natural))}."
        if left_out
        else ""
    )
    return Table(
        f"{section.title}: counterfactuals. Share of the explained {section.level}s whose class "
        "changes, and share where none is found; edges deleted where all methods find one, "
        f"{over}, and over all that each method finds by itself, which differ between the methods "
        f"and are not to be compared.{aside} Time a {section.level} on this machine: all in one "
        "call, after a warm-up.",
        (
            *("method", known["flip_validity"].heading, "none found ↓"),
            *(f"edges deleted, {what} ↓" for what in ("where all find one: mean", "median")),
            *("edges deleted, all found: mean", "median"),
            *("time to explain ↓", "time to follow the ranking ↓"),
        ),
        lines,
    )


def _small(
    section: Section, rows: pd.DataFrame, valid: pd.DataFrame, sizes: pd.DataFrame
) -> Iterator[Block]:
    """How far from the fewest deletions, where all sets of edges were tried."""
    exists, fewest = (
        by_model_and_node(rows[rows["metric"] == name])
        for name in ("fewest_validity", "fewest_size")
    )
    possible = exists.index[exists == 1]
    if not len(possible):
        return
    lines = []
    for name in sorted(map(str, valid), key=natural):
        found = valid[name].reindex(possible).dropna()
        if found.empty:
            continue
        more = (sizes[name].reindex(possible) - fewest.reindex(possible)).dropna()
        lines.append(
            [
                Entry(name),
                measured(partial(estimate, bounded=True), crossed.mean(found, (0, 1))),
                *(
                    [Entry(NOTHING)] * 2
                    if more.empty
                    else [
                        measured(estimate, crossed.mean(more, (0, None))),
                        measured(share, float((more == 0).mean())),
                    ]
                ),
                Entry(str(len(more))),
            ]
        )
    yield Table(
        f"{section.title}: the distance from the fewest deletions, by trying all sets of edges of "
        f"computation graphs of up to 15 edges: {len(exists)} explanations, of which "
        f"{len(exists) - len(possible)} keep their class whatever is deleted. Of the "
        f"{len(possible)} others: the share where a method finds a counterfactual; where it does, "
        "how many more edges it deletes than the fewest (the mean of the fewest is "
        f"{number(float(fewest.reindex(possible).mean()))}), and the share where none more.",
        ("method", "found of possible ↑", "edges beyond the fewest ↓", "the fewest ↑", "n"),
        lines,
        folded=True,
    )


def _table(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One metric by (model, node), a column for each method and for each own search."""
    rows = rows[rows["metric"] == metric]
    own = rows["other"].eq(OWN)
    named = rows["label"].where(~own, rows["label"] + f" ({OWN})")
    found = {str(name): by_model_and_node(group) for name, group in rows.groupby(named)}
    return pd.DataFrame(found)


def _mean_and_median(sizes: pd.Series) -> list[Entry]:
    if sizes.empty:
        return [Entry(NOTHING), Entry(NOTHING)]
    return [
        measured(estimate, crossed.mean(sizes, (1, None))),
        measured(number, float(sizes.median())),
    ]


def _seconds(rows: pd.DataFrame, name: str, what: str) -> float | None:
    """The mean over the models; an own search follows no ranking."""
    if what == "flip" and name.endswith(f" ({OWN})"):
        return None
    of = rows["label"].eq(name.removesuffix(f" ({OWN})"))
    found = rows.loc[of & rows["metric"].eq(f"{what}_seconds"), "value"]
    return None if found.empty else float(found.mean())
