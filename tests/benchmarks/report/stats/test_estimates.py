"""Means with intervals, tests and Holm's correction, on cases worked by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from benchmarks.report.stats.estimates import geometric_mean, holm, mean, paired


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


def test_holm_is_that_of_statsmodels():
    p_values = np.random.default_rng(0).random(40) ** 3
    reference = multipletests(p_values, method="holm")[1]
    np.testing.assert_allclose(holm(list(p_values)), reference)


def test_methods_are_compared_over_the_nodes_that_all_have():
    nan = np.nan
    values = pd.DataFrame(
        {"a": [1.0, 2.0, 3.0, 4.0], "b": [1.0, nan, 3.0, 4.0], "rare": [nan, nan, nan, 4.0]}
    )
    kept = paired(values)
    assert list(kept.columns) == ["a", "b"]
    assert list(kept.index) == [0, 2, 3]
    assert paired(pd.DataFrame()).empty
