"""The explained output: its other forms, against models that return them."""

import pytest
import torch
from torch import nn

import explainers
from explainers.prepare.outputs import form, resolve

from ..conftest import random_graph, random_model

METHODS = {
    "deconvolution": {},
    "eig_search": {},
    "gradient_shap": {"n_samples": 3},
    "gstarx": {"game_nodes": 3},
    "guided_backprop": {},
    "input_x_gradient": {},
    "integrated_gradients": {"n_steps": 7},
    "kernel_shap": {"n_samples": 12},
    "lime": {"n_samples": 12},
    "myerson": {"exact_nodes": 3, "n_samples": 3},
    "occlusion": {},
    "saliency": {},
    "shapley_sampling": {"n_samples": 1},
    "smooth_grad": {"n_samples": 3},
}


class Returns(nn.Module):
    """A model that returns what a function makes of another's outputs."""

    def __init__(self, model, function):
        super().__init__()
        self.model, self.function = model, function

    def forward(self, x, edge_index):
        return self.function(self.model(x, edge_index))


def raw_scores(output):
    return 3 * output + torch.arange(output.size(-1), dtype=output.dtype)


@pytest.fixture(scope="module")
def setting():
    return random_graph(3), random_model(3)


@pytest.mark.parametrize("engine", ["batched", "stock"])
@pytest.mark.parametrize("name", sorted(METHODS))
def test_as_a_model_that_returns_it(name, engine, setting):
    graph, model = setting
    options = METHODS[name] | {"engine": engine}
    raw = Returns(model, raw_scores).eval()
    # What a model of each form gives by itself: on stock, by Captum.
    for wanted, function in (
        ("probs", lambda output: raw_scores(output).softmax(-1)),
        ("log_probs", lambda output: raw_scores(output).log_softmax(-1)),
    ):
        known = Returns(model, function).eval()
        # Captum draws other coalitions than we do, so that only those are the same engine's.
        draws = name in ("kernel_shap", "lime", "shapley_sampling")
        reference = options if draws else options | {"engine": "stock"}
        expected = explainers.load(name, **reference).explain(known, graph, [0, 4])
        method = explainers.load(name, explained_output=wanted, **options)
        found = method.explain(raw, graph, [0, 4])
        assert method.engine == engine
        plain = explainers.load(name, **options).explain(raw, graph, [0, 4])
        for one, other, before in zip(found, expected, plain, strict=True):
            for mask in ("edge_mask", "node_mask"):
                torch.testing.assert_close(one[mask], other[mask], rtol=1e-9, atol=1e-9)
            assert not torch.allclose(one.edge_mask, before.edge_mask, rtol=1e-3)
            if "convergence_delta" in one:
                torch.testing.assert_close(
                    one.convergence_delta, other.convergence_delta, rtol=1e-9, atol=1e-9
                )


@pytest.mark.parametrize("name", ["integrated_gradients", "occlusion"])
def test_the_form_that_the_model_returns_stays_on_the_fast_engine(name, setting):
    graph, model = setting  # log-probabilities
    method = explainers.load(name, explained_output="log_probs")
    (found,) = method.explain(model, graph, 0)
    assert method.engine == "analytic"
    assert torch.equal(found.edge_mask, explainers.load(name).explain(model, graph, 0)[0].edge_mask)
    other = explainers.load(name, explained_output="probs")
    other.explain(model, graph, 0)
    assert other.engine == "batched"


def test_what_cannot_be_explained(setting):
    graph, model = setting
    with pytest.raises(ValueError, match="unknown explained_output 'logit'; use one of raw, log_p"):
        explainers.load("saliency", explained_output="logit")
    with pytest.raises(ValueError, match="GNNExplainer explains no changes or gradients"):
        explainers.load("gnn_explainer", explained_output="probs")
    with pytest.raises(ValueError, match="the model returns log_probs, which determine the raw"):
        explainers.load("saliency", explained_output="raw").explain(model, graph, 0)
    method = explainers.load("saliency", engine="analytic", explained_output="probs")
    message = r"engine 'analytic' explains what the model returns \(log_probs\), .*use engine='bat"
    with pytest.raises(ValueError, match=message):
        method.explain(model, graph, 0)
    assert "explained_output" not in explainers.load("saliency").options
    assert method.options["explained_output"] == "probs"


RAW = torch.tensor([[-2.0, 0.5, 3.0], [0.1, 0.0, -0.4]], dtype=torch.float64)
MULTICLASS = {
    "raw": RAW,
    "log_probs": RAW - RAW.exp().sum(-1, keepdim=True).log(),
    "probs": RAW.exp() / RAW.exp().sum(-1, keepdim=True),
}
BINARY = {
    "raw": RAW,
    "log_probs": -(1 + (-RAW).exp()).log(),
    "probs": 1 / (1 + (-RAW).exp()),
}


@pytest.mark.parametrize("wanted", ["raw", "log_probs", "probs"])
@pytest.mark.parametrize(
    ("mode", "own"),
    [
        *(("multiclass", own) for own in ("raw", "log_probs", "probs")),
        *(("binary", own) for own in ("raw", "probs")),
    ],
)
def test_forms_in_closed_form(mode, own, wanted):
    outputs = MULTICLASS if mode == "multiclass" else BINARY
    said = {"mode": f"{mode}_classification", "task_level": "node", "return_type": own}
    config = resolve(said, outputs[own], "node")
    if own == wanted:
        assert form(config, wanted) is None
    elif mode == "multiclass" and wanted == "raw":
        with pytest.raises(ValueError, match=f"returns {own}, which determine the raw scores"):
            form(config, wanted)
    else:
        torch.testing.assert_close(form(config, wanted)(outputs[own]), outputs[wanted])


def test_a_regression_has_no_other_form():
    config = resolve({"mode": "regression", "return_type": "raw"}, RAW, "node")
    assert form(config, "raw") is None
    with pytest.raises(ValueError, match="'probs': the model is a regression"):
        form(config, "probs")
