"""Robust fidelity: its draws, by hand, and its limit, which is fidelity."""

import numpy as np
import pytest

import explainers
from explainers import metrics
from explainers.metrics import robust_fidelity as module
from explainers.metrics.robust_fidelity import DRAWS, draw, robust_fidelity


def test_by_hand(make_case):
    # Two budgets; in half of the draws the first one's removal takes .4 from the class.
    after = np.full((2, 2, DRAWS), 0.8)
    after[0, 0, ::2] = 0.4
    after[1, 1] = 0.9
    drawn = np.stack([1 - after.ravel(), after.ravel()], axis=1)
    found = robust_fidelity(
        make_case(scores=[2, 1], sizes=[1, 2], full=[0.2, 0.8], target=1, drawn=drawn)
    )
    np.testing.assert_allclose(found["robust_fidelity+_prob"], [0.2, 0], atol=1e-15)
    np.testing.assert_allclose(found["robust_fidelity-_prob"], [0, -0.1], atol=1e-15)


def test_what_is_drawn(make_case):
    scores = np.arange(1000.0)
    case = make_case(scores=scores, sizes=[200, 1000])
    kept = draw(case, np.random.default_rng(0)).reshape(2, 2, DRAWS, 1000)
    plus, minus = kept
    assert plus[0, :, :800].all()  # what is not selected stays
    assert minus[0, :, 800:].all()  # what is selected stays
    assert plus[0, :, 800:].mean() == pytest.approx(0.9, abs=0.02)
    assert minus[0, :, :800].mean() == pytest.approx(0.9, abs=0.02)
    assert minus[1].all()
    # At both budgets the same edges fall, of those that may.
    np.testing.assert_array_equal(plus[0, :, 800:], plus[1, :, 800:])
    np.testing.assert_array_equal(kept[0, 0], draw(case, np.random.default_rng(0))[:DRAWS])


@pytest.mark.parametrize("edges", [0, 1])
def test_a_constant_model_loses_nothing(make_case, edges):
    case = make_case(scores=np.zeros(edges), sizes=[edges, edges])
    rows = draw(case, np.random.default_rng(0))
    assert rows.shape == (4 * DRAWS, edges)
    drawn = np.tile(case.full, (len(rows), 1))
    found = robust_fidelity(make_case(scores=np.zeros(edges), sizes=[edges, edges], drawn=drawn))
    assert all(values.tolist() == [0, 0] for values in found.values())


def test_probabilities_that_are_no_numbers(make_case):
    drawn = np.full((2 * DRAWS, 2), np.nan)
    with pytest.raises(ValueError, match="NaN or infinite"):
        robust_fidelity(make_case(scores=[1], sizes=[1], drawn=drawn))


@pytest.mark.parametrize("engine", ["analytic", "batched", "stock"])
def test_all_of_the_selected_and_none_of_the_rest_is_fidelity(graph, model, monkeypatch, engine):
    monkeypatch.setattr(module, "ALPHA_PLUS", 1.0)
    monkeypatch.setattr(module, "ALPHA_MINUS", 0.0)
    explanations = explainers.load("saliency").explain(model, graph, [0, 4, 11])
    options = {"at": ["k=2", "f=50%"], "semantics": ["mask"], "engine": engine}

    def values(name):
        rows = metrics.evaluate(model, graph, explanations, metrics=[name], **options)
        return {
            (row["node"], row["metric"].removeprefix("robust_"), row["level"]): row["value"]
            for row in rows
            if row["metric"].endswith("_prob")
        }

    found = values("robust_fidelity")
    assert len(found) == 12
    assert found == pytest.approx(values("fidelity"), abs=1e-9)


def test_one_edge_falls_in_the_drawn_share(graph, model):
    explanations = explainers.load("saliency").explain(model, graph, [0])
    options = {"at": ["k=1"], "semantics": ["delete"], "selections": ["signed"]}
    (robust, _) = metrics.evaluate(
        model, graph, explanations, metrics=["robust_fidelity"], **options
    )
    fidelity = metrics.evaluate(model, graph, explanations, metrics=["fidelity"], **options)[0]
    falls = np.random.default_rng([0, 0]).random((2, DRAWS, len(explanations[0].edge_mask)))[0]
    first = int(explanations[0].edge_mask.argmax())
    share = (falls[:, first] < 0.1).mean()
    assert robust["value"] == pytest.approx(share * fidelity["value"], abs=1e-12)


def test_a_nodes_draws_do_not_hang_on_the_others(graph, model):
    explanations = explainers.load("saliency").explain(model, graph, [0, 4])
    options = {"at": ["k=3"], "metrics": ["robust_fidelity", "infidelity"]}
    both = metrics.evaluate(model, graph, explanations, **options)
    alone = metrics.evaluate(model, graph, explanations[1:], **options)
    assert [row for row in both if row["node"] == 4] == [
        {**row, "value": pytest.approx(row["value"], abs=1e-12)} for row in alone
    ]
    default = metrics.evaluate(model, graph, explanations)
    assert not any("robust" in row["metric"] for row in default)  # dear: only if named
