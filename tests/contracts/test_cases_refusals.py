"""What cannot be explained is refused before any work, by the right reason.

The numbers are those of the cases in the issue.
"""

from __future__ import annotations

import random

import pytest
import torch
import torch.nn.functional as F
import torch_geometric.nn as gnn
from torch import nn
from torch_geometric.data import Batch
from torch_geometric.explain import Explainer, GraphMaskExplainer, PGExplainer
from torch_geometric.explain import GNNExplainer as PyGGNNExplainer
from torch_geometric.utils import dropout_edge

import explainers

from .cases import (
    METHODS,
    Model,
    WithAttr,
    WithBatch,
    WithWeight,
    config,
    edges,
    explained,
    made,
    one,
    refused_everywhere,
    right_or_refused,
)
from .models import graph
from .reference import Reference

pytestmark = pytest.mark.filterwarnings("ignore:.*explaining with the slower engine")

# 11 to 15: what cannot be explained is refused, by the right reason.


def pooled(pool):
    def run(self, x, edge_index, batch):
        x, edge_index, _, batch, *_ = self.p(self.c(x, edge_index), edge_index, None, batch)
        return gnn.global_mean_pool(self.d(x, edge_index), batch)

    return made(WithBatch(run, c=gnn.GraphConv(3, 4), p=pool, d=gnn.GraphConv(4, 2)))


REFUSED = {
    "top k": lambda: pooled(gnn.TopKPooling(4)),
    "sag": lambda: pooled(gnn.SAGPooling(4)),
    "asap": lambda: pooled(gnn.ASAPooling(4)),
    "u-net": lambda: made(
        WithBatch(
            lambda self, x, e, b: gnn.global_mean_pool(self.u(x, e, b), b),
            u=gnn.GraphUNet(3, 4, 2, 1),
        )
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_11_fewer_edges_inside(name):
    batch = Batch.from_data_list([graph(0), graph(1)])
    refused_everywhere(REFUSED[name](), batch, "edge")


@pytest.mark.parametrize("layer", [gnn.RGCNConv, gnn.FastRGCNConv, gnn.RGATConv])
def test_11b_relations_in_edge_attr(layer):
    data = edges((0, 1), (1, 2), (2, 0), (0, 2), x=torch.randn(3, 2).double())
    data.edge_attr = torch.tensor([0, 1, 1, 0])
    right_or_refused(one(layer(2, 2, 2), WithAttr), data, [1, 2])


@pytest.mark.parametrize("kind", [torch.float64, torch.long])
@pytest.mark.parametrize("layer", [gnn.GraphConv, gnn.GCNConv, gnn.GATConv])
def test_12_embedded_features(kind, layer):
    """There is no gradient by the features: edges have scores, features have none."""
    data = edges((0, 1), (2, 1), (1, 2), x=torch.tensor([[1], [2], [0]]).to(kind))
    model = made(
        Model(
            lambda self, x, e: self.c(self.e(x.long().view(-1)), e),
            e=nn.Embedding(3, 4),
            c=layer(4, 2),
        )
    )
    reference = Reference(model, edges((0, 1), (2, 1), (1, 2), x=data.x.double()))
    for name in ("saliency", "input_x_gradient", "integrated_gradients", "occlusion"):
        explanation = explained(model, data, 1, name, match="feature")
        if explanation is None:
            continue
        if name in ("saliency", "input_x_gradient", "occlusion"):
            edges_right = getattr(reference, name)(1, int(explanation.target))[1]
            torch.testing.assert_close(
                explainers.to_full(explanation, data)[1].double(), edges_right
            )
        if name != "occlusion":
            assert not explanation.node_mask.any()
    learned = explained(model, data, 1, "gnn_explainer", match="feature", epochs=5)
    assert learned is None or bool(learned.edge_mask.any())


def pyg_explainer(algorithm, model=None, **masks):
    return Explainer(
        model or made(gnn.GCN(3, 4, 2, 2)),
        algorithm,
        explanation_type="model",
        model_config=config("multiclass_classification", "raw")["model_config"],
        **masks,
    )


@pytest.mark.parametrize("name", ["saliency", "occlusion", "gnn_explainer"])
@pytest.mark.parametrize("nodes", [None, "attributes", "common_attributes", "object"])
@pytest.mark.parametrize("on_edges", [None, "object"])
def test_13_masks_of_pyg(name, nodes, on_edges):
    if nodes is None and on_edges is None:
        return  # PyG itself refuses
    data = graph(0)
    explainer = pyg_explainer(
        explainers.as_algorithm(name), node_mask_type=nodes, edge_mask_type=on_edges
    )
    explanation = explainer(data.x, data.edge_index, index=0)
    shape = {"attributes": (8, 3), "common_attributes": (1, 3), "object": (8, 1)}
    if nodes is None:
        assert explanation.get("node_mask") is None
    else:
        assert explanation.node_mask.shape == shape[nodes]
    if on_edges is None:
        assert explanation.get("edge_mask") is None
    else:
        assert explanation.edge_mask.shape == (data.num_edges,)


def test_13_features_only_leave_the_messages_as_they_are():
    data, model = graph(0), made(gnn.GCN(3, 4, 2, 2))
    explainer = pyg_explainer(
        explainers.as_algorithm("integrated_gradients", n_steps=50),
        model,
        node_mask_type="attributes",
        edge_mask_type=None,
    )
    scores = explainer(data.x, data.edge_index, index=0).node_mask
    output, zero = model(data.x, data.edge_index)[0], model(0 * data.x, data.edge_index)[0]
    target = output.argmax()
    torch.testing.assert_close(scores.sum(), (output - zero)[target].detach(), rtol=1e-2, atol=1e-3)


RANDOM = {
    "dropout": lambda self, x, e: self.l(F.dropout(self.c(x, e))),
    "noise": lambda self, x, e: self.l(self.c(x + 0.1 * torch.randn_like(x), e)),
    "dropped edges": lambda self, x, e: self.l(self.c(x, dropout_edge(e, p=0.5, training=True)[0])),
    "python's random": lambda self, x, e: self.l(self.c(x, e) * random.random()),
    "in the last layer": lambda self, x, e: F.dropout(self.l(self.c(x, e)), 0.1),
}


@pytest.mark.parametrize("run", RANDOM.values(), ids=RANDOM)
def test_14_random_in_eval_mode(run):
    model = made(Model(run, c=gnn.GraphConv(3, 8), l=nn.Linear(8, 2)))
    refused_everywhere(model, graph(0), "random|differ|dropout|deterministic")


SPARSE = {
    "x": lambda data: data.update({"x": data.x.to_sparse()}),
    "x by rows": lambda data: data.update({"x": data.x.to_sparse_csr()}),
    "adjacency": lambda data: data.update({"edge_index": torch.eye(8).double().to_sparse()}),
    "adjacency by rows": lambda data: data.update(
        {"edge_index": torch.eye(8).double().to_sparse_csr()}
    ),
    "weights": lambda data: data.update({"edge_weight": data.edge_weight.to_sparse()}),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("change", SPARSE.values(), ids=SPARSE)
def test_15_sparse_tensors(change):
    data = graph(0, edge_weight=0)
    change(data)
    refused_everywhere(one(gnn.GraphConv(3, 2), WithWeight), data, "sparse|dense")


def test_15_median():
    model = one(gnn.SAGEConv(3, 2, aggr="median"))
    right_or_refused(model, graph(0, multi=False), [0, 3])
    for name, options in METHODS.items():  # of equal messages either may be the median
        explained(model, graph(0), 0, name, **options)


@pytest.mark.parametrize(
    "algorithm",
    [lambda: GraphMaskExplainer(2, epochs=1, log=False), lambda: PyGGNNExplainer(epochs=1)],
    ids=["graph mask", "gnn explainer"],
)
def test_15_after_pygs_explainers(algorithm):
    """What they leave on the user's model is none of ours."""
    data, model, fresh = graph(0), *(made(gnn.GCN(3, 4, 2, 2)).float() for _ in range(2))
    data.x = data.x.float()  # GraphMaskExplainer takes no other
    pyg_explainer(algorithm(), model, node_mask_type="attributes", edge_mask_type="object")(
        data.x, data.edge_index, index=0
    )
    for name, options in (("saliency", {}), ("gnn_explainer", {"epochs": 5})):
        for engine in ("batched", "stock"):
            method = explainers.load(name, engine=engine, **options)
            found, right = (method.explain(m, data, 0)[0].edge_mask for m in (model, fresh))
            torch.testing.assert_close(found, right)


def test_15_after_an_interrupted_pg_explainer():
    data, model = graph(0), made(gnn.GCN(3, 4, 2, 2))
    algorithm = PGExplainer(epochs=2)
    algorithm.mlp.double()
    Explainer(
        model,
        algorithm,
        explanation_type="phenomenon",
        edge_mask_type="object",
        model_config=config("multiclass_classification", "raw")["model_config"],
    )
    handle = stop_after(model, 1)
    target = torch.zeros(8).long()
    with pytest.raises(RuntimeError, match="stop"):
        algorithm.train(0, model, data.x, data.edge_index, target=target, index=0)
    handle.remove()
    (explanation,) = explainers.load("saliency").explain(model, data, 0)
    fresh = explainers.load("saliency").explain(made(gnn.GCN(3, 4, 2, 2)), data, 0)[0]
    torch.testing.assert_close(explanation.edge_mask, fresh.edge_mask)


def stop_after(model, calls):
    left = iter(range(calls))

    def stop(*_):
        if next(left, None) is None:
            raise RuntimeError("stop")

    return model.register_forward_hook(stop)
