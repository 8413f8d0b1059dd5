"""Integrated Gradients over n_steps and internal_batch_size: what accuracy costs."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from torch_geometric.explain import Explanation

import explainers
from benchmarks.harness.guards import check
from benchmarks.harness.measure import peak_memory
from benchmarks.harness.options import Plan
from benchmarks.harness.plugin import plan_of
from benchmarks.harness.run import Run
from benchmarks.harness.variants import parametrize
from benchmarks.measures.integration import errors
from benchmarks.tasks import Task

METHOD = "integrated_gradients"
REFERENCE_STEPS = 1000
GRID = {
    "quick": ((10, 50, 200), (5, 50)),
    "full": ((10, 20, 50, 100, 200, 500), (1, 2, 5, 10, 25, 50, 100)),
}


def variants(profile: str) -> list[dict[str, Any]]:
    """Every pair of the grid; a batch larger than n_steps is the same as one of n_steps."""
    steps, sizes = GRID[profile]
    pairs = [(n, size) for n in steps for size in sorted({*sizes, n}) if size <= n]
    return [
        {
            "method": METHOD,
            "engine": "batched",
            "options": {"n_steps": n, "internal_batch_size": size},
        }
        for n, size in pairs
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One node a repeat; within it the pairs take turns."""
    plan = plan_of(metafunc.config)
    chosen = variants(plan.profile) if METHOD in plan.methods else []
    parametrize(metafunc, plan, repeats=plan.repeats, variants=chosen)


@pytest.fixture(scope="module")
def references() -> dict[tuple[str, int, int], Explanation]:
    """Explanations with very many steps, by task, model seed and node; made when first needed."""
    return {}


def test_ig_sweep(
    run: Run,
    plan: Plan,
    device: str,
    task: Task,
    model_seed: int,
    variant: dict[str, Any],
    repeat: int,
    references: dict[tuple[str, int, int], Explanation],
    benchmark: Any,
) -> None:
    """Seconds, peak memory, and how far the attributions are from the reference."""
    method = explainers.load(METHOD, engine=variant["engine"], **variant["options"])
    nodes = plan.pick(task)
    node = nodes[repeat % len(nodes)]
    config = run.config(task, model_seed, method)
    part = {"repeat": repeat}
    with run.cell("ig_sweep", config, task=task, nodes=[node], part=part) as cell:
        key = (f"{task.name}, {task.architecture}", model_seed, node)
        if key not in references:
            exact = explainers.load(METHOD, engine="batched", n_steps=REFERENCE_STEPS)
            (references[key],) = exact.explain(*task.arguments(node))
        explain = partial(method.explain, *task.arguments(node))
        peak = peak_memory(explain, device) if repeat == 0 else None
        (explanation,) = benchmark.pedantic(explain, rounds=2, iterations=1, warmup_rounds=1)
        check([explanation], task, [node])
        times = benchmark.stats.stats.data
        cell.add_times(times, repeat=repeat, node=node, nodes=1, peak_bytes=peak)
        found = map(task.as_one, (explanation, references[key]))
        for metric, value in errors(*found).items():
            cell.add_value(metric, value, node=node)
