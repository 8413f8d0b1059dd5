"""Frames to tables of numbers: how good the methods are, and what failed."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import pandas as pd

from benchmarks.report.data.frames import natural
from benchmarks.report.data.section import FLOOR, Section
from benchmarks.report.stats import estimates as statistics
from benchmarks.report.stats.estimates import Standing

HEADLINE_LEVEL = "k=10"
SEMANTICS = ("mask", "delete")
# What the tables show, by name, or by name and level; other metrics come after them.
PROB = ("fidelity+_prob", "fidelity-_prob", "characterization_prob")
ACC = ("fidelity+_acc", "fidelity-_acc", "characterization_acc")
WIDER = (
    *(("area_fidelity+_prob", ""), ("area_fidelity-_prob", "")),
    ("unfaithfulness", HEADLINE_LEVEL),
    ("robust_fidelity+_prob", HEADLINE_LEVEL),
    ("robust_fidelity-_prob", HEADLINE_LEVEL),
    *(("infidelity", ""), ("infidelity_scaled", "")),
)
SCORES = ("gini", "entropy", "mass90", "completeness")
GROUND_TRUTH = (
    *(("auroc", ""), ("auroc_undirected", ""), ("average_precision", ""), ("r_precision", "")),
    *(("recall", HEADLINE_LEVEL), ("jaccard", HEADLINE_LEVEL)),
)
PLACED = {*PROB, *ACC, *SCORES, *(name for name, _ in (*WIDER, *GROUND_TRUTH)), "sparsity"}


def node_values(section: Section, name: str, level: str, semantics: str) -> pd.DataFrame:
    """One metric as nodes by methods, over the nodes and models that all methods have."""
    if (name, level, semantics) not in section.scores:
        return pd.DataFrame()
    rows = section.scores[name, level, semantics]
    # A metric of a whole task has no node; it counts as one unit.
    rows = rows.assign(unit=rows["node"].fillna(-1), model=rows["model_seed"].fillna(-1))
    values = rows.pivot_table(index=["model", "unit"], columns="label", values="value")
    return statistics.paired(values).groupby(level="unit").mean()


@lru_cache(maxsize=512)
def compare(section: Section, name: str, level: str, semantics: str) -> dict[str, Standing]:
    """The methods by one metric; empty if nobody has it."""
    values = node_values(section, name, level, semantics)
    direction = section.metrics[name].direction
    standings = statistics.compare(values, direction)
    return statistics.against_floor(standings, values, direction, FLOOR)


def ranking(section: Section) -> list[str]:
    """The methods of the quality benchmark, best first by fidelity+; those without it last."""
    rows, _ = section.of("quality")
    standings = compare(section, "fidelity+_prob", HEADLINE_LEVEL, "mask")
    return sorted(
        (str(name) for name in rows["label"].unique()),
        key=lambda name: (
            -standings[name].mean.value if name in standings else np.inf,
            natural(name),
        ),
    )


def other_metrics(section: Section) -> list[tuple[str, str, str]]:
    """Metric, level, semantics of what has no place of its own: metrics that are new, or others'.

    Of the levels, the headline's is taken where there is one, else the first.
    """
    levels: dict[tuple[str, str], list[str]] = {}
    for name, level, semantics in section.scores:
        if name not in PLACED and section.metrics[name].compared:
            levels.setdefault((name, semantics), []).append(level)
    return [
        (name, HEADLINE_LEVEL if HEADLINE_LEVEL in found else min(found, key=natural), semantics)
        for (name, semantics), found in levels.items()
    ]


@lru_cache(maxsize=16)
def semantics(section: Section) -> tuple[str, ...]:
    """How edges were taken away: ``SEMANTICS``, or only the first where both gave the same.

    They do where no layer weighs messages by degrees. Values are kept to five digits.
    """
    masked, deleted = (
        {key[:2]: rows for key, rows in section.scores.items() if key[2] == one}
        for one in SEMANTICS
    )
    keys = ["label", "model_seed", "node"]
    for key, rows in deleted.items():
        both = rows.merge(masked.get(key, rows.iloc[:0]), on=keys, how="outer")
        if not np.allclose(both["value_x"], both["value_y"], rtol=1e-3, atol=1e-4):
            return SEMANTICS
    return SEMANTICS[:1] if deleted else SEMANTICS


def curve(section: Section, name: str, semantics: str) -> pd.DataFrame:
    """A metric at the levels that are shares of the edges: method, sparsity, mean, low, high, n."""
    parts = []
    for key in section.scores:
        share = re.fullmatch(r"f=([\d.]+)%", key[1])
        if (key[0], key[2]) != (name, semantics) or share is None:
            continue
        values = node_values(section, *key)
        measured = section.scores.get(("sparsity", key[1], ""))
        nominal = 1 - float(share[1]) / 100
        sparsity = nominal if measured is None else float(measured["value"].mean())
        for label in values.columns:
            mean = statistics.mean(values[label])
            parts.append((str(label), sparsity, mean.value, mean.low, mean.high, mean.n))
    return pd.DataFrame(parts, columns=["method", "sparsity", "mean", "low", "high", "n"])


def curves(section: Section) -> pd.DataFrame:
    """Fidelity against sparsity: metric, semantics and the columns of :func:`curve`."""
    parts = [
        curve(section, name, one).assign(metric=name, semantics=one)
        for name in ("fidelity+_prob", "fidelity-_prob")
        for one in semantics(section)
    ]
    # An empty frame would take the numbers' type from the others.
    found = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    order = ["metric", "semantics", "method", "sparsity"]
    return found[[*order, "mean", "low", "high", "n"]].sort_values(order, ignore_index=True)


def failures(section_rows: pd.DataFrame) -> pd.DataFrame:
    """Counts of what is not ok, by benchmark, method, engine, status and message."""
    keys = ["benchmark", "method", "engine", "status", "message"]
    return section_rows.groupby(keys, sort=True).size().rename("rows").reset_index()
