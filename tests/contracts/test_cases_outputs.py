"""What an output means is said, or beyond doubt; it is not guessed from its numbers.

The numbers are those of the cases in the issue.
"""

from __future__ import annotations

import pytest
import torch
import torch_geometric.nn as gnn
from torch_geometric.data import Batch
from torch_geometric.explain import ModelConfig

import explainers
from explainers import metrics

from .cases import (
    METHODS,
    TWO,
    Model,
    WithBatch,
    config,
    edges,
    explained,
    fidelity,
    made,
)
from .checks import differences
from .models import graph
from .reference import Reference, call

pytestmark = pytest.mark.filterwarnings("ignore:.*explaining with the slower engine")

# 5, 5b, 8, 8b: what the output means is guessed from its numbers.


BINARY, BINARY_RAW = (
    config("binary_classification", "probs"),
    config("binary_classification", "raw"),
)
REGRESSION = config("regression", "raw")


def output(columns, act=lambda x: x):
    return made(Model(lambda self, x, e: act(self.c(x, e)), c=gnn.GraphConv(2, columns)), seed=3)


@pytest.mark.parametrize("act", [torch.sigmoid, lambda x: x, torch.tanh, torch.exp])
def test_5_one_column_must_be_said(act):
    model, data = output(1, act), edges((0, 1))
    with pytest.raises(ValueError, match="model_config"):
        explainers.load("saliency").stream(model, data, 1)
    assert not explainers.load("gnn_explainer").supports(model, data)


@pytest.mark.parametrize(("act", "said"), [(torch.sigmoid, BINARY), (lambda x: x, BINARY_RAW)])
def test_5_one_binary_output(act, said):
    model, data = output(1, act), edges((0, 1))
    with_edge, without = model(data.x, data.edge_index), model(data.x, data.edge_index[:, :0])
    for name in ("saliency", "gnn_explainer"):
        (explanation,) = explainers.load(name).explain(model, data, 1, **said)
        assert int(explanation.target) == 0
        assert (explanation.edge_mask != 0).all()
    p = [value if said is BINARY else value.sigmoid() for value in (with_edge[1], without[1])]
    assert fidelity(model, data, explanation, **said) == pytest.approx(float(p[0] - p[1]))
    with pytest.raises(ValueError, match="target"):
        explainers.load("saliency").stream(model, data, 1, 1, **said)


@pytest.mark.parametrize("act", [torch.sigmoid, lambda x: (x.tanh() + 1) / 2])
def test_5b_several_independent_outputs(act):
    model, data = output(3, act), edges((0, 1))
    with pytest.raises(ValueError, match="model_config"):
        explainers.load("saliency").stream(model, data, 1)
    full, without = model(data.x, data.edge_index)[1], model(data.x, data.edge_index[:, :0])[1]
    for target in range(3):
        (explanation,) = explainers.load("saliency").explain(model, data, 1, target, **BINARY)
        fall = float(full[target] - without[target])
        assert fidelity(model, data, explanation, **BINARY) == pytest.approx(fall)


def test_5b_several_labels_by_their_raw_scores():
    model, data = output(3), edges((0, 1))
    full, without = model(data.x, data.edge_index)[1], model(data.x, data.edge_index[:, :0])[1]
    (explanation,) = explainers.load("saliency").explain(model, data, 1, 2, **BINARY_RAW)
    fall = float(full[2].sigmoid() - without[2].sigmoid())
    assert fidelity(model, data, explanation, **BINARY_RAW) == pytest.approx(fall)


def test_5_regression():
    """Fidelity is the change of the output, in units of its spread."""
    model = output(1)
    data = edges((0, 1), (1, 2), (2, 3), (3, 0), x=torch.randn(4, 2).double())
    explanations = explainers.load("saliency").explain(model, data, [0, 1, 2, 3], **REGRESSION)
    rows = metrics.evaluate(
        model,
        data,
        explanations,
        at=["k=1"],
        semantics=["delete"],
        selections=["absolute"],
        metrics=["fidelity"],
        **REGRESSION,
    )
    found = torch.tensor([r["value"] for r in rows if r["metric"].startswith("fidelity+")])
    change = (model(data.x, data.edge_index) - model(data.x, data.edge_index[:, :0])).view(-1)
    ratio = found / change.detach().float()
    torch.testing.assert_close(ratio, ratio[:1].expand(4))  # all edges into a node are its one
    assert ratio[0] > 0
    spread = float(model(data.x, data.edge_index).std())
    assert float(ratio[0]) == pytest.approx(1 / spread, rel=0.25)  # by n or by n - 1
    masks = explainers.load("gnn_explainer").explain(model, data, 0, **REGRESSION)[0]
    assert (masks.edge_mask != 0).all()


def test_5_graphs_with_one_output():
    batch = Batch.from_data_list([graph(seed) for seed in range(3)])
    model = made(
        WithBatch(
            lambda self, x, e, b: gnn.global_mean_pool(self.c(x, e), b), c=gnn.GraphConv(3, 1)
        )
    )
    with pytest.raises(ValueError, match="model_config"):
        explainers.load("saliency").stream(model, batch, 0)
    said = config("regression", "raw", "graph")
    reference = Reference(model, batch)
    wrong = differences(reference, model, batch, [0, 2], "occlusion", {}, said=said)
    assert not list(wrong)


def test_5_what_is_said_is_checked():
    data = edges((0, 1))
    outside = output(3, lambda x: 5 * x + 3)
    for said in (config("multiclass_classification", "probs"), BINARY):
        with pytest.raises(ValueError, match="prob"):
            explainers.load("saliency").stream(outside, data, 1, **said)
    with pytest.raises(ValueError, match="regression"):
        explainers.load("saliency").stream(
            outside, data, 1, model_config={**REGRESSION["model_config"], "return_type": "probs"}
        )
    with pytest.raises(ValueError, match="graph"):
        explainers.load("saliency").stream(outside, data, 1, **config("regression", "raw", "graph"))
    with pytest.raises(ValueError, match="edge"):
        explainers.load("saliency").stream(outside, data, 1, **config("regression", "raw", "edge"))


def test_5_a_model_config_of_pyg_says_the_same():
    model, data = output(1), edges((0, 1))
    (one,) = explainers.load("saliency").explain(model, data, 1, **BINARY_RAW)
    (other,) = explainers.load("saliency").explain(
        model, data, 1, model_config=ModelConfig(**BINARY_RAW["model_config"])
    )
    assert torch.equal(one.edge_mask, other.edge_mask)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("act", ["softmax", "log_softmax"])
def test_8_half_precision(kind, act):
    model = output(3, lambda x: getattr(x, act)(-1)).to(kind)
    data = edges((0, 1), x=TWO.to(kind))
    double = output(3, lambda x: getattr(x, act)(-1)).to(kind).double()
    reference = Reference(double, edges((0, 1)))
    for name, options in METHODS.items():
        explanation = explained(model, data, 1, name, match="float|precision", **options)
        if explanation is None:
            continue
        target = int(explanation.target)
        right = getattr(reference, name)(1, target, *options.values())
        for own, other in zip(explainers.to_full(explanation, data), right, strict=True):
            torch.testing.assert_close(own.double(), other, atol=0.03, rtol=0.05)
        p = [call(double, edges((0, 1)), kept=kept)[1, target] for kept in (None, [])]
        fall = float(p[0] - p[1] if act == "softmax" else p[0].exp() - p[1].exp())
        assert fidelity(model, data, explanation) == pytest.approx(fall, abs=0.01)
