"""Published numbers measured again, on the same data and as nearly as can be in the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.explain import Explanation

import explainers
import explainers.metrics
from benchmarks.harness.plan import Plan, parametrize, plan_of
from benchmarks.harness.run import Run
from benchmarks.harness.validate import check
from benchmarks.report.calibration import BENCHMARK, MOTIF, PUBLISHED, TEN
from benchmarks.tasks import Task
from explainers.metrics.characterization import characterization_score
from explainers.metrics.ground_truth import auroc

# Epochs and learning rates of Holdijk et al., from the configurations in their repository.
OPTIONS: dict[tuple[str, str], dict[str, Any]] = {
    ("ba-shapes:published", "gnn_explainer"): {"epochs": 100, "lr": 0.005},
    ("tree-cycles:published", "gnn_explainer"): {"epochs": 100, "lr": 0.003},
    ("tree-grid:published", "gnn_explainer"): {"epochs": 100, "lr": 0.01},
    ("ba-shapes:published", "pg_explainer"): {"epochs": 10, "lr": 0.003},
}
# The nodes that they, and PGExplainer's authors before them, explain.
NODES = {
    "ba-shapes:published": range(400, 700, 5),
    "tree-cycles:published": range(511, 871, 6),
    "tree-grid:published": range(511, 800),
}
CORA_NODES = 100  # of the test nodes


def variants(methods: Sequence[str]) -> list[dict[str, Any]]:
    """A test for every published number."""
    return [
        {
            "method": row.method,
            "engine": None,
            "options": {"task": row.task, "level": row.level},
            "given": OPTIONS.get((row.task, row.method), {}),
        }
        for row in PUBLISHED
        if row.method in methods
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """In the full profile, or where the command line names this file."""
    plan = plan_of(metafunc.config)
    named = any(Path(arg.partition("::")[0]).name == Path(__file__).name for arg in _args(metafunc))
    wanted = named or plan.profile == "full"
    parametrize(metafunc, variants=variants(plan.methods) if wanted else ())


def _args(metafunc: pytest.Metafunc) -> Sequence[str]:
    return metafunc.config.invocation_params.args


def test_calibration(
    run: Run,
    plan: Plan,
    load_task: Callable[[str, int], Task],
    model_seed: int,
    variant: dict[str, Any],
    benchmark: Any,
) -> None:
    """One number of one model; the time is that of the explanations."""
    level = variant["options"]["level"]
    task = load_task(variant["options"]["task"], model_seed)
    method = explainers.load(variant["method"], **variant["given"])
    method.supports(task.model, task.data)  # says on which engine
    nodes = explained(task, level)
    config = run.config(task, model_seed, method)
    with run.cell(BENCHMARK, config, task=task, nodes=nodes, part={"level": level}) as cell:
        # They train on what they explain.
        method.fit(task.model, task.data, nodes)
        targets = task.data.y[nodes] if level == TEN else None
        explanations = benchmark.pedantic(
            method.explain, args=(task.model, task.data, nodes, targets), rounds=1
        )
        check(explanations, len(nodes))
        if level == TEN:
            metric, semantics = "characterization_of_means", "delete"
            value = characterization_of_means(task, explanations)
        else:
            metric, semantics = "pooled_auroc", ""
            value = pooled_auroc(task, explanations)
        cell.add_value(metric, value, node=None, level=level, semantics=semantics)


def explained(task: Task, level: str) -> list[int]:
    """The nodes whose explanations make up a number."""
    if level == MOTIF:
        return list(NODES[task.name])
    in_test = task.nodes[task.data.test_mask.cpu()[task.nodes]]
    if level == TEN:
        return [int(node) for node in in_test[:CORA_NODES]]
    return [int(node) for node in task.data.test_mask.nonzero()]


def pooled_auroc(task: Task, explanations: Sequence[Explanation]) -> float:
    """One AUROC of the edges of all explanations; an edge counts once for each that has it."""
    assert task.ground_truth is not None
    scores = torch.cat([one.edge_mask for one in explanations]).double().abs()
    truth = torch.cat([task.ground_truth[one.e_id] for one in explanations])
    return auroc(scores.cpu().numpy(), truth.cpu().numpy())


def characterization_of_means(task: Task, explanations: Sequence[Explanation]) -> float:
    """GraphFramEx's score: of the mean fidelities by accuracy, ten edges, the true class."""
    labels = torch.stack([one.target for one in explanations])
    rows = explainers.metrics.evaluate(
        task.model,
        task.data,
        explanations,
        at=[TEN],
        semantics=["delete"],
        metrics=["fidelity"],
        labels=labels,
    )
    plus, minus = (
        np.mean([row["value"] for row in rows if row["metric"] == f"fidelity{sign}_acc"])
        for sign in "+-"
    )
    return float(characterization_score(plus, minus))
