"""Which edges to delete so that the class changes: whether methods find any, how many, how fast."""

from __future__ import annotations

from functools import partial
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
from benchmarks.measures import counterfactual
from benchmarks.measures.counterfactual import (
    BY_RANKING,
    BY_SET,
    OWN,
    PREFIX,
    fewest_deletions,
    of_sets,
    scored,
)
from benchmarks.tasks import Task

NODES = {"quick": 10, "full": 30}
# A task, kind and seed of model: the fewest deletions, which are the same for all methods.
Fewest = dict[tuple[str, str, int], list[dict[str, Any]]]


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
def known() -> Fewest:
    """The fewest deletions for the model at hand."""
    return {}


def test_counterfactual(
    run: Run,
    plan: Plan,
    task: Task,
    model_seed: int,
    variant: dict[str, Any],
    known: Fewest,
    benchmark: Any,
) -> None:
    """Explains, and deletes along the ranking until the class changes; the time is of the first."""
    if task.mode == "regression":
        pytest.skip(f"{task.name} is a regression: there is no class to change")
    method = explainers.load(variant["method"])
    if reason := task.refusal(method):
        pytest.skip(reason)
    nodes = plan.pick(task)[: NODES[plan.profile]]
    config = run.config(task, model_seed, method)
    inputs: dict[str, Any] = {
        name.lower(): getattr(counterfactual, name) for name in ("EVERY", "GROWTH", "SMALL")
    }
    with run.cell("counterfactual", config, task=task, nodes=nodes, **inputs) as cell:
        method.explain(*task.arguments(nodes[:1]))  # what is learned or prepared once is not timed
        explanations = benchmark.pedantic(partial(method.explain, *task.arguments(nodes)), rounds=1)
        check(explanations, task, nodes)
        start = timer()
        rows = scored(task, explanations, BY_RANKING)
        seconds = {"explain": benchmark.stats.stats.total, "flip": timer() - start}
        cell.quality += [{**row, "other": PREFIX} for row in rows]
        found = scored(task, of_sets(explanations), BY_SET)
        cell.quality += [{**row, "other": OWN} for row in found]
        key = (task.name, task.architecture, model_seed)
        if key not in known:
            known.clear()  # methods vary fastest: none comes back to an earlier model
            known[key] = fewest_deletions(task, explanations)
        cell.quality += known[key]
        for name, value in seconds.items():
            cell.add_value(f"{name}_seconds", value / len(nodes), node=None)
