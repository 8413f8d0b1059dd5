"""Completeness: by hand, and against the axiom on a function that is known."""

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients

from explainers.metrics.completeness import METRIC, completeness


def test_by_hand(make_case):
    scores, node_scores = [1.0, -0.25], [[0.5, 0.25], [-1.0, 0.0]]
    for change, error in [(0.5, 0.0), (0.75, 0.25), (-0.5, 1.0)]:
        case = make_case(scores=scores, node_scores=node_scores, output_change=change)
        assert completeness(case) == {"completeness": error}
    assert METRIC.needs == "scores"


def test_no_claim_no_value(make_case):
    assert completeness(make_case(scores=[1.0])) == {}


@pytest.mark.parametrize("node_scores", [np.zeros((0, 0)), np.zeros((1, 0)), np.zeros((1, 3))])
def test_nothing_to_add_up(make_case, node_scores):
    case = make_case(scores=[], node_scores=node_scores, output_change=-0.5)
    assert completeness(case) == {"completeness": 0.5}
    case = make_case(scores=np.zeros(4), node_scores=node_scores, output_change=0.0)
    assert completeness(case) == {"completeness": 0.0}


def test_captums_convergence_delta_is_the_same_signed(make_case):
    torch.manual_seed(0)
    edges, nodes = torch.rand(1, 6, dtype=torch.float64), torch.rand(1, 4, dtype=torch.float64)

    def model(edge_mask: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return (edge_mask.pow(3).sum(1) * x.exp().sum(1)).sqrt()

    (of_edges, of_nodes), delta = IntegratedGradients(model).attribute(
        (edges, nodes), n_steps=5, return_convergence_delta=True
    )
    change = model(edges, nodes) - model(torch.zeros_like(edges), torch.zeros_like(nodes))
    case = make_case(
        scores=of_edges[0].numpy(), node_scores=of_nodes.numpy(), output_change=change.item()
    )
    assert abs(delta.item()) > 1e-6  # five steps are not enough
    assert completeness(case)["completeness"] == pytest.approx(abs(delta.item()), rel=1e-9)
