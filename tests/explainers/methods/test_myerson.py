"""Myerson values against all coalitions of a graph, and by hand."""

import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GraphConv

import explainers

from ..conftest import (
    GraphStack,
    Stack,
    random_batch,
    random_graph,
    random_graph_model,
    random_model,
)
from .by_hand import output
from .test_perturbation import by_enumeration


def components(nodes, edge_index):
    """Connected parts of a set of nodes."""
    left = set(nodes)
    while left:
        part = {left.pop()}
        for _ in nodes:
            for a, b in edge_index.t().tolist():
                if a in nodes and b in nodes and part & {a, b}:
                    part |= {a, b}
        left -= part
        yield part


def expected(model, data, index, explanation):
    """Shapley's formula over the game of connected parts, of all nodes of the explanation."""
    target, nodes = int(explanation.target), explanation.n_id.tolist()
    nothing = output(model, data, [], index, target)

    def worth(coalition):
        there = {node for node, joins in zip(nodes, coalition.tolist(), strict=True) if joins}
        parts = components(there, data.edge_index)
        return sum(output(model, data, part, index, target) - nothing for part in parts)

    return by_enumeration(worth, len(nodes))


def graph_of(seed):
    return random_graph(seed, nodes=6, edges=14)


@pytest.mark.parametrize("seed", range(3))
def test_exact_values_of_nodes(seed):
    data, model = graph_of(seed), random_model(seed)
    (found,) = explainers.load("myerson").explain(model, data, 0)
    assert len(found.n_id) > 3
    values = expected(model, data, 0, found)
    torch.testing.assert_close(found.node_mask.sum(dim=1), values)
    torch.testing.assert_close(found.edge_mask, values[found.edge_index].mean(dim=0))


@pytest.mark.parametrize("seed", range(3))
def test_exact_values_of_graphs(seed):
    """Of several components, too."""
    data, model = Batch.from_data_list([graph_of(seed)]), random_graph_model(seed)
    (found,) = explainers.load("myerson").explain(model, data, 0)
    values = expected(model, data, 0, found)
    torch.testing.assert_close(found.node_mask.sum(dim=1), values)


def test_orders_come_near_to_the_exact_values():
    data, model = random_batch(3), random_graph_model(3)
    (exact,) = explainers.load("myerson").explain(model, data, 0)
    (found,) = explainers.load("myerson", exact_nodes=0, n_samples=3000).explain(model, data, 0)
    values = exact.node_mask.sum(dim=1)
    error = (found.node_mask.sum(dim=1) - values).abs().max()
    assert 0 < error < 0.05 * values.abs().max()
    data, model = graph_of(1), random_model(1)
    (exact,) = explainers.load("myerson").explain(model, data, 0)
    (found,) = explainers.load("myerson", exact_nodes=0, n_samples=3000).explain(model, data, 0)
    error = (found.node_mask.sum(dim=1) - exact.node_mask.sum(dim=1)).abs().max()
    assert 0 < error < 0.05 * exact.node_mask.sum(dim=1).abs().max()


def test_values_add_up(graph, model):
    """Even of few orders, to what the whole computation graph changes."""
    (found,) = explainers.load("myerson", exact_nodes=0, n_samples=2).explain(model, graph, 0)
    nodes, target = found.n_id.tolist(), int(found.target)
    change = output(model, graph, nodes, 0, target) - output(model, graph, [], 0, target)
    assert float(found.node_mask.sum()) == pytest.approx(change)


def summing(layer_count):
    layers = [GraphConv(1, 1, bias=False).double() for _ in range(layer_count)]
    for layer in layers:
        torch.nn.init.ones_(layer.lin_rel.weight)
        torch.nn.init.zeros_(layer.lin_root.weight)
    return layers


def two(layers):
    class Two(Stack):
        def forward(self, x, edge_index):
            total = super().forward(x, edge_index)
            return torch.cat([total, 0 * total], dim=1)

    return Two(layers, "none").eval()


def test_a_message_is_shared_by_all_that_hand_it_on():
    """2 sends 6 to 1, 1 to 0: three nodes that are worth nothing without each other."""
    x = torch.tensor([[1.0], [3.0], [6.0]], dtype=torch.float64)
    data = Data(x=x, edge_index=torch.tensor([[1, 2], [0, 1]]))
    (found,) = explainers.load("myerson").explain(two(summing(2)), data, 0, target=0)
    assert found.node_mask.view(-1).tolist() == pytest.approx([2, 2, 2])
    assert found.edge_mask.tolist() == pytest.approx([2, 2])
    # With its edges there throughout, all of it is the sender's.
    method = explainers.load("myerson", mask_type="node")
    (found,) = method.explain(two(summing(2)), data, 0, target=0)
    assert found.node_mask.view(-1).tolist() == pytest.approx([0, 0, 6])


def test_apart_nothing_is_gained():
    """A graph's output is the square of what is sent; parts that are apart share no square."""
    (layer,) = summing(1)

    class Square(GraphStack):
        def forward(self, x, edge_index, batch):
            return super().forward(x, edge_index, batch=batch) ** 2

    model = Square([layer], "none", "add", features=1, classes=2).double().eval()
    with torch.no_grad():
        model.linear.weight.copy_(torch.tensor([[1.0], [0.0]]))
        model.linear.bias.zero_()
    x = torch.tensor([[2.0], [0.0], [1.0], [0.0]], dtype=torch.float64)
    data = Batch.from_data_list([Data(x=x, edge_index=torch.tensor([[0, 2], [1, 3]]))])
    for exact_nodes in (12, 0):
        method = explainers.load("myerson", exact_nodes=exact_nodes, n_samples=4000)
        (found,) = method.explain(model, data, 0, target=0)
        # 4 for one pair and 1 for the other, not 9; nodes without features show none.
        assert found.node_mask.view(-1).tolist() == pytest.approx([2, 0, 0.5, 0], abs=0.1)
        assert found.edge_mask.tolist() == pytest.approx([2, 0.5], abs=0.1)


def test_bad_options():
    with pytest.raises(ValueError, match="exact_nodes must be a whole number and at least 0, got "):
        explainers.load("myerson", exact_nodes=-1)
