"""GEF: by hand, at its bounds, and against PyG, which takes the divergence the other way round."""

import numpy as np
import pytest
import scipy.stats
import torch
from torch_geometric.explain import DummyExplainer, Explainer, Explanation
from torch_geometric.explain import unfaithfulness as pyg_unfaithfulness

from explainers.metrics.unfaithfulness import METRIC, unfaithfulness

from ..conftest import random_graph, random_model


def test_by_hand(make_case):
    found = unfaithfulness(
        make_case(scores=[1], sizes=[1, 1], full=[0.5, 0.5], only=[[0.25, 0.75], [0.5, 0.5]])
    )
    assert METRIC.needs == "predictions"
    # exp(-(.5 ln 2 + .5 ln 2/3)) = sqrt(3) / 2
    np.testing.assert_allclose(found["unfaithfulness"], [1 - np.sqrt(3) / 2, 0], atol=1e-15)


def test_bounds(make_case):
    case = make_case(scores=[1], sizes=[1, 1], full=[1, 0], only=[[0, 1], [1, 0]])
    assert unfaithfulness(case)["unfaithfulness"].tolist() == [1, 0]


@pytest.mark.parametrize("edges", [0, 1, 7])
def test_a_constant_model_is_faithful(make_case, edges):
    found = unfaithfulness(make_case(scores=np.zeros(edges), sizes=[0, edges]))
    assert found["unfaithfulness"].tolist() == [0, 0]


def test_rounding_makes_nothing_negative(make_case):
    full = np.array([0.1, 0.2, 0.7])
    found = unfaithfulness(make_case(scores=[1], sizes=[1], full=full, only=[full * (1 + 1e-9)]))
    assert found["unfaithfulness"][0] >= 0


@pytest.mark.parametrize("field", ["full", "only"])
def test_probabilities_that_are_no_numbers(make_case, field):
    given = {"full": [0.5, 0.5], "only": [[0.5, 0.5]]}
    given[field] = [np.nan, 0.5] if field == "full" else [[np.nan, 0.5]]
    with pytest.raises(ValueError, match="unfaithfulness needs them"):
        unfaithfulness(make_case(scores=[1], sizes=[1], **given))


@pytest.mark.parametrize("node", [0, 4])
def test_pyg_computes_the_divergence_the_other_way_round(make_case, node):
    data, model = random_graph(3), random_model(3)
    kept = torch.rand(data.num_edges, generator=torch.Generator().manual_seed(0)) < 0.3
    explainer = Explainer(
        model,
        DummyExplainer(),
        explanation_type="model",
        edge_mask_type="object",
        model_config={
            "mode": "multiclass_classification",
            "task_level": "node",
            "return_type": "log_probs",
        },
    )
    full = explainer.get_prediction(data.x, data.edge_index)
    alone = explainer.get_masked_prediction(data.x, data.edge_index, edge_mask=kept.double())
    explanation = Explanation(
        x=data.x,
        edge_index=data.edge_index,
        edge_mask=kept.double(),
        prediction=full,
        index=torch.tensor([node]),
    )
    explanation._model_args = []
    theirs = pyg_unfaithfulness(explainer, explanation)
    y, other = full[node].exp().numpy(), alone[node].exp().numpy()

    def ours(y, other):
        case = make_case(scores=[1], sizes=[1], full=y, target=0, only=[other])
        return float(unfaithfulness(case)["unfaithfulness"][0])

    assert ours(other, y) == pytest.approx(theirs)
    assert ours(y, other) == pytest.approx(1 - np.exp(-scipy.stats.entropy(y, other)))
    assert ours(y, other) != pytest.approx(theirs, rel=1e-3)
