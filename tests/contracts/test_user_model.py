"""What is explained is the user's own model: every configuration, method and engine, or a refusal.

Nothing may differ silently: scores and predictions are those of :mod:`reference`, or there is a
``ValueError`` before any work. What must not be refused is listed.
"""

from __future__ import annotations

import functools

import pytest
import torch

import explainers
from explainers import metrics

from .checks import differences, refused
from .models import CONFIGURATIONS
from .reference import Reference

METHODS = {
    "saliency": {},
    "input_x_gradient": {},
    "integrated_gradients": {"n_steps": 8},
    "occlusion": {},
}
ROWS = {"saliency": 3, "input_x_gradient": 1, "integrated_gradients": 1, "occlusion": 1}

# Ordinary models: no way around explaining them.
MUST = (
    "gcn",
    "gcn, loops some",
    "sage",
    "sage, loops some",
    "gin",
    "gat",
    "gat, loops some",
    "gatv2",
    "transformer",
    "pna",
    "dir sage",
    "dir sage, undirected",
    "cluster gcn",
    "gat, edge_attr",
    "rgcn",
    *(f"{conv}, weights, loops {loops}" for conv in ("gcn", "graph") for loops in ("none", "some")),
    "gcn three layers, weights, loops some",
    "gcn, weights, loops all",
    "sg, weights, loops none",
    "sg, weights, loops some",
    "appnp, weights, loops none",
    "gcn, weights in edge_attr, loops none",
    "gcn, weights in edge_attr, loops some",
    "graph, weights in edge_attr, loops none",
    "gcn, learned weights, loops none",
    "gcn, learned weights, loops some",
    "gcn, weights in one layer, loops none",
    "GCNConv, batch norm",
    "SAGEConv, batch norm",
    "GCNConv, graph norm",
    "SAGEConv, graph norm",
    "GCNConv, pair norm",
    "gcn, global context",
    "gcn, concatenating",
    "gcn, residual",
    "sage, residual",
    "gcn, jumping",
    "gcn, shared layer",
    "pyg's GCN",
    "gcn, compiled",
    "graph, weights, compiled",
    "gcn, data parallel",
    "graph, weights, data parallel",
    "gcn, weights, loops some, data parallel",
    "gcn, softmax",
    "sage, raw",
    "gcn, regression",
    "gcn, binary raw",
    "sage, binary sigmoid",
    "gcn, several labels",
    "graphs, gcn, mean",
    "graphs, gcn, sum",
    "graphs, sage, graph norm",
    "graphs, gcn, weights, loops none",
)
# ... and fast: the computation graph of a node is all that these look at.
MUST_BATCHED = (
    "gcn",
    "sage",
    "gin",
    "gat",
    "transformer",
    "gcn, loops some",
    "gcn, weights, loops none",
    "gcn, weights, loops some",
    "graph, weights, loops some",
    "gcn, weights in edge_attr, loops none",
    "gcn, learned weights, loops none",
    "gcn three layers, weights, loops some",
    "GCNConv, batch norm",
    "gcn, residual",
    "gcn, concatenating",
    "graphs, gcn, mean",
)
MUST_ANALYTIC = ("gcn", "gcn, loops some", "gcn, weights, loops none", "gcn, weights, loops some")


@functools.cache
def configured(name):
    configuration = CONFIGURATIONS[name]()
    return configuration, Reference(configuration.plain, configuration.data)


def said(configuration):
    """What ``explain`` and ``evaluate`` are told of the output, if anything."""
    config = configuration.model_config
    return {} if config is None else {"model_config": config}


def rows_of(reference):
    """A hub, a node like others and one without edges; or all graphs."""
    return [0, 3, 7] if len(reference.output) == 8 else [0, 1, 2]


@pytest.mark.filterwarnings("ignore:.*explaining with the slower engine")
@pytest.mark.parametrize(
    ("name", "method"),
    [
        (name, method)
        for name in CONFIGURATIONS
        for method in METHODS
        if method != "input_x_gradient" or name in MUST  # says little beside the others
    ],
)
def test_the_scores_are_those_of_the_users_model(name, method):
    configuration, reference = configured(name)
    engines = explainers.load(method).engines
    wrong = differences(
        reference,
        configuration.model,
        configuration.data,
        rows_of(reference)[: ROWS[method]],
        method,
        METHODS[method],
        (None, *engines) if method == "saliency" else engines,
        said=said(configuration),
    )
    assert not (found := list(wrong)), "; ".join(found)


@pytest.mark.filterwarnings("ignore:.*explaining with the slower engine")
@pytest.mark.parametrize("name", list(CONFIGURATIONS)[::3])  # takes its time
def test_shapley_values_add_up_to_the_users_model(name):
    """Whatever the order: with every feature and message, less without any."""
    configuration, reference = configured(name)
    data, row = configuration.data, 0
    loaded = explainers.load("shapley_sampling", n_samples=1)
    try:
        (explanation,) = loaded.explain(configuration.model, data, row, **said(configuration))
    except ValueError as error:
        refused(error)
        return
    assert not reference.untraceable, f"explains although {reference.untraceable}"
    change = reference.change(row, int(explanation.target))
    total = explanation.node_mask.sum() + explanation.edge_mask.sum()
    # On `stock`, Captum adds up in float32.
    assert abs(total - change) <= 1e-6 * max(1.0, abs(change)), loaded.engine


@pytest.mark.filterwarnings("ignore:.*explaining with the slower engine")
@pytest.mark.parametrize("name", [name for name in CONFIGURATIONS if "regression" not in name])
def test_fidelity_is_that_of_the_users_model(name):
    configuration, reference = configured(name)
    model, data = configuration.model, configuration.data
    try:
        explanations = explainers.load("saliency").explain(
            model, data, rows_of(reference), **said(configuration)
        )
    except ValueError as error:
        refused(error)
        return
    assert not reference.untraceable, f"explains although {reference.untraceable}"
    wrong = []
    for engine in ("analytic", "batched", "stock"):
        options = {"at": ["k=2"], "metrics": ["fidelity"], "engine": engine}
        options["selections"] = ["absolute"]
        try:
            found = metrics.evaluate(model, data, explanations, **options, **said(configuration))
        except ValueError as error:
            refused(error)
            continue
        values = {(r["node"], r["metric"], r["semantics"]): r["value"] for r in found}
        for explanation in explanations:
            falling = explanation.edge_mask.abs().sort(descending=True).values
            if len(falling) > 2 and falling[1] == falling[2]:
                continue  # the value is a mean over orders of equal scores
            for how in ("mask", "delete"):
                for metric, expected in fidelity(configuration, reference, explanation, how):
                    value = values[explainers.unit(explanation), metric, how]
                    if not abs(value - expected) <= 1e-7:
                        wrong.append(f"{engine}: {metric} {how}, {value:.4f} not {expected:.4f}")
    assert not wrong, "; ".join(wrong)


def fidelity(configuration, reference, explanation, how):
    """Fidelity+ and - of the two edges with the largest scores, by asking the user's model."""
    row, target = explainers.unit(explanation), int(explanation.target)
    chosen = explanation.e_id[explanation.edge_mask.abs().argsort(descending=True, stable=True)[:2]]
    selected = torch.zeros(configuration.data.num_edges, dtype=torch.bool)
    selected[chosen] = True
    full = probability(configuration, reference.output[row])[target]
    for metric, kept in (("+", ~selected), ("-", selected | reference.silent)):
        left = probability(configuration, reference.keeping(kept, how)[row])[target]
        yield f"fidelity{metric}_prob", float(full - left)


def probability(configuration, output):
    out, config = getattr(configuration.plain, "out", "raw"), configuration.model_config
    if config and config["mode"] == "binary_classification":
        return output if config["return_type"] == "probs" else output.sigmoid()
    if out == "log_softmax":
        return output.exp()
    return output if out == "softmax" else output.softmax(-1)


@pytest.mark.parametrize("name", MUST)
def test_ordinary_models_are_explained(name):
    configuration, _ = configured(name)
    for method, options in METHODS.items():
        loaded = explainers.load(method, **options)
        loaded.explain(configuration.model, configuration.data, 0, **said(configuration))
    slow = explainers.load("saliency", engine="stock")
    slow.explain(configuration.model, configuration.data, 0, **said(configuration))


@pytest.mark.parametrize(
    ("name", "engine"),
    [*((name, "batched") for name in MUST_BATCHED), *((n, "analytic") for n in MUST_ANALYTIC)],
)
def test_ordinary_models_are_explained_fast(name, engine):
    configuration, _ = configured(name)
    for method, options in METHODS.items():
        loaded = explainers.load(method, engine=engine, **options)
        loaded.explain(configuration.model, configuration.data, 0)


@pytest.mark.parametrize(
    "name",
    [
        "graph, weights, loops some",
        "graph, sorted inside, undirected",
        "graph, turned around inside, undirected",
        "graph, last first inside, undirected",
        "graph, weights, sorted inside",
    ],
)
def test_the_reference_finds_the_messages_of_an_edge(name):
    """Where messages are summed, an edge without its message is an edge that is not there."""
    _, reference = configured(name)
    edges = torch.arange(reference.data.num_edges)
    matter = 0
    for e in edges:
        masked, deleted = (reference.keeping(edges != e, how) for how in ("mask", "delete"))
        torch.testing.assert_close(masked, deleted)
        matter += not torch.allclose(masked, reference.output)
    assert matter > len(edges) / 2
