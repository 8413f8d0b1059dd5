"""Sparsity: by hand."""

import numpy as np
import pytest

from explainers.metrics._case import edge_budgets, size
from explainers.metrics.sparsity import METRIC, sparsity


def test_by_hand(make_case):
    found = sparsity(make_case(scores=[4, -3, 2, 1, 0], sizes=[0, 1, 4, 5]))
    assert METRIC.needs == "scores"
    assert tuple(found) == ("computation_graph_edges", "sparsity")
    assert found["computation_graph_edges"] == 5
    np.testing.assert_allclose(found["sparsity"], [1.0, 0.8, 0.2, 0.0], atol=1e-15)


@pytest.mark.parametrize("edges", [0, 1])
def test_what_selects_all_there_is_leaves_nothing_out(make_case, edges):
    sizes = [size(budget, edges) for budget in edge_budgets()]
    found = sparsity(make_case(scores=np.zeros(edges), sizes=sizes))
    assert found["sparsity"].tolist() == [0] * len(sizes)


@pytest.mark.parametrize("edges", [2, 30, 999])
def test_range(make_case, edges):
    sizes = [size(budget, edges) for budget in edge_budgets()]
    values = sparsity(make_case(scores=np.ones(edges), sizes=sizes))["sparsity"]
    assert values.shape == (len(sizes),)
    assert values[-1] == 0  # f=100%
    assert values[0] == 1 - 1 / edges  # k=1
    assert ((values >= 0) & (values < 1)).all()


def test_predictions_are_not_needed(make_case):
    nothing = np.zeros((0, 0))
    case = make_case(scores=[1, 2], sizes=[1], full=[], without=nothing, only=nothing, semantics="")
    assert sparsity(case)["sparsity"].tolist() == [0.5]
