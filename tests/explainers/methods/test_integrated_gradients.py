"""Integrated Gradients against PyG's own explainer, a closed form and its axioms."""

import pytest
import torch
from captum.attr._utils.approximation_methods import approximation_parameters
from torch_geometric.data import Data
from torch_geometric.explain import CaptumExplainer, Explainer
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks
from torch_geometric.nn import GCNConv, GraphConv

import explainers
from explainers.engines.batched import BatchedProblem
from explainers.methods.integrated_gradients import QUADRATURES, quadrature

from ..conftest import Stack, difference, random_graph, random_model


@pytest.mark.parametrize("engine", explainers.load("integrated_gradients").engines)
def test_equal_to_pygs_captum_explainer(engine):
    data, model = random_graph(4), random_model(4)
    explainer = Explainer(
        model,
        CaptumExplainer("IntegratedGradients", n_steps=9, internal_batch_size=1),
        explanation_type="model",
        node_mask_type="attributes",
        edge_mask_type="object",
        model_config={
            "mode": "multiclass_classification",
            "task_level": "node",
            "return_type": "log_probs",
        },
    )
    method = explainers.load("integrated_gradients", engine=engine, n_steps=9)
    for node in (0, 4, 9):
        theirs = explainer(data.x, data.edge_index, index=node)
        (ours,) = method.explain(model, data, node)
        node_mask, edge_mask = explainers.to_full(ours, data)
        torch.testing.assert_close(node_mask, theirs.node_mask, rtol=1e-6, atol=1e-6)
        # PyG makes its edge mask in float32, whatever the model's type.
        torch.testing.assert_close(edge_mask.float(), theirs.edge_mask, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("engine", explainers.load("integrated_gradients").engines)
def test_closed_form(engine):
    """One linear layer: F = sum of m_e * w.x_source + root, so F(a) = a^2 M + a R."""
    data, node = random_graph(6), 0
    conv = GraphConv(5, 2, bias=False).double()
    method = explainers.load("integrated_gradients", engine=engine, n_steps=4)
    model = Stack([conv], "none")
    if not method.supports(model, data):
        pytest.skip(f"{engine} is not for GraphConv")
    (explanation,) = method.explain(model, data, node, target=1)
    weight, root = conv.lin_rel.weight[1].detach(), conv.lin_root.weight[1].detach()
    x = data.x[explanation.n_id]
    edges = torch.zeros(len(x), dtype=torch.float64)
    for source, target in explanation.edge_index.t().tolist():
        if target == int(explanation.index):
            edges[source] += 1
    # The path integral of a * w.x for the edge, and of a * w for the features.
    messages = x @ weight
    into = explanation.edge_index[1] == explanation.index
    expected = torch.where(into, messages[explanation.edge_index[0]] / 2, 0)
    torch.testing.assert_close(explanation.edge_mask, expected)
    features = edges[:, None] * x * weight / 2
    features[explanation.index] += x[explanation.index] * root
    torch.testing.assert_close(explanation.node_mask, features)


@pytest.mark.parametrize("name", QUADRATURES)
def test_points_and_weights_are_captums(name):
    sizes, points = approximation_parameters(name)
    for n in (2, 3, 50):
        assert quadrature(name, n) == (points(n), sizes(n))


@pytest.mark.parametrize("rule", QUADRATURES)
@pytest.mark.parametrize("engine", explainers.load("integrated_gradients").engines)
def test_every_quadrature_equals_stock(engine, rule, graph, model):
    options = {"n_steps": 6, "quadrature": rule}
    one = explainers.load("integrated_gradients", engine=engine, **options)
    stock = explainers.load("integrated_gradients", engine="stock", **options)
    assert difference(*one.explain(model, graph, 0), *stock.explain(model, graph, 0)) < 1e-9


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 14, 100])
def test_batch_size_changes_nothing_but_the_passes(size, graph, model, monkeypatch):
    expected = explainers.load("integrated_gradients", engine="stock", n_steps=7)
    method = explainers.load(
        "integrated_gradients", engine="batched", n_steps=7, internal_batch_size=size
    )
    assert method.supports(model, graph)  # has the model checked, once, in passes of its own
    sizes = []
    predict = BatchedProblem.predict

    def spy(self, x, edge_mask):
        sizes.append(len(x) * len(self.graphs))
        return predict(self, x, edge_mask)

    monkeypatch.setattr(BatchedProblem, "predict", spy)
    nodes = [0, 1, 2]
    ours = method.explain(model, graph, nodes)
    # Never more copies of a computation graph in one pass than asked for.
    assert max(sizes) <= max(size, 3)
    assert min(size, 21) - 7 < max(sizes)
    for one, other in zip(ours, expected.explain(model, graph, nodes), strict=True):
        assert difference(one, other) < 1e-9


@torch.no_grad()
def output(model, data, scale):
    """The model's output with features and messages scaled."""
    mask = torch.full((data.num_edges,), float(scale), dtype=torch.float64)
    set_masks(model, mask, data.edge_index, apply_sigmoid=False)
    out = model(data.x * scale, data.edge_index)
    clear_masks(model)
    return out


@pytest.mark.parametrize("engine", explainers.load("integrated_gradients").engines)
def test_completeness_and_its_delta(engine, graph, model):
    deltas = []
    for steps in (3, 30, 300):
        method = explainers.load("integrated_gradients", engine=engine, n_steps=steps)
        (explanation,) = method.explain(model, graph, 0)
        target = int(explanation.target)
        change = output(model, graph, 1)[0, target] - output(model, graph, 0)[0, target]
        total = explanation.node_mask.sum() + explanation.edge_mask.sum()
        torch.testing.assert_close(explanation.convergence_delta, total - change)
        deltas.append(abs(float(explanation.convergence_delta)))
    assert deltas[2] < 1e-3
    assert deltas[2] < deltas[0]


def test_self_loops_of_the_graph_are_not_explained():
    """Exactly one loop a node makes PyG's masks land on the wrong edges, silently."""
    with_loops, model = random_graph(7, loops="one each"), random_model(7)
    keep = with_loops.edge_index[0] != with_loops.edge_index[1]
    without = Data(x=with_loops.x, edge_index=with_loops.edge_index[:, keep])
    for engine in explainers.load("integrated_gradients").engines:
        method = explainers.load("integrated_gradients", engine=engine)
        (one,) = method.explain(model, with_loops, 0)
        (other,) = method.explain(model, without, 0)
        nodes, edges = explainers.to_full(one, with_loops)
        other_nodes, other_edges = explainers.to_full(other, without)
        assert not edges[~keep].any()
        torch.testing.assert_close(edges[keep], other_edges)
        torch.testing.assert_close(nodes, other_nodes)


def test_a_gcn_with_its_own_weights_for_loops():
    data = random_graph(8, loops="some", weighted=True)
    model = Stack([GCNConv(5, 4, improved=True).double(), GCNConv(4, 3).double()])
    results = [
        explainers.load("integrated_gradients", engine=engine).explain(model, data, [0, 1])
        for engine in ("stock", "batched")
    ]
    for one, other in zip(*results, strict=True):
        assert difference(one, other) < 1e-9
