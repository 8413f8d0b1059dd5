"""``python -m benchmarks explain``: one node's explanations, as tables and as a picture."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from benchmarks.cli import explained, explained_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch_geometric.explain import Explanation, HeteroExplanation

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
    "savefig.dpi": 120,
}
STDOUT = Path("-")


def add_parser(commands: Any) -> None:
    """Adds the command ``explain``."""
    # long: an option each.
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
        "--link",
        required=True,
        type=int,
        metavar="N",
        help="number of the node, of the graph or, where links are predicted, of the link",
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
        "--json",
        type=Path,
        nargs="?",
        const=STDOUT,
        metavar="FILE",
        help="write every score, and all else that is told, as JSON; without FILE to the standard "
        "output, in place of the tables",
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
        help="of the layers: gcn, sage, gin or gat; gcn3, sage3 or gin3 for three (default: gcn)",
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
    _check(options)

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
        if refusal := task.refusal(method):
            raise ValueError(f"--method {name}: {refusal}")
        (explanations[name],) = method.explain(*task.arguments(options.node))

    labels = explained.node_names(task)
    record = explained.subject(task, options.node, next(iter(explanations.values())))
    found = {
        name: explained.explained(task, methods[name], explanation, options.edges, labels)
        for name, explanation in explanations.items()
    }
    title = "\n".join(explained_text.headline(record))
    notes = {name: "\n".join(explained_text.notes(one)) for name, one in found.items()}
    _save(task, explanations, options.edges, labels, notes, title, out)
    if options.json is not None:
        _write(_whole(options, record, found, out), options.json)
    if options.json == STDOUT:
        return 0
    print(title)
    for name, one in found.items():
        print(f"\n{name}, engine {one['engine']}")
        drawn = str(explainers.drawing.shown(task.as_one(explanations[name]), options.edges))
        for line in explained_text.lines(one, drawn, record["class_names"]):
            print(f"  {line}")
    print(f"\npicture: {out}")
    if options.json is not None:
        print(f"JSON: {options.json}")
    return 0


def _check(options: argparse.Namespace) -> None:
    """Raises ValueError if files cannot be written, or there is nothing to draw."""
    if options.out is not None and options.out.suffix.lower() not in FORMATS:
        raise ValueError(
            f"--out {options.out}: the ending must be one of {', '.join(FORMATS)}; rename it"
        )
    for flag, path in (("--out", options.out), ("--json", options.json)):
        if path not in (None, STDOUT) and not path.parent.is_dir():
            raise ValueError(f"{flag} {path}: there is no folder {path.parent}; create it first")
        if path is not None and path != STDOUT and path.is_dir():
            raise ValueError(f"{flag} {path}: is a folder; name a file in it")
        if path not in (None, STDOUT) and not os.access(path.parent, os.W_OK):
            raise ValueError(f"{flag} {path}: its folder cannot be written; name another")
    if options.edges < 1:
        raise ValueError(f"--edges {options.edges}: must be at least 1")
    for flag, seed in (("--seed", options.seed), ("--model-seed", options.model_seed)):
        if not 0 <= seed < 2**63:
            raise ValueError(f"{flag} {seed}: must be from 0 to 2^63 - 1")


def _whole(
    options: argparse.Namespace, subject: dict[str, Any], found: Mapping[str, Any], out: Path
) -> dict[str, Any]:
    """All that is told, for programs."""
    from benchmarks.harness import environment

    return {
        "schema": explained.SCHEMA,
        **subject,
        "model_seed": options.model_seed,
        "methods": list(found.values()),
        "picture": str(out),
        "versions": environment.versions(),
    }


def _write(record: dict[str, Any], place: Path) -> None:
    """Strict JSON, to a file or, as ``-``, to the standard output."""
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, indent=1)
    if place == STDOUT:
        print(text)
    else:
        place.write_text(text + "\n", encoding="utf-8")


def _save(
    task: Task,
    explanations: dict[str, Explanation | HeteroExplanation],
    edges: int,
    labels: explained.Labels,
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
            explanations,
            task.data,
            edges=edges,
            labels=labels,
            class_names=task.class_names,
            truth=task.truth,
            notes=notes,
            title=title,
        )
        ending = out.suffix.lower()
        figure.savefig(out, format=ending[1:], metadata=FORMATS[ending])
