"""Whether methods agree, and whether a method agrees with itself under another seed or input."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from torch_geometric.data import Data
from torch_geometric.explain import Explanation

import explainers
from benchmarks.harness import supervisor
from benchmarks.harness.guards import check
from benchmarks.harness.measure import attempt
from benchmarks.harness.options import Plan
from benchmarks.harness.plugin import plan_of
from benchmarks.harness.run import Run
from benchmarks.harness.variants import parametrize
from benchmarks.measures.agreement import (
    Floats,
    agreement,
    edge_scores,
    max_sensitivity,
    moves,
)
from benchmarks.store.cell import Cell
from benchmarks.tasks import Task
from explainers.methods import Method

NODES = {"quick": 5, "full": 20}
SEEDS = 3
DRAWS = {"quick": 3, "full": 10}
# A task, a model's seed, a method: its scores of each node, or None if it gives none.
Known = dict[tuple[str, int, str], list[Floats] | None]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every method once; how stable it is, from one model to the others."""
    plan = plan_of(metafunc.config)
    stability = metafunc.function is test_stability
    names = plan.repeatable if stability else plan.methods
    chosen: list[dict[str, Any]] = [
        {"method": name, "engine": None, "options": {}} for name in names
    ]
    parametrize(metafunc, plan, models=1 if stability else None, variants=chosen)


@pytest.fixture(scope="module")
def known() -> Known:
    """Scores that several tests need."""
    return {}


def test_agreement(
    run: Run,
    plan: Plan,
    task: Task,
    model_seed: int,
    variant: dict[str, Any],
    known: Known,
    benchmark: Any,
) -> None:
    """A method against those before it in the alphabet; apart from them, against all."""
    method = supported(variant["method"], task)
    nodes = plan.pick(task)[: NODES[plan.profile]]
    orders = supervisor.orders()
    # The process of the others knows nothing of a method that has one of its own.
    alone = orders is not None and orders.only == method.name
    others = [
        name
        for name in sorted(plan.methods)
        if name < method.name or (alone and name != method.name)
    ]
    subject = f"{task.name}, {task.architecture}"
    config = run.config(task, model_seed, method)
    with run.cell("agreement", config, task=task, nodes=nodes, others=others) as cell:
        explanations = benchmark.pedantic(method.explain, args=task.arguments(nodes), rounds=1)
        check(explanations, task, nodes)
        mine = known[subject, model_seed, method.name] = list(map(edge_scores, explanations))
        for name in others:
            key = (subject, model_seed, name)
            if key not in known:  # its own cell was there already, or it failed
                known[key] = scores(name, task, nodes)
            for node, one, other in zip(nodes, mine, known[key] or [], strict=False):
                for metric, value in agreement(one, other).items():
                    cell.add_value(metric, value, node=node, other=name, selection="absolute")


def test_stability(
    run: Run,
    plan: Plan,
    task: Task,
    model_seed: int,
    variant: dict[str, Any],
    load_task: Callable[[str, int, str], Task],
    benchmark: Any,
) -> None:
    """The same method, with other seeds of its own, on other models, on features that moved."""
    method = supported(variant["method"], task)
    nodes = plan.pick(task)[: NODES[plan.profile]]
    config = run.config(task, model_seed, method)
    seeds, draws = SEEDS, DRAWS[plan.profile]
    models = plan.model_seeds(task.name)
    inputs: dict[str, Any] = {"seeds": seeds, "models": len(models), "draws": draws}
    with run.cell("stability", config, task=task, nodes=nodes, **inputs) as cell:
        explanations = benchmark.pedantic(method.explain, args=task.arguments(nodes), rounds=1)
        check(explanations, task, nodes)
        targets = [int(one.target) for one in explanations]

        def again(task: Task, data: Data | None = None, **options: Any) -> list[Explanation]:
            """Explains the same classes."""
            fresh = explainers.load(method.name, **options)
            return fresh.explain(*task.arguments(nodes, targets=targets, data=data))

        if not method.deterministic:
            runs = [again(task, seed=seed) for seed in range(seeds)]
            add_pairwise(cell, nodes, runs, "seeds")
        if len(models) > 1:
            runs = [again(load_task(task.name, seed, task.architecture)) for seed in models]
            add_pairwise(cell, nodes, runs, "models")
        if method.needs_fit:
            return  # trained anew on each draw, it would move for that
        if not moves(task.data):
            return  # all features are equal: they have no scale to move on
        moved = max_sensitivity(lambda data: again(task, data), task.data, draws=draws)
        for node, value in zip(nodes, moved, strict=True):
            cell.add_value("max_sensitivity", value, node=node)


def supported(name: str, task: Task) -> Method:
    """The method; skips the test if it does not support the task's model."""
    method = explainers.load(name)
    if reason := task.refusal(method):
        pytest.skip(reason)
    return method


def scores(name: str, task: Task, nodes: Sequence[int]) -> list[Floats] | None:
    """A method's scores of each node; None if it does not support the model, or fails."""
    method = explainers.load(name)
    if not method.supports(*task.subject):
        return None
    with attempt() as outcome:  # of a failure its own cell tells
        found = [edge_scores(one) for one in method.explain(*task.arguments(nodes))]
    return found if outcome.error is None else None


def add_pairwise(
    cell: Cell, nodes: Sequence[int], runs: Sequence[Sequence[Explanation]], what: str
) -> None:
    """Adds for each node the mean agreement over all pairs of runs."""
    for node, explanations in zip(nodes, zip(*runs, strict=True), strict=True):
        found = [
            agreement(one, other)
            for one, other in itertools.combinations(map(edge_scores, explanations), 2)
        ]
        for metric in ("kendall_tau", "overlap"):
            values = [pair[metric] for pair in found if metric in pair]
            if values:
                mean = float(np.mean(values))
                cell.add_value(f"{metric}_{what}", mean, node=node, selection="absolute")
