"""Rankings: which edges are selected first, and what becomes of equal scores at a cut."""

import itertools

import numpy as np
import pytest

from explainers.metrics._ranking import (
    ORDERS,
    inclusion,
    magnitudes,
    orders,
    ranked_scores,
    ranking,
)


def drawn(scores, cuts, selection="absolute", seed=0):
    generator = np.random.default_rng(seed)
    return orders(np.array(scores, dtype=float), np.array(cuts), selection, generator)


def test_ranking_is_by_absolute_score_and_ties_stay_in_order():
    scores = np.array([0.0, -2.0, 1.0, 2.0, -0.0, 3.0, -1.0])
    assert ranking(scores).tolist() == [5, 1, 3, 2, 6, 0, 4]


def test_equal_scores_keep_their_order_at_any_length():
    # NumPy's default sort is stable for short arrays only. Python's always is.
    rng = np.random.default_rng(0)
    for edges in (0, 1, 2, 17, 1000):
        assert ranking(np.zeros(edges)).tolist() == list(range(edges))
        scores = rng.integers(-3, 4, edges).astype(np.float64)
        assert ranking(scores).tolist() == sorted(range(edges), key=lambda i: -abs(scores[i]))


def test_ranking_leaves_the_scores_alone():
    scores = np.array([-1.0, 2.0])
    ranking(scores)
    assert scores.tolist() == [-1.0, 2.0]
    assert magnitudes(scores).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers(bad):
    scores = np.array([1.0, bad, 0.0, bad])
    for function in (ranking, magnitudes):
        with pytest.raises(ValueError, match="2 of 4 edge scores are NaN or infinite"):
            function(scores)


def test_scores_that_are_no_vector():
    with pytest.raises(ValueError, match=r"edge scores of shape \(2, 1\): need one score per edge"):
        ranking(np.zeros((2, 1)))


def test_signed_ranking_puts_evidence_for_the_class_first():
    scores = np.array([0.0, -2.0, 1.0, 2.0, -0.0, 3.0, -1.0])
    assert ranking(scores, "signed").tolist() == [5, 3, 2, 0, 4, 6, 1]
    assert ranked_scores(scores, "signed").tolist() == scores.tolist()
    with pytest.raises(ValueError, match="unknown selection 'sign'; use signed or absolute"):
        ranking(scores, "sign")


def test_one_order_where_no_cut_divides_equal_scores():
    assert drawn([3, 1, 1, 0], [0, 1, 3, 4]).tolist() == [[0, 1, 2, 3]]
    assert drawn([3, -1, 1, 0], [2], "signed").tolist() == [[0, 2, 3, 1]]
    assert drawn([], [0, 0]).tolist() == [[]]
    assert drawn([5], [1, 1]).tolist() == [[0]]


def test_random_orders_where_a_cut_divides_equal_scores():
    found = drawn([3, -1, 1, 0], [2])
    assert found.shape == (ORDERS, 4)
    assert (found[:, [0, 3]] == [0, 3]).all()  # only equal scores change places
    assert {tuple(row) for row in found[:, 1:3].tolist()} == {(1, 2), (2, 1)}
    np.testing.assert_array_equal(found, drawn([3, -1, 1, 0], [2]))
    assert drawn([3, -1, 1, 0], [2], seed=1).tolist() != found.tolist()


def test_every_order_of_equal_scores_is_as_likely():
    firsts = np.concatenate([drawn([1, 1, 1, 0], [1], seed=seed)[:, 0] for seed in range(200)])
    np.testing.assert_allclose(
        np.bincount(firsts, minlength=4) / firsts.size, [1 / 3] * 3 + [0], atol=0.03
    )


@pytest.mark.parametrize("selection", ["signed", "absolute"])
def test_inclusion_against_all_orders(selection):
    scores = np.array([2.0, -1.0, 1.0, 1.0, 0.0, -0.0])
    ranked = ranked_scores(scores, selection)
    valid = [
        order
        for order in itertools.permutations(range(6))
        if (np.diff(ranked[list(order)]) <= 0).all()
    ]
    for count in range(7):
        share = np.mean([np.isin(np.arange(6), order[:count]) for order in valid], axis=0)
        np.testing.assert_allclose(inclusion(scores, count, selection), share)
    assert inclusion(np.zeros(0), 0).size == 0
