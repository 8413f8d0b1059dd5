"""Mean ranks of methods over the same units, with the Friedman and Nemenyi tests.

Demsar (2006), Statistical comparisons of classifiers over multiple data sets, JMLR 7.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.stats

from benchmarks.report.stats.estimates import ALPHA


@dataclass(frozen=True)
class Ranks:
    """How several methods rank over the same units.

    Attributes:
        means: Mean rank of each method, the best (1 is the first) before the others.
        p: P-value of the Friedman test: whether the methods differ at all.
        critical_difference: Of the Nemenyi test: mean ranks that are further apart differ.
        n: Number of units.
    """

    means: dict[str, float]
    p: float
    critical_difference: float
    n: int

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """The longest runs of tied methods, whose mean ranks do not differ; all if p >= 0.05."""
        names = list(self.means)
        if self.p >= ALPHA:
            return [tuple(names)]
        found: list[tuple[str, ...]] = []
        end = 0
        for start, first in enumerate(names):
            limit = self.means[first] + self.critical_difference
            near = [name for name in names if self.means[name] <= limit]
            if len(near) > max(end, start + 1):
                end = len(near)
                found.append(tuple(names[start:end]))
        return found


def mean_ranks(values: pd.DataFrame, direction: str) -> Ranks | None:
    """Ranks of the methods over the units; equal values share their mean rank.

    Args:
        values: Units by methods, without gaps.
        direction: ``up``, ``down`` or empty.

    Returns:
        None with fewer than three methods or two units, without a direction, or if all are equal.
    """
    n, k = values.shape
    if k < 3 or n < 2 or not direction:
        return None
    by_unit = values.rank(axis=1, ascending=direction == "down")
    if (by_unit == by_unit.iloc[0, 0]).all(axis=None):
        return None
    p = float(scipy.stats.friedmanchisquare(*(values[name] for name in values)).pvalue)
    quantile = scipy.stats.studentized_range.ppf(1 - ALPHA, k, np.inf) / np.sqrt(2)
    means = by_unit.mean().sort_values(kind="stable")
    return Ranks(
        means={str(name): float(rank) for name, rank in means.items()},
        p=p,
        critical_difference=float(quantile * np.sqrt(k * (k + 1) / (6 * n))),
        n=n,
    )
