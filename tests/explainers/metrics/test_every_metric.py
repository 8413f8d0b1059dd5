"""The contract of every metric that is discovered: what it declares, and that it keeps to it."""

import json
import math

import pytest
import torch

import explainers
from explainers import metrics
from explainers.metrics import Metric, Value, _registry

from ..conftest import random_graph, random_model

NAMES = metrics.available()


@pytest.fixture(scope="module")
def rows():
    """Rows of each metric by itself, with all kinds of truth; the method claims completeness."""
    graph, model = random_graph(0), random_model(0)
    explanations = explainers.load("integrated_gradients", n_steps=3).explain(model, graph, [0, 4])
    number = torch.arange(graph.num_edges) % 3
    options = {"truth": number == 0, "alternatives": number == torch.tensor([[0], [1]])}
    options["at"] = ["k=2", "f=50%", "f=100%"]
    return {
        name: metrics.evaluate(model, graph, explanations, metrics=[name], **options)
        for name in NAMES
    }


@pytest.mark.parametrize("name", NAMES)
def test_it_gives_what_it_declares_within_its_bounds(name, rows):
    declared = metrics.load(name).values
    assert {row["metric"] for row in rows[name]} == set(declared)
    for row in rows[name]:
        low, high = declared[row["metric"]].bounds
        assert low - 1e-9 <= row["value"] <= high + 1e-9
    kinds = {bool(row["semantics"]) for row in rows[name]}
    assert kinds == {metrics.load(name).needs == "predictions"}


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_means(name):
    for value in metrics.load(name).values.values():
        assert value.title
        assert value.description.endswith(".")


def test_the_description_is_plain_data():
    described = metrics.describe()
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    by_name = {entry["name"]: entry for entry in described}
    assert len(by_name) == len(described)
    assert by_name["infidelity"] | {"description": ""} == {
        "name": "infidelity",
        "metric": "infidelity",
        "title": "infidelity",
        "direction": "down",
        "description": "",
        "bounds": [0, None],
        "unit": "output squared",
        "source": "Yeh et al., arXiv:1901.09392",
        "compared": True,
        "regression": "",
        "selection": "",
    }


def value(**changes):
    return Value(**{"title": "t", "direction": "up", "description": "d."} | changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: value(direction="higher"), "direction must be 'up', 'down' or '', got 'higher'"),
        (lambda: value(bounds=(1, 0)), r"bounds must be a lower and a larger number, got \(1, 0\)"),
        (lambda: value(bounds=(0, math.nan)), "bounds must be"),
        (
            lambda: value(selection="sign"),
            "selection must be 'signed', 'absolute' or '', got 'sign'",
        ),
        (lambda: metric(perturbs="nodes"), "perturbs must be 'edges' or 'features', got 'nodes'"),
        (lambda: metric(needs="outputs"), "needs must be 'predictions' or 'scores', got 'outputs'"),
        (lambda: metric(draw=print), "a metric with draw must need predictions"),
        (lambda: metric(values={}), "must declare the values that it gives"),
    ],
)
def test_bad_declarations(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def metric(**changes):
    return Metric(**{"function": dict, "needs": "scores", "values": {"v": value()}} | changes)


def test_a_module_without_a_metric_is_named(monkeypatch):
    monkeypatch.setattr(_registry, "fetch", lambda *names: print)
    with pytest.raises(ValueError, match="the metric 'old' must be an explainers"):
        metrics.load("old")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="'_case'"):
        metrics.load("_case")


def test_a_module_that_lacks_the_attribute_is_named(monkeypatch, tmp_path):
    (tmp_path / "bare.py").write_text("def bare(case):\n    return {}\n")
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(tmp_path)])
    with pytest.raises(ValueError, match=r"metric 'bare' cannot be imported from .*bare:METRIC"):
        metrics.load("bare")


def test_two_metrics_do_not_share_a_value(monkeypatch):
    monkeypatch.setattr(_registry, "available", lambda: ["one", "two"])
    monkeypatch.setattr(_registry, "load", lambda name: metric())
    with pytest.raises(ValueError, match="the metrics 'one' and 'two' both give 'v'"):
        metrics.describe()
