"""Fidelity: by hand, and against PyG's on a real model."""

import numpy as np
import pytest
import torch
from torch_geometric.explain import DummyExplainer, Explainer, Explanation
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks
from torch_geometric.explain.metric import fidelity as pyg_fidelity
from torch_geometric.nn import GCN
from torch_geometric.utils import erdos_renyi_graph

from explainers.metrics._case import Case, edge_budgets, size
from explainers.metrics._ranking import ranking
from explainers.metrics.fidelity import METRIC, fidelity

PROB = ("fidelity+_prob", "fidelity-_prob")
ACC = ("fidelity+_acc", "fidelity-_acc")


def test_by_hand(make_case):
    found = fidelity(
        make_case(
            scores=[3, 2, 1, 0],
            sizes=[1, 2, 4],
            full=[0.1, 0.7, 0.2],
            target=1,
            without=[[0.1, 0.6, 0.3], [0.5, 0.3, 0.2], [0.05, 0.9, 0.05]],
            only=[[0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.1, 0.7, 0.2]],
        )
    )
    assert METRIC.needs == "predictions"
    assert tuple(found) == ("fidelity+_prob", "fidelity-_prob", "fidelity+_acc", "fidelity-_acc")
    # Signed: without all the edges the class is more likely (.9) than with them (.7).
    np.testing.assert_allclose(found["fidelity+_prob"], [0.1, 0.4, -0.2], atol=1e-15)
    np.testing.assert_allclose(found["fidelity-_prob"], [0.5, -0.1, 0.0], atol=1e-15)
    assert found["fidelity+_acc"].tolist() == [0, 1, 0]
    assert found["fidelity-_acc"].tolist() == [1, 0, 0]


def test_the_label_decides_what_is_right_and_the_target_whose_probability_it_is(make_case):
    found = fidelity(
        make_case(
            scores=[1],
            sizes=[1],
            full=[0.1, 0.7, 0.2],
            target=0,
            label=2,
            without=[[0.2, 0.2, 0.6]],
            only=[[0.4, 0.5, 0.1]],
        )
    )
    np.testing.assert_allclose(found["fidelity+_prob"], [-0.1], atol=1e-15)
    np.testing.assert_allclose(found["fidelity-_prob"], [-0.3], atol=1e-15)
    assert found["fidelity+_acc"].tolist() == [-1]  # wrong before, right after
    assert found["fidelity-_acc"].tolist() == [0]  # wrong before, wrong after


def test_without_a_label_the_prediction_is_right_whatever_the_target(make_case):
    found = fidelity(
        make_case(
            scores=[1], sizes=[1], full=[0.1, 0.9], target=0, without=[[0.8, 0.2]], only=[[0, 1]]
        )
    )
    assert found["fidelity+_acc"].tolist() == [1]
    assert found["fidelity-_acc"].tolist() == [0]


@pytest.mark.parametrize("edges", [0, 1, 7])
@pytest.mark.parametrize("label", [None, 0, 1])
def test_a_constant_model_loses_nothing(make_case, edges, label):
    sizes = [size(budget, edges) for budget in edge_budgets()]
    found = fidelity(make_case(scores=np.zeros(edges), sizes=sizes, label=label))
    assert all(values.tolist() == [0] * len(sizes) for values in found.values())


def test_equal_probabilities_count_as_the_first_class_everywhere(make_case):
    even = [0.5, 0.5]
    found = fidelity(
        make_case(scores=[1], sizes=[1], full=even, target=0, without=[even], only=[even])
    )
    assert found["fidelity+_acc"].tolist() == found["fidelity-_acc"].tolist() == [0]


def test_no_budgets(make_case):
    found = fidelity(make_case(without=np.zeros((0, 2)), only=np.zeros((0, 2))))
    assert all(values.shape == (0,) for values in found.values())


@pytest.mark.parametrize("field", ["full", "without", "only"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_probabilities_that_are_no_numbers(make_case, field, bad):
    given = {"full": [0.5, 0.5], "without": [[0.5, 0.5]], "only": [[0.5, 0.5]]}
    given[field] = [bad, 0.5] if field == "full" else [[bad, 0.5]]
    with pytest.raises(ValueError, match="the model's probabilities are NaN or infinite"):
        fidelity(make_case(scores=[1], sizes=[1], **given))


class Setting:
    """A small random GCN on a small random graph, with random scores for its edges."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.nodes, self.classes = 12, 3
        self.edge_index = erdos_renyi_graph(self.nodes, 0.25)
        self.x = torch.randn(self.nodes, 4)
        self.y = torch.randint(self.classes, (self.nodes,))
        self.model = GCN(4, 8, num_layers=2, out_channels=self.classes).eval()
        self.scores = torch.randn(self.edge_index.size(1), dtype=torch.float64).numpy()
        self.sizes = np.array([size(budget, self.scores.size) for budget in edge_budgets()])

    def mask(self, count: int) -> torch.Tensor:
        """The selection as a hard mask; PyG's `1 - mask` is nonsense on soft, signed scores."""
        mask = torch.zeros(self.scores.size)
        mask[torch.from_numpy(ranking(self.scores)[:count])] = 1.0
        return mask

    @torch.no_grad()
    def probabilities(self, mask: torch.Tensor | None) -> np.ndarray:
        if mask is not None:
            set_masks(self.model, mask, self.edge_index, apply_sigmoid=False)
        out = self.model(self.x, self.edge_index).double().softmax(dim=-1).numpy()
        clear_masks(self.model)
        return out

    def cases(self, kind: str) -> list[Case]:
        full = self.probabilities(None)
        without = np.stack([self.probabilities(1 - self.mask(count)) for count in self.sizes])
        only = np.stack([self.probabilities(self.mask(count)) for count in self.sizes])
        return [
            Case(
                scores=self.scores,
                node_scores=np.zeros((self.nodes, 0)),
                target=int(full[node].argmax()) if kind == "model" else int(self.y[node]),
                label=None if kind == "model" else int(self.y[node]),
                full=full[node],
                sizes=self.sizes,
                without=without[:, node],
                only=only[:, node],
                semantics="mask",
                output_change=None,
                budgets=edge_budgets(),
                edge_index=self.edge_index.numpy(),
                truth=None,
                selection="absolute",
                order=ranking(self.scores),
                orders=ranking(self.scores)[None],
            )
            for node in range(self.nodes)
        ]

    def pyg(self, kind: str, level: int, index: torch.Tensor) -> tuple[float, float]:
        explainer = Explainer(
            self.model,
            DummyExplainer(),
            explanation_type=kind,
            edge_mask_type="object",
            model_config={
                "mode": "multiclass_classification",
                "task_level": "node",
                "return_type": "raw",
            },
        )
        prediction = explainer.get_prediction(self.x, self.edge_index)
        explanation = Explanation(
            x=self.x,
            edge_index=self.edge_index,
            edge_mask=self.mask(self.sizes[level]),
            target=prediction.argmax(dim=-1) if kind == "model" else self.y,
            index=index,
        )
        explanation._model_args = []
        return pyg_fidelity(explainer, explanation)


@pytest.mark.parametrize("kind", ["model", "phenomenon"])
def test_pyg_takes_the_absolute_value_of_the_acc_variant(kind):
    signs = set()
    for seed in range(3):
        setting = Setting(seed)
        for node, case in enumerate(setting.cases(kind)):
            found = fidelity(case)
            signs |= {*found[ACC[0]].tolist(), *found[ACC[1]].tolist()}
            for level in range(len(setting.sizes)):
                ours = tuple(abs(found[name][level]) for name in ACC)
                assert ours == setting.pyg(kind, level, torch.tensor([node]))
    # So that the comparison is not one of zeros; only a wrong prediction can be put right.
    assert signs == ({0, 1} if kind == "model" else {-1, 0, 1})


def test_pyg_on_many_nodes_is_the_mean_over_them():
    setting = Setting(0)
    found = [fidelity(case) for case in setting.cases("model")]
    for level in range(len(setting.sizes)):
        ours = [np.mean([values[name][level] for values in found]) for name in ACC]
        assert setting.pyg("model", level, torch.arange(setting.nodes)) == pytest.approx(ours)


def test_all_edges_are_sufficient_on_a_real_model():
    for case in Setting(0).cases("model"):
        found = fidelity(case)
        assert case.sizes[-1] == case.scores.size
        # A mask of ones, and a graph without a mask, are the same graph.
        np.testing.assert_allclose(found["fidelity-_prob"][-1], 0.0, atol=1e-12)
        assert found["fidelity-_acc"][-1] == 0
        assert all(np.abs(found[name]).max() > 1e-4 for name in PROB)
