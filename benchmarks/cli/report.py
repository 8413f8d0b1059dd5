"""``python -m benchmarks report DIR``: tables, figures and pages, drawn again from the cells."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> None:
    """Adds the command ``report``."""
    parser = commands.add_parser("report", help="draw the report of a results folder again")
    parser.add_argument("folder", type=Path, metavar="DIR", help="the results folder of a run")
    parser.add_argument(
        "--format",
        choices=("html", "md", "latex", "all"),
        default="all",
        help="which pages to write (default: %(default)s)",
    )
    parser.add_argument(
        "--equivalence",
        type=float,
        default=0.01,
        metavar="MARGIN",
        help="differences that are not larger do not count, for metrics in [0, 1] or [-1, 1]; for "
        "others as a share of the median of the methods' means (default: %(default)s)",
    )
    parser.set_defaults(command=report)


def report(options: argparse.Namespace) -> int:
    """Draws the tables, figures and pages of a results folder again. Needs no torch."""
    from benchmarks.store.archive import has_cells

    if not 0 <= options.equivalence < 1:
        raise ValueError(
            f"--equivalence {options.equivalence:g}: must be at least 0 and below 1, such as 0.01"
        )
    folder: Path = options.folder
    if not has_cells(folder):
        raise ValueError(
            f"{folder}: no results folder, it has no cells/; name one that a run has written"
        )
    import benchmarks.report

    formats = benchmarks.report.FORMATS if options.format == "all" else (options.format,)
    for path in benchmarks.report.write(folder, formats, options.equivalence):
        print(path)
    return 0
