"""Axioms of Sundararajan et al., arXiv:1703.01365: sensitivity, invariance, completeness."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import explainers
from benchmarks.harness.guards import check
from benchmarks.harness.options import Plan
from benchmarks.harness.plugin import plan_of
from benchmarks.harness.run import Run
from benchmarks.harness.variants import parametrize
from benchmarks.measures.agreement import Floats, edge_scores, relative_error
from benchmarks.measures.engines import output_of
from benchmarks.measures.equivalent_networks import REWRITES, is_gcn
from benchmarks.measures.sensitivity import violations
from benchmarks.tasks import Task
from explainers.engines import registry
from explainers.methods._arguments import targets_of
from explainers.methods.integrated_gradients import METHOD as INTEGRATED_GRADIENTS
from explainers.methods.integrated_gradients import QUADRATURES
from explainers.prepare import prepare
from explainers.prepare.outputs import is_regression

NODES = {"quick": 5, "full": 10}
# An edge at a time is taken out of every computation graph: those of hubs would cost more than all
# the others.
MOST_EDGES = 1000
STEPS = (10, 50, 200)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every method once, on one model; Integrated Gradients with every quadrature."""
    plan = plan_of(metafunc.config)
    variants: list[dict[str, Any]] = [
        {"method": name, "engine": None, "options": {}} for name in plan.repeatable
    ]
    if metafunc.function is test_completeness:
        name = "integrated_gradients"
        variants = [
            {"method": name, "engine": None, "options": {"quadrature": rule, "n_steps": steps}}
            for rule in QUADRATURES
            for steps in STEPS
            if name in plan.methods
        ]
    parametrize(metafunc, plan, models=1, variants=variants)


@pytest.fixture(scope="module")
def changes() -> dict[tuple[str, int], list[tuple[int, Floats]]]:
    """The chosen nodes of a task and model, and what taking out each of their edges does."""
    return {}


def test_axioms(
    run: Run,
    plan: Plan,
    task: Task,
    model_seed: int,
    variant: dict[str, Any],
    changes: dict[tuple[str, int], list[tuple[int, Floats]]],
    benchmark: Any,
) -> None:
    """Edges that matter and have no score; how far scores move from one network to its equals."""
    method = explainers.load(variant["method"])
    if reason := task.refusal(method):
        pytest.skip(reason)
    key = (f"{task.name}, {task.architecture}", model_seed)
    if key not in changes:
        changes[key] = single_changes(task, plan.pick(task), NODES[plan.profile])
    nodes = [node for node, _ in changes[key]]
    if not nodes:
        pytest.skip(f"every computation graph has more than {MOST_EDGES} edges")
    config = run.config(task, model_seed, method)
    with run.cell("axioms", config, task=task, nodes=nodes, rewrites=list(REWRITES)) as cell:
        explanations = benchmark.pedantic(method.explain, args=task.arguments(nodes), rounds=1)
        check(explanations, task, nodes)
        targets = torch.stack([one.target for one in explanations])
        for (node, change), explanation in zip(changes[key], explanations, strict=True):
            share = violations(change, edge_scores(explanation))
            if share is not None:
                cell.add_value("sensitivity_violations", share, node=node)
        if not is_gcn(task.model):
            return
        for name, rewrite in REWRITES.items():
            other = rewrite(task.model, torch.Generator().manual_seed(model_seed))
            check_equal(task, other, name)
            again = explainers.load(variant["method"])
            moved = again.explain(*task.arguments(nodes, targets=targets, model=other))
            for node, one, two in zip(nodes, explanations, moved, strict=True):
                error = relative_error(edge_scores(two), edge_scores(one))
                cell.add_value(f"invariance_{name}", error, node=node)


def test_completeness(
    run: Run, plan: Plan, task: Task, model_seed: int, variant: dict[str, Any], benchmark: Any
) -> None:
    """What a quadrature and its number of steps leave of F(x) - F(0)."""
    method = INTEGRATED_GRADIENTS(**variant["options"])
    method.name = variant["method"]
    if reason := task.refusal(method):
        pytest.skip(reason)
    nodes = plan.pick(task)
    config = run.config(task, model_seed, method)
    with run.cell("completeness", config, task=task, nodes=nodes) as cell:
        explanations = benchmark.pedantic(method.explain, args=task.arguments(nodes), rounds=1)
        check(explanations, task, nodes)
        for node, explanation in zip(nodes, explanations, strict=True):
            delta = abs(float(explanation.convergence_delta))
            cell.add_value("completeness", delta, node=node)


def single_changes(task: Task, nodes: list[int], count: int) -> list[tuple[int, Floats]]:
    """What masking each edge changes, for the first ``count`` of ``nodes`` with few edges.

    Returns:
        The node, and the change of the explained output for each edge of its computation graph,
        [e]; of a regression over the mean size of the outputs, whose unit can be any.
    """
    network = prepare(task.model, task.data, task.model_config, node_type=task.node_type)
    engine = registry.choose(network).engine
    scale = network.typical if is_regression(network.config) and network.typical else 1.0
    found = []
    for node in nodes:
        place = torch.tensor([node], device=network.x.device)
        targets = targets_of(task.targets(node), place, network)
        (problem,) = engine.problems(network, place, targets, 2**28)
        edges = problem.graphs.edge_counts[0]
        if edges > MOST_EDGES:
            continue
        one_out = ~torch.eye(edges, dtype=torch.bool, device=place.device)
        with torch.no_grad():
            whole = problem.masked_outputs(torch.ones_like(one_out[:1]))
            parts = [problem.masked_outputs(kept) for kept in one_out.split(problem.copies)]
            outputs = torch.cat(parts)[:, 0, problem.targets[0]]
        change = outputs - whole[0, 0, problem.targets[0]]
        found.append((node, change.double().cpu().numpy() / scale))
        if len(found) == count:
            break
    return found


def check_equal(task: Task, other: torch.nn.Module, name: str) -> None:
    """Raises if a rewritten network is not the same function.

    Raises:
        ValueError: Its outputs differ by more than rounding.
    """
    outputs = [output_of(task, model) for model in (task.model, other)]
    wrong = float((outputs[0] - outputs[1]).abs().max())
    if not wrong <= 1e-4 * max(1.0, float(outputs[0].abs().max())):
        raise ValueError(f"the network {name} is another function: outputs differ by {wrong:.1e}")
