"""How good the methods are, and what failed: frames to tables of numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pandas as pd

from benchmarks.report.data.frames import natural
from benchmarks.report.data.section import RANDOM, Section
from benchmarks.report.stats import estimates, pairwise, standings
from benchmarks.report.stats.pairwise import PairwiseComparison
from benchmarks.report.stats.standings import Standing

# As in the column `level`: the ten edges with the highest absolute scores.
HEADLINE_BUDGET = "k=10"
SEMANTICS = ("mask", "delete")
# What the tables show, by name, or by name and level; other metrics come after them.
PROB = ("fidelity+_prob", "fidelity-_prob", "characterization_prob")
ACC = ("fidelity+_acc", "fidelity-_acc", "characterization_acc")
WIDER = (
    *(("area_fidelity+_prob", ""), ("area_fidelity-_prob", "")),
    ("unfaithfulness", HEADLINE_BUDGET),
    ("robust_fidelity+_prob", HEADLINE_BUDGET),
    ("robust_fidelity-_prob", HEADLINE_BUDGET),
    *(("infidelity", ""), ("infidelity_scaled", "")),
)
SCORES = ("gini", "entropy", "mass90", "completeness")
GROUND_TRUTH = (
    *(("auroc", ""), ("auroc_undirected", ""), ("average_precision", ""), ("r_precision", "")),
    *(("recall", HEADLINE_BUDGET), ("jaccard", HEADLINE_BUDGET)),
)
PLACED = {*PROB, *ACC, *SCORES, *(name for name, _ in (*WIDER, *GROUND_TRUTH)), "sparsity"}


def node_values(section: Section, name: str, budget: str, semantics: str) -> pd.DataFrame:
    """One metric as nodes by methods, over the nodes and models that all methods have."""
    if (name, budget, semantics) not in section.scores:
        return pd.DataFrame()
    rows = section.scores[name, budget, semantics]
    # A metric of a whole task has no node; it counts as one unit.
    rows = rows.assign(unit=rows["node"].fillna(-1), model=rows["model_seed"].fillna(-1))
    values = rows.pivot_table(index=["model", "unit"], columns="label", values="value")
    return estimates.paired(values).groupby(level="unit").mean()


@lru_cache(maxsize=512)
def compare(section: Section, name: str, budget: str, semantics: str) -> dict[str, Standing]:
    """The methods by one metric; empty if no method has it."""
    values, direction = (
        node_values(section, name, budget, semantics),
        section.metrics[name].direction,
    )
    found = standings.compare(values, direction)
    return standings.against_random(found, values, direction, RANDOM)


def compare_pairs(
    section: Section, pairs: Sequence[tuple[str, str]], name: str
) -> list[PairwiseComparison]:
    """The pairs of methods by one metric, at the headline budget, masked."""
    values = node_values(section, name, HEADLINE_BUDGET, "mask")
    found = compare(section, name, HEADLINE_BUDGET, "mask")
    return pairwise.compare_pairs(values, pairs, section.metrics[name].direction, found)


def ranking(section: Section) -> list[str]:
    """The methods of the quality benchmark, best first by fidelity+; those without it last."""
    rows, _ = section.of("quality")
    found = compare(section, "fidelity+_prob", HEADLINE_BUDGET, "mask")
    return sorted(
        (str(name) for name in rows["label"].unique()),
        key=lambda name: (
            -found[name].mean.value if name in found else np.inf,
            natural(name),
        ),
    )


def other_metrics(section: Section) -> list[tuple[str, str, str]]:
    """Metric, budget and semantics of what has no place of its own: metrics that are new.

    The headline budget is taken where there is one, else the first.
    """
    budgets: dict[tuple[str, str], list[str]] = {}
    for name, budget, semantics in section.scores:
        if name not in PLACED and section.metrics[name].compared:
            budgets.setdefault((name, semantics), []).append(budget)
    return [
        (name, HEADLINE_BUDGET if HEADLINE_BUDGET in found else min(found, key=natural), semantics)
        for (name, semantics), found in budgets.items()
    ]


@lru_cache(maxsize=16)
def distinct_semantics(section: Section) -> tuple[str, ...]:
    """How edges were removed: ``SEMANTICS``, or only the first where both gave the same values.

    They do where no layer weights messages by degree. Values are stored with five digits.
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
    """A metric at budgets that are shares of the edges: method, sparsity, mean, low, high, n."""
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
            mean = estimates.mean(values[label])
            parts.append((str(label), sparsity, mean.value, mean.low, mean.high, mean.n))
    return pd.DataFrame(parts, columns=["method", "sparsity", "mean", "low", "high", "n"])


def curves(section: Section) -> pd.DataFrame:
    """Fidelity against sparsity: metric, semantics and the columns of :func:`curve`."""
    parts = [
        curve(section, name, one).assign(metric=name, semantics=one)
        for name in ("fidelity+_prob", "fidelity-_prob")
        for one in distinct_semantics(section)
    ]
    # An empty frame would take the numbers' type from the others.
    found = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    order = ["metric", "semantics", "method", "sparsity"]
    return found[[*order, "mean", "low", "high", "n"]].sort_values(order, ignore_index=True)


def failures(rows: pd.DataFrame) -> pd.DataFrame:
    """Counts of a section's failed rows, by benchmark, method, engine, status and message."""
    keys = ["benchmark", "method", "engine", "status", "message"]
    return rows.groupby(keys, sort=True).size().rename("rows").reset_index()
