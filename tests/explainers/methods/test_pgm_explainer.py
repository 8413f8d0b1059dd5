"""PGM-Explainer against PyG's contributed one, with SciPy's tests, and by hand."""

import sys
import types
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chi2_contingency
from torch_geometric.data import Data
from torch_geometric.explain import Explainer
from torch_geometric.nn import GraphConv

import explainers
from explainers.engines import stock
from explainers.methods.pgm_explainer import independence
from explainers.prepare import prepare

from ..conftest import Stack, random_batch, random_graph, random_graph_model, random_model

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that it is experimental
    from torch_geometric.contrib.explain import PGMExplainer


def test_a_test_by_hand():
    """20 samples, 10 in either cell of the diagonal; half a sample is taken off for continuity."""
    same = torch.arange(20) % 2
    statistic = 4 * (5 - 0.5) ** 2 / 5
    expected = torch.erfc(torch.tensor(statistic / 2).sqrt())
    p_values = independence(torch.stack([same, same * 0], dim=1), same)
    torch.testing.assert_close(p_values, torch.tensor([float(expected), 1.0]).double())


@pytest.mark.parametrize("values", [(2, 2), (4, 2), (2, 4), (4, 4), (3, 1), (4, 3)])
def test_tests_are_scipys(values):
    generator = torch.Generator().manual_seed(0)
    variables = torch.randint(values[0], (60, 20), generator=generator)
    outcome = torch.randint(values[1], (60,), generator=generator)
    variables[:, 0] = 0
    variables[:, 1] = outcome
    for column, p_value in zip(variables.T, independence(variables, outcome), strict=True):
        table = pd.crosstab(column.numpy(), outcome.numpy())
        expected = chi2_contingency(table).pvalue
        assert float(p_value) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def chi_square(x, y, given, data, **options):
    """What pgmpy's function of this name does if nothing is given."""
    found = chi2_contingency(pd.crosstab(data[x], data[y]))
    return found.statistic, found.pvalue, found.dof


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_pygs_on_the_same_samples(seed, monkeypatch):
    data, model = random_graph(seed), random_model(seed)
    method = explainers.load("pgm_explainer", threshold=0.05)
    (found,) = method.explain(model, data, 0)
    (problem,) = stock.Stock().problems(
        prepare(model, data), torch.tensor([0]), found.target[None], 1
    )
    samples = list(method._perturbed(problem))
    assert len(samples) == 100

    theirs = types.ModuleType("pgmpy.estimators.CITests")
    theirs.chi_square = chi_square
    for name in ("pgmpy", "pgmpy.estimators"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, theirs.__name__, theirs)
    rows = iter([rows[0].long().numpy() for rows, _ in samples])
    monkeypatch.setattr(np.random, "choice", lambda *_, **__: next(rows))
    features = iter([x[0] for _, x in samples])

    def perturbed(self, x, index):
        return x.index_copy(0, found.n_id, next(features))

    monkeypatch.setattr(PGMExplainer, "_perturb_features_on_nodes", perturbed)
    config = {"mode": "multiclass_classification", "task_level": "node", "return_type": "log_probs"}
    explainer = Explainer(
        model,
        PGMExplainer(pred_threshold=0.05),
        explanation_type="model",
        node_mask_type="attributes",
        model_config=config,
    )
    other = explainer(data.x, data.edge_index, index=0)
    expected = other.pgm_stats[found.n_id]
    torch.testing.assert_close(found.p_values.float(), expected, rtol=1e-5, atol=1e-30)
    assert 0 < int((expected < 0.05).sum()) <= len(expected)
    assert torch.equal(found.selected_nodes, other.node_mask[found.n_id, 0].bool())


def test_a_graphs_p_values_are_scipys():
    data, model = random_batch(3), random_graph_model(3)
    method = explainers.load("pgm_explainer", perturbation="mean", n_samples=80)
    for explanation in method.explain(model, data, [0, 4]):
        number = explanation.graph[None]
        (problem,) = stock.Stock().problems(
            prepare(model, data), number, explanation.target[None], 1
        )
        rows, drops = [], []
        for perturbed, x in method._perturbed(problem):
            mean = data.x.mean(dim=0)
            own = data.x[explanation.n_id]
            assert torch.equal(x[0], torch.where(perturbed[0][:, None], mean, own))
            with torch.no_grad():
                output = model(x[0], explanation.edge_index, batch=0 * explanation.n_id)
            rows.append(perturbed[0])
            drops.append(-float(output[0, explanation.target].exp()))
        changed = np.zeros(80, dtype=int)
        changed[np.argsort(drops)[-10:]] = 1
        for node in range(len(explanation.n_id)):
            table = pd.crosstab(torch.stack(rows)[:, node].numpy(), changed)
            expected = chi2_contingency(table).pvalue
            assert float(explanation.p_values[node]) == pytest.approx(expected, rel=1e-9)


def test_scores_follow_the_p_values():
    """Node 0 hears of 1, and of 2 nothing that matters."""
    layer = GraphConv(2, 2, bias=False).double()
    with torch.no_grad():
        layer.lin_rel.weight.copy_(torch.tensor([[0.0, 0.0], [8.0, 0.0]]))
        layer.lin_root.weight.zero_()
    x = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    data = Data(x=x, edge_index=torch.tensor([[1, 2], [0, 0]]))
    method = explainers.load("pgm_explainer", perturbation="zero", n_samples=200)
    (found,) = method.explain(Stack([layer], "log_softmax").eval(), data, 0)
    assert found.selected_nodes.tolist() == [True, True, False]
    assert int(found.set_size) == 2
    torch.testing.assert_close(found.node_mask[1], -found.p_values[1].log10().expand(2))
    assert found.node_mask[0, 0] == found.node_mask[1, 0] > found.node_mask[2, 0]
    assert found.edge_mask.tolist() == found.node_mask[1:, 0].tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"perturbation": "max"}, "unknown perturbation 'max'; use one of randint, mean, zero"),
        ({"threshold": 1.5}, "threshold must be from 0 to 1, got 1.5"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        explainers.load("pgm_explainer", **options)
