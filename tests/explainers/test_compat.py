"""What is assumed of private names of torch, PyG and Captum, on whichever version is installed."""

import copy

import pytest
import torch
from torch_geometric.explain import Explanation
from torch_geometric.explain.algorithm.utils import set_masks
from torch_geometric.nn import FastRGCNConv, GCNConv, RGCNConv, Sequential

from explainers import _compat

from .conftest import random_graph, random_model


def test_an_explanation_is_pygs():
    values = {"x": torch.ones(2, 3), "index": torch.tensor(1)}
    made, by_hand = _compat.explanation(values), Explanation(**values)
    assert made.keys() == by_hand.keys()
    assert torch.equal(made.x, by_hand.x)
    assert torch.equal(made.index, by_hand.index)


def test_a_step_of_adam_is_torchs():
    generator = torch.Generator().manual_seed(0)
    start, *gradients = torch.randn(6, 9, generator=generator, dtype=torch.float64)
    parameter = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.Adam([parameter], lr=0.03)
    moments, step = (torch.zeros_like(start), torch.zeros_like(start)), torch.zeros(())
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
        _compat.adam_step(start, gradient, moments, step, 0.03)
        torch.testing.assert_close(start, parameter.detach(), rtol=1e-12, atol=0)


def test_the_derivative_of_the_sigmoid():
    logit = torch.linspace(-4, 4, 9, dtype=torch.float64, requires_grad=True)
    output, gradient = logit.sigmoid(), torch.arange(9.0, dtype=torch.float64)
    (expected,) = torch.autograd.grad(output, logit, gradient)
    _compat.sigmoid_backward(gradient, output.detach())
    torch.testing.assert_close(gradient, expected)


def test_a_given_norm_is_taken_and_forgotten(graph):
    layer = GCNConv(5, 3).double()
    before = layer(graph.x, graph.edge_index)
    _compat.set_norm(layer, (graph.edge_index, torch.zeros(graph.num_edges).double()))
    assert torch.equal(layer(graph.x, graph.edge_index), layer.bias.expand(12, -1))
    _compat.set_norm(layer, None)
    torch.testing.assert_close(layer(graph.x, graph.edge_index), before)


@pytest.mark.parametrize("kind", [torch.Tensor, torch.nn.Parameter])
def test_masks_are_taken_off_and_put_back(kind):
    data, model = random_graph(0), random_model(0)
    plain = model(data.x, data.edge_index)
    mask = torch.full((data.num_edges,), 0.5, dtype=torch.float64)
    set_masks(model, kind(mask) if kind is torch.nn.Parameter else mask, data.edge_index)
    masked = model(data.x, data.edge_index)
    assert not torch.equal(masked, plain)
    assert all(map(_compat.has_mask, model.layers))
    put_back = [_compat.strip(layer) for layer in model.layers]
    torch.testing.assert_close(model(data.x, data.edge_index), plain)
    for again in put_back:
        again()
    torch.testing.assert_close(model(data.x, data.edge_index), masked)


def test_results_of_operations_do_not_stop_a_copy():
    model = random_model(0)
    model.kept = model.layers[0].bias * 2
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(model)
    copied = copy.deepcopy(model, _compat.leftovers(model))
    assert torch.equal(copied.kept, model.kept)
    assert not copied.kept.requires_grad


def test_a_compiled_model_holds_its_module():
    model = random_model(0)
    assert _compat.original_module(torch.compile(model, backend="eager")) is model
    assert _compat.original_module(model) is None


def test_a_sequential_says_what_it_takes():
    model = Sequential("x, edge_index, edge_weight", [(GCNConv(2, 2), "x, edge_index -> x")])
    assert _compat.named_inputs(model) == ["x", "edge_index", "edge_weight"]
    assert _compat.named_inputs(random_model(0)) is None


def test_which_layers_pygs_masks_work_on():
    assert _compat.can_be_explained(GCNConv(2, 2))
    assert _compat.can_be_explained(RGCNConv(2, 2, 2))
    layer = FastRGCNConv(2, 2, 2)  # its base has been compiled
    edges, kinds = torch.tensor([[0, 1], [1, 0]]), torch.tensor([0, 1])
    set_masks(layer, torch.ones(2), edges)
    try:
        layer(torch.ones(2, 2), edges, kinds)
        works = True
    except TypeError:
        works = False
    assert _compat.can_be_explained(FastRGCNConv(2, 2, 2)) == works
