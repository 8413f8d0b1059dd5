"""Whether the order of the methods by fidelity stays if the model knows graphs that lack edges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd

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
from benchmarks.report.stats.ranks import correlation

# As in the column `other`.
EXPLAINED, TUNED = "explained model", "fine-tuned model"
_EDGES = {"mask": "messages masked", "delete": "edges deleted"}
_PLAIN = ((EXPLAINED, "mask"), (EXPLAINED, "delete"), (TUNED, "delete"))
LEAST = 3  # methods, of which there is an order to speak of


@dataclass(frozen=True)
class Order:
    """The order of the methods by one fidelity, beside that by F-Fidelity.

    Attributes:
        column: The fidelity: its metric, the model and how edges are removed; F-Fidelity itself on
            another model has its own.
        heading: The same in words.
        correlation: Spearman's of the methods' means, over all models; of F-Fidelity on another
            model the mean over all pairs, None if there is but one.
        within: The same within each model; empty for F-Fidelity on another model.
        first: The method with the best mean.
    """

    column: str
    heading: str
    correlation: float | None
    within: tuple[float, ...]
    first: str


def f_fidelity(section: Section) -> Iterator[Block]:
    """Each method's fidelity and F-Fidelity, and how alike the orders of the methods are."""
    rows = _rows(section)
    if rows.empty:
        return
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
    compared: list[list[Entry]] = []
    for sign in "+-":
        headings = _headings(section, rows, sign)
        if not headings:
            continue
        yield Table(
            f"{section.title}: F-Fidelity{sign}, and fidelity{sign} of the explained model and of "
            "its fine-tuned copy, at 20 % of the edges, by signed score; means over the "
            f"{units([section])} and models.",
            ("method", *headings.values()),
            by_method(rows, list(headings), _entry),
            folded=sign == "-",
        )
        compared += map(_line, orders(section, sign))
    if compared:
        yield Table(
            f"{section.title}: whether the order of the methods changes. Spearman's rank "
            "correlation of the methods' means with those by F-Fidelity: over all models, and the "
            "lowest and highest within one model. Last line of each: F-Fidelity with itself on "
            "another model, the mean over all pairs, which says how much of an order is the "
            "model's own. Methods with equal values count once; first is the method with the best "
            "mean, which may be tied with others.",
            ("order by", "rank correlation", "within one model", "first"),
            compared,
        )


def orders(section: Section, sign: str) -> list[Order]:
    """Each fidelity with this sign, ``+`` or ``-``, and last F-Fidelity itself on another model.

    Methods with equal values count once; nothing with fewer than three.
    """
    rows = _rows(section)
    headings = _headings(section, rows, sign)
    if not headings:
        return []
    rows = rows[rows["metric"].isin(headings)]
    table = rows.pivot_table(
        index=["metric", "model_seed", "node"], columns="label", values="value"
    )
    table = estimates.paired(table)
    table = table[[group[0] for group in equal.groups(table, apart=[RANDOM])]]
    if table.shape[1] < LEAST or table.empty:
        return []
    own, *others = headings
    means = table.groupby("metric").mean()
    within = table.groupby(["metric", "model_seed"]).mean()
    best = "idxmax" if section.metrics[own].direction == "up" else "idxmin"
    found = []
    for name in others:
        one, two = within.xs(own), within.xs(name)
        seeds = one.index.intersection(two.index)
        whole = correlation(means.loc[own].to_numpy(), means.loc[name].to_numpy())
        each = map(correlation, one.loc[seeds].to_numpy(), two.loc[seeds].to_numpy())
        first = str(getattr(means.loc[name], best)())
        found.append(Order(name, headings[name], whole, tuple(each), first))
    pairs = [correlation(*pair) for pair in combinations(within.xs(own).to_numpy(), 2)]
    between = float(np.mean(pairs)) if pairs else None
    first = str(getattr(means.loc[own], best)())
    return [*found, Order(own, f"{headings[own]}, another model", between, (), first)]


def masked(sign: str) -> str:
    """The column of fidelity as the tables of quality have it: of the explained model, masked."""
    return _column(f"fidelity{sign}_prob", EXPLAINED, "mask")


def _rows(section: Section) -> pd.DataFrame:
    """The benchmark's, each with a column's name as its metric."""
    rows, _ = section.of("f_fidelity")
    return rows.assign(metric=[_column(*row) for row in _places(rows)])


def _headings(section: Section, rows: pd.DataFrame, sign: str) -> dict[str, str]:
    """The columns that were measured, F-Fidelity first, in words; empty without F-Fidelity."""
    own, plain = f"f_fidelity{sign}_prob", f"fidelity{sign}_prob"
    there = set(rows["metric"])
    if own not in there:
        return {}
    others = {_column(plain, *place): _said(*place) for place in _PLAIN}
    return {own: section.metrics[own].heading} | {
        name: f"{section.metrics[plain].heading}, {said}"
        for name, said in others.items()
        if name in there
    }


def _line(order: Order) -> list[Entry]:
    low, high = (number(f(order.within, default=None), bounded=True) for f in (min, max))
    return [
        Entry(order.heading),
        measured(partial(number, bounded=True), order.correlation),
        Entry(f"{low} to {high}" if order.within else NOTHING),
        Entry(order.first),
    ]


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


def _entry(_: str, values: pd.Series) -> Entry:
    return measured(partial(estimate, bounded=True), crossed.mean(values, (-1, 1)))
