"""How methods compare with the best one, and with the random baseline, over the same units."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from benchmarks.report.stats.estimates import ALPHA, Estimate, holm, mean, wilcoxon


@dataclass(frozen=True)
class Standing:
    """How a method compares with the best one.

    Attributes:
        mean: Its mean.
        difference: Mean of its paired difference from the best; None for the best itself, and where
            none is best.
        p: P-value of the Wilcoxon signed-rank test against the best, corrected by Holm.
        mark: ``best``, ``tied`` if it does not differ significantly from the best (p >= 0.05, or
            the interval of the difference contains zero), or empty. Methods that equal the best on
            every unit share its mark; if all do, there is no best.
        not_better_than_random: Whether it is not significantly better than the random baseline;
            see :func:`against_random`.
    """

    mean: Estimate
    difference: Estimate | None = None
    p: float | None = None
    mark: str = ""
    not_better_than_random: bool = False


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


def against_random(
    standings: dict[str, Standing], values: pd.DataFrame, direction: str, baseline: str
) -> dict[str, Standing]:
    """Marks the methods that are not significantly better than the random baseline.

    One-sided, since a method only has to be better: Wilcoxon's signed-rank test over the same
    units, corrected by Holm over the methods. Without the baseline, a direction or a second unit
    there is no mark.

    Args:
        standings: From :func:`compare` of the same values.
        values: Units by methods, without gaps.
        direction: ``up``, ``down`` or empty.
        baseline: The column of the random baseline.
    """
    if baseline not in standings or not direction or len(values) < 2:
        return standings
    sign = 1 if direction == "up" else -1
    others = [name for name in standings if name != baseline]
    gains = [sign * (values[name] - values[baseline]).to_numpy() for name in others]
    p_values = holm([wilcoxon(gain, "greater") for gain in gains])
    failed = {name for name, p in zip(others, p_values, strict=True) if p >= ALPHA}
    return {
        name: replace(standing, not_better_than_random=name in failed)
        for name, standing in standings.items()
    }
