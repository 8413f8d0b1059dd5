"""Whether the methods agree with each other, and each with itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd

from benchmarks.report.data.frames import natural
from benchmarks.report.data.metrics import Metrics
from benchmarks.report.data.section import Section, units
from benchmarks.report.figures import agreement_heatmaps
from benchmarks.report.render.blocks import (
    Block,
    Entry,
    Heading,
    Table,
    by_method,
    estimate,
    measured,
    picture,
)
from benchmarks.report.stats import crossed

_STABILITY = (
    *("kendall_tau_seeds", "overlap_seeds"),
    *("kendall_tau_models", "overlap_models", "max_sensitivity"),
)


def agreement(section: Section) -> Iterator[Block]:
    """A heatmap over the pairs of methods, and a table of how stable each method's scores are."""
    pairs, _ = section.of("agreement")
    rows, _ = section.of("stability")
    if pairs.empty and rows.empty:
        return
    yield Heading("Agreement and stability", f"agreement-{section.slug}", 3)
    matrices = {
        section.metrics[name].title: matrix(pairs, name)
        for name in ("kendall_tau", "overlap")
        if (pairs["metric"] == name).any()
    }
    yield from picture(
        f"agreement-{section.slug}",
        f"{section.title}: how well two methods agree on the ranking of a computation graph's "
        f"edges by absolute score, means over the {units([section])}. Below the diagonal: "
        "Kendall's tau-b over all edges, 0 for unrelated rankings. Above: share of the ten "
        "highest-scoring edges that two methods have in common. Methods that agree stand side by "
        "side.",
        agreement_heatmaps.draw(matrices),
        _pairs(matrices),
    )
    names = [name for name in _STABILITY if (rows["metric"] == name).any()]
    if names:
        yield Table(
            f"{section.title}: stability. How similar a method's scores are under different seeds "
            "of the method (only methods that use random numbers) and on models trained with "
            "different seeds; and the largest change of the scores when the features are perturbed "
            "by up to 2 % of their standard deviation.",
            ("method", *(section.metrics[name].heading for name in names)),
            by_method(rows, names, partial(_mean, section.metrics)),
        )


def _pairs(matrices: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """What the heatmaps show: a row for each pair of methods, which is there once."""
    squares = {
        title: square.where(np.tril(np.ones(square.shape, dtype=bool), -1)).stack(future_stack=True)
        for title, square in matrices.items()
    }
    table = pd.DataFrame(squares).dropna(how="all")
    return table.rename_axis(["method", "other"]).reset_index() if squares else table


def matrix(pairs: pd.DataFrame, name: str) -> pd.DataFrame:
    """One measure of agreement, methods by methods; 1 on the diagonal, gaps where unknown."""
    rows = pairs[pairs["metric"] == name]
    by_node = rows.groupby(["method", "other", "node"])["value"].mean()
    half = by_node.groupby(level=["method", "other"]).mean().unstack("other")
    names = sorted({*half.index, *half.columns}, key=natural)
    square = half.reindex(index=names, columns=names)
    square = square.combine_first(square.T)
    for one in names:
        square.loc[one, one] = 1.0
    return square.loc[names, names]


def _mean(metrics: Metrics, name: str, values: pd.Series) -> Entry:
    text = partial(estimate, bounded=metrics[name].bounded)
    return measured(text, crossed.mean(values, metrics[name].limits))
