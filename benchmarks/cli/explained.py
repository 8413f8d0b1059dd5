"""What ``explain`` tells of one node, as plain data; and the lines in which it tells it."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch_geometric.explain import Explanation

    from benchmarks.tasks import Task
    from explainers.methods import Method

SCHEMA = 1  # of the JSON; rises when an entry changes its meaning
ROWS = 5  # of each table
Record = dict[str, Any]


def subject(task: Task, number: int, explanation: Explanation) -> Record:
    """What is explained: the task, the node or graph, and what the model predicts of it."""
    from explainers.prepare import prepare
    from explainers.prepare.outputs import is_multiclass, is_regression, to_probabilities

    prepared = prepare(task.model, task.data, task.model_config)
    output, target = explanation.prediction, int(explanation.target)
    classes, real = is_multiclass(prepared.config), is_regression(prepared.config)
    label = task.data.y[number]
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
        "mode": task.mode,
        "class_names": list(task.class_names) or None,
        "output": output.tolist(),
        "probabilities": None if real else values,
        "target": target,
        "label": float(label) if real else int(label),
    }


def headline(found: Record) -> list[str]:
    """What is explained, in two lines."""
    level = next(kind for kind in ("graph", "edge", "node") if kind in found)
    names, target, label = found["class_names"], found["target"], found["label"]
    columns = len(found["output"])
    column = f"{target} of {columns}" + (f" ({names[target]})" if names and columns > 1 else "")
    value = (found["probabilities"] or found["output"])[target]
    if found["mode"] == "multiclass_classification":
        said = (
            f"predicted class {named(target, names)} with probability {value:.2f}, labelled "
            f"{named(label, names)}"
        )
    elif found["mode"] == "regression":
        which = f" in column {column}" if columns > 1 else ""
        said = f"predicted {value:.4g}{which}, labelled {label:.4g}"
    else:
        no, yes = names if names and columns == 1 else ("no", "yes")
        which = f"label {column}: " if columns > 1 else ""
        said = (
            f"{which}predicted {yes if value > 0.5 else no}, probability of {yes} {value:.2f}, "
            f"labelled {yes if label else no}"
        )
    kind, share = found["performance"]["kind"], found["performance"]["value"]
    size = "undefined" if share is None else f"{share:.3f}" if kind == "R²" else f"{share:.1%}"
    return [
        f"{found['task']}, {'link' if level == 'edge' else level} {found[level]}: "
        f"{found['description']}",
        f"{said}; {kind} of the model {size.replace('%', ' %')}",
    ]


def named(kind: int, names: Sequence[str] | None) -> str:
    """The number of a class and, if it has one, its name."""
    return f"{kind} ({names[kind]})" if names else str(kind)


def node_names(task: Task) -> list[str]:
    """The nodes' numbers, in their own graph where there are several.

    Of nodes with one feature each, such as atoms, its name stands before them.

    Raises:
        ValueError: The data are heterogeneous.
    """
    if task.node_type is not None:
        raise ValueError(
            f"--task {task.name}: heterogeneous graphs are not drawn or listed here; call "
            "explain(...) of the library, see docs/heterogeneous.md"
        )
    used = task.data.x != 0
    graphs = task.data.batch.tolist() if "batch" in task.data else [0] * len(used)
    counts: defaultdict[int, Iterator[int]] = defaultdict(itertools.count)
    numbers = [str(next(counts[graph])) for graph in graphs]
    if not task.feature_names or not bool((used.sum(dim=1) == 1).all()):
        return numbers
    kinds = used.int().argmax(dim=1).tolist()
    return [f"{task.feature_names[kind]}{n}" for kind, n in zip(kinds, numbers, strict=True)]


def explained(
    task: Task, method: Method, explanation: Explanation, edges: int, labels: Sequence[str]
) -> Record:
    """What a method finds: every score, what is drawn, and how well that explains.

    Args:
        task: What is explained.
        method: By which.
        explanation: Its.
        edges: How many edges are drawn at most.
        labels: Of the graph's nodes.
    """
    from explainers import drawing
    from explainers.drawing.select import right_edges

    part = drawing.shown(explanation, edges)
    drawn = set(part.edges)
    right = right_edges(explanation, task.ground_truth)
    ids = explanation.n_id.tolist()
    ends = [[ids[end] for end in pair] for pair in explanation.edge_index.t().tolist()]
    kinds = _classes(task, ids)
    mask = explanation.node_mask
    features = None
    if "features" in method.granularity:
        names = task.feature_names or [str(i) for i in range(mask.size(1))]
        scores = mask.sum(dim=0).tolist()
        features = [
            {"feature": i, "name": name, "score": score}
            for i, (name, score) in enumerate(zip(names, scores, strict=True))
        ]
    truth = None
    if task.ground_truth is not None:
        truth = {"edges": sum(right), "drawn": sum(right[edge] for edge in drawn)}
        truth["alternatives"] = _alternatives(task, explanation)
    return {
        "method": method.name,
        "engine": method.engine,
        "options": method.options,
        "drawn": {"edges": len(drawn), "of": part.total, "selection": "absolute"}
        | {"share_of_absolute_scores": part.share},
        "fidelity": _fidelity(task, explanation, part.edges),
        "ground_truth": truth,
        "edges": [
            {"source": u, "target": v, "names": [labels[u], labels[v]], "score": score}
            | {"drawn": i in drawn}
            | ({} if truth is None else {"ground_truth": right[i]})
            for i, ((u, v), score) in enumerate(
                zip(ends, explanation.edge_mask.tolist(), strict=True)
            )
        ],
        "nodes": [
            {"node": node, "name": labels[node], "score": score}
            | ({} if kinds is None else {"class": kinds[i]})
            for i, (node, score) in enumerate(zip(ids, mask.sum(dim=1).tolist(), strict=True))
        ],
        "features": features,
    }


def _classes(task: Task, nodes: Sequence[int]) -> list[int] | None:
    """The nodes' labels, where these are classes; None where graphs or links have them."""
    if task.level != "node" or task.mode != "multiclass_classification":
        return None
    return task.data.y[nodes].tolist()


def _alternatives(task: Task, explanation: Explanation) -> int:
    """How many ground truths there are of this node or graph; their union is marked."""
    if task.alternatives is None:
        return 1
    return int(task.alternatives.cpu()[:, explanation.e_id.cpu()].any(dim=1).sum())


def _fidelity(task: Task, explanation: Explanation, drawn: Sequence[int]) -> Record | None:
    """The fidelity of the very edges that are drawn; None if there are none.

    Beside it that of as many edges by signed score, which the reports have. If the computation
    graph has no other edges, both are the same for every method, and are not told.
    """
    from explainers import metrics

    total = explanation.edge_mask.numel()
    if not drawn:
        return None
    # One node has no deviation; see `explainers.metrics.evaluate`.
    level = f"{task.unit}s"
    found: Record = {
        "semantics": "mask",
        "unit": f"change of the output, in its standard deviations over all {level}"
        if task.mode == "regression"
        else "probability",
        "trivial": len(drawn) == total,
        "drawn": None,
        "by_signed_score": None,
    }
    if found["trivial"]:
        return found
    # Equal scores at the cut would be averaged over; these are the edges of this picture.
    selected = explanation.clone()
    selected.edge_mask = explanation.edge_mask.new_zeros(total)
    selected.edge_mask[list(drawn)] = 1
    rows = metrics.evaluate(
        task.model,
        task.data,
        [selected, explanation],
        at=[f"k={len(drawn)}"],
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


def notes(found: Record) -> list[str]:
    """How well the drawn edges explain, below the picture: a line or two."""
    lines = []
    fidelity, truth = found["fidelity"], found["ground_truth"]
    if fidelity is not None and fidelity["trivial"]:
        lines.append("with all edges drawn, fidelity is the same for every method")
    elif fidelity is not None:
        lines.append(f"{_both(fidelity['drawn'])} ({fidelity['unit']}, masked)")
    if truth is not None:
        union = f" (union of {truth['alternatives']})" if truth["alternatives"] > 1 else ""
        lines.append(f"{truth['drawn']} of {truth['edges']} ground-truth edges{union} drawn")
    return lines


def lines(found: Record, drawn: str, class_names: Sequence[str] | None) -> Iterator[str]:
    """All that is printed of a method.

    Args:
        found: See :func:`explained`.
        drawn: What is drawn, in words.
        class_names: Of the classes.
    """
    yield drawn
    yield from notes(found)
    fidelity = found["fidelity"]
    if fidelity is not None and fidelity["by_signed_score"] != fidelity["drawn"]:
        count = found["drawn"]["edges"]
        yield (
            f"the {count} edges with the highest signed scores, as reports select: "
            f"{_both(fidelity['by_signed_score'])}"
        )
    yield from _tables(found, class_names)


def _both(values: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} = {_short(value)}" for name, value in values.items())


def _short(value: float | None) -> str:
    """Three decimals; of what is smaller two digits, unless it is rounding of single precision."""
    if value is None:
        return "undefined"
    if abs(value) < 1e-6:
        return "0.000"
    return f"{value:.3f}" if abs(value) >= 5e-4 else f"{value:.1e}"


def _tables(found: Record, class_names: Sequence[str] | None) -> Iterator[str]:
    """The strongest edges, nodes and, if the method scores them, features, side by side."""
    edges, nodes = _strongest(found["edges"]), _strongest(found["nodes"])
    marked = [edge.get("ground_truth", False) for edge in edges]
    columns = [
        _column(
            "edge",
            [edge["score"] for edge in edges],
            [
                " -> ".join(edge["names"]) + (" *" if mark else "")
                for edge, mark in zip(edges, marked, strict=True)
            ],
        ),
        _column(
            "node",
            [node["score"] for node in nodes],
            [
                f"{node['name']} ({class_names[node['class']]})"
                if class_names and "class" in node
                else node["name"]
                for node in nodes
            ],
        ),
    ]
    if found["features"] is not None:
        features = _strongest(found["features"])
        columns.append(
            _column(
                "feature",
                [feature["score"] for feature in features],
                [feature["name"] for feature in features],
            )
        )
    widths = [max(map(len, column)) for column in columns]
    for cells in zip(*columns, strict=True):
        line = "   ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        yield line.rstrip()
    if any(marked):
        yield "* ground truth"


def _strongest(rows: Sequence[Record]) -> list[Record]:
    """Those with the largest absolute scores, ``ROWS`` at most; none with 0."""
    return sorted((row for row in rows if row["score"]), key=lambda row: -abs(row["score"]))[:ROWS]


def _column(title: str, scores: Sequence[float], names: Sequence[str]) -> list[str]:
    """A heading and ``ROWS`` lines, filled up with empty ones."""
    unit, numbers = scaled(scores)
    heading = f"score {unit}".rstrip()
    width = max([len(title), *map(len, names)])
    right = max([len(heading), *map(len, numbers)])
    rows = [(title, heading), *zip(names, numbers, strict=True)]
    lines = [f"{name:{width}}  {number:>{right}}" for name, number in rows]
    return lines + [""] * (1 + ROWS - len(lines))


def scaled(scores: Sequence[float]) -> tuple[str, list[str]]:
    """The scores with four decimals in a unit that all share, such as ``x1e-6``; and that unit.

    Where four decimals would make a score 0 that is not, all have three significant digits.
    """
    largest = max(map(abs, scores), default=0.0)
    exponent = math.floor(math.log10(largest)) if largest else 0
    if -2 <= exponent < 4:
        exponent = 0
    unit = float(f"1e{max(exponent, -300)}")
    texts = [f"{score / unit:+.4f}" for score in scores]
    if any(score and not float(text) for score, text in zip(scores, texts, strict=True)):
        return "", [f"{score:+.2e}" for score in scores]
    return f"(x1e{exponent})" if exponent else "", texts


def _finite(value: float) -> float | None:
    """None for what JSON has no word for."""
    return value if math.isfinite(value) else None
