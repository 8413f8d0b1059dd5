"""Infidelity: by hand, for exact scores, and against Captum's."""

import numpy as np
import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks

import explainers
from explainers import metrics
from explainers.metrics.infidelity import DRAWS, draw, infidelity


def test_by_hand(make_case):
    kept = np.array([[True, False], [False, False]])
    found = infidelity(make_case(scores=[1, 2], sizes=[1], kept=kept, changes=np.array([1.0, 5.0])))
    # The scores claim 2 and 3.
    assert found["infidelity"] == pytest.approx((1 + 4) / 2)
    factor = (2 * 1 + 3 * 5) / (4 + 9)
    expected = ((2 * factor - 1) ** 2 + (3 * factor - 5) ** 2) / 2
    assert found["infidelity_scaled"] == pytest.approx(expected)


def test_exact_scores_and_their_multiples(make_case):
    scores = np.array([3.0, -1.0, 0.5])
    case = make_case(scores=scores, sizes=[1])
    kept = draw(case, np.random.default_rng(0))
    assert kept.shape == (DRAWS, 3)
    assert kept.mean() == pytest.approx(0.5, abs=0.1)
    given = {"sizes": [1], "kept": kept, "changes": ~kept @ scores}
    assert infidelity(make_case(scores=scores, **given))["infidelity"] == 0
    other = infidelity(make_case(scores=-7 * scores, **given))
    assert other["infidelity"] > 1
    assert other["infidelity_scaled"] == pytest.approx(0, abs=1e-20)


def test_nothing_claimed_of_a_constant(make_case):
    given = {"sizes": [1], "kept": np.zeros((4, 2), dtype=bool)}
    nothing = make_case(scores=[0, 0], changes=np.zeros(4), **given)
    assert infidelity(nothing) == {"infidelity": 0, "infidelity_scaled": 0}
    something = make_case(scores=[0, 0], changes=np.full(4, 2.0), **given)
    assert infidelity(something) == {"infidelity": 4, "infidelity_scaled": 4}


def test_no_value_without_edges_or_when_they_are_deleted(make_case):
    given = {"sizes": [0], "changes": np.zeros(4)}
    assert infidelity(make_case(scores=[], kept=np.zeros((4, 0), dtype=bool), **given)) == {}
    kept = np.zeros((4, 1), dtype=bool)
    assert infidelity(make_case(scores=[1], kept=kept, semantics="delete", **given)) == {}
    with pytest.raises(ValueError, match="NaN or infinite"):
        infidelity(make_case(scores=[1], sizes=[1], kept=kept, changes=np.full(4, np.nan)))


@pytest.mark.parametrize("name", ["input_x_gradient", "saliency"])
def test_captum_on_the_whole_graph(graph, model, make_case, name):
    (explanation,) = explainers.load(name).explain(model, graph, 0)
    rows = metrics.evaluate(model, graph, [explanation], metrics=["infidelity"])
    ours = {row["metric"]: row["value"] for row in rows}
    scores = explanation.edge_mask
    kept = draw(make_case(scores=scores.numpy()), np.random.default_rng([0, 0]))

    @torch.no_grad()
    def outputs(masks):
        found = []
        for mask in masks:
            whole = torch.ones(graph.num_edges, dtype=mask.dtype)
            whole[explanation.e_id] = mask
            set_masks(model, whole, graph.edge_index, apply_sigmoid=False)
            found.append(model(graph.x, graph.edge_index)[0, explanation.target])
            clear_masks(model)
        return torch.stack(found)

    def perturb(masks):
        taken = torch.from_numpy(~kept).double()
        return taken, masks - taken

    for normalize, metric in ((False, "infidelity"), (True, "infidelity_scaled")):
        theirs = captum_infidelity(
            outputs,
            perturb,
            torch.ones(1, len(scores), dtype=torch.float64),
            scores[None],
            n_perturb_samples=DRAWS,
            normalize=normalize,
        )
        assert ours[metric] == pytest.approx(float(theirs))
