"""``python -m benchmarks``: what there is to measure, and reports drawn again from their cells."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import explain


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status (2 for input that cannot be)."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def report(options: argparse.Namespace) -> int:
    """Draws the tables, figures and pages of a results folder again. Needs no torch."""
    folder: Path = options.folder
    if not (folder / "cells").is_dir():
        raise ValueError(
            f"{folder}: no results folder, it has no cells/; name one that a run has written"
        )
    import benchmarks.report

    benchmarks.report.write(folder)
    print(folder / "report.html")
    return 0


def tasks(options: argparse.Namespace) -> int:
    """Lists the tasks."""
    import benchmarks.tasks as package

    definitions = {name: package.definition(name) for name in package.available()}
    return _print(
        {name: {"description": task.description} for name, task in definitions.items()},
        as_json=options.json,
    )


def methods(options: argparse.Namespace) -> int:
    """Lists the methods."""
    import explainers

    entries = {name: explainers.load(name).describe() for name in explainers.available()}
    return _print(entries, as_json=options.json)


def _print(entries: dict[str, dict[str, Any]], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps([{"name": name, **entry} for name, entry in entries.items()]))
        return 0
    width = max(map(len, entries), default=0)
    for name, entry in entries.items():
        print(f"{name:{width}}  {entry['description']}".rstrip())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gnn-explainer-bench",
        description="Benchmarks of explanations of graph neural networks. To run them: "
        "pytest benchmarks/ --benchmark-only",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    drawing = commands.add_parser("report", help="draw the report of a results folder again")
    drawing.add_argument("folder", type=Path, metavar="DIR", help="the results folder of a run")
    drawing.set_defaults(command=report)
    explain.add_parser(commands)
    for name, command in (("tasks", tasks), ("methods", methods)):
        listing = commands.add_parser(name, help=f"list the {name}")
        listing.add_argument("--json", action="store_true", help="for programs")
        listing.set_defaults(command=command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
