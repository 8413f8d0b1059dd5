"""Agreement of scorings: by hand, and max-sensitivity against Captum's."""

import numpy as np
import pytest
import torch
from captum.metrics import sensitivity_max
from torch_geometric.data import Data
from torch_geometric.explain import Explanation

from benchmarks.measures.agreement import agreement, max_sensitivity, relative_error


def test_agreement_by_hand():
    one = np.array([-3.0, 2.0, 1.0])
    # Of the three pairs of edges, two are in the same order.
    assert agreement(one, np.array([3.0, 1.0, 2.0])) == {"kendall_tau": pytest.approx(1 / 3)}
    assert agreement(one, one) == {"kendall_tau": pytest.approx(1)}
    assert agreement(one, np.array([0.1, 0.2, -0.3])) == {"kendall_tau": pytest.approx(-1)}
    # tau-b: no pair is against, but the tie leaves 2 of 3: 2 / sqrt(3 * 2).
    tied = agreement(one, np.array([2.0, 1.0, 1.0]))
    assert tied == {"kendall_tau": pytest.approx(2 / np.sqrt(6))}


def test_overlap_by_hand():
    one = np.arange(12.0)
    assert agreement(one, one)["overlap"] == 1
    assert agreement(one, one[::-1])["overlap"] == pytest.approx(0.8)
    # Five of ten are sure; the other five are any of seven, of which the first has five among its.
    other = np.where(one >= 7, one, 0.0)
    assert agreement(one, other)["overlap"] == pytest.approx((5 + 5 * 5 / 7) / 10)
    # Two scorings that say nothing have what chance gives, not the first ten edges in common.
    nothing = np.zeros(100)
    assert agreement(nothing, nothing) == {"overlap": pytest.approx(0.1)}


@pytest.mark.parametrize("constant", [np.zeros(0), np.ones(1), np.ones(5)])
def test_one_value_has_no_order(constant):
    assert agreement(constant, np.arange(constant.size, dtype=float)) == {}


def test_relative_error_by_hand():
    assert relative_error(np.array([3.0, 4.0]), np.array([0.0, 4.0])) == pytest.approx(0.75)
    assert relative_error(np.zeros(2), np.zeros(2)) == 0
    assert relative_error(np.ones(2), np.zeros(2)) == 1


def explain(data):
    """As many scores as features: their squares."""
    return [Explanation(edge_mask=row**2) for row in data.x]


def test_max_sensitivity_against_captum():
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = max_sensitivity(explain, Data(x=x), radius=0.1, draws=7, seed=3)
    generator = torch.Generator().manual_seed(3)
    shifts = [
        0.1 * float(x.std()) * (2 * torch.rand(x.shape, generator=generator) - 1) for _ in range(7)
    ]

    def perturb(repeated):  # Captum repeats each example, one after the other
        return repeated + torch.stack(shifts, dim=1).flatten(0, 1)

    def squares(inputs):
        return ((inputs if torch.is_tensor(inputs) else inputs[0]) ** 2,)

    captum = sensitivity_max(squares, x, perturb, n_perturb_samples=7)
    assert found == pytest.approx(captum.tolist())
    assert min(found) > 0


def test_max_sensitivity_of_a_constant_is_zero():
    data = Data(x=torch.randn(2, 3))
    assert max_sensitivity(lambda data: [Explanation(edge_mask=torch.ones(2))], data) == [0.0]


def test_the_features_are_left_as_they_are():
    data = Data(x=torch.randn(2, 3))
    before = data.x.clone()
    max_sensitivity(explain, data, draws=1)
    assert torch.equal(data.x, before)
