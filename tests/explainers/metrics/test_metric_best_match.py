"""The best match with one of several ground truths."""

from __future__ import annotations

import numpy as np
import pytest

from explainers.metrics.best_match import METRIC, best_match
from explainers.metrics.ground_truth import LEAST_WRONG

FIRST = [[1, 0, 0, 1], [0, 1, 1, 0], [0, 0, 1, 1]]
UNSCORED = LEAST_WRONG  # with so many wrong edges there is an AUROC, whatever else is wrong


def with_unscored(alternatives, count=UNSCORED):
    """Right explanations, [A, e + count]: the last edges are in none."""
    return np.pad(np.array(alternatives, dtype=bool), ((0, 0), (0, count)))


def test_by_hand(make_case):
    """Scores 4 3 2 1, and five of 0.

    Of the 14 pairs of a right and a wrong edge {0, 3} and {1, 2} have 12 in order, {2, 3} has 10.
    """
    scores = [-4, 3, 2, 1, *[0] * UNSCORED]
    found = best_match(
        make_case(scores=scores, alternatives=with_unscored(FIRST), sizes=[0, 1, 2, 3, 4])
    )
    assert found["best_auroc"] == pytest.approx(12 / 14)
    # {0, 3}: (1/1 + 2/4) / 2; {1, 2}: (1/2 + 2/3) / 2; {2, 3}: (1/3 + 2/4) / 2
    assert found["best_average_precision"] == pytest.approx(0.75)
    # Selected {}, {0}, {0, 1}, {0, 1, 2}, the first four.
    np.testing.assert_allclose(found["best_jaccard"], [0, 1 / 2, 1 / 3, 2 / 3, 1 / 2])
    assert set(found) == set(METRIC.values)


def test_who_finds_one_of_two_is_right(make_case):
    rings = with_unscored([[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [1, 1, 1, 1, 0]])
    scores = [5, 4, 0, 0, 0, *[0] * UNSCORED]
    found = best_match(make_case(scores=scores, alternatives=rings, sizes=[2]))
    assert (found["best_auroc"], found["best_average_precision"]) == (1, 1)
    assert found["best_jaccard"].tolist() == [1]


def test_auroc_only_where_enough_edges_are_wrong(make_case):
    """One right edge, and four or five wrong ones."""
    for wrong in (LEAST_WRONG - 1, LEAST_WRONG):
        right = with_unscored([[1]], wrong)
        found = best_match(make_case(scores=[1, *[0] * wrong], alternatives=right, sizes=[1]))
        assert ("best_auroc" in found) is (wrong == LEAST_WRONG)
        assert found["best_average_precision"] == 1


@pytest.mark.parametrize("alternatives", [None, [[0, 0]], [[1, 1]], [[0, 0], [1, 1]]])
def test_nothing_to_separate(make_case, alternatives):
    if alternatives is not None:
        alternatives = np.array(alternatives, dtype=bool)
    assert best_match(make_case(scores=[1, 2], alternatives=alternatives, sizes=[1])) == {}


def test_scores_that_are_no_numbers(make_case):
    with pytest.raises(ValueError, match="1 of 2 edge scores are NaN"):
        best_match(make_case(scores=[np.nan, 1], alternatives=np.array([[True, False]]), sizes=[1]))
