"""The networks that are explained: each is the layers that it says it is."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.nn import GATConv, GCNConv, GINConv, SAGEConv

from benchmarks.tasks._models import GNN, LAYERS, ConcatGNN, GraphGNN


@pytest.mark.parametrize("hidden", [(), (5,), (5, 6, 7)])
def test_gcn_is_convolutions_with_relu_between(hidden: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = GNN([3, *hidden, 2], dropout=0.5).eval()
    x, edge_index = torch.randn(4, 3), torch.tensor([[0, 1, 2, 3], [1, 2, 3, 1]])
    convs = [module for module in model.modules() if isinstance(module, GCNConv)]
    assert [conv.out_channels for conv in convs] == [*hidden, 2]

    weight = torch.tensor([1.0, 0.5, 2.0, 0.0])
    for edge_weight in (None, weight):
        out = x
        for conv in convs[:-1]:
            out = conv(out, edge_index, edge_weight).clamp(min=0)
        out = convs[-1](out, edge_index, edge_weight)
        expected = out - out.logsumexp(dim=1, keepdim=True)
        torch.testing.assert_close(model(x, edge_index, edge_weight), expected)


def test_gcn_drops_hidden_units_only_while_training() -> None:
    model = GNN([3, 50, 2], dropout=0.5)
    x, edge_index = torch.randn(4, 3), torch.tensor([[0, 1], [1, 2]])
    assert not torch.equal(model(x, edge_index), model(x, edge_index))
    model.eval()
    assert torch.equal(model(x, edge_index), model(x, edge_index))


def test_gcn_needs_two_widths() -> None:
    with pytest.raises(ValueError, match=r"got \[3\]"):
        GNN([3])


@pytest.mark.parametrize("kind", LAYERS)
def test_a_stack_is_its_layers(kind: str) -> None:
    torch.manual_seed(0)
    model = GNN([3, 5, 2], kind=kind).eval()
    x, edge_index = torch.randn(4, 3), torch.tensor([[0, 1, 2, 3], [1, 2, 3, 1]])
    one, two = model.convs
    expected = two(one(x, edge_index).clamp(min=0), edge_index).log_softmax(dim=1)
    torch.testing.assert_close(model(x, edge_index), expected)
    assert {type(one), type(two)} == {
        {"gcn": GCNConv, "sage": SAGEConv, "gin": GINConv, "gat": GATConv}[kind]
    }


def test_without_normalisation_a_layer_sums_what_neighbours_send() -> None:
    model = GNN([3, 2], normalize=False)
    x, edge_index = torch.randn(4, 3), torch.tensor([[0, 1, 2, 3], [1, 2, 3, 1]])
    (conv,) = model.convs
    sums = torch.stack([torch.zeros(3), x[0] + x[3], x[1], x[2]])
    expected = (sums @ conv.lin.weight.t() + conv.bias).log_softmax(dim=1)
    torch.testing.assert_close(model(x, edge_index), expected)


def test_a_linear_layer_sees_all_layers_at_unit_length() -> None:
    torch.manual_seed(0)
    model = ConcatGNN([3, 5, 4, 2], dropout=0.5).eval()
    x, edge_index = torch.randn(4, 3), torch.tensor([[0, 1, 2, 3], [1, 2, 3, 1]])
    one, two = model.convs
    h = one(x, edge_index)
    h = (h / h.norm(dim=1, keepdim=True)).clamp(min=0)
    k = two(h, edge_index)
    k = (k / k.norm(dim=1, keepdim=True)).clamp(min=0)
    expected = model.linear(torch.cat([h, k], dim=1)).log_softmax(dim=1)
    torch.testing.assert_close(model(x, edge_index), expected)


def test_a_graph_is_pooled_by_mean_and_sum() -> None:
    torch.manual_seed(0)
    model = GraphGNN([3, 5, 4, 2]).eval()
    x, edge_index = torch.randn(5, 3), torch.tensor([[0, 1, 3], [1, 0, 4]])
    batch = torch.tensor([0, 0, 1, 1, 1])
    one, two = model.convs
    h = two(one(x, edge_index).clamp(min=0), edge_index).clamp(min=0)
    pooled = [torch.cat([part.mean(dim=0), part.sum(dim=0)]) for part in (h[:2], h[2:])]
    expected = model.linear(torch.stack(pooled)).log_softmax(dim=1)
    torch.testing.assert_close(model(x, edge_index, batch=batch), expected)
    torch.testing.assert_close(model(x[:2], edge_index[:, :2]), expected[:1])
