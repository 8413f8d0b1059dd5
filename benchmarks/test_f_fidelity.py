"""Whether the methods' order by fidelity stays if the model knows graphs that lack edges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from torch import nn
from torch_geometric.explain import Explanation

import explainers
import explainers.metrics
from benchmarks.harness.guards import check
from benchmarks.harness.options import Plan
from benchmarks.harness.plugin import plan_of
from benchmarks.harness.run import Run
from benchmarks.harness.variants import parametrize
from benchmarks.measures import HEADLINE, f_fidelity
from benchmarks.tasks import Task, brings_model

NODES = {"quick": 10, "full": 30}
FIDELITY = ("fidelity+_prob", "fidelity-_prob")
# A task, kind and seed of model: its fine-tuned copy, and the accuracies of both by name and model.
Tuned = dict[tuple[str, str, int], tuple[nn.Module, dict[tuple[str, str], float]]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every method of the benchmark of quality, in the full profile or where the file is named."""
    plan = plan_of(metafunc.config)
    arguments = metafunc.config.invocation_params.args
    named = any(Path(arg.partition("::")[0]).name == Path(__file__).name for arg in arguments)
    chosen: list[dict[str, Any]] = [
        {"method": name, "engine": None, "options": {}} for name in plan.scored
    ]
    parametrize(metafunc, plan, variants=chosen if named or plan.profile == "full" else ())


@pytest.fixture(scope="module")
def tuned() -> Tuned:
    """The fine-tuned model at hand, which all methods share."""
    return {}


def test_f_fidelity(
    run: Run,
    plan: Plan,
    task: Task,
    model_seed: int,
    variant: dict[str, Any],
    tuned: Tuned,
    benchmark: Any,
) -> None:
    """Explains the model, and scores by it and by its fine-tuned copy."""
    if brings_model(task.name):
        pytest.skip(f"{task.name} brings its model, which cannot be trained further")
    if task.node_type is not None:
        pytest.skip(f"{task.name} is heterogeneous: graphs without random edges are of one type")
    method = explainers.load(variant["method"])
    if reason := task.refusal(method):
        pytest.skip(reason)
    nodes = plan.pick(task)[: NODES[plan.profile]]
    config = run.config(task, model_seed, method)
    inputs: dict[str, Any] = {
        name.lower(): getattr(f_fidelity, name) for name in ("ALPHA", "BETA", "DRAWS")
    }
    with run.cell("f_fidelity", config, task=task, nodes=nodes, **inputs) as cell:
        key = (task.name, task.architecture, model_seed)
        if key not in tuned:
            tuned.clear()  # methods vary fastest: none comes back to an earlier model
            model = f_fidelity.tuned_model(task, model_seed)
            tuned[key] = (
                model,
                {
                    (name, which): value
                    for of, which in ((task.model, f_fidelity.EXPLAINED), (model, f_fidelity.TUNED))
                    for name, value in f_fidelity.accuracies(of, task, model_seed).items()
                },
            )
        model, accuracies = tuned[key]
        explanations = method.explain(*task.arguments(nodes))
        check(explanations, task, nodes)
        cell.quality += benchmark.pedantic(
            scored, args=(model, task, explanations, [f_fidelity.METRIC]), rounds=1
        )
        targets = [int(one.target) for one in explanations]
        agrees = f_fidelity.same_class(model, task, nodes, targets)
        for node, value in zip(nodes, agrees, strict=True):
            cell.add_value("same_class", value, node=node)
        for of, which, semantics in (
            (task.model, f_fidelity.EXPLAINED, explainers.metrics.SEMANTICS),
            (model, f_fidelity.TUNED, ("delete",)),
        ):
            rows = scored(of, task, explanations, ["fidelity"], semantics)
            cell.quality += [{**row, "other": which} for row in rows if row["metric"] in FIDELITY]
        for (name, which), value in accuracies.items():
            cell.add_value(name, value, node=None, other=which)


def scored(
    model: nn.Module,
    task: Task,
    explanations: Sequence[Explanation],
    metrics: Sequence[str | explainers.metrics.Metric],
    semantics: Sequence[str] = ("delete",),
) -> list[dict[str, Any]]:
    """Values at the headline budget; edges are deleted, as they were in the fine-tuning."""
    return explainers.metrics.evaluate(
        model,
        task.data,
        explanations,
        at=[HEADLINE],
        semantics=semantics,
        selections=["signed"],
        metrics=metrics,
        model_config=task.model_config,
    )
