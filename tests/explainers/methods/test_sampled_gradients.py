"""SmoothGrad and GradientSHAP against Captum's, given the same random numbers, and their limits."""

import captum.attr
import numpy as np
import pytest
import torch
from torch_geometric.explain.algorithm.captum import CaptumModel
from torch_geometric.nn import GraphConv

import explainers
from explainers.methods._seeded import generators

from ..conftest import Stack, difference, random_graph, random_model

SAMPLES = 4


def output_of(model, data, node, target):
    """The target's output for a batch of features and masks; PyG takes one at a time."""
    captum_model = CaptumModel(model, "node_and_edge", node)

    def forward(x, mask):
        pairs = zip(x.split(1), mask.split(1), strict=True)
        return torch.cat([captum_model(*pair, data.edge_index)[:, target] for pair in pairs])

    return forward


def inputs_of(data):
    return data.x[None], torch.ones(1, data.num_edges, dtype=torch.float64)


def assert_equal(explanation, data, scores):
    node_mask, edge_mask = explainers.to_full(explanation, data)
    torch.testing.assert_close(node_mask, scores[0][0])
    torch.testing.assert_close(edge_mask, scores[1][0])
    assert node_mask.any()
    assert edge_mask.any()


def test_smooth_grad_is_captums_noise_tunnel(graph, model, monkeypatch):
    method = explainers.load("smooth_grad", n_samples=SAMPLES, noise=0.5, seed=3)
    (explanation,) = method.explain(model, graph, 0)
    (generator,) = generators(3, torch.tensor([0]))
    drawn = generator.standard_normal((SAMPLES, len(explanation.n_id), 5))
    noise = torch.zeros(SAMPLES, *graph.x.shape, dtype=torch.float64)
    scale = 0.5 * torch.from_numpy(graph.x.numpy().std(axis=0))
    noise[:, explanation.n_id] = torch.from_numpy(drawn) * scale

    def normal(mean, deviation):
        return noise if deviation.dim() == 3 else torch.zeros_like(deviation)

    forward = output_of(model, graph, 0, int(explanation.target))
    tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(forward))
    monkeypatch.setattr(torch, "normal", normal)
    scores = tunnel.attribute(
        inputs_of(graph), nt_type="smoothgrad", nt_samples=SAMPLES, stdevs=1.0, abs=False
    )
    assert_equal(explanation, graph, scores)


def test_smooth_grad_of_a_linear_model_is_its_weights():
    """And its edges' gradients, the messages, are those of the noisy features' mean."""
    data = random_graph(6)
    model = Stack([GraphConv(5, 2, bias=False).double()], "none")
    (smooth,) = explainers.load("smooth_grad", n_samples=3, noise=5.0).explain(model, data, 0)
    (plain,) = explainers.load("saliency").explain(model, data, 0)
    torch.testing.assert_close(smooth.node_mask.abs(), plain.node_mask)
    assert not torch.allclose(smooth.edge_mask.abs(), plain.edge_mask)


@pytest.mark.parametrize("baselines", ["nodes", "zeros"])
def test_gradient_shap_is_captums(baselines, graph, model, monkeypatch):
    method = explainers.load("gradient_shap", n_samples=SAMPLES, baselines=baselines, seed=3)
    (explanation,) = method.explain(model, graph, 0)
    (generator,) = generators(3, torch.tensor([0]))
    alphas = generator.random(SAMPLES)
    x0 = torch.zeros(SAMPLES, *graph.x.shape, dtype=torch.float64)
    if baselines == "nodes":
        drawn = generator.integers(12, size=(SAMPLES, len(explanation.n_id)))
        x0[:, explanation.n_id] = graph.x[torch.from_numpy(drawn)]
    forward = output_of(model, graph, 0, int(explanation.target))
    monkeypatch.setattr(np.random, "uniform", lambda low, high, size: alphas)
    monkeypatch.setattr(np.random, "choice", lambda count, size: np.arange(count))
    scores = captum.attr.GradientShap(forward).attribute(
        inputs_of(graph),
        (x0, torch.zeros(SAMPLES, graph.num_edges, dtype=torch.float64)),
        n_samples=SAMPLES,
        stdevs=0.0,
    )
    assert_equal(explanation, graph, scores)


def test_gradient_shap_from_zeros_tends_to_integrated_gradients():
    data, model = random_graph(1), random_model(1)
    (path,) = explainers.load("integrated_gradients", n_steps=200).explain(model, data, 0)
    errors = []
    for count in (10, 4000):
        method = explainers.load("gradient_shap", baselines="zeros", n_samples=count)
        errors.append(difference(*method.explain(model, data, 0), path))
    assert errors[1] < 0.05 < errors[0]
