"""Whether the order of the methods by fidelity stays if the model knows graphs that lack edges."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from benchmarks.report.data.section import RANDOM, Section, units
from benchmarks.report.render.blocks import (
    NOTHING,
    Block,
    Entry,
    Heading,
    Table,
    Text,
    by_method,
    estimate,
    measured,
    number,
    share,
)
from benchmarks.report.stats import crossed, equal, estimates
from benchmarks.report.stats.crossed import Floats

# As in the column `other`.
EXPLAINED, TUNED = "explained model", "fine-tuned model"
_EDGES = {"mask": "messages masked", "delete": "edges deleted"}
_PLAIN = ((EXPLAINED, "mask"), (EXPLAINED, "delete"), (TUNED, "delete"))
_LEAST = 3  # methods, of which there is an order to speak of


def f_fidelity(section: Section) -> Iterator[Block]:
    """Each method's fidelity and F-Fidelity, and how alike the orders of the methods are."""
    rows, _ = section.of("f_fidelity")
    if rows.empty:
        return
    rows = rows.assign(metric=[_column(*row) for row in _places(rows)])
    yield Heading("F-Fidelity", f"f-fidelity-{section.slug}", 3)
    yield Text(
        "A graph without the selected edges may be unlike all that the model was trained on. "
        "F-Fidelity (Zheng et al., arXiv:2410.02970) asks a copy of the model that was trained "
        "further on graphs without up to a tenth of their edges, and takes away no more than that "
        "on average: of the selected edges (F-Fidelity+), or of the others (F-Fidelity-), each "
        "with probability 1/2, or less where that would be more than a tenth. The explanations "
        "are of the explained model. It answers for the copy, which is another model: where the "
        "methods' order stays, it does not hang on unfamiliar graphs; where it changes, either "
        f"may be the reason.{_accuracies(rows)}"
    )
    orders: list[list[Entry]] = []
    for sign in "+-":
        columns = {_column(f"fidelity{sign}_prob", *place): _said(*place) for place in _PLAIN}
        own = f"f_fidelity{sign}_prob"
        shown = [name for name in (own, *columns) if (rows["metric"] == name).any()]
        if own not in shown:
            continue
        headings = [
            f"{section.metrics[f'fidelity{sign}_prob'].heading}, {columns[name]}"
            for name in shown[1:]
        ]
        yield Table(
            f"{section.title}: F-Fidelity{sign}, and fidelity{sign} of the explained model and of "
            "its fine-tuned copy, at 20 % of the edges, by signed score; means over the "
            f"{units([section])} and models.",
            ("method", section.metrics[own].heading, *headings),
            by_method(rows, shown, _entry),
            folded=sign == "-",
        )
        orders += _orders(section, rows, own, dict(zip(shown[1:], headings, strict=True)))
    if orders:
        yield Table(
            f"{section.title}: whether the order of the methods changes. Spearman's rank "
            "correlation of the methods' means with those by F-Fidelity: over all models, and the "
            "lowest and highest within one model. Last line of each: F-Fidelity with itself on "
            "another model, the mean over all pairs, which says how much of an order is the "
            "model's own. Methods with equal values count once; first is the method with the best "
            "mean, which may be tied with others.",
            ("order by", "rank correlation", "within one model", "first"),
            orders,
        )


def _places(rows: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    return rows[["metric", "other", "semantics"]].fillna("").itertuples(index=False, name=None)


def _column(metric: str, other: str, semantics: str) -> str:
    """A name for what a row is; F-Fidelity, of one model and with edges deleted, has its own."""
    if metric.startswith("f_fidelity") or not other:
        return metric
    return ", ".join(part for part in (metric, other, semantics) if part)


def _said(other: str, semantics: str) -> str:
    return f"{other}, {_EDGES[semantics]}"


def _accuracies(rows: pd.DataFrame) -> str:
    """How the two models do on whole graphs and on reduced ones; empty if that is not known."""
    means = rows.groupby("metric")["value"].mean()
    names = [f"{name}, {of}" for of in (EXPLAINED, TUNED) for name in _ACCURACY]
    if not {*names, "same_class"} <= set(means.index):
        return ""
    before, lacking, after, reduced = (share(float(means[name])) for name in names)
    return (
        f" Accuracy of the explained model: {before}, and {lacking} on graphs without up to a "
        f"tenth of their edges; of the copy: {after} and {reduced}. The copy predicts the "
        f"explained class in {share(float(means['same_class']))} of what is explained."
    )


_ACCURACY = ("accuracy", "accuracy_reduced")


def _orders(
    section: Section, rows: pd.DataFrame, own: str, others: dict[str, str]
) -> Iterator[list[Entry]]:
    """A line for each other fidelity, and one for F-Fidelity on another model."""
    rows = rows[rows["metric"].isin([own, *others])]
    table = rows.pivot_table(
        index=["metric", "model_seed", "node"], columns="label", values="value"
    )
    table = estimates.paired(table)
    table = table[[group[0] for group in equal.groups(table, apart=[RANDOM])]]
    if table.shape[1] < _LEAST or table.empty:
        return
    means = table.groupby("metric").mean()
    within = table.groupby(["metric", "model_seed"]).mean()
    best = "idxmax" if section.metrics[own].direction == "up" else "idxmin"
    for name, heading in others.items():
        one, two = within.xs(own), within.xs(name)
        seeds = one.index.intersection(two.index)
        each = list(map(_correlation, one.loc[seeds].to_numpy(), two.loc[seeds].to_numpy()))
        low, high = (number(bound(each, default=None), bounded=True) for bound in (min, max))
        yield [
            Entry(heading),
            measured(
                partial(number, bounded=True),
                _correlation(means.loc[own].to_numpy(), means.loc[name].to_numpy()),
            ),
            Entry(f"{low} to {high}"),
            Entry(str(getattr(means.loc[name], best)())),
        ]
    pairs = [_correlation(*pair) for pair in combinations(within.xs(own).to_numpy(), 2)]
    yield [
        Entry(f"{section.metrics[own].heading}, another model"),
        measured(partial(number, bounded=True), float(np.mean(pairs)) if pairs else None),
        Entry(NOTHING),
        Entry(str(getattr(means.loc[own], best)())),
    ]


def _correlation(one: Floats, two: Floats) -> float:
    """Spearman's; 0 where one of them orders nothing."""
    if np.ptp(one) == 0 or np.ptp(two) == 0:
        return 0.0
    return float(spearmanr(one, two).statistic)


def _entry(_: str, values: pd.Series) -> Entry:
    return measured(partial(estimate, bounded=True), crossed.mean(values, (-1, 1)))
