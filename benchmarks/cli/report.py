"""``python -m benchmarks report DIR``: tables, figures and pages, drawn again from the cells.

With ``--index``, the page about all results folders in ``DIR``.
"""

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
    parser.add_argument(
        "--index",
        action="store_true",
        help="DIR holds results folders: write DIR/index.html, which lists them and has one "
        "leaderboard over their tasks; the folders are left as they are",
    )
    parser.add_argument(
        "--guide",
        type=Path,
        metavar="PAGE",
        help="with --index: also make the marked parts of this Markdown page, docs/which.md, anew",
    )
    parser.set_defaults(command=report)


def report(options: argparse.Namespace) -> int:
    """Draws the tables, figures and pages of a results folder again. Needs no torch."""
    from benchmarks.store.archive import require_cells

    if not 0 <= options.equivalence < 1:
        raise ValueError(
            f"--equivalence {options.equivalence:g}: must be at least 0 and below 1, such as 0.01"
        )
    folder: Path = options.folder
    if options.index:
        return _index(folder, options)
    if options.guide:
        raise ValueError(
            f"--guide {options.guide}: goes with --index only; say report --index results --guide "
            f"{options.guide}"
        )
    require_cells(folder)
    import benchmarks.report

    formats = benchmarks.report.FORMATS if options.format == "all" else (options.format,)
    for path in benchmarks.report.write(folder, formats, options.equivalence):
        print(path)
    return 0


def _index(root: Path, options: argparse.Namespace) -> int:
    from benchmarks.report import index

    if options.format != "all":
        raise ValueError(f"--format {options.format}: with --index there is one page; leave it out")
    for path in (root, *([options.guide] if options.guide else [])):
        if not path.exists():
            raise ValueError(f"{path}: there is no such file or folder")
    for path in index.write(root, options.guide, options.equivalence):
        print(path)
    return 0
