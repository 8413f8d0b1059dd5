"""How good the explanations are: every metric, with each method's defaults."""

from __future__ import annotations

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
from benchmarks.tasks import Task

# A published run has millions of values. At the level of the tables cells keep them all, at the
# others what the curves are drawn of.
CURVES = ("fidelity+_prob", "fidelity-_prob", "sparsity")
SHARES = ("f=5%", "f=10%", "f=20%", "f=30%", "f=50%", "f=70%", "f=100%")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every method once, with its defaults."""
    plan = plan_of(metafunc.config)
    chosen: list[dict[str, Any]] = [
        {"method": name, "engine": None, "options": {}} for name in plan.scored
    ]
    parametrize(metafunc, plan, variants=chosen, quality=True)


def test_quality(
    run: Run, plan: Plan, task: Task, model_seed: int, variant: dict[str, Any], benchmark: Any
) -> None:
    """Explains the nodes and scores the explanations; the time is that of the scoring."""
    method = explainers.load(variant["method"])
    if reason := task.refusal(method):
        pytest.skip(reason)
    nodes = plan.pick(task)
    levels = [str(budget) for budget in explainers.metrics.edge_budgets()]
    config = run.config(task, model_seed, method)
    with run.cell("quality", config, task=task, nodes=nodes, levels=levels) as cell:
        explanations = method.explain(*task.arguments(nodes))
        check(explanations, task, nodes)
        # One round: the fixture is what makes this a benchmark to pytest; the rows are the result.
        rows = benchmark.pedantic(
            explainers.metrics.evaluate,
            args=(task.model, task.data, explanations),
            kwargs={
                "truth": task.truth,
                "alternatives": task.alternatives,
                "model_config": task.model_config,
            },
            rounds=1,
        )
        cell.quality += filter(kept, rows)
        cell.quality += explainers.metrics.evaluate(
            task.model,
            task.data,
            explanations,
            at=[HEADLINE],
            metrics=costly(task),
            model_config=task.model_config,
        )


def costly(task: Task) -> list[str]:
    """The metrics that draw further selections; of heterogeneous graphs no features, either."""
    known = {name: explainers.metrics.load(name) for name in explainers.metrics.available()}
    return [
        name
        for name, metric in known.items()
        if metric.draw is not None and (task.node_type is None or metric.perturbs != "features")
    ]


def kept(row: dict[str, Any]) -> bool:
    """Whether a value goes into the cell."""
    if row["level"] in ("", HEADLINE):
        return True
    if row["metric"] not in CURVES or row["selection"] == "absolute":
        return False
    return row["level"] in SHARES or (row["semantics"] == "mask" and row["level"].startswith("k="))
