"""Agreement with the ground truth: by hand, against SciPy's ranks, and by brute force."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from explainers.metrics import ground_truth as module
from explainers.metrics.ground_truth import METRIC, auroc, average_precision, ground_truth


@pytest.fixture
def few_wrong(monkeypatch):
    """By hand there are few edges: the AUROC is given of any."""
    monkeypatch.setattr(module, "LEAST_WRONG", 1)


NUMBERS = ("auroc", "auroc_undirected", "average_precision", "r_precision")


def test_by_hand(make_case, few_wrong):
    # By falling absolute score: right, wrong, right, wrong, wrong.
    found = ground_truth(
        make_case(
            scores=[-5, 4, 3, 2, 1],
            truth=[True, False, True, False, False],
            sizes=[0, 1, 2, 3, 5],
        )
    )
    assert METRIC.needs == "scores"
    assert found["auroc"] == pytest.approx(5 / 6)  # of the 6 pairs only (3, 4) is the wrong way
    assert found["average_precision"] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert found["r_precision"] == pytest.approx(1 / 2)
    np.testing.assert_allclose(found["recall"], [0, 1 / 2, 1 / 2, 1, 1])
    np.testing.assert_allclose(found["jaccard"], [0, 1 / 2, 1 / 3, 2 / 3, 2 / 5])


def test_ties_by_hand(make_case, few_wrong):
    found = ground_truth(make_case(scores=[2, 2, 1], truth=[True, False, False], sizes=[1]))
    assert found["auroc"] == pytest.approx((0.5 + 1) / 2)
    assert found["average_precision"] == pytest.approx(1 / 2)  # both pass the threshold together
    same = ground_truth(make_case(scores=[0] * 4, truth=[True, False, False, False], sizes=[1]))
    assert (same["auroc"], same["average_precision"]) == (0.5, 0.25)


def test_both_directions_are_one_edge(make_case, few_wrong):
    # 0-1 right both ways, 1-2 wrong both ways, 2-3 wrong, one way only.
    found = ground_truth(
        make_case(
            scores=[0.5, 3, -2, 2, 3.9],
            edge_index=[[0, 1, 1, 2, 3], [1, 0, 2, 1, 2]],
            truth=[True, True, False, False, False],
            sizes=[2],
        )
    )
    # Sums: 3.5 for the right edge, 4 and 3.9 for the wrong ones.
    assert found["auroc_undirected"] == 0
    assert found["auroc"] == pytest.approx((0 + 2) / 6)


def test_an_edge_is_right_if_a_direction_is(make_case, few_wrong):
    found = ground_truth(
        make_case(
            scores=[1, 2, 1],
            edge_index=[[0, 1, 1], [1, 0, 2]],
            truth=[False, True, False],
            sizes=[1],
        )
    )
    assert found["auroc_undirected"] == 1
    both = make_case(scores=[1, 2], edge_index=[[0, 1], [1, 0]], truth=[False, True], sizes=[1])
    assert "auroc_undirected" not in ground_truth(both)  # one edge: nothing to separate it from


@pytest.mark.parametrize("truth", [None, [], [True] * 3, [False] * 3])
def test_nothing_to_separate(make_case, truth):
    scores = [] if truth == [] else [3, 2, 1]
    assert ground_truth(make_case(scores=scores, truth=truth, sizes=[1] if scores else [0])) == {}


SCORED = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2).filter(
    lambda pairs: 0 < sum(right for _, right in pairs) < len(pairs)
)


@given(SCORED)
def test_auroc_against_scipy_and_all_pairs(pairs):
    scores, truth = (np.array(column) for column in zip(*pairs, strict=True))
    ours = auroc(scores, truth)
    u = scipy.stats.mannwhitneyu(scores[truth], scores[~truth]).statistic
    assert ours == pytest.approx(u / (truth.sum() * (~truth).sum()))
    above = scores[truth][:, None] - scores[~truth]
    assert ours == pytest.approx(((above > 0) + 0.5 * (above == 0)).mean())


@given(SCORED)
def test_average_precision_by_thresholds(pairs):
    scores, truth = (np.array(column) for column in zip(*pairs, strict=True))
    area, recall = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        passed = scores >= threshold
        area += ((passed & truth).sum() / truth.sum() - recall) * truth[passed].mean()
        recall = (passed & truth).sum() / truth.sum()
    assert average_precision(scores, truth) == pytest.approx(area)


@given(SCORED)
def test_bounds_and_perfect_scores(pairs):
    truth = np.array([right for _, right in pairs])
    assert auroc(truth.astype(float), truth) == average_precision(truth.astype(float), truth) == 1
    assert auroc(-truth.astype(float), truth) == 0


def test_scores_that_are_no_numbers(make_case):
    with pytest.raises(ValueError, match="1 of 2 edge scores are NaN"):
        ground_truth(make_case(scores=[np.nan, 1], truth=[True, False], sizes=[1]))


@pytest.mark.parametrize(("wrong", "given"), [(4, False), (5, True)])
def test_the_auroc_needs_five_wrong_edges(make_case, wrong, given):
    case = make_case(scores=np.arange(wrong + 2.0), truth=[True] * 2 + [False] * wrong, sizes=[1])
    found = ground_truth(case)
    assert ("auroc" in found) == ("auroc_undirected" in found) == given
    assert {"average_precision", "r_precision", "recall", "jaccard"} <= set(found)


def test_by_signed_score(make_case, few_wrong):
    given = {"scores": [-5, 4, 3], "truth": [True, False, False], "sizes": [1]}
    found = ground_truth(make_case(**given, selection="signed"))
    assert (found["auroc"], found["r_precision"]) == (0, 0)
    assert found["average_precision"] == pytest.approx(1 / 3)
    found = ground_truth(make_case(**given, selection="absolute"))
    assert (found["auroc"], found["r_precision"]) == (1, 1)
