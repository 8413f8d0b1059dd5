"""Areas under fidelity against sparsity: by hand and against PyG's trapezoids."""

import numpy as np
import pytest
import torch
from torch_geometric.explain.metric import fidelity_curve_auc

from explainers.metrics._case import EdgeBudget
from explainers.metrics.fidelity_curve import METRIC, fidelity_curve

PLUS, MINUS = "area_fidelity+_prob", "area_fidelity-_prob"


def budgeted(make_case, names, sizes, plus, minus, edges=4):
    return make_case(
        scores=np.arange(edges),
        budgets=tuple(EdgeBudget(name) for name in names),
        sizes=sizes,
        full=[0.0, 1.0],
        without=[[value, 1 - value] for value in plus],
        only=[[value, 1 - value] for value in minus],
    )


def test_by_hand(make_case):
    # Sparsities 3/4, 1/2, 0; the budget k=1 is no point of the curve.
    names = ["k=1", "f=25%", "f=50%", "f=100%"]
    found = fidelity_curve(
        budgeted(make_case, names, [1, 1, 2, 4], [1, 0.2, 0.4, 0.8], [1, 0.6, 0.2, 0.0])
    )
    assert METRIC.needs == "predictions"
    assert found[PLUS] == pytest.approx((0.25 * 0.3 + 0.5 * 0.6) / 0.75)
    assert found[MINUS] == pytest.approx((0.25 * 0.4 + 0.5 * 0.1) / 0.75)


def test_a_constant_curve_has_its_height(make_case):
    found = fidelity_curve(
        budgeted(make_case, ["f=5%", "f=60%", "f=100%"], [1, 3, 4], [-0.3] * 3, [0.5] * 3)
    )
    assert found[PLUS] == pytest.approx(-0.3)
    assert found[MINUS] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("names", "sizes", "edges"),
    [
        (["f=5%", "f=100%"], [0, 0], 0),  # no edges
        (["f=5%", "f=100%"], [1, 1], 1),  # one edge: one sparsity
        (["k=1", "k=2"], [1, 2], 4),  # no shares
        (["f=50%"], [2], 4),
        ([], [], 4),
    ],
)
def test_no_curve(make_case, names, sizes, edges):
    values = [0.5] * len(sizes)
    case = budgeted(make_case, names, sizes, np.zeros(0), np.zeros(0), edges)
    if sizes:
        case = budgeted(make_case, names, sizes, values, values, edges)
    assert fidelity_curve(case) == {}


def test_pyg_takes_the_area_of_the_ratio(make_case):
    rng = np.random.default_rng(0)
    names, sizes = ["f=10%", "f=30%", "f=60%", "f=100%"], [1, 3, 6, 10]
    plus, minus = rng.random(4), rng.random(4)
    found = fidelity_curve(budgeted(make_case, names, sizes, plus, minus, 10))
    x = torch.from_numpy(1 - np.array(sizes[::-1]) / 10)
    up, down = (torch.from_numpy(values[::-1].copy()) for values in (plus, minus))
    nothing = torch.zeros_like(up)
    # With fidelity- at 0 its ratio is fidelity+ itself.
    assert found[PLUS] == pytest.approx(float(fidelity_curve_auc(up, nothing, x)) / 0.9)
    assert found[MINUS] == pytest.approx(float(fidelity_curve_auc(down, nothing, x)) / 0.9)
    assert found[PLUS] != pytest.approx(float(fidelity_curve_auc(up, down, x)) / 0.9)
