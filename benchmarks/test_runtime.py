"""What an explanation costs: every method on every engine, interleaved, on the same nodes."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

import explainers
from benchmarks.harness.guards import check
from benchmarks.harness.measure import peak_memory, timer
from benchmarks.harness.options import Plan
from benchmarks.harness.plugin import plan_of
from benchmarks.harness.run import Run
from benchmarks.harness.variants import parametrize
from benchmarks.tasks import Task

# With one node at a time: one variant of its computation graph a pass (all that PyG's recipe can),
# some, all.
IG_BATCH_SIZES = (1, 10, 50)
# Seconds of the call that warms up, from which on a quick run times one round and not three.
LONG = 0.5


def variants(plan: Plan) -> list[dict[str, Any]]:
    """Every method on each of its engines; Integrated Gradients at several batch sizes.

    What is costly on stock, minutes a node, is compared with it by ``test_engines`` alone. A quick
    run times the engine that each method takes by itself.
    """
    if plan.profile == "quick":
        return [{"method": name, "engine": None, "options": {}} for name in plan.methods]
    found = []
    for name in plan.methods:
        costly = explainers.load(name).costly
        for engine in plan.engines(name):
            if costly and engine == "stock":
                continue
            options: list[dict[str, Any]] = [{}]
            if name == "integrated_gradients":
                sizes = {"stock": (1,), "batched": IG_BATCH_SIZES}.get(engine, (None,))
                options = [{"n_steps": 50, "internal_batch_size": size} for size in sizes]
            found += [{"method": name, "engine": engine, "options": entry} for entry in options]
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One node a repeat; within it the variants take turns."""
    plan = plan_of(metafunc.config)
    parametrize(metafunc, plan, repeats=plan.repeats, variants=variants(plan))


def test_runtime(
    run: Run,
    plan: Plan,
    device: str,
    task: Task,
    model_seed: int,
    variant: dict[str, Any],
    repeat: int,
    benchmark: Any,
) -> None:
    """Seconds for one node's explanation; peak memory in an untimed call after one that warms up.

    What a method has to learn first is timed by itself, when it is first needed.
    """
    method = explainers.load(variant["method"], engine=variant["engine"], **variant["options"])
    if not method.supports(*task.subject):
        pytest.skip(f"{method.name} does not support the model with engine {method.engine}")
    nodes = plan.pick(task)
    node = nodes[repeat % len(nodes)]
    rounds = 1 if method.engine == "stock" else 3
    config = run.config(task, model_seed, method)
    part = {"repeat": repeat}
    with run.cell("runtime", config, task=task, nodes=[node], part=part, rounds=rounds) as cell:
        if not method.fitted(task.model, task.data, task.model_config):
            start = timer()
            method.fit(task.model, task.data, model_config=task.model_config)
            seconds, count = timer() - start, method.options["training_nodes"]
            cell.add_times([seconds], repeat=repeat, nodes=count, varied="fit")
        explain = partial(method.explain, *task.arguments(node))
        if repeat == 0 and rounds > 1:
            explain()  # what the first call prepares for the model is not what a node needs
        start = timer()
        peak = peak_memory(explain, device) if repeat == 0 else None
        if rounds > 1 and repeat > 0:
            explain()
        if plan.profile == "quick" and timer() - start > LONG:
            rounds = 1
        # Free memory went back to the system before memory was taken: once more, where it is short.
        warmup = int(rounds > 1 and repeat == 0)
        explanations = benchmark.pedantic(
            explain, rounds=rounds, iterations=1, warmup_rounds=warmup
        )
        check(explanations, task, [node])
        times = benchmark.stats.stats.data
        cell.add_times(times, repeat=repeat, node=node, nodes=1, peak_bytes=peak)
