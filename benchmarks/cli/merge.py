"""``python -m benchmarks merge A B --out DIR``: the scores of one run beside those of another."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.store.cell import Cell

# What two cells of one task and model have to agree in, so that their values are of the same
# predictions: a model that was trained elsewhere is another model, under the same name.
SAME = {
    "dataset_sha256": "the data",
    "checkpoint_sha256": "the model's weights",
}
# Lists of a manifest, and what tells their entries apart.
LISTS = {
    "tasks": ("name", "model", "model_seed"),
    "methods": ("name",),
    "metrics": ("name",),
    "unavailable": ("task",),
}


def add_parser(commands: Any) -> None:
    """Adds the command ``merge``."""
    parser = commands.add_parser(
        "merge",
        help="put the scores of a run beside those of another, such as a published one",
        description="Makes a new results folder of the cells of A and of those cells of B that A "
        "does not have; `report` draws it. Data, models and nodes must be the same in both; other "
        "versions of the packages or another commit are told, here and in the report. Times of "
        "different runs are not compared: those of B are left out.",
    )
    parser.add_argument("first", type=Path, metavar="A", help="a results folder, packed or not")
    parser.add_argument("second", type=Path, metavar="B", help="the one that adds to it")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="a folder that is not there yet"
    )
    parser.set_defaults(command=merge)


def merge(options: argparse.Namespace) -> int:
    """Merges two runs. Needs no torch; A and B stay as they are."""
    from benchmarks.store import archive, folder
    from benchmarks.store.atomic import write_atomically

    out: Path = options.out
    if out.exists():
        raise ValueError(f"--out {out}: is there already; name a new folder")
    cells: list[list[Cell]] = []
    for place in (options.first, options.second):
        archive.require_cells(place)
        found, problems = archive.load_run(place)
        if problems:
            raise ValueError(f"{place}: {problems[0]}; go on with that run by --resume first")
        cells.append(found)
    kept, added = cells
    known = {cell.identity for cell in kept}
    new = [cell for cell in added if cell.identity not in known]
    scored = [cell for cell in new if not cell.runtime]
    _check((options.first, kept), (options.second, scored))
    manifests = [_read(place) for place in (options.first, options.second)]
    manifest = _manifests(*manifests)
    for cell in (*kept, *scored):
        folder.write(out / archive.CELLS, cell)
    text = json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"
    write_atomically(out / "manifest.json", text)
    for difference in _differences(*manifests):
        print(
            f"note: {difference}: measured with other code, so equal methods may differ in "
            "rounding, and changed ones in more"
        )
    print(
        f"{out}: {len(kept)} cells of {options.first}, {len(scored)} of {options.second}; left "
        f"out of it: {len(added) - len(new)} that were there, {len(new) - len(scored)} with times\n"
        f"Its report: python -m benchmarks report {out}"
    )
    return 0


def _check(first: tuple[Path, list[Cell]], second: tuple[Path, list[Cell]]) -> None:
    """Refuses cells whose values would not be of the same predictions."""
    kept = {_subject(cell): cell for cell in first[1]}
    if not any(_subject(cell) in kept for cell in second[1]):
        raise ValueError(
            f"{second[0]}: has no score of a task and model of {first[0]} that is new there; "
            "measure the same tasks with another method"
        )
    for cell in second[1]:
        other = kept.get(_subject(cell), cell)
        task, model, seed, _ = _subject(cell)
        for name, what in SAME.items():
            if cell.inputs.get(name) != other.inputs.get(name):
                raise ValueError(
                    f"{second[0]}: {what} of {task} ({model}, seed {seed}) are not those of "
                    f"{first[0]} ({name} {str(cell.inputs.get(name))[:12]} and "
                    f"{str(other.inputs.get(name))[:12]}); measure all methods in one run"
                )
        if cell.inputs.get("nodes") != other.inputs.get("nodes"):
            counts = [len(one.inputs.get("nodes") or ()) for one in (cell, other)]
            raise ValueError(
                f"{second[0]}: other nodes of {task} were explained than in {first[0]} "
                f"({counts[0]} and {counts[1]}); run it with --nodes {counts[1]}"
            )


def _subject(cell: Cell) -> tuple[Any, ...]:
    """What the explanations of a cell are of, and what is measured of them."""
    return (*(cell.config.get(name) for name in ("task", "model", "model_seed")), cell.benchmark)


def _read(place: Path) -> dict[str, Any]:
    from benchmarks.report.data.manifest import read_manifest

    try:
        return read_manifest(place)
    except ValueError as error:
        raise ValueError(f"{place}: {error}; go on with that run by --resume first") from error


def _differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """In which code the runs differ: ``torch 2.13.0 and 2.12.0``."""
    sides = [
        {"Python": one.get("python"), "commit": one.get("commit"), **(one.get("versions") or {})}
        for one in (first, second)
    ]
    names = dict.fromkeys([*sides[0], *sides[1]])
    pairs = {name: [str(side.get(name) or "unknown") for side in sides] for name in names}
    return [f"{name} {a} and {b}" for name, (a, b) in pairs.items() if a != b]


def _manifests(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """The manifest of the first, with what the second adds; its run counts as an earlier one."""
    merged = dict(first)
    for name, identity in LISTS.items():
        merged[name] = _union(identity, [*first.get(name, ()), *second.get(name, ())])
    told = ("created", "command", "commit", "dirty", "python", "versions")
    said = {name: second.get(name) for name in told}
    merged["earlier"] = [*first.get("earlier", ()), *second.get("earlier", ()), said]
    return merged


def _union(identity: tuple[str, ...], entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for entry in entries:
        found.setdefault(tuple(entry.get(name) for name in identity), entry)
    return list(found.values())
