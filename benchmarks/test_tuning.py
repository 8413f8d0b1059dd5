"""The methods that learn, at the library's defaults and at settings chosen elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import explainers
from benchmarks.harness.guards import check
from benchmarks.harness.measure import timer
from benchmarks.harness.options import Plan
from benchmarks.harness.plugin import plan_of
from benchmarks.harness.run import Run
from benchmarks.harness.variants import parametrize
from benchmarks.measures.tuning import (
    DEFAULTS,
    GRID,
    RULE,
    TUNED,
    Chosen,
    choose,
    learned,
    scored,
    settings,
)
from benchmarks.store.cell import Cell
from benchmarks.tasks import Task, brings_model, load

NODES = {"quick": 10, "full": 20}  # to tune on
# A task and kind of model, a method: what was chosen, and in how many seconds.
Known = dict[tuple[str, str], tuple[Chosen, float]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """In the full profile, or where the command line names this file: it trains again and again."""
    plan = plan_of(metafunc.config)
    arguments = metafunc.config.invocation_params.args
    named = any(Path(arg.partition("::")[0]).name == Path(__file__).name for arg in arguments)
    wanted = named or plan.profile == "full"
    chosen: list[dict[str, Any]] = [
        {"method": name, "engine": None, "options": {}} for name in plan.methods if name in GRID
    ]
    parametrize(metafunc, plan, variants=chosen if wanted else ())


@pytest.fixture(scope="module")
def known() -> Known:
    """The settings chosen, which all models of a task share."""
    return {}


def test_tuning(
    run: Run,
    plan: Plan,
    task: Task,
    model_seed: int,
    variant: dict[str, Any],
    known: Known,
    benchmark: Any,
) -> None:
    """Explains with both settings and scores it; the time is that of the tuned explanations."""
    name = variant["method"]
    method = explainers.load(name)
    if reason := task.refusal(method):
        pytest.skip(reason)
    if brings_model(task.name):
        pytest.skip(f"{task.name} brings one model: there is no other to tune on")
    nodes = plan.pick(task)
    # The next in the task's order, on the first model that is not explained.
    others = [int(node) for node in task.nodes[len(nodes) :][: NODES[plan.profile]]]
    if not others:
        pytest.skip("all nodes are explained: none is left to tune on")
    config = run.config(task, model_seed, method)
    inputs: dict[str, Any] = {"tuning_nodes": others, "tuning_model": plan.seeds, "rule": RULE}
    with run.cell("tuning", config, task=task, nodes=nodes, tried=settings(name), **inputs) as cell:
        key = (f"{task.name}, {task.architecture}", name)
        if key not in known:
            # Not by the run: this model is none of those that the report is about.
            elsewhere = load(
                task.name,
                root=plan.data_root,
                device=plan.device,
                seed=plan.seeds,
                model=task.architecture,
            )
            start = timer()
            known[key] = choose(elsewhere, name, others), timer() - start
        chosen, seconds = known[key]
        add(cell, task, nodes, {}, DEFAULTS)
        benchmark.pedantic(add, args=(cell, task, nodes, chosen.options, TUNED), rounds=1)
        cell.add_value("tuning_seconds", seconds, node=None, other=TUNED)
        cell.add_value("tuning_explanations", chosen.explanations, node=None, other=TUNED)


def add(cell: Cell, task: Task, nodes: list[int], options: dict[str, Any], which: str) -> None:
    """Explains the nodes, and adds how the learning went, how good it is, and the settings."""
    method = explainers.load(cell.config["method"], **options)
    explanations = method.explain(*task.arguments(nodes))
    check(explanations, task, nodes)
    for node, explanation in zip(nodes, explanations, strict=True):
        for metric, value in learned(explanation).items():
            cell.add_value(metric, value, node=node, other=which)
    for (node, metric, level), value in scored(task, explanations).items():
        row = {"selection": "absolute"}
        if metric.startswith(("fid", "area")):
            row = {"level": level, "semantics": "mask", "selection": "signed"}
        cell.add_value(metric, value, node=node, other=which, **row)
    for option in (*GRID[method.name], "epochs"):
        value = float(method.options[option])
        cell.add_value(f"setting_{option}", value, node=None, other=which)
