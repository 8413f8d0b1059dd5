"""Estimates with intervals, and the comparison of methods over the same nodes.

The unit is the node: whatever was measured several times on one node (models, repeats, rounds) is
averaged before anything is resampled. Resampling is seeded, so that a report can be made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.stats

RESAMPLES = 2000
CONFIDENCE = 0.95
ALPHA = 0.05
_SEED = 0


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; the bounds are NaN where one unit gives none.

    Attributes:
        value: The estimate.
        low: Lower bound of the 95 % percentile bootstrap interval.
        high: Upper bound.
        n: Units (nodes) that it was made from.
    """

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Standing:
    """How a method compares with the best one.

    Attributes:
        mean: Its mean.
        difference: Mean of its paired difference to the best; None for the best itself, and where
            none is best.
        p: P-value of the Wilcoxon signed-rank test against the best, corrected by Holm.
        mark: ``best``, ``tied`` if it cannot be told from the best (p >= 0.05, or the interval of
            the difference holds zero), or empty. Methods that equal the best on every unit share
            its mark; if all do, there is no best.
        at_floor: Whether it cannot be told to be better than the floor; see :func:`against_floor`.
    """

    mean: Estimate
    difference: Estimate | None = None
    p: float | None = None
    mark: str = ""
    at_floor: bool = False


def mean(values: npt.ArrayLike) -> Estimate:
    """The mean of at least one value, with its bootstrap interval."""
    sample = np.asarray(values, dtype=float)
    n = len(sample)
    if n < 2:
        return Estimate(float(sample.mean()), np.nan, np.nan, n)
    # The same draws for all samples of one size: resamples are paired over the methods.
    drawn = np.random.default_rng(_SEED).integers(n, size=(RESAMPLES, n))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(sample[drawn].mean(axis=1), [tail, 1 - tail])
    return Estimate(float(sample.mean()), float(low), float(high), n)


def geometric_mean(log_ratios: npt.ArrayLike) -> Estimate:
    """The geometric mean of ratios given as logarithms, with its bootstrap interval."""
    logs = mean(log_ratios)
    value, low, high = np.exp([logs.value, logs.low, logs.high])
    return Estimate(float(value), float(low), float(high), logs.n)


def wilcoxon(differences: npt.ArrayLike, alternative: str = "two-sided") -> float:
    """P-value of the signed-rank test; 1 if no difference is other than zero."""
    sample = np.asarray(differences, dtype=float)
    if not sample.any():
        return 1.0
    result: Any = scipy.stats.wilcoxon(sample, alternative=alternative)
    return float(result.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the smallest of m times m, the next times m - 1, ..., rising.

    Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        corrected[position] = largest
    return corrected


def paired(values: pd.DataFrame) -> pd.DataFrame:
    """The rows (units) that every column (method) has.

    A method with less than half the units of the fullest one is dropped first: it would take the
    others' units with it.
    """
    counts = values.notna().sum()
    kept = values.loc[:, counts >= max(1, counts.max() / 2)] if len(counts) else values
    return kept.dropna()


def compare(values: pd.DataFrame, direction: str) -> dict[str, Standing]:
    """Each method's mean and how it compares with the best.

    Args:
        values: Units by methods, without gaps.
        direction: ``up``, ``down`` or empty (no method is best then).
    """
    if values.empty:
        return {}
    means = {str(name): mean(values[name]) for name in values.columns}
    if not direction:
        return {name: Standing(estimate) for name, estimate in means.items()}
    sign = 1 if direction == "up" else -1
    best = max(means, key=lambda name: sign * means[name].value)
    if all((values[name] == values[best]).all() for name in means):
        return {name: Standing(estimate) for name, estimate in means.items()}
    others = [name for name in means if name != best]
    differences = [(values[name] - values[best]).to_numpy() for name in others]
    p_values = holm([wilcoxon(difference) for difference in differences])
    standings = {best: Standing(means[best], mark="best")}
    for name, difference, p in zip(others, differences, p_values, strict=True):
        gap = mean(difference)
        mark = "tied" if p >= ALPHA or gap.low <= 0 <= gap.high else ""
        if not difference.any():
            mark = "best"
        standings[name] = Standing(means[name], gap, p, mark)
    return standings


def against_floor(
    standings: dict[str, Standing], values: pd.DataFrame, direction: str, floor: str
) -> dict[str, Standing]:
    """Marks the methods that are not better than ``floor`` beyond chance.

    One-sided, since a method only has to be better: Wilcoxon's signed-rank test over the same
    units, corrected by Holm over the methods. Without the floor, a direction or a second unit there
    is no mark.
    """
    if floor not in standings or not direction or len(values) < 2:
        return standings
    sign = 1 if direction == "up" else -1
    others = [name for name in standings if name != floor]
    gains = [sign * (values[name] - values[floor]).to_numpy() for name in others]
    p_values = holm([wilcoxon(gain, "greater") for gain in gains])
    failed = {name for name, p in zip(others, p_values, strict=True) if p >= ALPHA}
    return {
        name: replace(standing, at_floor=name in failed) for name, standing in standings.items()
    }


@dataclass(frozen=True)
class Ranks:
    """How several methods rank over the same units.

    Attributes:
        means: Mean rank of each method, the best (1 is the first) before the others.
        p: P-value of Friedman's test: whether the methods differ at all.
        distance: Nemenyi's critical difference: mean ranks that are further apart differ.
        n: Units.
    """

    means: dict[str, float]
    p: float
    distance: float
    n: int

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """The longest runs of methods that cannot be told apart; all of them if p >= 0.05."""
        names = list(self.means)
        if self.p >= ALPHA:
            return [tuple(names)]
        found: list[tuple[str, ...]] = []
        end = 0
        for start, first in enumerate(names):
            near = [name for name in names if self.means[name] <= self.means[first] + self.distance]
            if len(near) > max(end, start + 1):
                end = len(near)
                found.append(tuple(names[start:end]))
        return found


def ranks(values: pd.DataFrame, direction: str) -> Ranks | None:
    """Ranks of the methods over the units, by Friedman's and Nemenyi's tests.

    Demsar (2006), Statistical comparisons of classifiers over multiple data sets, JMLR 7. Equal
    values share their mean rank.

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
        distance=float(quantile * np.sqrt(k * (k + 1) / (6 * n))),
        n=n,
    )
