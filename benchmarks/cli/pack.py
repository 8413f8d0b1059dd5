"""``python -m benchmarks pack DIR``: a finished run as the few files that are published."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

PAGES = ("report.html", "report.md")
AGAIN = ("report.tex", "quality.csv", "quality.csv.gz")  # what `report` makes again
TIMES = "benchmark.json"  # pytest-benchmark's: its times are in the cells


def add_parser(commands: Any) -> None:
    """Adds the command ``pack``."""
    parser = commands.add_parser(
        "pack",
        help="make a results folder fit for publication",
        description="Packs the cells of a run into one archive and removes what `report` makes "
        "again (report.tex, quality.csv.gz, the figures' PNG and CSV files, the figures that "
        "report.md does not show), benchmark.json and the cells that were set aside. `report`, "
        "`compare` and --resume take a packed folder, too.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the results folder of a run")
    parser.set_defaults(command=pack)


def pack(options: argparse.Namespace) -> int:
    """Packs a run. Needs no torch; what is packed or gone already stays so."""
    from benchmarks.harness.lock import locked
    from benchmarks.store import archive

    folder: Path = options.folder
    archive.require_cells(folder)
    for name in PAGES:
        if not (folder / name).is_file():
            raise ValueError(
                f"{folder}: has no {name}; draw it first: python -m benchmarks report {folder}"
            )
    try:
        with locked(folder):
            archive.pack(folder)
            for path in _superfluous(folder):
                path.unlink(missing_ok=True)
    except (ValueError, OSError) as error:
        raise ValueError(str(error).removeprefix("--results ")) from None
    print(folder / archive.NAME)
    return 0


def _superfluous(folder: Path) -> list[Path]:
    """The files that a published run does without."""
    figures = [*(folder / "figures").glob("*.svg")]
    others = [figure.with_suffix(suffix) for figure in figures for suffix in (".png", ".csv")]
    page = (folder / "report.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"\]\(figures/([^)]*)\)", page))
    others += [figure for figure in figures if figure.name not in shown]
    return [folder / name for name in (*AGAIN, TIMES)] + others
