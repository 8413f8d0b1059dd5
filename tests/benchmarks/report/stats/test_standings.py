"""Comparisons with the best method and with the random baseline, on cases worked by hand."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.report.stats.standings import against_random, compare


@pytest.fixture
def values():
    """Ten nodes: ``near`` is now above, now below ``good``; ``bad`` is always below both."""
    good = np.linspace(0.3, 0.5, 10)
    wobble = 0.01 * np.array([1, -2, 3, -4, 5, -6, 7, -8, 9, -10])
    return pd.DataFrame({"bad": good - np.linspace(0.1, 0.2, 10), "good": good})[
        ["bad", "good"]
    ].assign(near=good + wobble)


def test_the_best_and_those_tied_with_it_are_marked(values):
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


def test_without_a_direction_there_is_no_best(values):
    assert {one.mark for one in compare(values, "").values()} == {""}


def test_twins_share_the_mark_and_if_all_are_equal_there_is_none(values):
    found = compare(values[["bad", "good"]].assign(twin=values["good"]), "up")
    assert (found["good"].mark, found["twin"].mark, found["bad"].mark) == ("best", "best", "")
    same = compare(pd.DataFrame({"a": [1.0, 1.0], "b": [1.0, 1.0]}), "up")
    assert [one.mark for one in same.values()] == ["", ""]
    assert compare(pd.DataFrame({"a": [1.0, 2.0]}), "up")["a"].mark == ""
    assert compare(pd.DataFrame(), "up") == {}


def test_only_a_significant_gain_over_random_counts():
    rng = np.random.default_rng(0)
    baseline = rng.random(20)
    values = pd.DataFrame(
        {
            "random": baseline,
            "better": baseline + 0.1,
            "worse": baseline - 0.1,
            "same": baseline,
            "noisy": baseline + rng.normal(0, 0.1, 20),
        }
    )

    def marked(direction, frame=values, name="random"):
        found = against_random(compare(frame, direction), frame, direction, name)
        return {method for method, standing in found.items() if standing.not_better_than_random}

    assert marked("up") == {"worse", "same", "noisy"}
    assert marked("down") == {"better", "same", "noisy"}
    assert marked("up", name="absent") == marked("") == set()
    assert marked("up", values[:1]) == set()
    # Five units: the smallest one-sided p is 1/32, too large for two methods by Holm.
    assert marked("up", values[:5]) == {"better", "worse", "same", "noisy"}
