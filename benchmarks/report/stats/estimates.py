"""Estimates, means of independent units with bootstrap intervals, and Holm's correction.

The bootstrap here is for what has one kind of replicate: times, whose rounds and repeats are
averaged within a node first. Scores are replicated over models and nodes, see :mod:`crossed`.
Resampling is seeded, so that a report can be reproduced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

RESAMPLES = 2000
CONFIDENCE = 0.95
ALPHA = 0.05
_SEED = 0


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; the bounds are NaN if it was made from one unit.

    Attributes:
        value: The estimate.
        low: Lower bound of the 95 % interval.
        high: Upper bound.
        n: Number of units (nodes) that it was made from.
    """

    value: float
    low: float
    high: float
    n: int


def mean(values: npt.ArrayLike) -> Estimate:
    """The mean of at least one value [n], with its bootstrap interval."""
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
    """The geometric mean of ratios given as natural logarithms [n], with its bootstrap interval."""
    logs = mean(log_ratios)
    value, low, high = np.exp([logs.value, logs.low, logs.high])
    return Estimate(float(value), float(low), float(high), logs.n)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values with Holm's step-down correction, in the order in which they were given.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none is smaller than the one
    before it. Holm (1979), A simple sequentially rejective multiple test procedure.
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
