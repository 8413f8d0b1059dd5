"""Concentration: closed forms, other definitions of the same, and what must not matter."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from explainers.metrics.concentration import METRIC, concentration


@pytest.fixture
def measure(make_case):
    return lambda scores: concentration(make_case(scores=scores))


def test_by_hand(measure):
    found = measure([0.0, 0.5, -0.25, 0.25])
    assert METRIC.needs == "scores"
    # Rising 0, .25, .25, .5 with weights -3, -1, 1, 3: 1.5 / 4.
    # Entropy .5 ln 2 + 2 * .25 ln 4 = 1.5 ln 2, of at most 2 ln 2; 90 % need three of four.
    assert found == pytest.approx({"gini": 0.375, "entropy": 0.75, "mass90": 0.75}, rel=1e-14)


@pytest.mark.parametrize("edges", [2, 3, 10, 101])
def test_one_edge_with_all(measure, edges):
    scores = np.zeros(edges)
    scores[edges // 2] = -3.0
    found = measure(scores)
    assert found["gini"] == pytest.approx(1 - 1 / edges, rel=1e-14)
    assert found["entropy"] == 0
    assert math.copysign(1, found["entropy"]) == 1  # not -0.0
    assert found["mass90"] == 1 / edges


@pytest.mark.parametrize("edges", [2, 3, 5, 7, 10, 12, 30, 1000])
@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, 0.1, -1 / 3, 1e-320, 5e-324, 1e308])
def test_equal_scores_and_all_zero_ones(measure, edges, value):
    found = measure(np.full(edges, value))
    assert found["gini"] == 0
    assert found["entropy"] == pytest.approx(1, rel=1e-14)
    assert found["entropy"] <= 1
    assert found["mass90"] == -(-9 * edges // 10) / edges


@pytest.mark.parametrize("value", [0.0, 1.0, -2.5])
def test_one_edge(measure, value):
    assert measure([value]) == {"gini": 0, "entropy": 0, "mass90": 1}


def test_no_edges(measure):
    assert measure([]) == {}


def test_linear_scores(measure):
    # Gini of 1 ... n is (n - 1) / (3 n).
    for edges in (2, 9, 100):
        found = measure(np.arange(1, edges + 1))
        assert found["gini"] == pytest.approx((edges - 1) / (3 * edges), rel=1e-13)


def test_halving_scores(measure):
    # 1/2 + 1/4 + 1/8 = .875, and 1/16 more is .9375.
    assert measure(0.5 ** np.arange(1, 11))["mass90"] == 0.4


def test_m_equal_edges_of_n(measure):
    scores = np.zeros(16)
    scores[[1, 5, 6, 11]] = [1, -1, 1, -1]
    found = measure(scores)
    assert found["entropy"] == pytest.approx(math.log(4) / math.log(16), rel=1e-14)
    assert found["gini"] == pytest.approx(1 - 4 / 16, rel=1e-14)
    assert found["mass90"] == 4 / 16


def test_exactly_90_percent_is_enough(measure):
    assert measure([0.9, 0.1])["mass90"] == 0.5
    assert measure([9.0, 1.0])["mass90"] == 0.5
    assert measure([19.0, 17.0, 4.0])["mass90"] == 2 / 3  # 36 of 40, but not after rounding
    assert measure([0.89, 0.11])["mass90"] == 1


@pytest.mark.parametrize("seed", range(5))
def test_other_definitions_of_the_same(measure, seed):
    scores = np.random.default_rng(seed).standard_normal(57)
    mass = np.abs(scores)
    found = measure(scores)
    # Half the relative mean absolute difference.
    gap = np.abs(mass[:, None] - mass[None, :]).mean()
    assert found["gini"] == pytest.approx(gap / (2 * mass.mean()), rel=1e-12)
    # Hurley and Rickard's, as Chalasani et al. give it.
    rank = np.arange(1, 58)
    hurley = 1 - 2 * np.sum(np.sort(mass) / mass.sum() * (57 - rank + 0.5) / 57)
    assert found["gini"] == pytest.approx(hurley, rel=1e-12)
    # BAGEL calls SciPy's, which normalises the mask, and does not divide by the bound.
    assert found["entropy"] == pytest.approx(stats.entropy(mass) / math.log(57), rel=1e-12)
    # By definition: the largest k have the mass, the largest k - 1 have not.
    falling, k = np.sort(mass)[::-1], round(found["mass90"] * 57)
    assert falling[:k].sum() >= 0.9 * mass.sum() > falling[: k - 1].sum()


def test_scale_sign_and_order_do_not_matter(measure):
    rng = np.random.default_rng(0)
    scores = rng.standard_normal(40)
    found = measure(scores)
    for other in (
        1e300 * scores,
        1e-300 * scores,
        -scores,
        np.abs(scores),
        rng.permutation(scores),
    ):
        assert measure(other) == pytest.approx(found, rel=1e-12)


def test_the_more_concentrated_has_the_more_telling_numbers(measure):
    rising = [measure(np.arange(1.0, 21) ** power) for power in (0, 1, 2, 4, 8)]
    for less, more in pairwise(rising):
        assert less["gini"] < more["gini"]
        assert less["entropy"] > more["entropy"]
        assert less["mass90"] >= more["mass90"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers(measure, bad):
    with pytest.raises(ValueError, match="1 of 2 edge scores are NaN or infinite"):
        measure([1.0, bad])
