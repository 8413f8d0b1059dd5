"""Rewritten networks are other networks and the same function."""

import pytest
import torch
from torch import nn

from benchmarks.measures.equivalent_networks import REWRITES
from benchmarks.tasks._models import GNN


@pytest.mark.parametrize("name", REWRITES)
@pytest.mark.parametrize("dims", [[5, 8, 3], [5, 8, 6, 3], [5, 3]])
def test_the_same_function(name, dims):
    torch.manual_seed(0)
    model = GNN(dims).double().eval().requires_grad_(False)
    for conv in model.convs:
        nn.init.normal_(conv.bias)
    x = torch.randn(20, 5, dtype=torch.float64)
    edge_index = torch.randint(20, (2, 60))
    before = [parameter.clone() for parameter in model.parameters()]
    other = REWRITES[name](model, torch.Generator().manual_seed(1))
    for weights in ({}, {"edge_weight": torch.rand(60, dtype=torch.float64)}):
        outputs = [one(x, edge_index, **weights) for one in (other, model)]
        torch.testing.assert_close(*outputs, rtol=1e-12, atol=1e-12)
    after = list(model.parameters())
    assert all(torch.equal(one, two) for one, two in zip(before, after, strict=True))
    assert not other.training
    assert not any(parameter.requires_grad for parameter in other.parameters())
    if len(dims) > 2 or name == "split":
        mine = [parameter.flatten() for parameter in other.parameters()]
        assert not torch.equal(torch.cat(mine), torch.cat([one.flatten() for one in after]))


def test_weights_go_one_by_one():
    model = GNN([2, 3, 2]).eval()
    nn.init.normal_(model.convs[0].bias)
    other = REWRITES["widened"](model, torch.Generator().manual_seed(0))
    x, edge_index = torch.randn(4, 2), torch.tensor([[0, 1, 2], [1, 2, 3]])
    hidden = other.convs[0](x, edge_index).relu()
    assert hidden.size(1) == 5
    assert not hidden[:, 3].any()  # off
    assert other.convs[1].lin.weight[:, 3].all()  # and yet it has weights
    assert hidden[:, 4].any()
    assert not other.convs[1].lin.weight[:, 4].any()
