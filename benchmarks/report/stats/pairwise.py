"""Pairwise comparisons of methods over the same units: which one is better, and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmarks.report.stats.estimates import ALPHA, Estimate, holm, mean, wilcoxon
from benchmarks.report.stats.standings import Standing


@dataclass(frozen=True)
class PairwiseComparison:
    """Two methods by one metric.

    Attributes:
        first: A method.
        second: Another.
        gain: Mean paired difference, positive where the first is better.
        p: P-value of the Wilcoxon signed-rank test, corrected by Holm: against the best over all
            methods, as in the tables, else over the other pairs of the call.
    """

    first: str
    second: str
    gain: Estimate
    p: float

    @property
    def winner(self) -> str:
        """The better method; empty if they are tied: by the test, or by the interval."""
        if not self.p < ALPHA:
            return ""
        if self.gain.low > 0:
            return self.first
        return self.second if self.gain.high < 0 else ""


def compare_pairs(
    values: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    direction: str,
    standings: Mapping[str, Standing],
) -> list[PairwiseComparison]:
    """The pairs by one metric; none if there is only one unit.

    Args:
        values: Units by methods, without gaps.
        pairs: Names of methods; pairs with a method that has no values are left out.
        direction: ``up``, ``down`` or empty (taken as ``up``).
        standings: The comparison of all methods with the best, over the same values. A pair with
            the best takes its p-value from there, so that the report does not say two things.
    """
    pairs = [pair for pair in pairs if set(pair) <= set(values.columns) and len(values) > 1]
    sign = -1 if direction == "down" else 1
    gains = {pair: sign * (values[pair[0]] - values[pair[1]]).to_numpy() for pair in pairs}
    best = next((one for one in standings if standings[one].mark == "best"), None)
    known = {pair: _against_best(standings, pair, best) for pair in pairs if best in pair}
    rest = [pair for pair in pairs if pair not in known]
    corrected = holm([wilcoxon(gains[pair]) for pair in rest])
    p_values = known | dict(zip(rest, corrected, strict=True))
    return [PairwiseComparison(*pair, mean(gains[pair]), p_values[pair]) for pair in pairs]


def _against_best(
    standings: Mapping[str, Standing], pair: tuple[str, str], best: str | None
) -> float:
    p = standings[pair[1] if pair[0] == best else pair[0]].p
    return 1.0 if p is None else p
