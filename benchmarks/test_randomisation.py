"""Whether the scores depend on what the model has learned: its weights are drawn anew."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
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
from benchmarks.measures import randomisation
from benchmarks.measures.agreement import Floats, edge_scores
from benchmarks.store.cell import Cell
from benchmarks.tasks import Task

NODES = {"quick": 3, "full": 20}
DRAWS = {"quick": 2, "full": 5}
FITTED_DRAWS = 2  # of methods that train anew on each of the models
# Of the new weights of a task's model 0; those of the next begin 100 later. Far from the seeds of
# trainings, which begin with weights drawn in the same way.
FIRST_SEED = 10_000
TRUTH = ("auroc", "average_precision")
# By layers with new weights, the models of the draws; those of the task and model at hand.
Models = dict[tuple[str, ...], list[nn.Module]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every method once; a quick run leaves out those that train on every model, or cost much."""
    plan = plan_of(metafunc.config)
    chosen: list[dict[str, Any]] = [
        {"method": name, "engine": None, "options": {}} for name in plan.repeatable
    ]
    parametrize(metafunc, plan, variants=chosen)


@pytest.fixture(scope="module")
def drawn() -> dict[tuple[Any, ...], tuple[list[str], Models]]:
    """The layers, and the models with new weights, that all methods share."""
    return {}


def test_randomisation(
    run: Run,
    plan: Plan,
    task: Task,
    model_seed: int,
    variant: dict[str, Any],
    load_task: Callable[[str, int, str], Task],
    drawn: dict[tuple[Any, ...], tuple[list[str], Models]],
    benchmark: Any,
) -> None:
    """The trained model's scores against those with new weights, and on other trained models."""
    method = explainers.load(variant["method"])
    if reason := task.refusal(method):
        pytest.skip(reason)
    draws = FITTED_DRAWS if method.needs_fit else DRAWS[plan.profile]
    key = (task.name, task.architecture, model_seed)
    if key not in drawn:
        drawn.clear()  # methods vary fastest: none comes back to an earlier model
        try:
            drawn[key] = models(task, FIRST_SEED + 100 * model_seed, DRAWS[plan.profile])
        except ValueError as error:
            pytest.skip(str(error))
    names, every = drawn[key]
    randomised = {chosen: copies[:draws] for chosen, copies in every.items()}
    nodes = plan.pick(task)[: NODES[plan.profile]]
    others = [seed for seed in plan.model_seeds(task.name) if seed != model_seed]
    config = run.config(task, model_seed, method)
    inputs: dict[str, Any] = {"layers": names, "draws": draws, "models": others}
    with run.cell("randomisation", config, task=task, nodes=nodes, **inputs) as cell:
        explanations = benchmark.pedantic(method.explain, args=task.arguments(nodes), rounds=1)
        check(explanations, task, nodes)
        targets = [int(one.target) for one in explanations]
        scores = [edge_scores(one) for one in explanations]

        seeds = itertools.count(1)  # the cell's own explanations have the default, 0

        def again(model: nn.Module) -> list[Explanation]:
            """Explains the same classes; what is random in the method is drawn anew, too."""
            options = {} if method.deterministic else {"seed": next(seeds)}
            fresh = explainers.load(method.name, **options)
            return fresh.explain(*task.arguments(nodes, targets=targets, model=model))

        found = {chosen: list(map(again, copies)) for chosen, copies in randomised.items()}
        for stage in randomisation.stages(names):
            add_similarity(cell, scores, found[stage.chosen], stage.name, signed=method.signed)
        if not method.deterministic:  # how alike the scores are if nothing but chance changes
            repeated = [again(task.model) for _ in range(draws)]
            add_similarity(cell, scores, repeated, "same model, other draw", signed=method.signed)
        trained = [again(load_task(task.name, s, task.architecture).model) for s in others]
        add_similarity(cell, scores, trained, "trained with another seed", signed=method.signed)
        if task.ground_truth is not None:
            whole = tuple(reversed(names))
            add_truth(cell, task, [(task.model, explanations)], "trained")
            pairs = list(zip(randomised[whole], found[whole], strict=True))
            add_truth(cell, task, pairs, "untrained")


def models(task: Task, seed: int, draws: int) -> tuple[list[str], Models]:
    """A task's layers from input to output, and for each stage its models, one for each draw.

    Raises:
        ValueError: Some of the weights cannot be drawn anew.
    """
    names = randomisation.layers(task.model, task.data)
    seeds = range(seed, seed + draws)
    fresh = [randomisation.untrained(task.model, names, each) for each in seeds]
    chosen = {stage.chosen: None for stage in randomisation.stages(names)}  # the last twice
    return names, {
        one: [randomisation.with_layers_of(task.model, each, one) for each in fresh]
        for one in chosen
    }


def add_similarity(
    cell: Cell,
    scores: Sequence[Floats],
    runs: Sequence[Sequence[Explanation]],
    other: str,
    *,
    signed: bool,
) -> None:
    """Adds for each node the mean similarity over the runs; nothing if there are none."""
    for at, (node, mine) in enumerate(zip(cell.inputs["nodes"], scores, strict=True)):
        found: dict[str, list[float]] = defaultdict(list)
        for explanations in runs:
            there = edge_scores(explanations[at])
            for metric, value in randomisation.similarity(mine, there, signed=signed).items():
                found[metric].append(value)
        for metric, values in found.items():
            cell.add_value(metric, float(np.mean(values)), node=node, other=other)


def add_truth(
    cell: Cell, task: Task, pairs: Sequence[tuple[nn.Module, Sequence[Explanation]]], other: str
) -> None:
    """Adds for each node how well the scores find the ground truth, the mean over the models."""
    found: dict[tuple[int, str], list[float]] = defaultdict(list)
    for model, explanations in pairs:
        rows = explainers.metrics.evaluate(
            model,
            task.data,
            explanations,
            at=[randomisation.SHARE],
            metrics=["ground_truth"],
            truth=task.truth,
            model_config=task.model_config,
        )
        for row in rows:
            # Ground truth is found by absolute score; a row by signed score says so.
            if row["metric"] in TRUTH and row.get("selection", "absolute") == "absolute":
                found[row["node"], row["metric"]].append(row["value"])
    for (node, metric), values in found.items():
        cell.add_value(metric, float(np.mean(values)), node=node, other=other)
