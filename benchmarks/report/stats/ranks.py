"""Mean ranks of methods over the same models and nodes: a description, not a test.

Which methods are tied is not read from the ranks: that would be a second answer to the question
that :mod:`benchmarks.report.stats.standings` answers from the means.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from benchmarks.report.stats.crossed import Floats


def mean_ranks(values: pd.DataFrame, direction: str) -> dict[str, float] | None:
    """Mean rank of each method, the best (1 is the first) before the others.

    Equal values share their mean rank.

    Args:
        values: Methods by units, without gaps.
        direction: ``up``, ``down`` or empty.

    Returns:
        None with fewer than three methods or two units, without a direction, or if all are equal.
    """
    units, methods = values.shape
    if methods < 3 or units < 2 or not direction:
        return None
    by_unit = values.rank(axis=1, ascending=direction == "down")
    if (by_unit == by_unit.iloc[0, 0]).all(axis=None):
        return None
    means = by_unit.mean().sort_values(kind="stable")
    return {str(name): float(rank) for name, rank in means.items()}


def correlation(one: Floats, two: Floats) -> float:
    """Spearman's rank correlation of two lists [k]; 0 where one of them orders nothing."""
    if np.ptp(one) == 0 or np.ptp(two) == 0:
        return 0.0
    return float(spearmanr(one, two).statistic)
