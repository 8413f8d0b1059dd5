"""Characterization: by hand, and against PyG's where that is defined."""

import numpy as np
import pytest
import torch
from torch_geometric.explain.metric import characterization_score as pyg_characterization

from explainers.metrics.characterization import METRIC, characterization, characterization_score


@pytest.mark.parametrize(
    ("plus", "minus", "score"),
    [
        (1.0, 0.0, 1.0),  # necessary and sufficient
        (0.5, 0.5, 0.5),
        (0.5, 0.0, 2 / 3),  # 1 / (.5 / .5 + .5 / 1)
        (0.2, 0.4, 0.3),  # 1 / (.5 / .2 + .5 / .6)
        (0.0, 0.0, 0.0),  # not necessary
        (1.0, 1.0, 0.0),  # not sufficient
        (0.0, 1.0, 0.0),  # neither: 0 / 0 of the formula
        (-0.3, 0.0, 0.0),  # removal helps the class: clipped
        (-1.0, 1.0, 0.0),
        (0.5, -0.6, 2 / 3),  # alone better than the whole: sufficient, not more
        (1.0, -1.0, 1.0),
        (5e-324, 0.0, 1e-323),  # the smallest number there is divides nothing by zero
    ],
)
def test_by_hand(plus, minus, score):
    found = characterization_score(np.array([plus]), np.array([minus]))
    np.testing.assert_allclose(found, [score], rtol=1e-14)


def test_of_a_case(make_case):
    found = characterization(
        make_case(
            scores=[2, 1],
            sizes=[1, 1, 2],
            full=[0.3, 0.7],
            target=1,
            without=[[0.8, 0.2], [0.4, 0.6], [0.8, 0.2]],
            only=[[0.3, 0.7], [0.3, 0.7], [0.55, 0.45]],
        )
    )
    assert METRIC.needs == "predictions"
    assert tuple(found) == ("characterization_prob", "characterization_acc")
    # fidelity+ .5, .1, .5; 1 - fidelity- 1, 1, .75
    np.testing.assert_allclose(found["characterization_prob"], [2 / 3, 2 / 11, 0.6], rtol=1e-14)
    # Only the first changes the prediction when removed and keeps it when alone.
    assert found["characterization_acc"].tolist() == [1, 0, 0]


def test_where_fidelities_are_in_range_pyg_agrees():
    rng = np.random.default_rng(0)
    plus, minus = rng.uniform(0.01, 0.99, (2, 200))
    theirs = pyg_characterization(torch.from_numpy(plus), torch.from_numpy(minus))
    np.testing.assert_allclose(characterization_score(plus, minus), theirs.numpy(), rtol=1e-12)


def test_where_they_are_not_pyg_does_not_clip():
    plus, minus = np.array([-0.5, 0.5]), np.array([0.5, -0.5])
    theirs = pyg_characterization(torch.from_numpy(plus), torch.from_numpy(minus)).numpy()
    assert np.isinf(theirs[0])  # .5 / -.5 + .5 / .5 = 0
    assert theirs[1] == pytest.approx(0.75)  # 1 / (.5 / .5 + .5 / 1.5)
    np.testing.assert_allclose(characterization_score(plus, minus), [0.0, 2 / 3])


def test_bounds():
    grid = np.linspace(-1, 1, 41)
    plus, minus = (axis.ravel() for axis in np.meshgrid(grid, grid))
    with np.errstate(all="raise"):
        score = characterization_score(plus, minus)
    assert score.min() == 0
    assert score.max() == 1
    assert (score <= np.maximum(np.clip(plus, 0, 1), np.clip(1 - minus, 0, 1))).all()


def test_the_mean_of_the_scores_is_not_the_score_of_the_means():
    plus, minus = np.array([1.0, 0.0]), np.array([0.0, 0.0])
    assert characterization_score(plus, minus).mean() == 0.5
    assert characterization_score(plus.mean(), minus.mean()) == pytest.approx(2 / 3)


@pytest.mark.parametrize("edges", [0, 1, 7])
def test_a_constant_model_has_nothing_to_characterize(make_case, edges):
    found = characterization(make_case(scores=np.ones(edges), sizes=[min(edges, 1), edges]))
    assert all(values.tolist() == [0, 0] for values in found.values())
