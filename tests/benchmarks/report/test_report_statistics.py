"""Intervals, Holm's correction and the comparison with the best, on cases worked by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from benchmarks.report.stats.estimates import (
    Ranks,
    against_floor,
    compare,
    geometric_mean,
    holm,
    mean,
    paired,
    ranks,
    wilcoxon,
)


def test_the_mean_of_a_large_sample_has_the_normal_interval():
    sample = np.random.default_rng(3).normal(5, 2, size=400)
    estimate = mean(sample)
    half = 1.96 * sample.std() / math.sqrt(400)
    assert estimate.value == pytest.approx(sample.mean())
    assert estimate.n == 400
    assert estimate.low == pytest.approx(sample.mean() - half, abs=0.02)
    assert estimate.high == pytest.approx(sample.mean() + half, abs=0.02)


def test_one_value_has_no_interval_and_equal_values_have_an_empty_one():
    alone = mean([3.0])
    assert (alone.value, alone.n) == (3.0, 1)
    assert math.isnan(alone.low)
    assert math.isnan(alone.high)
    same = mean([3.0, 3.0, 3.0])
    assert (same.low, same.high) == (3.0, 3.0)


def test_intervals_are_the_same_every_time():
    assert mean([1.0, 2.0, 4.0]) == mean([1.0, 2.0, 4.0])


def test_geometric_mean_of_two_and_eight_is_four():
    estimate = geometric_mean(np.log([2.0, 8.0]))
    assert estimate.value == pytest.approx(4)
    assert estimate.low == pytest.approx(2)
    assert estimate.high == pytest.approx(8)


def test_holm_by_hand():
    # Sorted: .005 * 4, .01 * 3, .03 * 2, .04 * 1 -> .02, .03, .06, and .04 raised to .06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def test_wilcoxon_by_hand():
    # All six signs agree: 2 of the 2^6 sign patterns are as extreme.
    assert wilcoxon([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == pytest.approx(2 / 64)
    assert wilcoxon([0.0, 0.0]) == 1.0


@pytest.fixture
def values():
    """Ten nodes: ``near`` is now above, now below ``good``; ``bad`` is always below both."""
    good = np.linspace(0.3, 0.5, 10)
    wobble = 0.01 * np.array([1, -2, 3, -4, 5, -6, 7, -8, 9, -10])
    return pd.DataFrame({"bad": good - np.linspace(0.1, 0.2, 10), "good": good})[
        ["bad", "good"]
    ].assign(near=good + wobble)


def test_the_best_is_marked_and_who_cannot_be_told_from_it(values):
    found = compare(values, "up")
    assert {name: one.mark for name, one in found.items()} == {
        **{"good": "best", "near": "tied", "bad": ""}
    }
    assert found["good"].mean.value == pytest.approx(0.4)
    assert found["good"].difference is None
    assert found["bad"].difference.value == pytest.approx(-0.15)
    assert found["bad"].difference.high < 0
    # 2 of 2^10 sign patterns, times the two methods compared.
    assert found["bad"].p == pytest.approx(2 * 2 / 1024)


def test_lower_is_better_turns_it_round(values):
    found = compare(values, "down")
    assert {name for name, one in found.items() if one.mark == "best"} == {"bad"}
    assert found["good"].difference.value == pytest.approx(0.15)


def test_without_a_direction_nobody_is_best(values):
    assert {one.mark for one in compare(values, "").values()} == {""}


def test_twins_share_the_mark_and_if_all_are_equal_there_is_none(values):
    found = compare(values[["bad", "good"]].assign(twin=values["good"]), "up")
    assert (found["good"].mark, found["twin"].mark, found["bad"].mark) == ("best", "best", "")
    same = compare(pd.DataFrame({"a": [1.0, 1.0], "b": [1.0, 1.0]}), "up")
    assert [one.mark for one in same.values()] == ["", ""]
    assert compare(pd.DataFrame({"a": [1.0, 2.0]}), "up")["a"].mark == ""
    assert compare(pd.DataFrame(), "up") == {}


def test_methods_are_compared_over_the_nodes_that_all_have():
    nan = np.nan
    values = pd.DataFrame(
        {"a": [1.0, 2.0, 3.0, 4.0], "b": [1.0, nan, 3.0, 4.0], "rare": [nan, nan, nan, 4.0]}
    )
    kept = paired(values)
    assert list(kept.columns) == ["a", "b"]
    assert list(kept.index) == [0, 2, 3]
    assert paired(pd.DataFrame()).empty


# Demsar (2006), JMLR 7, table 6: areas under the ROC curve of four classifiers on 14 data sets.
# One is 975 there, as is another classifier's, but the ranks tell them apart.
DEMSAR = pd.DataFrame(
    {
        "C4.5": [763, 599, 954, 628, 882, 936, 661, 583, 775, 1000, 940, 619, 972, 957],
        "C4.5+m": [768, 591, 971, 661, 888, 931, 668, 583, 838, 1000, 962, 666, 981, 978],
        "C4.5+cf": [771, 590, 968, 654, 886, 916, 609, 563, 866, 1000, 965, 614, 975.1, 946],
        "C4.5+m+cf": [798, 569, 967, 657, 898, 931, 685, 625, 875, 1000, 962, 669, 975, 970],
    }
)


def test_ranks_are_those_that_demsar_publishes():
    found = ranks(DEMSAR, "up")
    published = {"C4.5+m+cf": 1.964, "C4.5+m": 2.000, "C4.5+cf": 2.893, "C4.5": 3.143}
    assert found.means == pytest.approx(published, abs=5e-4)
    assert list(found.means) == list(published)
    assert found.distance == pytest.approx(1.25, abs=5e-3)
    assert found.n == 14
    assert found.p < 0.05  # without correction for ties he has chi^2 = 9.28, p = 0.026
    # 3.143 - 1.964 = 1.18: "the experimental data is not sufficient" to tell any two apart.
    assert found.groups == [tuple(published)]
    turned = ranks(-DEMSAR, "down")
    assert turned == found


@pytest.mark.parametrize(("k", "q"), [(3, 2.343), (5, 2.728), (10, 3.164)])
def test_critical_values_are_those_of_demsars_table(k, q):
    values = pd.DataFrame(np.random.default_rng(0).random((12, k)))
    found = ranks(values, "up")
    assert found.distance / np.sqrt(k * (k + 1) / 72) == pytest.approx(q, abs=1e-3)


def test_groups_by_hand():
    means = {"a": 1.0, "b": 1.8, "c": 2.5, "d": 4.0, "e": 5.7}
    assert Ranks(means, 0.001, 1.0, 9).groups == [("a", "b"), ("b", "c")]
    assert Ranks(means, 0.001, 1.5, 9).groups == [("a", "b", "c"), ("c", "d")]
    assert Ranks(means, 0.001, 0.1, 9).groups == []
    assert Ranks(means, 0.5, 0.1, 9).groups == [tuple("abcde")]


def test_nothing_to_rank():
    values = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 3.0], "c": [0.0, 1.0]})
    assert ranks(values, "up") is not None
    assert ranks(values, "") is None
    assert ranks(values[["a", "b"]], "up") is None
    assert ranks(values[:1], "up") is None
    assert ranks(values * 0, "up") is None


def test_only_a_gain_over_the_floor_beyond_chance_counts():
    rng = np.random.default_rng(0)
    floor = rng.random(20)
    values = pd.DataFrame(
        {
            "random": floor,
            "better": floor + 0.1,
            "worse": floor - 0.1,
            "same": floor,
            "noisy": floor + rng.normal(0, 0.1, 20),
        }
    )

    def marked(direction, frame=values, floor="random"):
        found = against_floor(compare(frame, direction), frame, direction, floor)
        return {name for name, standing in found.items() if standing.at_floor}

    assert marked("up") == {"worse", "same", "noisy"}
    assert marked("down") == {"better", "same", "noisy"}
    assert marked("up", floor="nobody") == marked("") == set()
    assert marked("up", values[:1]) == set()
    # Five units: the smallest one-sided p is 1/32, too large for two methods by Holm.
    assert marked("up", values[:5]) == {"better", "worse", "same", "noisy"}
