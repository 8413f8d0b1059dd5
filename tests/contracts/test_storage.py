"""Explanations own their storage: one that is kept or saved does not hold those of its call."""

from __future__ import annotations

import io

import pytest
import torch
from torch_geometric.data import Batch
from torch_geometric.datasets import KarateClub
from torch_geometric.nn import GCN, GraphSAGE, global_mean_pool

import explainers

from .models import graph

MODELS = {"gcn": lambda: GCN(5, 8, 2, 3).eval(), "sage": lambda: GraphSAGE(5, 8, 2, 3).eval()}


def saved(explanation):
    buffer = io.BytesIO()
    torch.save(explanation, buffer)
    return buffer.tell()


def owns(explanation):
    for name, value in explanation.to_dict().items():
        if isinstance(value, torch.Tensor):
            content = value.numel() * value.element_size()
            assert value.untyped_storage().nbytes() <= content, name


@pytest.mark.parametrize("engine", [None, "batched", "stock"])
@pytest.mark.parametrize("name", ["saliency", "integrated_gradients", "random"])
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_nodes(make, name, engine):
    data, model = KarateClub()[0], make()
    data.x = torch.randn(34, 5)
    options = {"gnn_explainer": {"epochs": 1}, "integrated_gradients": {"n_steps": 2}}
    if engine not in (None, *explainers.load(name).engines):
        pytest.skip(f"{name} has no engine {engine}")
    method = explainers.load(name, engine=engine, **options.get(name, {}))
    together = method.explain(model, data, list(range(34)))
    for node in (0, 11, 33):
        owns(together[node])
        (alone,) = method.explain(model, data, node)
        owns(alone)
        assert saved(together[node]) <= 1.2 * saved(alone)
    # What is changed in one is not changed in another, nor in what the next call says.
    before = together[1].edge_mask.clone(), together[1].prediction.clone()
    together[0].edge_mask.fill_(7)
    together[0].prediction.fill_(7)
    assert torch.equal(together[1].edge_mask, before[0])
    assert not (method.explain(model, data, 0)[0].prediction == 7).any()


def test_graphs():
    class Pooled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = GCN(3, 4, 2, 3)

        def forward(self, x, edge_index, batch):
            return global_mean_pool(self.inner(x, edge_index), batch)

    batch = Batch.from_data_list([graph(seed) for seed in range(20)])
    for explanation in explainers.load("saliency").explain(
        Pooled().double().eval(), batch, list(range(20))
    ):
        owns(explanation)
