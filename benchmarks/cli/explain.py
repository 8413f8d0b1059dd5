"""``python -m benchmarks explain``: one node's explanations, as tables and as a picture."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch_geometric.explain import Explanation

    from benchmarks.tasks import Task

METHODS = ("integrated_gradients", "gnn_explainer", "saliency")
# What is left out of a file, so that the same picture has the same bytes.
FORMATS: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
STYLE: Any = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same on every machine
    "svg.hashsalt": "gnn-explainer-bench",
    "text.parse_math": False,
    "savefig.dpi": 150,
}
ROWS = 5  # of each table


def add_parser(commands: Any) -> None:
    """Adds the command ``explain``."""
    parser = commands.add_parser("explain", help="explain one node: tables and a picture")
    parser.add_argument(
        "--task",
        required=True,
        metavar="NAME",
        help="what is explained: a task's name, or path/to/file.py:function",
    )
    parser.add_argument(
        "--node",
        "--graph",
        required=True,
        type=int,
        metavar="N",
        help="number of the node or, where graphs are classified, of the graph",
    )
    parser.add_argument(
        "--method",
        action="extend",
        nargs="+",
        metavar="NAME",
        help=f"methods to compare, repeatable (default: {' '.join(METHODS)})",
    )
    parser.add_argument(
        "--edges", type=int, default=20, metavar="N", help="draw the N strongest (default: 20)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the picture, PNG, SVG or PDF by its ending (default: TASK-NODE.png)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="of methods that draw at random"
    )
    parser.add_argument(
        "--model-seed", type=int, default=0, metavar="S", help="of the model's training"
    )
    parser.add_argument(
        "--model",
        default="gcn",
        metavar="KIND",
        help="of the layers: gcn, sage, gin or gat (default: gcn)",
    )
    parser.add_argument(
        "--data-root",
        type=Path,
        metavar="DIR",
        help="folder with raw files, only read (default: $GNN_BENCH_DATA, else data)",
    )
    parser.set_defaults(command=explain)


def explain(options: argparse.Namespace) -> int:
    """Explains the node with each method, prints what matters most and draws it.

    Raises:
        ValueError: An option is invalid; said before any work.
    """
    names = list(dict.fromkeys(options.method or METHODS))
    out: Path = options.out or Path("picture.png")
    if out.suffix.lower() not in FORMATS:
        raise ValueError(f"--out {out}: the ending must be one of {', '.join(FORMATS)}; rename it")
    if not out.parent.is_dir():
        raise ValueError(f"--out {out}: there is no folder {out.parent}; create it first")
    if options.edges < 1:
        raise ValueError(f"--edges {options.edges}: must be at least 1")

    import benchmarks.tasks
    import explainers

    methods = {name: explainers.load(name) for name in names}
    for name, method in methods.items():
        if "seed" in method.options:
            methods[name] = explainers.load(name, seed=options.seed)
    name = benchmarks.tasks.resolve(options.task)
    out = options.out or Path(f"{name.replace(':', '-')}-{options.node}.png")
    try:
        task = benchmarks.tasks.load(
            name, options.data_root, seed=options.model_seed, model=options.model
        )
    except benchmarks.tasks.Unavailable as error:
        raise ValueError(f"--task {name} is unavailable: {error}") from error
    explanations = {}
    for name, method in tqdm(methods.items(), desc="explaining", disable=None, leave=False):
        if not method.supports(task.model, task.data, task.model_config):
            raise ValueError(f"--method {name}: does not support the model of {task.name}")
        (explanations[name],) = method.explain(*task.arguments(options.node))

    notes = {name: _fidelity(task, found, options.edges) for name, found in explanations.items()}
    title = "\n".join(_subject(task, options.node, next(iter(explanations.values()))))
    labels = _labels(task)
    _save(task, explanations, options.edges, labels, notes, title, out)
    print(title)
    for name, explanation in explanations.items():
        print(f"\n{name}, engine {methods[name].engine}")
        drawn = str(explainers.drawing.shown(explanation, options.edges))
        features = "features" in methods[name].granularity
        found = _tables(explanation, labels, task.feature_names if features else None)
        for line in filter(None, [drawn, notes[name], *found]):
            print(f"  {line}")
    print(f"\npicture: {out}")
    return 0


def _subject(task: Task, node: int, explanation: Explanation) -> Iterator[str]:
    """What is explained, in two lines."""
    from explainers.prepare import prepare
    from explainers.prepare.outputs import is_multiclass, is_regression, to_probabilities

    prepared = prepare(task.model, task.data, task.model_config)
    yield f"{task.name}, {prepared.task_level} {node}: {task.description}"
    values = to_probabilities(explanation.prediction[None], prepared.config)[0]
    target = int(explanation.target)
    label, value = task.data.y[node], float(values[target])
    if not is_multiclass(prepared.config):
        label = label.view(-1)[target]
    if is_regression(prepared.config):
        which = f" in column {target} of {len(values)}" if len(values) > 1 else ""
        found = f"predicted {value:.4g}{which}, labelled {float(label):.4g}"
    elif is_multiclass(prepared.config):
        found = f"predicted class {target} with probability {value:.2f}, labelled {int(label)}"
    else:
        which = f"label {target} of {len(values)}: " if len(values) > 1 else ""
        said = "yes" if value > 0.5 else "no"
        known = "yes" if int(label) else "no"
        found = f"{which}predicted {said}, probability of yes {value:.2f}, labelled {known}"
    name, _, size = task.performance.partition(" ")
    if size.endswith("%"):
        size = f"{100 * task.accuracy:.1f} %"
    yield f"{found}; {name} of the model {size}"


def _fidelity(task: Task, explanation: Explanation, edges: int) -> str:
    """The fidelity of the edges that are drawn."""
    from explainers import drawing, metrics

    count = len(drawing.shown(explanation, edges).edges)
    if not count:
        return ""
    rows = metrics.evaluate(
        task.model,
        task.data,
        [explanation],
        at=[f"k={count}"],
        semantics=["mask"],
        selections=["absolute"],  # as the edges that are drawn
        metrics=["fidelity"],
        model_config=task.model_config,
    )
    value = {row["metric"]: row["value"] for row in rows}
    unit = "probability"
    if task.mode == "regression":
        # One node has no deviation; see `explainers.metrics.evaluate`.
        level = "graphs" if "batch" in task.data else "nodes"
        unit = f"change of the output, in its standard deviations over all {level}"
    return (
        f"fidelity+ = {value['fidelity+_prob']:.3f}, fidelity- = {value['fidelity-_prob']:.3f} "
        f"({unit}, masked)"
    )


def _labels(task: Task) -> list[str]:
    """The nodes' numbers; of those with one feature each, such as atoms, its name before them."""
    used = task.data.x != 0
    if not task.feature_names or not bool((used.sum(dim=1) == 1).all()):
        return [str(node) for node in range(len(used))]
    kinds = used.int().argmax(dim=1).tolist()
    return [f"{task.feature_names[kind]}{node}" for node, kind in enumerate(kinds)]


def _tables(
    explanation: Explanation, labels: Sequence[str], features: Sequence[str] | None
) -> Iterator[str]:
    """The strongest edges, nodes and, if the method scores them, features, side by side.

    Args:
        explanation: What is shown.
        labels: Of the graph's nodes.
        features: Their names, empty for numbers; None for a method that scores nodes whole.
    """
    ids = [labels[node] for node in explanation.n_id.tolist()]
    ends = explanation.edge_index.t().tolist()
    mask = explanation.node_mask
    columns = [
        _column(
            "edge",
            explanation.edge_mask.tolist(),
            [f"{ids[u]} -> {ids[v]}" for u, v in ends],
        ),
        _column("node", mask.sum(dim=1).tolist(), ids),
    ]
    if features is not None:
        names = features or [str(i) for i in range(mask.size(1))]
        columns.append(_column("feature", mask.sum(dim=0).tolist(), names))
    widths = [max(map(len, column)) for column in columns]
    for cells in zip(*columns, strict=True):
        line = "   ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        yield line.rstrip()


def _column(title: str, scores: Sequence[float], names: Sequence[str]) -> list[str]:
    """A heading and ``ROWS`` lines, filled up with empty ones."""
    order = sorted(range(len(scores)), key=lambda i: -abs(scores[i]))
    top = [i for i in order if scores[i]][:ROWS]
    width = max([len(title), *(len(names[i]) for i in top)])
    lines = [f"{title:{width}}     score"]
    lines += [f"{names[i]:{width}}  {scores[i]:+8.4f}" for i in top]
    return lines + [""] * (1 + ROWS - len(lines))


def _save(
    task: Task,
    explanations: dict[str, Explanation],
    edges: int,
    labels: Sequence[str],
    notes: dict[str, str],
    title: str,
    out: Path,
) -> None:
    import matplotlib as mpl

    from explainers import drawing

    with mpl.rc_context():
        mpl.rcdefaults()  # a reader's settings must not change a picture
        mpl.rcParams.update(STYLE)
        figure: Figure = drawing.compare(
            explanations, task.data, edges=edges, labels=labels, notes=notes, title=title
        )
        ending = out.suffix.lower()
        figure.savefig(out, format=ending[1:], metadata=FORMATS[ending])
