"""``python -m benchmarks``: what there is to measure, and reports drawn again from their cells."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cli import compare, explain, listing, pack

# What a shell shows for a program that SIGPIPE has ended; 1 is taken, it is `compare`'s verdict.
READER_GONE = 128 + 13


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status (2 for input that cannot be).

    If the reader of the output has gone, as ``head`` does, the command ends without a word.
    """
    try:
        try:
            return _run(arguments)
        finally:
            print(end="", flush=True)  # here, and not by the interpreter at its end
    except BrokenPipeError:
        # The interpreter flushes once more; what is left has to go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE


def _run(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def report(options: argparse.Namespace) -> int:
    """Draws the tables, figures and pages of a results folder again. Needs no torch."""
    from benchmarks.store.archive import has_cells

    folder: Path = options.folder
    if not has_cells(folder):
        raise ValueError(
            f"{folder}: no results folder, it has no cells/; name one that a run has written"
        )
    import benchmarks.report

    formats = benchmarks.report.FORMATS if options.format == "all" else (options.format,)
    for path in benchmarks.report.write(folder, formats):
        print(path)
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
    drawing.add_argument(
        "--format",
        choices=("html", "md", "latex", "all"),
        default="all",
        help="which pages to write (default: all)",
    )
    drawing.set_defaults(command=report)
    compare.add_parser(commands)
    explain.add_parser(commands)
    pack.add_parser(commands)
    listing.add_parsers(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
