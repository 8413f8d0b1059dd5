"""``python -m benchmarks tasks`` and ``methods``: what there is, a line each or as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> None:
    """Adds the commands ``tasks`` and ``methods``."""
    for name, command in (("tasks", tasks), ("methods", methods)):
        parser = commands.add_parser(name, help=f"list the {name}")
        parser.add_argument("--json", action="store_true", help="for programs")
        parser.set_defaults(command=command)
        if command is tasks:
            parser.add_argument(
                "--data-root",
                type=Path,
                metavar="DIR",
                help="folder with raw files (default: $GNN_BENCH_DATA, else data)",
            )


def tasks(options: argparse.Namespace) -> int:
    """Lists the tasks and whether their data are here; nothing is read or downloaded."""
    import benchmarks.tasks as package

    entries = {}
    for name in package.available():
        task = package.definition(name)
        entries[name] = {
            "title": task.title,
            "description": task.description,
            "data": package.whereabouts(task.sources, options.data_root),
            "files": [path for source in task.sources for path in source.paths],
            "stand_in": task.stand_in,
        }
    return _print(entries, ("data", "description"), as_json=options.json)


def methods(options: argparse.Namespace) -> int:
    """Lists the methods."""
    import explainers

    entries = {name: explainers.load(name).describe() for name in explainers.available()}
    return _print(entries, ("description",), as_json=options.json)


def _print(
    entries: Mapping[str, Mapping[str, Any]], columns: tuple[str, ...], *, as_json: bool
) -> int:
    if as_json:
        print(json.dumps([{"name": name, **entry} for name, entry in entries.items()]))
        return 0
    rows = [[name, *(str(entry[key]) for key in columns)] for name, entry in entries.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{text:{width}}" for text, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    return 0
