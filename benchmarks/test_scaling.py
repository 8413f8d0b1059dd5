"""How the cost of one explanation grows: with the graph, its degrees, the depth, the steps."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch_geometric.data import Data

import explainers
from benchmarks.harness.guards import check
from benchmarks.harness.measure import peak_memory
from benchmarks.harness.options import Plan
from benchmarks.harness.plugin import plan_of
from benchmarks.harness.run import Run
from benchmarks.harness.variants import parametrize
from benchmarks.tasks import Task
from benchmarks.tasks._models import GNN

FEATURES, HIDDEN, CLASSES = 32, 16, 2
REPEATS = {"quick": 2, "full": 3}
METHODS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("integrated_gradients", "batched", {}),
    ("integrated_gradients", "analytic", {}),
    ("gnn_explainer", "batched", {"epochs": 20}),
    ("saliency", "batched", {}),
    ("saliency", "stock", {}),
)
# Above so many edges an engine that works on the whole graph is left out.
STOCK_EDGES = 2_000_000


@dataclass(frozen=True)
class Point:
    """A generated problem: every node has ``degree`` incoming edges, of random origin."""

    varied: str
    at: int
    graph_nodes: int = 10_000
    degree: int = 10
    layers: int = 2
    n_steps: int = 50


def points(profile: str) -> list[Point]:
    """What is varied, one thing at a time."""
    sizes = (10**3, 10**4, 10**5, 10**6) if profile == "full" else (10**3, 10**5)
    found = [Point("graph_nodes", n, graph_nodes=n) for n in sizes]
    if profile == "full":
        found += [Point("degree", d, degree=d) for d in (3, 10, 30, 100)]
        found += [Point("layers", n, layers=n, degree=4) for n in (1, 2, 3, 4)]
        found += [Point("n_steps", n, n_steps=n) for n in (10, 50, 200, 1000)]
    return found


def variants(profile: str, methods: tuple[str, ...]) -> list[dict[str, Any]]:
    """Every method at every point; neighbours differ in the method, so they take turns."""
    found = []
    for point in points(profile):
        for name, engine, options in METHODS:
            steps = {"n_steps": point.n_steps} if name == "integrated_gradients" else {}
            if name not in methods or (point.varied == "n_steps" and not steps):
                continue
            if engine == "stock" and point.graph_nodes * point.degree > STOCK_EDGES:
                continue
            found.append(
                {
                    "method": name,
                    "engine": engine,
                    "options": {**options, **steps, point.varied: point.at},
                    "point": point,
                    "given": {**options, **steps},
                }
            )
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every repeat explains a node of its own."""
    plan = plan_of(metafunc.config)
    chosen = variants(plan.profile, plan.methods)
    parametrize(metafunc, plan, repeats=REPEATS[plan.profile], variants=chosen)


@pytest.fixture(scope="module")
def generate() -> Iterator[Any]:
    """``generate(point)``: the problem; only the last is kept, a large one fills the memory."""
    kept: dict[tuple[int, int, int], Task] = {}

    def task(point: Point) -> Task:
        key = (point.graph_nodes, point.degree, point.layers)
        if key not in kept:
            kept.clear()
            kept[key] = _generate(point)
        return kept[key]

    yield task
    kept.clear()


def test_scaling(
    run: Run,
    plan: Plan,
    device: str,
    variant: dict[str, Any],
    repeat: int,
    generate: Any,
    benchmark: Any,
) -> None:
    """Seconds and peak memory of one node's explanation, after the graph's index is built."""
    point: Point = variant["point"]
    task = generate(point)
    data, model = task.data.to(device), task.model.to(device)
    method = explainers.load(variant["method"], engine=variant["engine"], **variant["given"])
    if not method.supports(model, data):  # builds the index, too
        pytest.skip(f"{method.name} does not support {point.layers} layers on {method.engine}")
    node = int(task.nodes[repeat])
    config = run.config(task, 0, method)
    part = {"repeat": repeat, "varied": point.varied, "at": point.at}
    with run.cell("scaling", config, task=task, nodes=[node], part=part) as cell:
        explain = partial(method.explain, model, data, node)
        if repeat == 0:
            explain()  # what the first call prepares for the model is not what a node needs
        peak = peak_memory(explain, device) if repeat == 0 else None
        explanations = benchmark.pedantic(explain, rounds=3, iterations=1, warmup_rounds=1)
        check(explanations, task, [node])
        times = benchmark.stats.stats.data
        cell.add_times(
            times,
            repeat=repeat,
            node=node,
            nodes=1,
            peak_bytes=peak,
            varied=point.varied,
            at=point.at,
        )


def _generate(point: Point) -> Task:
    """Random features and weights: what a prediction says does not change what it costs."""
    generator = torch.Generator().manual_seed(0)
    n, edges = point.graph_nodes, point.graph_nodes * point.degree
    target = torch.arange(n).repeat_interleave(point.degree)
    source = (target + torch.randint(1, n, (edges,), generator=generator)) % n
    data = Data(
        x=torch.randn(n, FEATURES, generator=generator), edge_index=torch.stack([source, target])
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GNN([FEATURES, *[HIDDEN] * (point.layers - 1), CLASSES])
    what = f"{n} nodes, {point.degree} edges into each, {point.layers} layers"
    checksum = hashlib.sha256(what.encode()).hexdigest()
    return Task(
        name="generated",
        data=data,
        model=model.eval().requires_grad_(False),
        nodes=torch.randperm(n, generator=generator)[:100],
        ground_truth=None,
        accuracy=float("nan"),
        provenance=f"generated: {what}; nothing is learned",
        dataset_sha256=checksum,
        checkpoint_sha256=checksum,
        stand_in=True,
        title="Generated graphs",
        description="Random graphs of constant degree.",
    )
