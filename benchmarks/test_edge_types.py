"""Explanations of heterogeneous graphs by edge type; of tasks without types there is nothing."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import explainers
from benchmarks.harness.guards import check
from benchmarks.harness.options import Plan
from benchmarks.harness.plugin import plan_of
from benchmarks.harness.run import Run
from benchmarks.harness.variants import parametrize
from benchmarks.measures import HEADLINE
from benchmarks.measures.edge_types import by_edge_type
from benchmarks.tasks import Task, is_hetero


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every method of the benchmark of quality, on the tasks with types."""
    plan = plan_of(metafunc.config)
    typed = dataclasses.replace(plan, tasks=tuple(filter(is_hetero, plan.tasks)))
    chosen: list[dict[str, Any]] = [
        {"method": name, "engine": None, "options": {}} for name in plan.scored
    ]
    parametrize(metafunc, typed, variants=chosen, quality=True)


def test_edge_types(
    run: Run, plan: Plan, task: Task, model_seed: int, variant: dict[str, Any], benchmark: Any
) -> None:
    """Explains the nodes and scores each edge type by itself; the time is that of the scoring."""
    method = explainers.load(variant["method"])
    if reason := task.refusal(method):
        pytest.skip(reason)
    nodes = plan.pick(task)
    config = run.config(task, model_seed, method)
    with run.cell("edge_types", config, task=task, nodes=nodes, levels=[HEADLINE]) as cell:
        explanations = method.explain(*task.arguments(nodes))
        check(explanations, task, nodes)
        cell.quality += benchmark.pedantic(by_edge_type, args=(task, explanations, nodes), rounds=1)
