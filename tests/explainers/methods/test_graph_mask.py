"""GraphMask against PyG's formulas, layers worked by hand, and where the answer is known."""

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.explain import GraphMaskExplainer
from torch_geometric.nn import GraphConv, PairNorm
from torch_geometric.utils import k_hop_subgraph

import explainers
from explainers.engines import batched
from explainers.methods.graph_mask import (
    OPEN,
    _Replacement,
    hard_concrete,
    intercepted,
    open_probability,
    record,
)
from explainers.prepare import prepare
from explainers.prepare.copies import message_passing

from ..conftest import CONVS, Stack, random_graph, random_model


def problem_of(model, data, node):
    node = torch.tensor([node])
    (problem,) = batched.Batched().problems(
        prepare(model, data), node, torch.zeros_like(node), 2**28
    )
    return problem


def test_hard_concrete_is_pygs(monkeypatch):
    logits = torch.randn(200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    uniform = torch.rand(200, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda *_: uniform)
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    # PyG rounds at the middle between the smallest and the largest gate: 1/2 if they are 0 and 1.
    gates, penalty = GraphMaskExplainer(1)._hard_concrete(theirs, summarize_penalty=False)
    mine = hard_concrete(ours + OPEN, uniform)
    torch.testing.assert_close(mine, gates)
    assert set(mine.detach().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(open_probability(ours + OPEN), penalty)
    weights = torch.arange(200.0).double()
    (mine * weights).sum().backward()
    (gates * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("conv", ["gcn", "sage", "gat", "transformer"])
def test_messages_are_those_of_the_whole_graph(conv):
    """Of every layer, the messages that can reach the prediction, whatever was cut."""
    data, model = random_graph(4, nodes=30, edges=60), random_model(4, conv, depth=3)
    seen = []
    layers = message_passing(model)
    handles = [
        layer.register_message_forward_hook(lambda *hooked: seen.append(hooked[2]))
        for layer in layers
    ]
    with torch.no_grad():
        model(data.x, data.edge_index)
    for handle in handles:
        handle.remove()
    reached = set()
    for node in (0, 3, 8):
        problem = problem_of(model, data, node)
        for layer, sent in enumerate(record(problem)):
            edges = problem.graphs.e_id[sent.at]
            torch.testing.assert_close(sent.parts[1], seen[layer][edges].detach().flatten(1))
            near = k_hop_subgraph(node, 2 - layer, data.edge_index, num_nodes=30)[0]
            assert torch.equal(edges, torch.isin(data.edge_index[1], near).nonzero().view(-1))
            reached.add(len(edges) < len(problem.graphs.e_id))
    assert reached == {True, False}


@pytest.mark.parametrize("closed", [[], [0], [0, 2]])
def test_a_closed_gate_puts_the_baseline_in_place(closed):
    torch.manual_seed(0)
    model = Stack([GraphConv(2, 3)], "none").double().eval()
    data = Data(x=torch.randn(4, 2).double(), edge_index=torch.tensor([[1, 2, 3], [0, 0, 0]]))
    problem, baseline = problem_of(model, data, 0), torch.randn(2).double()
    gate = torch.ones(3).double()
    gate[closed] = 0
    replaced = [_Replacement(torch.arange(3), gate, baseline)]
    borrowed = problem.prepared.borrowed()
    with borrowed as copy, intercepted(copy.layers, replaced), torch.no_grad():
        output = problem.predict(problem.x[None], problem.edge_mask[None])[0, 0]
        kept = data.x[[v for v in (1, 2, 3) if v - 1 not in closed]].sum(dim=0)
        layer = model.layers[0]
        expected = layer.lin_rel(kept + len(closed) * baseline) + layer.lin_root(data.x[0])
    torch.testing.assert_close(output, expected)


def test_finds_the_edge_that_matters():
    """Node 3i gets a message that decides its class and one that is the same for all."""
    count = 60
    centre = torch.arange(count) * 3
    x = torch.zeros(3 * count, 3, dtype=torch.float64)
    sign = torch.randint(2, (count,), generator=torch.Generator().manual_seed(0))
    x[centre + 1, sign] = 3.0
    x[centre + 2, 2] = 0.5
    source = torch.stack([centre + 1, centre + 2], dim=1).flatten()
    data = Data(x=x, edge_index=torch.stack([source, centre.repeat_interleave(2)]))
    model = Stack([GraphConv(3, 3, bias=False)]).double().requires_grad_(False).eval()
    model.layers[0].lin_rel.weight.copy_(torch.eye(3))
    model.layers[0].lin_root.weight.zero_()
    method = explainers.load("graph_mask", epochs=40)
    method.fit(model, data, centre[:20])
    explanations = method.explain(model, data, centre[40:])
    source = torch.stack([e.n_id[e.edge_index[0]] for e in explanations])
    assert torch.equal(source % 3, torch.tensor([[1, 2]]).expand(20, -1))
    decides, constant = torch.stack([e.edge_mask for e in explanations]).T
    assert (decides > 0.9).all()
    assert (constant < 0.1).all()


@pytest.mark.parametrize("conv", sorted(CONVS))
def test_any_layer(conv, graph):
    model = random_model(0, conv, depth=3)
    method = explainers.load("graph_mask", epochs=1, training_nodes=2)
    (explanation,) = method.explain(model, graph, 0)
    assert ((explanation.edge_mask > 0) & (explanation.edge_mask < 1)).all()
    assert not any(layer._message_forward_hooks for layer in prepare(model, graph).layers)


def test_a_model_that_cannot_be_cut(graph):
    class Normed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.norm = GraphConv(5, 3), PairNorm()

        def forward(self, x, edge_index):
            return self.norm(self.one(x, edge_index))

    method, model = explainers.load("graph_mask"), Normed().double()
    assert not method.supports(model, graph)
    with pytest.raises(
        ValueError, match=r"graph_mask does not support model Normed: .* use another"
    ):
        method.explain(model, graph, 0)


def test_without_edges_there_is_nothing_to_learn(graph, model):
    graph.edge_index = graph.edge_index[:, :0]
    (explanation,) = explainers.load("graph_mask").explain(model, graph, 0)
    assert explanation.edge_mask.numel() == 0
