"""Which method is best, tied, better than random: one answer, on cases worked by hand."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.report.stats.standings import (
    EQUAL,
    NO_WINNER,
    TIE,
    TOO_FEW,
    UNDIRECTED,
    WINNER,
    Column,
    compare,
)

GOOD = np.linspace(0.3, 0.5, 20)
WOBBLE = 0.05 * np.array([1, -1] * 10)


def frame(models=1, **values):
    """Methods by (model, node), the same values under each model but for a little noise."""
    rng = np.random.default_rng(0)
    count = len(next(iter(values.values())))
    index = pd.MultiIndex.from_product([range(models), range(count)])
    data = {
        name: np.tile(one, models) + (0.001 * rng.normal(size=models * count) if models > 1 else 0)
        for name, one in values.items()
    }
    return pd.DataFrame(data, index=index)


def judged(values, direction="up", margin=0.01, baseline="random", **more):
    return compare({"it": Column(values, direction, margin)}, baseline=baseline, **more)["it"]


def marks(standings):
    return {name: one.mark for name, one in standings.items()}


@pytest.mark.parametrize("models", [1, 3])
def test_the_best_and_those_tied_with_it_are_marked(models):
    found = judged(frame(models, bad=GOOD - 0.2, good=GOOD, near=GOOD + WOBBLE - 0.001))
    assert marks(found) == {"bad": "", "good": "best", "near": "tied"}
    assert (found.outcome, found.top, found.tied) == (TIE, "good", ["good", "near"])
    assert (found.nodes, found.models, found.family) == (20, models, 2)
    assert found["good"].difference is None
    assert found["bad"].difference.value == pytest.approx(-0.2, abs=0.002)
    assert found["bad"].p < 0.001
    turned = judged(frame(models, bad=-GOOD + 0.2, good=-GOOD), "down")
    assert marks(turned) == {"bad": "", "good": "best"}
    assert turned["bad"].difference.value == pytest.approx(0.2, abs=0.002)


def test_a_difference_within_the_region_does_not_count_however_sure_it_is():
    tiny = frame(a=GOOD, b=GOOD - 0.008 - 0.0001 * np.arange(20) / 20)
    assert judged(tiny).outcome == TIE
    assert judged(tiny, margin=0.0).outcome == WINNER
    assert judged(tiny, margin=0.007).outcome == WINNER
    # Outside, but its interval is not.
    unsure = frame(a=GOOD, b=GOOD - 0.02 + 0.5 * WOBBLE)
    assert judged(unsure).outcome == TIE
    assert judged(unsure, margin=0.005).outcome == WINNER


def test_models_that_differ_widen_every_comparison():
    # Over the nodes of averaged models the gain of 0.1 would be certain; over the models it is not.
    index = pd.MultiIndex.from_product([range(3), range(20)])
    base = np.tile(GOOD, 3)
    shift = np.repeat([0.3, 0.05, -0.05], 20)
    values = pd.DataFrame({"a": base + shift, "b": base}, index=index)
    assert judged(values).outcome == TIE
    assert judged(values.groupby(level=1).mean().pipe(_one_model)).outcome == WINNER


def _one_model(values):
    return values.set_axis(pd.MultiIndex.from_product([[0], values.index]))


def test_only_a_gain_over_random_that_counts_is_one():
    noise = np.random.default_rng(0).normal(0, 0.1, 20)
    values = frame(
        random=GOOD, better=GOOD + 0.1, worse=GOOD - 0.1, small=GOOD + 0.005, noisy=GOOD + noise
    )

    def marked(direction, **more):
        found = judged(values, direction, **more)
        return {name for name, one in found.items() if one.not_better_than_random}

    assert marked("up") == {"worse", "small", "noisy"}
    assert marked("down") == {"better", "small", "noisy"}
    assert marked("up", baseline="absent") == marked("") == set()


def test_both_tests_must_agree_on_random():
    # Few nodes carry the gain: Student's t is sure, the signs of few nodes are not.
    gains = np.array([0.1] * 7)
    values = frame(a=GOOD[:7] + gains, random=GOOD[:7])
    found = judged(values)
    assert found["a"].difference is None
    # 2 of 2^7 patterns, one comparison.
    assert found.differences["a", "random"].p == pytest.approx(2 / 128)


def test_no_winner_where_the_best_is_tied_with_random():
    noise = np.random.default_rng(0).normal(0.02, 0.1, 20)
    found = judged(frame(a=GOOD + noise, b=GOOD - 0.3, random=GOOD))
    assert (found.outcome, found.top) == (NO_WINNER, "a")
    assert marks(found) == {"a": "", "b": "", "random": ""}
    assert found["a"].not_better_than_random
    assert found.tied == []
    assert judged(frame(a=GOOD - 0.1, random=GOOD)).outcome == NO_WINNER


def test_too_few_nodes_to_tell_anything_from_random():
    # With 5 nodes the smallest p-value is 2 / 32: no outcome could be significant.
    values = frame(a=GOOD[:5] + 0.5, random=GOOD[:5])
    found = judged(values)
    assert found.outcome == TOO_FEW
    assert not found["a"].not_better_than_random
    assert marks(found) == {"a": "", "random": ""}
    assert judged(frame(a=GOOD[:6] + 0.5, random=GOOD[:6])).outcome == WINNER
    # The more comparisons, the more nodes: 2 / 64 times three is not below 0.05.
    assert judged(frame(a=GOOD[:6] + 0.5, b=GOOD[:6], random=GOOD[:6])).outcome == TOO_FEW
    assert judged(frame(a=GOOD[:1] + 0.5, b=GOOD[:1])).outcome == TOO_FEW


def test_without_a_direction_and_without_a_difference_there_is_no_best():
    values = frame(a=GOOD, b=GOOD - 0.1)
    assert judged(values, "").outcome == UNDIRECTED
    assert judged(frame(a=GOOD, b=GOOD)).outcome == EQUAL
    assert judged(values[["a"]]).outcome == EQUAL
    assert set(marks(judged(values, "")).values()) == {""}
    assert judged(pd.DataFrame()) == {}


def test_methods_that_are_the_same_are_compared_once_and_share_a_standing():
    values = frame(a=GOOD - 0.2, b=GOOD, c=GOOD, d=GOOD - 0.3)
    alone, folded = judged(values), judged(values, folds=[("b", "c"), ("a",), ("d",)])
    assert (alone.family, folded.family) == (3, 2)
    assert marks(folded) == {"a": "", "b": "best", "c": "best", "d": ""}
    assert folded["b"] is folded["c"]
    assert folded["c"].title == "b = c"
    assert [one.title for one in folded.distinct] == ["a", "b = c", "d"]
    assert folded.between("b", "c") is None
    assert folded.between("c", "a").winner == "c"


def test_a_family_is_corrected_together_and_a_pair_has_one_p_value():
    rng = np.random.default_rng(1)
    values = frame(**{name: GOOD + rng.normal(0, 0.05, 20) for name in ("a", "b", "c", "random")})
    columns = {key: Column(values, direction, 0.0) for key, direction in (("x", "up"), ("y", "up"))}
    one = compare({"x": columns["x"]}, baseline="random")["x"]
    two = compare(columns, baseline="random")
    asked = compare({"x": columns["x"]}, baseline="random", asked=[("b", "c")])["x"]
    # Three with the best, three with random, less the one that is both.
    assert (one.family, two["x"].family, two["y"].family) == (5, 10, 10)
    assert asked.family in (5, 6)
    assert asked.between("b", "c") is not None
    for standing in (one, two["x"], asked):
        with_random = standing.between(standing.top, "random")
        assert standing["random"].p == with_random.p
        turned = standing.between("random", standing.top)
        assert (turned.p, turned.gain.value) == (with_random.p, -with_random.gain.value)
        assert turned.winner == with_random.winner
    assert all(two["x"][name].p >= one[name].p for name in "abc" if name != one.top)


def test_a_small_p_among_many_comparisons_is_no_finding():
    """Alone it counts (p = 0.02); one of six as small as that is what chance gives."""
    wave = np.array([1.0, -1.0] * 10)
    # Of 20 differences with this mean and a standard deviation of 1.026, t = 2.54.
    low = GOOD - 0.01 * (0.583 + wave)
    others = {f"other {i}": GOOD - 0.01 * (0.2 + np.roll(wave, 1)) for i in range(5)}
    alone = judged(frame(good=GOOD, low=low), margin=0.0, baseline="")
    assert alone["low"].p == pytest.approx(0.02, abs=0.002)
    assert marks(alone) == {"good": "best", "low": ""}
    together = judged(frame(good=GOOD, low=low, **others), margin=0.0, baseline="")
    assert together["low"].p == pytest.approx(6 * alone["low"].p)
    assert set(marks(together).values()) == {"best", "tied"}
