"""The permutation test of mean differences: by hand, by brute force, and what it keeps together."""

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from benchmarks.report.stats import sign_flips


def table(values):
    """Values [models, nodes] as one column."""
    values = np.asarray(values, dtype=float)
    index = pd.MultiIndex.from_product([range(values.shape[0]), range(values.shape[1])])
    return pd.DataFrame({"a": values.ravel()}, index=index)


def test_six_nodes_that_agree_by_hand():
    # 2 of the 2^6 patterns of signs give a mean as far from zero.
    (p,) = sign_flips.p_values(table([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]))
    assert p == pytest.approx(2 / 64) == sign_flips.least_p(6)


def test_all_patterns_by_brute_force():
    values = np.random.default_rng(0).normal(0.3, 1, size=(2, 7))
    sums = values.sum(axis=0)
    patterns = itertools.product([-1, 1], repeat=7)
    p = np.mean([abs(np.dot(signs, sums)) >= abs(sums.sum()) - 1e-12 for signs in patterns])
    assert sign_flips.p_values(table(values)) == pytest.approx([p])


def test_the_models_of_a_node_are_no_independent_trials():
    gain = np.array([[1.0, 2.0, 3.0, 4.0, -1.0]])
    once = sign_flips.p_values(table(gain))
    assert sign_flips.p_values(table(np.repeat(gain, 5, axis=0))) == pytest.approx(once)


def test_random_patterns_come_close_to_the_normal_distribution():
    sample = np.random.default_rng(1).normal(0.2, 1, size=(1, 80))
    (p,) = sign_flips.p_values(table(sample))
    scale = np.sqrt((sample**2).sum())
    expected = 2 * (1 - scipy.stats.norm.cdf(abs(sample.sum()) / scale))
    assert p == pytest.approx(expected, abs=0.01)
    assert p == sign_flips.p_values(table(sample))[0]  # seeded


def test_least_p_is_reached_and_zero_is_no_gain():
    for nodes in (3, 15, 16, 60):
        (p,) = sign_flips.p_values(table(np.ones((1, nodes))))
        assert p == pytest.approx(sign_flips.least_p(nodes), rel=1)
    assert sign_flips.p_values(table(np.zeros((2, 9)))) == [1.0]


def test_one_node_flips_its_models():
    (p,) = sign_flips.p_values(table([[1.0], [2.0], [3.0], [4.0]]))
    assert p == pytest.approx(2 / 16)
