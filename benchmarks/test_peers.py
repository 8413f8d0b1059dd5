"""Explainers of other packages beside this library's: the same model, nodes, targets and metrics.

The peers are methods that are :class:`benchmarks.peers.Peer`; ``tox -e peers`` has them installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from torch_geometric.explain import Explanation

import explainers
import explainers.metrics
from benchmarks.harness.guards import check
from benchmarks.harness.measure import timer
from benchmarks.harness.options import Plan
from benchmarks.harness.plugin import plan_of
from benchmarks.harness.run import Run
from benchmarks.harness.variants import parametrize
from benchmarks.measures import HEADLINE
from benchmarks.measures.peers import OURS, THEIRS, TRAINING, agreement, in_turn
from benchmarks.peers import Peer, missing
from benchmarks.store.cell import Cell
from benchmarks.tasks import Task
from explainers.methods import Method

METRICS = ("fidelity", "ground_truth")
VALUES = ("fidelity+_prob", "fidelity-_prob", "auroc", "average_precision")
# Of a cell's time limit, the share after which no further node is begun.
SHARE = 0.4


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every peer that is among the methods."""
    plan = plan_of(metafunc.config)
    chosen: list[dict[str, Any]] = [
        {"method": name, "engine": None, "options": {}}
        for name in plan.methods
        if isinstance(explainers.load(name), Peer)
    ]
    parametrize(metafunc, plan, variants=chosen, quality=True)


def test_peers(
    run: Run, plan: Plan, task: Task, model_seed: int, variant: dict[str, Any], benchmark: Any
) -> None:
    """Explains each node by the peer and by ours, in turn, and scores both.

    Of the peer's time counts what its own code takes, of ours the whole call.
    """
    peer = explainers.load(variant["method"])
    assert isinstance(peer, Peer)
    if reason := missing(peer):
        pytest.skip(reason)
    ours = peer.counterpart()
    for method in (peer, ours):
        try:
            method.chosen_engine(*task.subject)
        except ValueError as error:
            pytest.skip(str(error))
    nodes = plan.pick(task)
    config = run.config(task, model_seed, peer)
    beside = {"ours": ours.name, "options": ours.options}
    with run.cell("peers", config, task=task, nodes=nodes, beside=beside) as cell:
        for which, method in ((THEIRS, peer), (OURS, ours)):
            if not method.fitted(task.model, task.data, task.model_config):
                start = timer()
                method.fit(task.model, task.data, model_config=task.model_config)
                cell.add_times([timer() - start], varied=f"{TRAINING}, {which}")
        found = benchmark.pedantic(
            explained, args=(cell, peer, ours, task, nodes, SHARE * plan.cell_timeout), rounds=1
        )
        for which, explanations in found.items():
            done = nodes[: len(explanations)]
            check(explanations, task, done)
            cell.quality += [{**row, "other": which} for row in scored(task, explanations)]
        signed = peer.signed and ours.signed
        for node, theirs, own in zip(nodes, found[THEIRS], found[OURS], strict=False):
            same = agreement(theirs, own, peer.agrees_on, signed=signed)
            for name, value in same.items():
                cell.add_value(name, value, node=node, other=ours.name)


def explained(
    cell: Cell, peer: Peer, ours: Method, task: Task, nodes: Sequence[int], limit: float
) -> dict[str, list[Explanation]]:
    """Both methods' explanations of the nodes, as many as there is time for; at least one."""

    def call(method: Method, node: int) -> tuple[Explanation, float]:
        start = timer()
        (explanation,) = method.explain(*task.arguments(node))
        seconds = timer() - start
        return explanation, method.seconds if isinstance(method, Peer) else seconds

    start = timer()
    found: dict[str, list[Explanation]] = {THEIRS: [], OURS: []}
    for node in nodes:
        turns = {THEIRS: partial(call, peer, node), OURS: partial(call, ours, node)}
        explanations, times = in_turn(turns)
        for which, seconds in times.items():
            found[which].append(explanations[which])
            cell.add_times(seconds, node=node, nodes=1, varied=which)
        if limit and timer() - start > limit:
            break
    return found


def scored(task: Task, explanations: Sequence[Explanation]) -> list[dict[str, Any]]:
    """Fidelity at the headline budget, and what compares with the ground truth."""
    rows = explainers.metrics.evaluate(
        task.model,
        task.data,
        explanations,
        at=[HEADLINE],
        semantics=["mask"],
        metrics=METRICS,
        truth=task.truth,
        alternatives=task.alternatives,
        model_config=task.model_config,
    )
    return [row for row in rows if row["metric"] in VALUES]
