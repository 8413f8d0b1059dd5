"""Pairs of methods on the same nodes: which beats which, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.report.data import quality as tables
from benchmarks.report.data.section import Section
from benchmarks.report.stats import estimates as statistics
from benchmarks.report.stats.estimates import ALPHA, Estimate, Standing


@dataclass(frozen=True)
class Duel:
    """Two methods by one metric, at ten edges, masked.

    Attributes:
        first: A method.
        second: Another.
        metric: The metric.
        gain: Mean paired difference, positive where the first is better.
        p: P-value of the Wilcoxon signed-rank test, corrected by Holm: against the best over all
            methods, as in the tables, else over the other duels of the call.
    """

    first: str
    second: str
    metric: str
    gain: Estimate
    p: float

    @property
    def winner(self) -> str:
        """Who beats the other; empty unless both the test and the interval tell them apart."""
        if not self.p < ALPHA:
            return ""
        if self.gain.low > 0:
            return self.first
        return self.second if self.gain.high < 0 else ""


def duels(section: Section, pairs: Sequence[tuple[str, str]], name: str) -> list[Duel]:
    """The pairs by one metric, over the nodes that all methods have; none if there is one node."""
    values = tables.node_values(section, name, tables.HEADLINE_LEVEL, "mask")
    standings = tables.compare(section, name, tables.HEADLINE_LEVEL, "mask")
    pairs = [pair for pair in pairs if set(pair) <= set(values.columns) and len(values) > 1]
    sign = -1 if section.metrics[name].direction == "down" else 1
    gains = {pair: sign * (values[pair[0]] - values[pair[1]]).to_numpy() for pair in pairs}
    # Against the best, the report has compared all methods already; it must not say two things.
    best = next((one for one in standings if standings[one].mark == "best"), None)
    known = {pair: _other(standings, pair, best) for pair in pairs if best in pair}
    rest = [pair for pair in pairs if pair not in known]
    corrected = statistics.holm([statistics.wilcoxon(gains[pair]) for pair in rest])
    p_values = known | dict(zip(rest, corrected, strict=True))
    return [Duel(*pair, name, statistics.mean(gains[pair]), p_values[pair]) for pair in pairs]


def _other(standings: dict[str, Standing], pair: tuple[str, str], best: str | None) -> float:
    p = standings[pair[1] if pair[0] == best else pair[0]].p
    return 1.0 if p is None else p
