"""Occlusion, Shapley values, KernelSHAP and LIME: enumeration, closed forms, scikit-learn."""

import itertools
import math

import captum.attr
import pytest
import torch
from captum._utils.models.linear_model import SkLearnRidge
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, Ridge
from torch.utils.data import DataLoader, TensorDataset
from torch_geometric.data import Data
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks
from torch_geometric.nn import GraphConv

import explainers
from explainers.engines import batched
from explainers.engines.analytic import coalitions
from explainers.methods import kernel_shap, lime
from explainers.methods._linear import Linear, least_squares
from explainers.methods._perturbation import Players
from explainers.methods._seeded import seeded
from explainers.prepare import prepare

from ..conftest import LOOPS, Stack, difference, random_graph, random_model

FEW = {
    "kernel_shap": {"n_samples": 20},
    "lime": {"n_samples": 20},
    "occlusion": {},
    "shapley_sampling": {"n_samples": 2},
}
# Two friends of node 0, one of them a friend of the other, too.
SMALL = torch.tensor([[1, 2, 2], [0, 0, 1]])


def small():
    x = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Data(x=x, edge_index=SMALL)


@torch.no_grad()
def output(model, data, nodes, edges, target):
    """Node 0's output, with PyG's masks on the whole graph."""
    set_masks(model, edges.double(), data.edge_index, apply_sigmoid=False)
    value = model(data.x * nodes[:, None], data.edge_index)[0, target]
    clear_masks(model)
    return float(value)


def players_of(explanation):
    """The scores of the nodes, then of the edges."""
    return torch.cat([explanation.node_mask.sum(dim=1), explanation.edge_mask])


def by_enumeration(value, count):
    """Shapley's formula, over all coalitions."""
    worth = {c: value(torch.tensor(c)) for c in itertools.product([0.0, 1.0], repeat=count)}
    scores = torch.zeros(count, dtype=torch.float64)
    for coalition, before in worth.items():
        size = int(sum(coalition))
        for i in range(count):
            if not coalition[i]:
                insertion_outputs = (*coalition[:i], 1.0, *coalition[i + 1 :])
                weight = math.factorial(size) * math.factorial(count - size - 1)
                scores[i] += weight / math.factorial(count) * (worth[insertion_outputs] - before)
    return scores


def test_shapley_values_by_enumeration():
    data, model = small(), random_model(3)
    (explanation,) = explainers.load("shapley_sampling", n_samples=1000).explain(model, data, 0)
    target = int(explanation.target)
    expected = by_enumeration(lambda c: output(model, data, c[:3], c[3:], target), 6)
    errors = (players_of(explanation) - expected).abs()
    assert errors.max() < 0.03 * expected.abs().max()
    (explanation,) = explainers.load("kernel_shap", n_samples=3000).explain(model, data, 0)
    errors = (players_of(explanation) - expected).abs()
    assert errors.max() < 0.05 * expected.abs().max()


@pytest.mark.parametrize("name", ["shapley_sampling", "kernel_shap"])
def test_values_add_up(name, graph, model):
    everything = torch.ones(12), torch.ones(graph.num_edges)
    nothing = [torch.zeros_like(part) for part in everything]
    for node in (0, 11):
        (explanation,) = explainers.load(name, n_samples=200).explain(model, graph, node)
        target, x = int(explanation.target), graph.x
        if node == 11:  # alone: the one player makes all the difference
            change = explanation.prediction - model(x * 0, graph.edge_index)[11].detach()
            change = float(change[target])
        else:
            change = output(model, graph, *everything, target)
            change -= output(model, graph, *nothing, target)
        assert float(players_of(explanation).sum()) == pytest.approx(change, rel=1e-4)
        assert abs(float(explanation.convergence_delta)) < 1e-4 * abs(change)


def test_occlusion_by_its_definition(graph, model):
    (explanation,) = explainers.load("occlusion").explain(model, graph, 0)
    target = int(explanation.target)
    nodes, edges = explainers.to_full(explanation, graph)
    parts = torch.ones(12, dtype=torch.float64), torch.ones(graph.num_edges, dtype=torch.float64)
    everything = output(model, graph, *parts, target)
    for kept, scores in zip(parts, (nodes.sum(dim=1), edges), strict=True):
        for i in range(len(kept)):
            kept[i] = 0
            loss = everything - output(model, graph, *parts, target)
            kept[i] = 1
            assert float(scores[i]) == pytest.approx(loss, abs=1e-12)


def test_on_a_linear_layer_methods_agree():
    """F = sum of m_e <w, x_source> + <r, x_root>: linear in each input, products of two.

    What an input loses alone is input x gradient; Shapley's value is half of each product, which is
    what the path of Integrated Gradients gives, too.
    """
    data = random_graph(6, nodes=6, edges=10)
    with torch.random.fork_rng():
        torch.manual_seed(6)
        model = Stack([GraphConv(5, 2, bias=False).double()], "none")

    def scores(name, **options):
        return players_of(explainers.load(name, **options).explain(model, data, 0)[0])

    torch.testing.assert_close(scores("occlusion"), scores("input_x_gradient"))
    path = scores("integrated_gradients", n_steps=5)
    scale = float(path.abs().max())
    assert (scores("shapley_sampling", n_samples=2000) - path).abs().max() < 0.05 * scale
    assert (scores("kernel_shap", n_samples=2000) - path).abs().max() < 0.1 * scale
    assert torch.corrcoef(torch.stack([scores("lime"), path]))[0, 1] > 0.97


@pytest.mark.parametrize("name", FEW)
def test_a_node_shares_its_score_among_the_features_it_has(name, graph, model):
    graph.x[0, :2], graph.x[1] = 0, 0
    (explanation,) = explainers.load(name, **FEW[name]).explain(model, graph, 0)
    row = explanation.node_mask[explanation.n_id == 0][0]
    assert row[:2].tolist() == [0, 0]
    assert row[2] == row[3] == row[4] != 0
    assert not explanation.node_mask[explanation.n_id == 1].any()


@pytest.mark.parametrize("name", FEW)
def test_passes_keep_to_the_memory_budget(name, graph, model, monkeypatch):
    budget = 5 * int(prepare(model, graph).bytes_per_unit.max())
    sizes = []
    predict = batched.BatchedProblem.predict

    def spy(self, x, edge_mask):
        sizes.append((len(x), self.copies))
        return predict(self, x, edge_mask)

    method = explainers.load(name, engine="batched", memory_budget=budget, **FEW[name])
    assert method.supports(model, graph)  # has the model checked, once, in passes of its own
    monkeypatch.setattr(batched.BatchedProblem, "predict", spy)
    method.explain(model, graph, [0, 5])
    assert all(size <= copies for size, copies in sizes)
    assert max(size for size, _ in sizes) > 1


def fields_players(model, data, node):
    network = prepare(model, data)
    nodes = torch.tensor([node])
    target = network.output[nodes].argmax(dim=-1)
    (problem,) = batched.Batched().problems(network, nodes, target, 2**20, 1, 1)
    return Players(problem)


@pytest.mark.parametrize("n_samples", [20, 300])  # fewer than players, and more
def test_equal_to_captum_with_scikit_learn(n_samples, graph, model):
    players = fields_players(model, graph, 0)
    kernel = captum.attr.KernelShap(players)
    lime = captum.attr.Lime(players, interpretable_model=SkLearnRidge(alpha=2.0))
    for name, theirs in (("kernel_shap", kernel), ("lime", lime)):
        options = {"penalty": 2.0} if name == "lime" else {}
        method = explainers.load(name, n_samples=n_samples, seed=4, **options)
        (explanation,) = method.explain(model, graph, 0)
        with seeded(4, torch.tensor([0])), torch.no_grad():
            expected = theirs.attribute(players.everyone, n_samples=n_samples)[0].double()
        # scikit-learn fits Captum's float32 numbers in float32, for KernelSHAP with weights of 1e6.
        errors = (players_of(explanation) - expected).abs()
        assert errors.max() < 2e-3 * expected.abs().max()


@pytest.mark.parametrize("penalty", [0.0, 1e-3, 1.5])
@pytest.mark.parametrize("shape", [(40, 7), (7, 40), (300, 280), (280, 300), (3, 3)])
@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("short", [False, True])
def test_the_linear_fit_is_scikit_learns(shape, penalty, heavy, short):
    generator = torch.Generator().manual_seed(0)
    samples = torch.randint(2, shape, generator=generator).float()
    outputs, weights = torch.rand(2, shape[0], generator=generator, dtype=torch.float64)
    weights += 0.1
    if heavy:  # as in KernelSHAP
        samples[0], samples[1], weights[:2] = 1, 0, 1e6
    if short:  # of full rank
        samples[:, -1], samples[-1] = samples[:, 0], samples[2]
    theirs = Ridge(alpha=penalty, solver="svd") if penalty else LinearRegression()
    theirs.fit(samples.double().numpy(), outputs.numpy(), weights.numpy())
    expected = torch.from_numpy(theirs.coef_)
    errors = (least_squares(samples, outputs, weights, penalty) - expected).abs()
    assert errors.max() < 1e-8 * expected.abs().max()

    ours = Linear(penalty)
    ours.fit(DataLoader(TensorDataset(samples, outputs, weights), batch_size=shape[0]))
    errors = (ours.representation() - expected).abs()
    assert errors.max() < 1e-8 * expected.abs().max()


@pytest.mark.parametrize("players", [2, 3, 7, 15, 16, 17, 40, 300])
@pytest.mark.parametrize("name", ["kernel_shap", "lime"])
def test_coalitions_are_captums_bit_for_bit(name, players, monkeypatch):
    """And so is the fit, of outputs that float32 holds."""
    module = {"kernel_shap": kernel_shap, "lime": lime}[name]
    monkeypatch.setattr(kernel_shap, "BLOCK", 50 * players)
    worth, seen = torch.arange(players) % 5 - 1.0, []

    def game(taking_part):
        seen.append(taking_part)
        return (taking_part @ worth) ** 2

    captums = (captum.attr.KernelShap if name == "kernel_shap" else captum.attr.Lime)(game)
    captums.interpretable_model = Linear(2.0 * (name == "lime"))
    with torch.random.fork_rng():
        torch.manual_seed(5)
        expected = captums.attribute(torch.ones(1, players), n_samples=120)[0].double()
        torch.manual_seed(5)
        drawn = module.coalitions(120, players)
    assert torch.equal(drawn, torch.cat(seen))
    if name == "kernel_shap":
        sizes = drawn.sum(dim=1)
        weights = 1 + (1e6 - 1) * ((sizes == 0) | (sizes == players))
        found = least_squares(drawn, game(drawn), weights)
        assert (found - expected).abs().max() < 1e-6 * expected.abs().max()


@pytest.mark.parametrize("engine", ["analytic", "batched"])
def test_lime_is_ridge_regression_on_captums_coalitions(engine, graph, model):
    (explanation,) = explainers.load("lime", engine=engine, n_samples=50, seed=4).explain(
        model, graph, 0
    )
    players, rows, target = fields_players(model, graph, 0), [], int(explanation.target)

    def game(taking_part):
        rows.append(taking_part)
        return torch.zeros(len(taking_part))

    with seeded(4, torch.tensor([0])):
        captum.attr.Lime(game, Linear(1.0)).attribute(players.everyone, n_samples=50)
    rows = torch.cat(rows)
    count = len(explanation.n_id)
    outputs = []
    for row in rows:
        nodes, edges = torch.ones(12, dtype=torch.float64), torch.ones(graph.num_edges)
        nodes[explanation.n_id], edges[explanation.e_id] = row[:count], row[count:].float()
        outputs.append(output(model, graph, nodes, edges, target))
    distance = 1 - torch.nn.functional.cosine_similarity(rows, torch.ones_like(rows))
    ridge = Ridge(alpha=1.0, solver="svd")
    ridge.fit(rows.numpy(), outputs, (-(distance**2) / 2).exp().numpy())
    errors = players_of(explanation) - torch.from_numpy(ridge.coef_)
    assert errors.abs().max() < 1e-9 * abs(ridge.coef_).max()


@pytest.mark.parametrize("engine", ["analytic", "batched"])
@pytest.mark.parametrize("loops", LOOPS)
def test_shapley_values_along_the_orders_that_captum_draws(engine, loops, model):
    data = random_graph(8, nodes=5, edges=14, loops=loops)
    (explanation,) = explainers.load("shapley_sampling", engine=engine, n_samples=3).explain(
        model, data, 0
    )
    count, total = len(explanation.n_id), len(explanation.n_id) + len(explanation.e_id)
    # PyG masks by position: loops, which GCNConv makes its own, are taken out.
    loop = data.edge_index[0] == data.edge_index[1]
    bare = Data(x=data.x, edge_index=data.edge_index[:, ~loop])
    place = (~loop).cumsum(0) - 1
    expected = torch.zeros(total, dtype=torch.float64)
    with seeded(0, torch.tensor([0])):
        orders = [torch.randperm(total) for _ in range(3)]
    for order in orders:
        nodes = torch.ones(5, dtype=torch.float64)
        edges = torch.ones(bare.num_edges, dtype=torch.float64)
        nodes[explanation.n_id], edges[place[explanation.e_id]] = 0, 0
        before = output(model, bare, nodes, edges, int(explanation.target))
        for player in order.tolist():
            if player < count:
                nodes[explanation.n_id[player]] = 1
            else:
                edges[place[explanation.e_id[player - count]]] = 1
            after = output(model, bare, nodes, edges, int(explanation.target))
            expected[player] += (after - before) / 3
            before = after
    assert (players_of(explanation) - expected).abs().max() < 1e-9 * expected.abs().max()


@pytest.mark.parametrize("name", FEW)
@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    nodes=st.sampled_from([1, 2, 3, 6, 12]),
    conv=st.sampled_from(["gcn", "gcn improved", "gcn no loops", "gcn no bias"]),
    depth=st.integers(1, 2),
    loops=st.sampled_from(LOOPS),
    weighted=st.booleans(),
    output=st.sampled_from(["log_softmax", "softmax", "none"]),
    block=st.sampled_from([1, 50, 10**6]),
)
def test_closed_forms_equal_passes(name, seed, nodes, conv, depth, loops, weighted, output, block):
    """Also in blocks, and of several nodes at once."""
    data = random_graph(seed, nodes, 4 * nodes, loops=loops, weighted=weighted)
    model = random_model(seed, conv, depth, output=output)
    analytic = explainers.load(name, engine="analytic", **FEW[name])
    assume(analytic.supports(model, data))
    passes = explainers.load(name, engine="batched", **FEW[name])
    asked = torch.arange(nodes).flip(0)[:6]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coalitions, "BLOCK", block)
        found = analytic.explain(model, data, asked)
    tolerance = (
        1e-7 if name == "kernel_shap" else 1e-9
    )  # a fit to few coalitions magnifies rounding
    for one, other in zip(found, passes.explain(model, data, asked), strict=True):
        assert difference(one, other, least=1e-3) < tolerance
