"""F-Fidelity: its shares and values by hand, its limit, and the fine-tuned copy."""

import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import SimpleConv

import explainers
from benchmarks.measures import f_fidelity
from benchmarks.measures.f_fidelity import DRAWS, METRIC, shares
from benchmarks.tasks import load
from explainers.metrics import evaluate

WEIGHTS = np.array([0.03, 0.2, 0.05, 0.06, 0.08, 0.15, 0.04, 0.07, 0.09, 0.02])


class Sum(torch.nn.Module):
    """The second class's probability is the sum of what the neighbours send."""

    def __init__(self):
        super().__init__()
        self.conv = SimpleConv(aggr="sum")

    def forward(self, x, edge_index):
        one = self.conv(x, edge_index).clamp(1e-6, 1 - 1e-6)
        return torch.cat([1 - one, one], dim=1).log()


def scored(metrics, **options):
    """The values of a star's centre, with the two heaviest of its ten edges selected."""
    x = torch.tensor([0.0, *WEIGHTS], dtype=torch.float64)[:, None]
    data = Data(x=x, edge_index=torch.stack([torch.arange(1, 11), torch.zeros(10).long()]))
    explanations = explainers.load("saliency").explain(Sum(), data, [0])
    assert set(explanations[0].edge_mask.argsort()[-2:].tolist()) == {1, 5}
    options = {"at": ["f=20%"], "semantics": ["delete"], "selections": ["signed"]} | options
    rows = evaluate(Sum(), data, explanations, metrics=metrics, **options)
    return {row["metric"]: row["value"] for row in rows}


def test_the_shares_by_hand():
    assert shares(2, 10) == (0.5, 0.125)  # a tenth of all: 1 of the 2, 1 of the 8
    assert shares(1, 10) == (0.5, pytest.approx(1 / 9))  # no more than half of the selected
    assert shares(4, 10) == (0.25, pytest.approx(1 / 6))
    assert shares(10, 10) == (pytest.approx(0.1), 0)
    assert shares(0, 0) == (0, 0)


@pytest.mark.parametrize("engine", ["batched", "stock"])
def test_by_hand(engine):
    found = scored([METRIC], engine=engine)
    selected = np.isin(np.arange(10), [1, 5])
    falls = np.random.default_rng([0, 0]).random((2, DRAWS, 10))
    plus = ((falls[0] < 0.5) * selected) @ WEIGHTS
    minus = ((falls[1] < 0.125) * ~selected) @ WEIGHTS
    assert found["f_fidelity+_prob"] == pytest.approx(plus.mean(), abs=1e-9)
    assert found["f_fidelity-_prob"] == pytest.approx(minus.mean(), abs=1e-9)
    # Half of 0.35, and an eighth of 0.44, but for the error of 50 draws.
    assert found["f_fidelity+_prob"] == pytest.approx(0.175, abs=0.04)
    assert found["f_fidelity-_prob"] == pytest.approx(0.055, abs=0.02)


def test_without_a_limit_it_is_fidelity(monkeypatch):
    monkeypatch.setattr(f_fidelity, "ALPHA", 1.0)
    monkeypatch.setattr(f_fidelity, "BETA", 1.0)
    found, plain = scored([METRIC]), scored(["fidelity"])
    for sign in "+-":
        assert found[f"f_fidelity{sign}_prob"] == pytest.approx(plain[f"fidelity{sign}_prob"])


def test_fine_tuning_leaves_the_explained_model_and_the_data_as_they_are():
    task = load("karate")
    before = {name: one.clone() for name, one in task.model.state_dict().items()}
    edges, random = task.data.edge_index.clone(), torch.random.get_rng_state()
    tuned, again = (f_fidelity.tuned_model(task, 0) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), random)
    assert torch.equal(task.data.edge_index, edges)
    assert not any(one.requires_grad for one in [*task.model.parameters(), *tuned.parameters()])
    assert not task.model.training
    assert not tuned.training
    for name, one in tuned.state_dict().items():
        assert torch.equal(task.model.state_dict()[name], before[name])
        assert torch.equal(again.state_dict()[name], one)
        assert not torch.equal(one, before[name])


def test_a_model_that_the_task_brings_is_refused():
    with pytest.raises(ValueError, match="white-box-count brings its model"):
        f_fidelity.tuned_model(load("white-box-count"), 0)
