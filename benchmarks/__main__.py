"""``python -m benchmarks``: the commands besides the runs, which pytest starts."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from benchmarks.cli import compare, explain, isolation, listing, merge, pack, report

# What a shell shows for a program that SIGPIPE has ended; 1 is taken, it is `compare`'s verdict.
READER_GONE = 128 + 13


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status (2 for invalid input).

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
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        where = f"{error.filename}: " if error.filename else ""
        reason = error.strerror or error
        print(f"error: {where}{reason}; check the folder, its rights and the disk", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gnn-explainer-bench",
        description="Benchmarks of explanations of graph neural networks. To run them: "
        "pytest benchmarks/ --benchmark-only",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (report, compare, merge, explain, pack, isolation, listing):
        module.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
