"""What is explained: raw scores, log-probabilities or probabilities of the same network."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import explainers
import explainers.metrics
from benchmarks.harness.guards import check
from benchmarks.harness.options import Plan
from benchmarks.harness.plugin import plan_of
from benchmarks.harness.run import Run
from benchmarks.harness.variants import parametrize
from benchmarks.measures import HEADLINE
from benchmarks.measures.output_forms import before_log_softmax
from benchmarks.tasks import Task
from explainers.prepare import prepare
from explainers.prepare.outputs import FORMS

METRICS = ("fidelity", "ground_truth")
NODES = {"quick": 10, "full": 60}
# Those that a quick run has time for on an engine that is not made for one kind of network.
QUICK = (
    *("deconvolution", "guided_backprop", "input_x_gradient", "integrated_gradients"),
    *("occlusion", "saliency"),
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every method that explains changes or gradients of the output, and every form of it."""
    plan = plan_of(metafunc.config)
    names = [name for name in plan.methods if explainers.load(name).explains_forms]
    if plan.profile == "quick":
        names = [name for name in names if name in QUICK]
    chosen: list[dict[str, Any]] = [
        {"method": name, "engine": None, "options": {"explained_output": form}}
        for name in names
        for form in FORMS
    ]
    parametrize(metafunc, plan, variants=chosen)


def test_explained_output(
    run: Run, plan: Plan, task: Task, model_seed: int, variant: dict[str, Any], benchmark: Any
) -> None:
    """Explains one form of the output, and scores by the same probabilities whatever the form."""
    if task.mode != "multiclass_classification":
        pytest.skip("raw scores and probabilities of classes are compared")
    known, graph = prepare(task.model, task.data, node_type=task.node_type), task.graph
    names = ("edge_weight", "batch", "edge_label_index")
    inputs = {name: graph.get(name) for name in names}
    given = {name: value for name, value in inputs.items() if value is not None}
    raw = before_log_softmax(task.model, graph.x, graph.edge_index, **given)
    if raw is None:
        pytest.skip(f"model {known.name} does not end in a log-softmax")
    explained = dataclasses.replace(task, model=raw, model_config=None)
    method = explainers.load(variant["method"], **variant["options"])
    if reason := explained.refusal(method):
        pytest.skip(reason)
    nodes = plan.pick(task)[: NODES[plan.profile]]
    config = run.config(explained, model_seed, method)
    with run.cell("explained_output", config, task=task, nodes=nodes) as cell:
        targets = [int(known.output[node].argmax()) for node in nodes]
        explanations = benchmark.pedantic(
            method.explain, args=explained.arguments(nodes, targets=targets), rounds=1
        )
        check(explanations, explained, nodes)
        rows = explainers.metrics.evaluate(
            task.model,
            task.data,
            explanations,
            at=[HEADLINE],
            semantics=["mask"],
            metrics=METRICS,
            truth=task.truth,
        )
        shown = {entry["name"]: entry["selection"] for entry in explainers.metrics.describe()}
        cell.quality += [row for row in rows if row["selection"] == shown[row["metric"]]]
