"""The contract that every discovered method keeps."""

import inspect

import pytest
import torch

import explainers
from explainers.methods import Method

from ..conftest import (
    difference,
    predict,
    quick,
    random_batch,
    random_graph,
    suited,
)

NAMES = explainers.available()
FAST = {
    "kernel_shap": {"n_samples": 9},
    "lime": {"n_samples": 9},
    "graph_mask": {"epochs": 1},
    "pgm_explainer": {"n_samples": 50},
    "pg_explainer": {"epochs": 2, "training_nodes": 4},
    "shapley_sampling": {"n_samples": 2},
    "zorro": {"n_samples": 50},
}


@pytest.fixture(params=["node", "graph"])
def level(request):
    """Nodes of a graph, or graphs of a batch: there are twelve, and the last has no edges."""
    return request.param


@pytest.fixture
def graph(level):
    return random_graph(0) if level == "node" else random_batch(0)


@pytest.fixture
def model(request, level):
    """One that the test's method supports."""
    parameters = getattr(request.node, "callspec", None)
    name = parameters.params.get("name", "saliency") if parameters else "saliency"
    return suited(name, level=level)


def load(name, **options):
    return explainers.load(name, **quick(name, FAST), **options)


@pytest.mark.parametrize("name", NAMES)
def test_explanations_have_what_is_promised(name, graph, model):
    method = load(name)
    nodes = [3, 0, 11]  # 11 has no edges
    explanations = method.explain(model, graph, nodes)
    output = predict(model, graph)
    assert len(explanations) == 3
    for node, explanation in zip(nodes, explanations, strict=True):
        n, e = len(explanation.n_id), len(explanation.e_id)
        assert explanation.node_mask.shape == (n, 5)
        assert explanation.edge_mask.shape == (e,)
        assert explanation.edge_index.shape == (2, e)
        assert explanation.node_mask.isfinite().all()
        assert explanation.edge_mask.isfinite().all()
        assert not explanation.node_mask.requires_grad
        assert explainers.unit(explanation) == node
        if "batch" in graph:
            assert torch.equal(explanation.n_id, (graph.batch == node).nonzero().view(-1))
            assert "index" not in explanation
        else:
            assert int(explanation.n_id[explanation.index]) == node
        to_indptr = explanation.n_id[explanation.edge_index]
        assert torch.equal(to_indptr, graph.edge_index[:, explanation.e_id])
        assert int(explanation.target) == int(output[node].argmax())
        torch.testing.assert_close(explanation.prediction, output[node])
        if not method.signed:
            assert (explanation.edge_mask >= 0).all()
        if set(method.granularity) == {"edges"}:
            assert not explanation.node_mask.any()
    assert len(explanations[2].n_id) == 1
    assert len(explanations[2].e_id) == 0


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name):
    method = explainers.load(name)
    assert isinstance(method, Method)
    assert method.name == name
    assert method.engine == method.engines[0]
    assert method.citation
    assert inspect.getdoc(method).partition("\n")[0].endswith(".")
    assert "engine" not in method.options
    assert isinstance(method.signed, bool)
    assert explainers.load(name, **method.options).options == method.options
    assert set(method.granularity) in ({"edges"}, {"edges", "features"}, {"edges", "nodes"})


@pytest.mark.parametrize("name", NAMES)
def test_the_same_again_and_no_trace(name, graph, model):
    state = {key: value.clone() for key, value in model.state_dict().items()}
    attributes = [dict(vars(layer)) for layer in model.modules()]
    keys = [set(layer._parameters) for layer in model.modules()]
    output = predict(model, graph)
    model.train()
    generator = torch.get_rng_state()
    first = load(name).explain(model, graph, [0, 5])
    assert torch.equal(torch.get_rng_state(), generator)
    assert model.training
    model.eval()
    second = load(name).explain(model, graph, [0, 5])
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.node_mask, other.node_mask)
        assert torch.equal(one.edge_mask, other.edge_mask)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert [set(layer._parameters) for layer in model.modules()] == keys
    for layer, before in zip(model.modules(), attributes, strict=True):
        assert vars(layer).keys() == before.keys()
        assert getattr(layer, "explain", None) is None
        assert getattr(layer, "_edge_mask", None) is None
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert torch.equal(predict(model, graph), output)


@pytest.mark.parametrize(
    ("whose", "engine"), [("attention", "stock"), ("attention", None), ("lrp", None)]
)
def test_the_order_of_methods_does_not_matter(whose, engine, graph, level):
    """PyG issue 9653: after GNNExplainer, Captum fails on the same model."""
    model = suited(whose, level=level)
    names = [name for name in NAMES if engine in (None, *explainers.load(name).engines)]
    names = [name for name in names if load(name, engine=engine).supports(model, graph)]
    assert whose in names
    assert names.index("gnn_explainer") < names.index("integrated_gradients")
    forwards = {name: load(name, engine=engine).explain(model, graph, 0)[0] for name in names}
    backwards = {
        name: load(name, engine=engine).explain(model, graph, 0)[0] for name in reversed(names)
    }
    for name in names:
        assert difference(forwards[name], backwards[name]) == 0


@pytest.mark.parametrize("name", [n for n in NAMES if not explainers.load(n).deterministic])
def test_the_seed_decides(name, graph, model):
    graph.x *= 10  # else some decisions are the same whatever the features
    found = [load(name, seed=seed).explain(model, graph, [0, 3, 5]) for seed in (1, 2)]
    assert any(not torch.equal(a.edge_mask, b.edge_mask) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_explains_without_gradient_mode(name, graph, model):
    (expected,) = load(name).explain(model, graph, 0)
    with torch.no_grad():
        (one,) = load(name).explain(model, graph, 0)
    with torch.inference_mode():
        (two,) = load(name).explain(model, graph, 0)
    assert difference(one, expected) == 0
    assert difference(two, expected) == 0


@pytest.mark.parametrize("name", NAMES)
def test_on_the_device(name, device):
    model, data = suited(name).float().to(device), random_graph(0)
    data.x = data.x.float()
    data = data.to(device)
    (explanation,) = load(name).explain(model, data, torch.tensor([0]))
    assert explanation.edge_mask.device.type == device
    assert explanation.node_mask.dtype == torch.float32


@pytest.mark.parametrize("name", [n for n in NAMES if explainers.load(n).model_dependent])
def test_the_target_is_explained(name, graph, model):
    asks = explainers.load(name).target_dependent
    nodes = [0, 3, 5]
    graph.x *= 10  # else some decisions are the same whatever the features
    default = load(name).explain(model, graph, nodes)
    targets = torch.stack([explanation.target for explanation in default])
    same = load(name).explain(model, graph, nodes, target=targets)
    other = load(name).explain(model, graph, nodes, target=(targets + 1) % 3)
    assert all(difference(a, b) == 0 for a, b in zip(same, default, strict=True))
    assert any(difference(a, b) > 0 for a, b in zip(other, default, strict=True)) == asks


@pytest.mark.parametrize("name", NAMES)
def test_fitting_comes_before_and_changes_nothing_else(name, graph, model):
    method = load(name)
    assert method.fitted(model, graph) != method.needs_fit
    (unasked,) = method.explain(model, graph, 0)
    assert method.fitted(model, graph)
    again = load(name)
    again.fit(model, graph)
    (fitted,) = again.explain(model, graph, 0)
    assert difference(fitted, unasked) == 0


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (12, "(node 12 .*: the graph has nodes|graph 12 .*: the batch has graphs) 0 to 11"),
        ([0, -1], "(node|graph) -1 is out of range"),
        (0.5, "nodes must be a whole number"),
        ("0", "nodes must be a whole number, .* got '0'"),
        (torch.ones(12, dtype=torch.bool), "nodes must be a whole number"),
        (torch.zeros(2, 2, dtype=torch.long), "nodes must be a whole number"),
        (None, "nodes must be a whole number, .* got None"),
    ],
)
def test_bad_nodes(nodes, message, graph, model):
    with pytest.raises(ValueError, match=message):
        explainers.load("saliency").stream(model, graph, nodes)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([0, 1], "target has 2 classes for 1 (nodes|graphs)"),
        (3, "target 3 is out of range: classes are 0 to 2"),
        ([0.5], "target must be a whole number"),
    ],
)
def test_bad_target(target, message, graph, model):
    with pytest.raises(ValueError, match=message):
        explainers.load("saliency").stream(model, graph, 0, target)


def test_no_nodes(graph, model):
    assert explainers.load("saliency").explain(model, graph, []) == []


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("saliancy", {}, "unknown method 'saliancy'; available: .*; did you mean 'saliency'"),
        (
            "saliency",
            {"engine": "warp"},
            "Saliency has no engine 'warp'; it has: analytic, hoisted, batched, stock",
        ),
        ("saliency", {"n_steps": 5}, "saliency has no option 'n_steps'; it has: engine, memory"),
        ("saliency", {"memory_budget": 0}, "memory_budget must be a whole number and at least 1"),
        ("integrated_gradients", {"n_steps": 0}, "n_steps .* at least 1, got 0"),
        ("integrated_gradients", {"n_steps": 2.5}, "n_steps .* got 2.5"),
        ("integrated_gradients", {"internal_batch_size": 0}, "internal_batch_size .* got 0"),
        (
            "integrated_gradients",
            {"engine": "stock", "internal_batch_size": 2},
            "internal_batch_size 2: engine 'stock' takes 1 only",
        ),
        ("integrated_gradients", {"quadrature": "simpson"}, "unknown quadrature 'simpson'; use"),
        ("gnn_explainer", {"epochs": 0}, "epochs .* got 0"),
        ("gnn_explainer", {"lr": 0.0}, "lr must be above 0, got 0.0"),
        ("pg_explainer", {"epochs": 0}, "epochs .* got 0"),
        ("graph_mask", {"epochs": 0}, "epochs .* got 0"),
        ("graph_mask", {"penalty": 0.0}, "penalty must be above 0, got 0.0"),
        ("graph_mask", {"allowance": -1.0}, "allowance must be 0 or more, got -1.0"),
        ("pg_explainer", {"lr": 0.0}, "lr must be above 0, got 0.0"),
        ("pg_explainer", {"training_nodes": 0}, "training_nodes .* at least 1, got 0"),
        ("random", {"seed": -1}, "seed .* got -1"),
        ("smooth_grad", {"noise": 0}, "noise must be above 0, got 0"),
        ("smooth_grad", {"n_samples": 0}, "n_samples .* at least 1, got 0"),
        ("gradient_shap", {"baselines": "ones"}, "unknown baselines 'ones'; use one of nodes, z"),
        ("kernel_shap", {"n_samples": 2}, "n_samples .* at least 3, got 2"),
        ("lime", {"penalty": -1.0}, "penalty must be above 0, got -1.0"),
        ("shapley_sampling", {"seed": 0.5}, "seed .* got 0.5"),
    ],
)
def test_bad_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        explainers.load(name, **options)
