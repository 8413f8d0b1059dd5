"""The algebra against path integrals, and each of its ways through a problem against another."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad_vec
from torch_geometric.explain.algorithm.captum import CaptumModel

import explainers
from explainers.engines import closing
from explainers.engines.analytic import gradients, path
from explainers.engines.analytic.params import GCNParameters, products
from explainers.prepare import prepare

from ..conftest import difference, random_graph, random_model

NAMES = ("integrated_gradients", "saliency", "input_x_gradient")


def gradient(model, data, node, target):
    """``f(a)``: the gradients of the output by edge mask and features, times these; by autograd."""
    wrapped = CaptumModel(model, "node_and_edge", node)

    def at(a):
        x = (a * data.x)[None].requires_grad_()
        mask = torch.full((1, data.num_edges), a, dtype=torch.float64, requires_grad=True)
        output = wrapped(x, mask, data.edge_index)[0, target]
        by_x, by_mask = torch.autograd.grad(output, (x, mask))
        return torch.cat([(by_x[0] * data.x).flatten(), by_mask[0]]).numpy()

    return at


def kinks(model, data, node):
    """The points in (0, 1) at which a hidden unit of some node passes 0."""
    hidden = []
    handle = model.layers[0].register_forward_hook(lambda *args: hidden.append(args[2].detach()))
    wrapped = CaptumModel(model, "node_and_edge", node)
    for a in (0.0, 0.5, 1.0):
        mask = torch.full((1, data.num_edges), a, dtype=torch.float64)
        wrapped((a * data.x)[None], mask, data.edge_index)
    handle.remove()
    zero, half, one = (h.flatten().numpy() for h in hidden)
    squared, linear = 2 * (one + zero - 2 * half), 4 * half - one - 3 * zero
    roots = [np.roots(c) for c in zip(squared, linear, zero, strict=True)]
    real = [r.real for r in np.concatenate(roots) if abs(r.imag) < 1e-12]
    return sorted({r for r in real if 0 < r < 1})


def error(model, data, node, n_steps, wanted):
    method = explainers.load("integrated_gradients", engine="analytic", n_steps=n_steps)
    (one,) = method.explain(model, data, node)
    nodes, edges = explainers.to_full(one, data)
    return float((torch.cat([nodes.flatten(), edges]) - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("depth", [1, 2])
def test_more_steps_go_to_the_path_integral(depth):
    data, model, node = random_graph(1, 6, 14), random_model(1, depth=depth), 0
    target = int(model(data.x, data.edge_index)[node].argmax())
    points = kinks(model, data, node) if depth == 2 else ()
    integral, bound = quad_vec(
        gradient(model, data, node, target), 0, 1, points=points, epsabs=1e-10, limit=2000
    )
    assert bound < 1e-8
    wanted = torch.from_numpy(integral)
    # Gauss-Legendre points take time of the third power of their number.
    counts = (3, 30) if depth == 1 else (3, 30, 300, 1200)
    errors = [error(model, data, node, steps, wanted) for steps in counts]
    if depth == 1:  # smooth: the quadrature converges at once
        assert errors[1] < 1e-7 < errors[0]
        return
    assert len(points) > 5
    assert errors[1] < errors[0] / 3
    assert errors[2] < errors[1] / 3
    assert errors[3] < errors[2] / 3
    assert errors[3] < 1e-3


@pytest.mark.parametrize("depth", [1, 2])
def test_without_kinks_few_steps_are_exact(depth):
    # Polynomials of degree 5 at most along the path: 3 Gauss-Legendre points integrate them, but
    # for Captum's weights, which are rounded to float32.
    data, model, node = random_graph(2, 6, 14), random_model(2, depth=depth, output="none"), 0
    torch.nn.init.constant_(model.layers[0].bias, 100.0)
    target = int(model(data.x, data.edge_index)[node].argmax())
    integral, _ = quad_vec(gradient(model, data, node, target), 0, 1, epsabs=1e-12)
    assert error(model, data, node, 3, torch.from_numpy(integral)) < 1e-7


@pytest.mark.parametrize("engine", ["analytic", "stock"])
@pytest.mark.parametrize("depth", [1, 2])
def test_convergence_delta_is_what_is_missing_from_the_sum(engine, depth):
    data, model = random_graph(3, loops="some"), random_model(3, depth=depth)
    method = explainers.load("integrated_gradients", engine=engine, n_steps=4)
    loops = data.edge_index[0] == data.edge_index[1]
    no_messages = torch.zeros(1, int((~loops).sum()), dtype=torch.float64)
    for one in method.explain(model, data, torch.arange(5)):
        node = int(one.n_id[one.index])
        # PyG masks its own loops' messages by no edge; GCNConv puts those of the graph there.
        wrapped = CaptumModel(model, "node_and_edge", node)
        before = wrapped(0 * data.x[None], no_messages, data.edge_index[:, ~loops])[0]
        change = model(data.x, data.edge_index)[node] - before
        total = one.node_mask.sum() + one.edge_mask.sum()
        torch.testing.assert_close(one.convergence_delta, total - change[one.target])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize(
    ("module", "size", "value"),
    [
        (closing, "BLOCK", 40),
        (gradients, "CACHED", 40),
        (path, "BLOCK", 40),
        (path, "DIRECT", 0),
    ],
)
def test_every_way_through_a_problem_is_equal(
    monkeypatch, name, depth, ascending, module, size, value
):
    data, model = random_graph(4, 60, 400, loops="some"), random_model(4, depth=depth)
    if ascending:
        data.edge_index = data.edge_index[:, data.edge_index[0].argsort(stable=True)]
    nodes = torch.randperm(60, generator=torch.Generator().manual_seed(0))[:20]
    stock = explainers.load(name, engine="batched").explain(model, data, nodes)
    monkeypatch.setattr(module, size, value)
    method = explainers.load(name, engine="analytic")
    for one, other in zip(method.explain(model, data, nodes), stock, strict=True):
        assert difference(one, other) < 1e-9
    assert difference(method.explain(model, data, nodes[0])[0], stock[0]) < 1e-9


def test_hidden_units_that_rest_in_between():
    """P = a^2 A + a S + b with b > 0, S < 0, A > 0: above 0, below, and above again."""
    data, model = random_graph(5, 8, 30), random_model(5)
    torch.nn.init.constant_(model.layers[0].bias, 0.1)
    nodes = torch.arange(7)
    stack = GCNParameters.of(prepare(model, data))
    alphas = torch.linspace(0, 1, 200, dtype=torch.float64)
    found = path.Path(stack, nodes, alphas, alone=False)
    assert found._gap is not None
    one = explainers.load("integrated_gradients", engine="analytic", n_steps=200)
    other = explainers.load("integrated_gradients", engine="batched", n_steps=200)
    pairs = zip(one.explain(model, data, nodes), other.explain(model, data, nodes), strict=True)
    assert max(difference(a, b) for a, b in pairs) < 1e-9


@pytest.mark.parametrize("columns", [[0, 1, 1], [0, 1, 1, 1, 0, 0, 0, 1, 1]])
def test_products_of_rows_with_duplicate_columns(columns):
    # torch's sparse matrices hold no more entries than a dense one has.
    one, other = torch.randn(2, 3), torch.randn(2, 3)
    ptr, column = torch.tensor([0, 2, len(columns)]), torch.tensor(columns)
    row = torch.repeat_interleave(ptr.diff())
    expected = (one @ other.t())[row, column]
    torch.testing.assert_close(products(ptr, column, one, other), expected)
