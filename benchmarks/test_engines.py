"""Every engine against stock and against ``k-hop by hand``: how much faster, at how equal results.

One node and many at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from torch_geometric.explain import Explanation

import explainers
import explainers.metrics
from benchmarks.harness.guards import check
from benchmarks.harness.measure import peak_memory, timer
from benchmarks.harness.options import Plan
from benchmarks.harness.plugin import plan_of
from benchmarks.harness.run import Run
from benchmarks.harness.variants import parametrize
from benchmarks.measures import by_hand, by_hand_hetero
from benchmarks.measures.engines import difference, least_seconds, output_of
from benchmarks.tasks import Task
from explainers.methods import Method
from explainers.prepare import prepare

# Nodes that are explained one by one, each by every engine; no more than were asked for.
REPEATS = {"quick": 2, "full": 30}
# A quick run compares the engines of these, if they are among its methods.
QUICK = ("integrated_gradients", "gnn_explainer", "saliency")
# Many at once, and methods that are costly on stock, take their turn in so many of the repeats.
FEW_REPEATS = 3
# Where computation graphs are wide, of three layers or more in one graph, and where masks are
# optimised, stock takes seconds a node: it explains the first so many, which are a random subset,
# as all are in a random order. Where they are wide, other methods take their turn in a few.
STOCK_REPEATS = 10
WIDE = ("integrated_gradients", "saliency")
OPTIMISED = ("gnn_explainer",)
BULK = {
    ("integrated_gradients", "analytic"): "all",
    ("occlusion", "analytic"): 1000,
    ("integrated_gradients", "hoisted"): 64,
    ("saliency", "hoisted"): 64,
    ("saliency", "analytic"): 1000,
    ("input_x_gradient", "analytic"): 1000,
    ("saliency", "batched"): 1000,
    ("gnn_explainer", "hoisted"): 64,
    ("gnn_explainer", "batched"): 64,
    ("pg_explainer", "batched"): 1000,
    ("gnn_explainer", by_hand.NAME): 64,
    ("attention", "batched"): "all",
}
# Those that are also timed as a user gets them who keeps all of them, in a list.
LISTED = (("integrated_gradients", "analytic"),)
# What suits the caches of a usual machine; ig_sweep shows the others.
BATCHES = {("integrated_gradients", "batched"): {"internal_batch_size": 25}}
CURVE = "fidelity_curve"
BUDGETS = tuple(f"f={share}%" for share in range(10, 101, 10))
BULK_CURVES = 100
Hand = by_hand.ByHand | by_hand_hetero.HeteroByHand


def variants(plan: Plan) -> list[dict[str, Any]]:
    """Stock first, so that the others can be compared with its result; then by hand.

    A quick run has no time for many at once where masks are optimised, nor for keeping all.
    """
    found: list[dict[str, Any]] = []
    names = plan.methods
    quick = plan.profile == "quick"
    if quick:
        names = tuple(name for name in names if name in QUICK) or names
    for name in names:
        engines = plan.engines(name)
        if "stock" not in engines:
            continue
        if name in by_hand.METHODS:
            engines = ("stock", by_hand.NAME, *(one for one in engines if one != "stock"))
        for engine in engines:
            found.append({"method": name, "engine": engine, "options": {}})
            if (name, engine) in BATCHES:
                given = BATCHES[name, engine]
                found.append({"method": name, "engine": engine, "options": given, "given": given})
            if (name, engine) in BULK and not (quick and name in OPTIMISED):
                options = {"bulk": BULK[name, engine]}
                found.append({"method": name, "engine": engine, "options": options})
            if (name, engine) in LISTED and not quick:
                options = {"bulk": BULK[name, engine], "returned": "list"}
                found.append({"method": name, "engine": engine, "options": options})
    found.append({"method": CURVE, "engine": "stock", "options": {}})
    found.append({"method": CURVE, "engine": "batched", "options": {}})
    found.append({"method": CURVE, "engine": "hoisted", "options": {}})
    found.append({"method": CURVE, "engine": "analytic", "options": {}})
    found.append({"method": CURVE, "engine": "analytic", "options": {"bulk": BULK_CURVES}})
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One node a repeat; within it the engines take turns."""
    plan = plan_of(metafunc.config)
    repeats = min(REPEATS[plan.profile], plan.nodes)
    parametrize(metafunc, plan, repeats=repeats, variants=variants(plan))


@pytest.fixture(scope="module")
def stock() -> dict[tuple[str, str, int], Explanation]:
    """Stock's explanations by task, method and node."""
    return {}


@pytest.fixture(scope="module")
def hands() -> dict[tuple[str, str], Hand]:
    """What is made ready once for a task and a kind of model."""
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
    hands: dict[tuple[str, str], Hand],
    benchmark: Any,
) -> None:
    """Seconds for one node or for many, peak memory, and the largest difference to stock."""
    # long: one variant after the other is left out, loaded and timed; each step is a few lines.
    name, engine, bulk = variant["method"], variant["engine"], variant["options"].get("bulk")
    task = load_task(task_name, 0, architecture)  # speed does not hang on the training: one model
    shallower = architecture.rstrip("0123456789")
    if shallower != architecture:
        same = load_task(task_name, 0, shallower).checkpoint_sha256
        if task.checkpoint_sha256 == same and shallower in plan.models:
            pytest.skip(f"{architecture} is {shallower} on {task_name}, which has as many layers")
    if bulk and engine == by_hand.NAME and task.data.get("batch") is None:
        # Masks of 64 cuts leave the caches: dearer than one after the other, the other baseline.
        pytest.skip("by hand, many cuts at once gain nothing over one after another")
    wide = _is_wide(task)
    if wide and (bulk or variant.get("given")) and engine not in ("hoisted", "analytic"):
        pytest.skip("computation graphs are most of the graph: there is no room for several")
    slow = wide or (name in OPTIMISED and task.data.get("batch") is None)
    if repeat >= (turns := _turns(variant, wide, slow)):
        pytest.skip(f"{name} on {engine} takes its turn in {turns} repeats")
    node = int(task.nodes[repeat % len(task.nodes)])
    count = len(task.nodes) if bulk == "all" else min(bulk or 1, len(task.nodes))
    nodes = task.nodes[:count].tolist() if bulk else [node]
    subject = "saliency" if name == CURVE else name
    alone = engine == by_hand.NAME
    method = explainers.load(
        subject, engine="stock" if alone else engine, **variant.get("given", {})
    )
    if alone and (reason := _not_by_hand(task, name)):
        pytest.skip(f"{name} is not written by hand: {reason}")
    if not method.supports(*task.subject):
        what = "metrics do" if name == CURVE else f"{name} does"
        pytest.skip(f"{what} not support the model with engine {engine}")
    config = run.config(task, 0, method) | {"method": name, "engine": engine}
    config["options"] = config["options"] | variant["options"]
    kept = "returned" in variant["options"]
    if name == CURVE:
        explain = _curve(task, engine, nodes)
    elif alone:
        explain = _by_hand(method, task, nodes, hands, (task_name, architecture))
    else:
        explain = _listed(method, task, nodes) if kept else _last(method, task, nodes)
    # What takes a second or so needs no warm-up.
    long = name in OPTIMISED or (wide and engine != "hoisted")
    rounds = 1 if engine == "stock" or bulk or long else 3
    part = {"repeat": repeat}
    with run.cell("engines", config, task=task, nodes=[node], part=part, count=count) as cell:
        if name != CURVE and not method.fitted(task.model, task.data, task.model_config):
            method.fit(task.model, task.data, model_config=task.model_config)
        peak = None
        if repeat == 0 and engine != "stock":  # an untimed call: on stock, seconds or more
            explain()  # what the first call prepares for the model is not what a node needs
            peak = peak_memory(explain, device)
        result = benchmark.pedantic(
            explain, rounds=rounds, iterations=1, warmup_rounds=int(rounds > 1)
        )
        times = benchmark.stats.stats.data
        cell.add_times(times, repeat=repeat, node=node, nodes=count, peak_bytes=peak)
        if name == CURVE:
            return
        if peak is not None and not alone and not kept:
            itself = peak_memory(lambda: output_of(task), device) or 0
            cell.add_value("over_budget", peak / (method.memory_budget + itself), node=node)
        explanation, rows, edges = result
        if not alone:
            check([explanation], task, nodes[-1:])
        if bulk and engine == "analytic" and not kept:
            over = benchmark.stats.stats.median / least_seconds(task, rows, edges, timer)
            cell.add_value("over_limit", over, node=node)
        if bulk:
            return
        key = (f"{task_name}, {architecture}", name, node)
        if engine == "stock":
            stock[key] = explanation
            return
        if repeat >= _turns({"method": name, "engine": "stock", "options": {}}, wide, slow):
            return
        if key not in stock:  # stock's cell is from before the run was resumed
            (stock[key],) = explainers.load(name, engine="stock").explain(*task.arguments(node))
        if alone and name == "gnn_explainer":
            return  # PyG draws initial masks of its own; the tests give it the same
        error = difference(*map(task.as_one, (explanation, stock[key])))
        cell.add_value("equality_error", error, node=node)


def _not_by_hand(task: Task, name: str) -> str:
    """Why a method's explanation of the task is not among what is done by hand, or ``""``."""
    if task.node_type is None:
        return by_hand.refusal(task.model, task.data, task.model_config)
    if name not in by_hand_hetero.METHODS:
        return "its graph is heterogeneous"
    return by_hand_hetero.refusal(task.model, task.data)


def _size(explanation: Explanation) -> tuple[int, int]:
    """The nodes and edges of a computation graph, of all types."""
    nodes = sum(len(store.n_id) for store in explanation.node_stores)
    return nodes, sum(len(store.e_id) for store in explanation.edge_stores)


def _is_wide(task: Task) -> bool:
    """Whether computation graphs have three hops or more of one graph."""
    return task.layers > 2 and task.data.get("batch") is None


def _turns(variant: dict[str, Any], wide: bool, slow: bool) -> int:
    """In how many of the repeats, the first ones, a variant takes its turn."""
    name = variant["method"]
    costly = name != CURVE and explainers.load(name).costly
    if variant["options"].get("bulk") or costly or (wide and name not in WIDE):
        return FEW_REPEATS
    return STOCK_REPEATS if slow and variant["engine"] == "stock" else max(REPEATS.values())


def _last(method: Method, task: Task, nodes: Sequence[int]) -> Callable[[], Any]:
    """Explains the nodes, one explanation kept at a time."""

    def explain() -> tuple[Explanation | None, int, int]:
        """The last explanation, nodes and edges in all of them."""
        last, rows, edges = None, 0, 0
        for last in method.stream(*task.arguments(nodes)):
            nodes_of_it, edges_of_it = _size(last)
            rows += nodes_of_it
            edges += edges_of_it
        return last, rows, edges

    return explain


def _listed(method: Method, task: Task, nodes: Sequence[int]) -> Callable[[], Any]:
    """Explains the nodes, all explanations kept in a list."""

    def explain() -> tuple[Explanation, int, int]:
        """The last explanation, nodes and edges in all of them."""
        found = method.explain(*task.arguments(nodes))
        rows, edges = (sum(counts) for counts in zip(*map(_size, found), strict=True))
        return found[-1], rows, edges

    return explain


def _by_hand(
    method: Method,
    task: Task,
    nodes: Sequence[int],
    hands: dict[tuple[str, str], Hand],
    key: tuple[str, str],
) -> Callable[[], Any]:
    """Explains the nodes by hand, with the method's own options."""
    if key not in hands and task.node_type is not None:
        hands[key] = by_hand_hetero.HeteroByHand(
            task.model, task.data, task.node_type, hops=task.layers
        )
    elif key not in hands:
        config = prepare(task.model, task.data, task.model_config).config
        hands[key] = by_hand.ByHand(task.model, task.data, config.return_type.value)
    taken = by_hand.OPTIONS.get(method.name, ())
    options = {name: getattr(method, name) for name in taken}

    def explain() -> tuple[Explanation, int, int]:
        """The last explanation, nodes and edges in it."""
        hand = hands[key]
        if len(nodes) > 1 and isinstance(hand, by_hand.ByHand):
            found = hand.explain_together(method.name, nodes, **options)[-1]
        else:
            found = hand.explain(method.name, nodes[0], **options)
        return found, *_size(found)

    return explain


def _curve(task: Task, engine: str, nodes: Sequence[int]) -> Callable[[], Any]:
    """Fidelity at ten budgets under both semantics, of explanations that are there already."""
    explanations = explainers.load("saliency").explain(*task.arguments(nodes))

    def evaluate() -> Any:
        return explainers.metrics.evaluate(
            task.model,
            task.data,
            explanations,
            at=BUDGETS,
            metrics=["fidelity"],
            engine=engine,
            model_config=task.model_config,
        )

    return evaluate
