"""Every engine against stock: how much faster, at how equal results; one node and many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import pytest
import torch
from torch_geometric.explain import Explanation

import explainers
import explainers.metrics
from benchmarks.harness.measure import peak_memory, timer
from benchmarks.harness.plan import Plan, parametrize, plan_of
from benchmarks.harness.run import Run
from benchmarks.harness.validate import check
from benchmarks.tasks import Task

# Nodes that are explained one by one, each by every engine.
REPEATS = {"quick": 2, "full": 30}
# The many-at-once variants take their turn in so many of the repeats.
BULK_REPEATS = 3
BULK = {
    ("integrated_gradients", "analytic"): "all",
    ("saliency", "analytic"): 1000,
    ("saliency", "batched"): 1000,
    ("gnn_explainer", "batched"): 64,
    ("pg_explainer", "batched"): 1000,
    ("attention", "batched"): "all",
}
CURVE = "fidelity_curve"
BUDGETS = tuple(f"f={share}%" for share in range(10, 101, 10))
BULK_CURVES = 100

Explain = Callable[[Sequence[int]], object]


def variants(plan: Plan) -> list[dict[str, Any]]:
    """Stock first, so that the others can be compared with its result."""
    found: list[dict[str, Any]] = []
    for name in plan.methods:
        engines = plan.engines(name)
        if "stock" not in engines:
            continue
        for engine in engines:
            found.append({"method": name, "engine": engine, "options": {}})
            if (name, engine) in BULK:
                options = {"bulk": BULK[name, engine]}
                found.append({"method": name, "engine": engine, "options": options})
    found.append({"method": CURVE, "engine": "stock", "options": {}})
    found.append({"method": CURVE, "engine": "batched", "options": {}})
    found.append({"method": CURVE, "engine": "analytic", "options": {}})
    found.append({"method": CURVE, "engine": "analytic", "options": {"bulk": BULK_CURVES}})
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One node a repeat; within it the engines take turns."""
    plan = plan_of(metafunc.config)
    parametrize(metafunc, repeats=REPEATS[plan.profile], variants=variants(plan))


@pytest.fixture(scope="module")
def stock() -> dict[tuple[str, str, int], Explanation]:
    """Stock's explanations by task, method and node."""
    return {}


def test_engines(
    run: Run,
    plan: Plan,
    device: str,
    load_task: Callable[[str, int, str], Task],
    task_name: str,
    architecture: str,
    repeat: int,
    variant: dict[str, Any],
    stock: dict[tuple[str, str, int], Explanation],
    benchmark: Any,
) -> None:
    """Seconds for one node or for many, and the largest relative difference to stock."""
    task = load_task(task_name, 0, architecture)  # an engine's speed does not hang on the training
    name, engine, bulk = variant["method"], variant["engine"], variant["options"].get("bulk")
    if bulk and repeat >= BULK_REPEATS:
        pytest.skip(f"many at once take their turn in {BULK_REPEATS} repeats")
    node = int(task.nodes[repeat % len(task.nodes)])
    count = len(task.nodes) if bulk == "all" else min(bulk or 1, len(task.nodes))
    nodes = task.nodes[:count].tolist() if bulk else [node]
    if name == CURVE:
        if not explainers.load("saliency", engine=engine).supports(task.model, task.data):
            pytest.skip(f"metrics do not support the model with engine {engine}")
        config = {**_config(run, task, explainers.load("saliency")), "method": CURVE}
        explain, result = _curve(task, engine, nodes), None
    else:
        method = explainers.load(name, engine=engine)
        if not method.supports(task.model, task.data):
            pytest.skip(f"{name} does not support the model with engine {engine}")
        config = _config(run, task, method)

        def explain() -> tuple[Explanation | None, int]:
            """The last explanation, and the nodes in all fields; kept one at a time."""
            last, rows = None, 0
            for last in method.stream(task.model, task.data, nodes):
                rows += len(last.n_id)
            return last, rows

    config |= {"engine": engine, "options": config["options"] | variant["options"]}
    rounds = 1 if engine == "stock" or bulk else 3
    part = {"repeat": repeat}
    with run.cell("engines", config, task=task, nodes=[node], part=part, count=count) as cell:
        if name != CURVE and not method.fitted(task.model, task.data):
            method.fit(task.model, task.data)
        peak = peak_memory(explain, device) if repeat == 0 else None
        result = benchmark.pedantic(
            explain, rounds=rounds, iterations=1, warmup_rounds=int(rounds > 1)
        )
        times = benchmark.stats.stats.data
        cell.add_times(times, repeat=repeat, node=node, nodes=count, peak_bytes=peak)
        if name == CURVE:
            return
        explanation, rows = result
        check([explanation])
        if bulk and engine == "analytic":
            over = benchmark.stats.stats.median / least_seconds(task, rows)
            cell.quality.append(_quality(node, "over_limit", over))
        if bulk:
            return
        key = (f"{task_name}, {architecture}", name, node)
        if engine == "stock":
            stock[key] = explanation
            return
        if key not in stock:  # stock's cell is from before the run was resumed
            (stock[key],) = explainers.load(name, engine="stock").explain(
                task.model, task.data, node
            )
        error = difference(explanation, stock[key])
        cell.quality.append(_quality(node, "equality_error", error))


def least_seconds(task: Task, rows: int) -> float:
    """What this machine needs at least for the feature scores of ``rows`` nodes in fields.

    Each is a product of H hidden gradients with the first layer's weights [H, F], written to memory
    once. Nothing of what leads to the hidden gradients is counted.
    """
    weight = next(p for p in task.model.parameters() if p.dim() == 2)
    hidden = torch.ones(min(rows, 100_000), weight.size(0), device=weight.device)
    seconds = []
    for _ in range(5):
        start = timer()
        hidden @ weight
        seconds.append(timer() - start)
    return median(seconds) * rows / len(hidden)


def _quality(node: int, metric: str, value: float) -> dict[str, Any]:
    return {"node": node, "metric": metric, "level": "", "semantics": "", "value": value}


def difference(one: Explanation, other: Explanation) -> float:
    """The largest difference of two explanations' scores, over the largest score of the second.

    Edges and features each by themselves; the larger of the two.
    """
    found = [0.0]
    for mask in ("edge_mask", "node_mask"):
        a, b = one[mask].double(), other[mask].double()
        if b.numel() and bool(b.any()):
            found.append(float((a - b).abs().max() / b.abs().max()))
    return max(found)


def _config(run: Run, task: Task, method: explainers.methods.Method) -> dict[str, Any]:
    return run.config(task, 0, method)


def _curve(task: Task, engine: str, nodes: Sequence[int]) -> Callable[[], Any]:
    """Fidelity at ten budgets under both semantics, of explanations that are there already."""
    explanations = explainers.load("saliency").explain(task.model, task.data, torch.tensor(nodes))

    def evaluate() -> Any:
        return explainers.metrics.evaluate(
            task.model, task.data, explanations, at=BUDGETS, metrics=["fidelity"], engine=engine
        )

    return evaluate
