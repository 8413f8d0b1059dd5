"""What ``explain`` tells of one node, as plain data."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch_geometric.explain import Explanation, HeteroExplanation

    from benchmarks.tasks import Task
    from explainers.drawing import Shown
    from explainers.methods import Method

SCHEMA = 1  # of the JSON; rises when an entry changes its meaning
Record = dict[str, Any]
Labels = list[str] | dict[str, list[str]]  # by node type, where there are several


def subject(task: Task, number: int, explanation: Explanation | HeteroExplanation) -> Record:
    """What is explained: the task, the node or graph, and what the model predicts of it."""
    from explainers.prepare import prepare
    from explainers.prepare.outputs import is_multiclass, is_regression, to_probabilities

    prepared = prepare(task.model, task.data, task.model_config, node_type=task.node_type)
    output, target = explanation.prediction, int(explanation.target)
    classes, real = is_multiclass(prepared.config), is_regression(prepared.config)
    label = task.labels[number]
    if not classes:
        label = label.view(-1)[target]
    values = to_probabilities(output[None], prepared.config)[0].tolist()
    return {
        "task": task.name,
        "description": task.description,
        "provenance": task.provenance,
        "dataset_sha256": task.dataset_sha256,
        "model": task.architecture,
        "checkpoint_sha256": task.checkpoint_sha256,
        "performance": {"kind": task.accuracy_kind, "value": _finite(task.accuracy)},
        prepared.task_level: number,
        **({} if task.node_type is None else {"node_type": task.node_type}),
        "mode": task.mode,
        "class_names": list(task.class_names) or None,
        "output": output.tolist(),
        "probabilities": None if real else values,
        "target": target,
        "label": float(label) if real else int(label),
    }


def node_names(task: Task) -> Labels:
    """The nodes' numbers, in their own graph or type where there are several.

    Of nodes with one feature each, such as atoms, its name stands before them.
    """
    if task.node_type is not None:
        data: Any = task.data
        return {name: [*map(str, range(data[name].num_nodes))] for name in data.node_types}
    used = task.data.x != 0
    graphs = task.data.batch.tolist() if "batch" in task.data else [0] * len(used)
    counts: defaultdict[int, Iterator[int]] = defaultdict(itertools.count)
    numbers = [str(next(counts[graph])) for graph in graphs]
    if not task.feature_names or not bool((used.sum(dim=1) == 1).all()):
        return numbers
    kinds = used.int().argmax(dim=1).tolist()
    return [f"{task.feature_names[kind]}{n}" for kind, n in zip(kinds, numbers, strict=True)]


def explained(
    task: Task,
    method: Method,
    explanation: Explanation | HeteroExplanation,
    edges: int,
    labels: Labels,
) -> Record:
    """What a method finds: every score, what is drawn, and how well that explains.

    Of a heterogeneous graph nodes, edges and features have a ``type``, and their numbers are those
    in it.

    Args:
        task: What is explained.
        method: By which.
        explanation: Its.
        edges: How many edges are drawn at most.
        labels: Of the graph's nodes.
    """
    from explainers import drawing
    from explainers.drawing.select import right_edges

    one = task.as_one(explanation)
    part = drawing.shown(one, edges)
    found, truth = _edges(explanation, labels), None
    if task.ground_truth is not None:
        right = right_edges(one, task.ground_truth)
        truth = {"edges": sum(right), "drawn": sum(right[edge] for edge in part.edges)}
        truth["alternatives"] = _alternatives(task, one)
    drawn = set(part.edges)
    for edge, row in enumerate(found):
        row["drawn"] = edge in drawn
        if truth is not None:
            row["ground_truth"] = right[edge]
    return {
        "method": method.name,
        "engine": method.engine,
        "options": method.options,
        "drawn": {"edges": len(part.edges), "of": part.total, "selection": "absolute"}
        | {"share_of_absolute_scores": part.share}
        | ({} if task.node_type is None else {"by_type": _drawn_by_type(found)}),
        "fidelity": _fidelity(task, explanation, part),
        "ground_truth": truth,
        "edges": found,
        "nodes": _nodes(task, explanation, labels),
        "features": _features(task, explanation) if "features" in method.granularity else None,
    }


def _node_stores(explanation: Any) -> list[tuple[Any, Any]]:
    """Where the nodes' scores are, by type; None is the only one of a homogeneous graph."""
    if "node_type" not in explanation:
        return [(None, explanation)]
    return [(name, explanation[name]) for name in explanation.node_types]


def _edge_stores(explanation: Any) -> list[tuple[Any, Any]]:
    """Likewise of edges, in the order in which ``Task.as_one`` numbers them through."""
    if "node_type" not in explanation:
        return [(None, explanation)]
    return [(name, explanation[name]) for name in explanation.edge_types]


def _named(node: int, kind: str | None, labels: Labels) -> str:
    """A node in words: ``12``, or with its type ``paper 12``."""
    return labels[node] if isinstance(labels, list) else f"{kind} {labels[str(kind)][node]}"


def _edges(explanation: Any, labels: Labels) -> list[Record]:
    """Every edge's ends and score."""
    ids = {kind: store.n_id.tolist() for kind, store in _node_stores(explanation)}
    found: list[Record] = []
    for kind, store in _edge_stores(explanation):
        first, _, last = kind or (None, None, None)
        typed = {"type": list(kind)} if kind else {}
        ends = store.edge_index.t().tolist()
        for (u, v), score in zip(ends, store.edge_mask.tolist(), strict=True):
            source, target = ids[first][u], ids[last][v]
            names = [_named(source, first, labels), _named(target, last, labels)]
            row = {"source": source, "target": target, "names": names, "score": score}
            found.append(typed | row)
    return found


def _nodes(task: Task, explanation: Any, labels: Labels) -> list[Record]:
    """Every node's score, and its class where nodes have one: of types, the explained one's."""
    classes = task.level == "node" and task.mode == "multiclass_classification"
    found: list[Record] = []
    for kind, store in _node_stores(explanation):
        typed = {"type": kind} if kind else {}
        scores = store.node_mask.sum(dim=1).tolist()
        for node, score in zip(store.n_id.tolist(), scores, strict=True):
            row = {"node": node, "name": _named(node, kind, labels), "score": score}
            own = {"class": int(task.labels[node])} if classes and kind == task.node_type else {}
            found.append(typed | row | own)
    return found


def _features(task: Task, explanation: Any) -> list[Record]:
    """Every feature's score, summed over the nodes; each type of nodes has its own features."""
    found: list[Record] = []
    for kind, store in _node_stores(explanation):
        typed, before = ({"type": kind}, f"{kind} ") if kind else ({}, "")
        scores = store.node_mask.sum(dim=0).tolist()
        names = task.feature_names or [str(i) for i in range(len(scores))]
        for i, (name, score) in enumerate(zip(names, scores, strict=True)):
            found.append(typed | {"feature": i, "name": before + name, "score": score})
    return found


def _drawn_by_type(edges: Sequence[Record]) -> list[Record]:
    """Of each edge type how many edges are drawn, and the share of all absolute scores it has."""
    total = sum(abs(edge["score"]) for edge in edges) or 1.0
    groups: defaultdict[tuple[str, ...], list[Record]] = defaultdict(list)
    for edge in edges:
        groups[tuple(edge["type"])].append(edge)
    return [
        {"type": list(kind), "edges": sum(edge["drawn"] for edge in rows), "of": len(rows)}
        | {"share_of_absolute_scores": sum(abs(edge["score"]) for edge in rows) / total}
        for kind, rows in groups.items()
    ]


def _alternatives(task: Task, explanation: Explanation) -> int:
    """How many ground truths there are of this node or graph; their union is marked."""
    if task.alternatives is None:
        return 1
    return int(task.alternatives.cpu()[:, explanation.e_id.cpu()].any(dim=1).sum())


def _fidelity(task: Task, explanation: Any, part: Shown) -> Record | None:
    """The fidelity of the very edges that are drawn; None if there are none.

    Beside it that of as many edges by signed score, which the reports have. If the computation
    graph has no other edges, both are the same for every method, and are not told.
    """
    from explainers import metrics

    if not part.edges:
        return None
    # One node has no deviation; see `explainers.metrics.evaluate`.
    level = f"{task.unit}s"
    found: Record = {
        "semantics": "mask",
        "unit": f"change of the output, in its standard deviations over all {level}"
        if task.mode == "regression"
        else "probability",
        "trivial": len(part.edges) == part.total,
        "drawn": None,
        "by_signed_score": None,
    }
    if found["trivial"]:
        return found
    # Equal scores at the cut would be averaged over; these are the edges of this picture.
    selected, start = explanation.clone(), 0
    for _, store in _edge_stores(selected):
        count = store.edge_mask.numel()
        store.edge_mask = store.edge_mask.new_zeros(count)
        own = [edge - start for edge in part.edges if start <= edge < start + count]
        store.edge_mask[own] = 1
        start += count
    rows = metrics.evaluate(
        task.model,
        task.data,
        [selected, explanation],
        at=[f"k={len(part.edges)}"],
        semantics=["mask"],
        selections=["signed"],
        metrics=["fidelity"],
        model_config=task.model_config,
    )
    values: list[Record] = [{}, {}]
    first = len(rows) // 2
    for place, row in enumerate(rows):
        if row["metric"].endswith("_prob"):
            name = row["metric"].removesuffix("_prob")
            values[place >= first][name] = _finite(row["value"])
    return found | {"drawn": values[0], "by_signed_score": values[1]}


def _finite(value: float) -> float | None:
    """None for what JSON has no word for."""
    return value if math.isfinite(value) else None
