"""Which method is best, which are tied with it, which are better than random: the one place.

A *difference* of two methods is the mean of their paired differences over models and nodes. It
*counts* if its interval lies outside the region of practical equivalence, which is what
:meth:`crossed.Means.p_beyond` tests; against the random baseline, the permutation test
(:mod:`sign_flips`) must agree. Otherwise the two are *tied*. All comparisons that one sentence may
speak of (the family) are corrected together, by Holm, and each has one p-value, whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from benchmarks.report.stats import crossed, sign_flips
from benchmarks.report.stats.estimates import ALPHA, Estimate, holm

# How a table of methods ends.
SAME = " = "  # between the names of methods that are the same on a task
WINNER, TIE, NO_WINNER, TOO_FEW, EQUAL, UNDIRECTED = (
    *("winner", "tie", "no winner", "too few nodes", "equal", ""),
)


def short(title: str) -> str:
    """A title with two of its names at most, for figures: ``a = b, +8 more``. Tables have all."""
    first, *rest = title.split(SAME)
    more = f", +{len(rest) - 1} more" if len(rest) > 1 else ""
    return SAME.join([first, *rest[:1]]) + more


@dataclass(frozen=True)
class Column:
    """The values of several methods by one metric.

    Attributes:
        values: Methods by an index of (model, node), without gaps.
        direction: ``up``, ``down`` or empty (no method is best then).
        margin: Half of the region of practical equivalence: differences that are not larger in
            either direction do not count.
        bounds: What the metric can reach, None where it has no limit.
    """

    values: pd.DataFrame
    direction: str
    margin: float = 0.0
    bounds: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True)
class Difference:
    """Two methods by one metric.

    Attributes:
        first: A method.
        second: Another.
        gain: Mean paired difference, positive where the first is better.
        p: P-value of a difference that counts, corrected by Holm over the family.
    """

    first: str
    second: str
    gain: Estimate
    p: float

    @property
    def winner(self) -> str:
        """The better method; empty if they are tied."""
        if not self.p < ALPHA:
            return ""
        return self.first if self.gain.value > 0 else self.second


@dataclass(frozen=True)
class Standing:
    """How a method compares with the best one.

    Attributes:
        mean: Its mean.
        difference: Mean of its paired difference from the method with the best mean; None for that
            one itself, and where none is.
        p: P-value of that difference, corrected over the family.
        mark: ``best``; ``tied`` if no difference from the best that counts was found; or empty. No
            method has a mark where there is no winner: all are equal, or the one with the best
            mean is tied with the random baseline, or there are too few nodes.
        not_better_than_random: Whether no gain over the random baseline that counts was found.
        names: The methods that it stands for: those that are the same on this task.
    """

    mean: Estimate
    difference: Estimate | None = None
    p: float | None = None
    mark: str = ""
    not_better_than_random: bool = False
    names: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Its methods' names: ``saliency = input_x_gradient``."""
        return SAME.join(self.names)


@dataclass(eq=False)  # a dictionary's own comparison
class Standings(dict[str, Standing]):
    """The standings by one metric; methods that are the same share one.

    Attributes:
        outcome: ``winner``: one is best; ``tie``: others are tied with the best; ``no winner``: the
            best mean is tied with the random baseline's; ``too few nodes``: whatever the values,
            no gain over random could be significant; ``equal``: all are the same, or there is one
            only; empty for a metric without direction.
        top: The method with the best mean; empty without direction or if all are equal.
        margin: Half of the region of practical equivalence.
        nodes: Number of nodes.
        models: Number of models.
        family: Number of comparisons that were corrected together.
        differences: Every comparison that was made, by its pair of methods.
    """

    outcome: str = UNDIRECTED
    top: str = ""
    margin: float = 0.0
    nodes: int = 0
    models: int = 0
    family: int = 0
    differences: dict[tuple[str, str], Difference] = field(default_factory=dict)

    @property
    def distinct(self) -> list[Standing]:
        """Each standing once, in order."""
        return list({one.names: one for one in self.values()}.values())

    @property
    def tied(self) -> list[str]:
        """Titles of the best and of those tied with it; empty if there is no winner."""
        marked = [one for one in self.distinct if one.mark]
        return [one.title for one in sorted(marked, key=lambda one: one.mark != "best")]

    def between(self, first: str, second: str) -> Difference | None:
        """The comparison of two methods, if it was made; gains are positive where first is better.

        None, too, if both are the same method by another name.
        """
        one, other = (self[name].names[0] for name in (first, second))
        found = self.differences.get((one, other))
        if found is not None:
            return Difference(first, second, found.gain, found.p)
        turned = self.differences.get((other, one))
        if turned is None:
            return None
        gain = turned.gain
        return Difference(
            first, second, Estimate(-gain.value, -gain.high, -gain.low, gain.n), turned.p
        )


def compare(
    columns: Mapping[str, Column],
    *,
    baseline: str = "",
    asked: Sequence[tuple[str, str]] = (),
    folds: Iterable[tuple[str, ...]] = (),
) -> dict[str, Standings]:
    """The standings by each metric of one family.

    Compared are: each method with the one that has the best mean, each with the baseline, and the
    pairs that are asked for. All of them, over all columns, are corrected together.

    Args:
        columns: The metrics that a sentence speaks of together, by any key.
        baseline: The random baseline; without it no column can end without a winner.
        asked: Further pairs of methods.
        folds: Methods that are the same, in groups; each group is compared once.
    """
    leaders = {name: group for group in folds for name in group}
    found: dict[str, dict[tuple[str, str], Difference]] = {}
    tops: dict[str, str] = {}
    for key, column in columns.items():
        tops[key], pairs = _pairs(column, leaders, baseline, asked)
        found[key] = _differences(column, pairs, baseline)
    places = [(key, pair) for key, made in found.items() for pair in made]
    corrected = holm([found[key][pair].p for key, pair in places])
    for (key, pair), p in zip(places, corrected, strict=True):
        one = found[key][pair]
        found[key][pair] = Difference(one.first, one.second, one.gain, p)
    return {
        key: _standings(column, leaders, baseline, tops[key], found[key], len(places))
        for key, column in columns.items()
    }


def _leading(column: Column, leaders: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The first method of each group that the column has, with those of the group it has."""
    groups: dict[str, tuple[str, ...]] = {}
    present = [str(name) for name in column.values.columns]
    for name in present:
        group = tuple(one for one in leaders.get(name, (name,)) if one in present)
        groups.setdefault(group[0], group)
    return groups


def _pairs(
    column: Column,
    leaders: Mapping[str, tuple[str, ...]],
    baseline: str,
    asked: Sequence[tuple[str, str]],
) -> tuple[str, list[tuple[str, str]]]:
    """The method with the best mean, and the pairs to compare; neither where none is best."""
    values = column.values
    groups = _leading(column, leaders)
    names = list(groups)
    if not column.direction or values.empty:
        return "", []
    sign = 1 if column.direction == "up" else -1
    if all((values[name] == values[names[0]]).all() for name in names):
        return "", []
    top = max(names, key=lambda name: sign * values[name].mean())
    if len(values) < 2:
        return top, []
    wanted = [(top, name) for name in names]
    if baseline in names:
        wanted += [(name, baseline) for name in names]
    leader = {name: first for first, group in groups.items() for name in group}
    wanted += [(leader.get(one, ""), leader.get(other, "")) for one, other in asked]
    pairs: list[tuple[str, str]] = []
    for one, other in wanted:
        known = one == other or (one, other) in pairs or (other, one) in pairs
        if not known and {one, other} <= set(names):
            pairs.append((one, other))
    return top, pairs


def _differences(
    column: Column, pairs: Sequence[tuple[str, str]], baseline: str
) -> dict[tuple[str, str], Difference]:
    """The comparisons with p-values that are not yet corrected."""
    if not pairs:
        return {}
    sign = 1 if column.direction == "up" else -1
    first, second = zip(*pairs, strict=True)
    gains = pd.DataFrame(
        sign * (column.values[list(first)].to_numpy() - column.values[list(second)].to_numpy()),
        index=column.values.index,
    )
    means = crossed.means(gains)
    p = means.p_beyond(column.margin)
    with_random = np.array([baseline in pair for pair in pairs])
    if with_random.any():
        # Both must reject: the larger p-value is one of their intersection-union test.
        p[with_random] = np.maximum(p[with_random], sign_flips.p_values(gains.loc[:, with_random]))
    return {
        pair: Difference(*pair, gain, float(one))
        for pair, gain, one in zip(pairs, means.estimates(), p, strict=True)
    }


def _standings(
    column: Column,
    leaders: Mapping[str, tuple[str, ...]],
    baseline: str,
    top: str,
    differences: dict[tuple[str, str], Difference],
    family: int,
) -> Standings:
    """One column's standings, from its corrected comparisons."""
    if column.values.empty:
        return Standings()
    groups = _leading(column, leaders)
    means = crossed.means(column.values[list(groups)])
    found = Standings(
        top=top,
        margin=column.margin,
        nodes=means.nodes,
        models=means.models,
        family=family,
        differences=differences,
    )
    estimates = means.estimates(column.bounds)
    for group, estimate in zip(groups.values(), estimates, strict=True):
        found.update(dict.fromkeys(group, Standing(estimate, names=group)))
    found.outcome = _outcome(column, found, baseline)
    marked = found.outcome in (WINNER, TIE)
    for name, group in groups.items():
        against = found.between(name, top) if top and name != top else None
        random = found.between(name, baseline) if baseline in found else None
        mark = "best" if name == top else "tied" if against and not against.winner else ""
        standing = Standing(
            found[name].mean,
            _signed(against, column.direction),
            against.p if against else None,
            mark if marked else "",
            # With too few nodes nothing can be said of random, not even that.
            found.outcome != TOO_FEW and random is not None and random.winner != name,
            group,
        )
        found.update(dict.fromkeys(group, standing))
    if found.outcome == WINNER and any(one.mark == "tied" for one in found.values()):
        found.outcome = TIE
    return found


def _outcome(column: Column, found: Standings, baseline: str) -> str:
    if not column.direction:
        return UNDIRECTED
    if not found.top:
        return EQUAL
    if not found.differences:
        return TOO_FEW
    if baseline not in found:
        return WINNER
    units = found.nodes if found.nodes > 1 else found.models
    if found.family * sign_flips.least_p(units) >= ALPHA:
        return TOO_FEW
    if found.top == baseline:
        return NO_WINNER
    best = found.between(found.top, baseline)
    return WINNER if best is not None and best.winner == found.top else NO_WINNER


def _signed(difference: Difference | None, direction: str) -> Estimate | None:
    """The difference in the metric's own direction: its value less the best one's."""
    if difference is None:
        return None
    gain = difference.gain
    if direction == "down":
        return Estimate(-gain.value, -gain.high, -gain.low, gain.n)
    return gain
