"""The best match with one of several ground truths."""

from __future__ import annotations

import numpy as np
import pytest

from explainers.metrics.best_match import METRIC, best_match


def test_by_hand(make_case):
    """Scores 4 3 2 1; {0, 3} has AUROC 1/2, {1, 2} too, {0} 1 and {2, 3} 0."""
    alternatives = np.array([[1, 0, 0, 1], [0, 1, 1, 0], [0, 0, 1, 1]], dtype=bool)
    found = best_match(
        make_case(scores=[-4, 3, 2, 1], alternatives=alternatives, sizes=[0, 1, 2, 3, 4])
    )
    assert found["best_auroc"] == 0.5
    # {0, 3}: (1/1 + 2/4) / 2; {1, 2}: (1/2 + 2/3) / 2; {2, 3}: (1/3 + 2/4) / 2
    assert found["best_average_precision"] == pytest.approx(0.75)
    # Selected {}, {0}, {0, 1}, {0, 1, 2}, all.
    np.testing.assert_allclose(found["best_jaccard"], [0, 1 / 2, 1 / 3, 2 / 3, 1 / 2])
    assert set(found) == set(METRIC.values)


def test_who_finds_one_of_two_is_right(make_case):
    rings = np.array([[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [1, 1, 1, 1, 0]], dtype=bool)
    found = best_match(make_case(scores=[5, 4, 0, 0, 0], alternatives=rings, sizes=[2]))
    assert (found["best_auroc"], found["best_average_precision"]) == (1, 1)
    assert found["best_jaccard"].tolist() == [1]


@pytest.mark.parametrize("alternatives", [None, [[0, 0]], [[1, 1]], [[0, 0], [1, 1]]])
def test_nothing_to_separate(make_case, alternatives):
    if alternatives is not None:
        alternatives = np.array(alternatives, dtype=bool)
    assert best_match(make_case(scores=[1, 2], alternatives=alternatives, sizes=[1])) == {}


def test_scores_that_are_no_numbers(make_case):
    with pytest.raises(ValueError, match="1 of 2 edge scores are NaN"):
        best_match(make_case(scores=[np.nan, 1], alternatives=np.array([[True, False]]), sizes=[1]))
