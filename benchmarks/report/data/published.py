"""Several results folders together: for each task the quality and the cost, each from one of them.

Within a section all values of a benchmark are of one folder, so nodes, models and times are never
mixed between runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.report.data import quality
from benchmarks.report.data.section import Section
from benchmarks.store.archive import CELLS, NAME, has_cells

# The benchmarks that speak of several folders together; replication and others stay with theirs.
USED = ("quality", "randomisation", "runtime", "engines", "ig_sweep")
DEFAULT_MODEL = "gcn"


@dataclass(frozen=True)
class Run:
    """A results folder.

    Attributes:
        name: The folder's.
        manifest: Its manifest.
        sections: Its sections, of the benchmarks ``USED``.
        measured: The same, or of a run of other benchmarks alone those: what its machine was, and
            how many nodes were explained.
        tasks: Its tasks, with the kinds of model where there are several.
        asked: The names of all its benchmarks.
        problems: One sentence for each file that could not be read.
    """

    name: str
    manifest: dict[str, Any]
    sections: Sequence[Section]
    measured: Sequence[Section]
    tasks: Sequence[str]
    asked: frozenset[str]
    problems: Sequence[str] = ()

    @property
    def signed(self) -> bool | None:
        """Whether edges were selected by signed score, too; None where none were selected."""
        found = {key.selection for section in self.sections for key in section.scores}
        return None if found <= {""} else "signed" in found


@dataclass(frozen=True)
class Merged:
    """A section of several folders.

    Attributes:
        section: The values.
        sources: The folder of each benchmark's values.
    """

    section: Section
    sources: dict[str, str]


def folders(root: Path) -> list[Path]:
    """The results folders in ``root``, in the order of their names."""
    return sorted(path for path in root.iterdir() if path.is_dir() and has_cells(path))


def checksum(folder: Path) -> str:
    """SHA-256 of the manifest and the cells of a folder, packed or not."""
    packed = folder / NAME
    cells = [packed] if packed.is_file() else sorted((folder / CELLS).glob("*.json"))
    digest = hashlib.sha256()
    for path in [folder / "manifest.json", *cells]:
        content = path.read_bytes() if path.is_file() else b""
        digest.update(f"{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def newest_first(runs: Sequence[Run]) -> list[Run]:
    """By when they were made."""
    return sorted(runs, key=lambda one: (str(one.manifest.get("created")), one.name), reverse=True)


def merge(runs: Sequence[Run]) -> list[Merged]:
    """One section for each task, kind of model and device, in the order of their titles.

    Quality is that of the folder with the most nodes x models, of equals the newest. Folders that
    selected edges by absolute score only, as older ones did, count where no other selected any.
    All other benchmarks are of the newest folder that has them.
    """
    ordered = newest_first(runs)
    scored = {run.name for run in ordered if run.signed}
    scored = scored or {run.name for run in ordered if run.signed is False}
    places: dict[tuple[str, str, str], list[tuple[Run, Section]]] = {}
    for run in ordered:
        for one in run.sections:
            places.setdefault((one.task, one.model, one.device), []).append((run, one))
    tasks = [task for task, _, _ in places]
    devices = {device for _, _, device in places}
    found = []
    for (task, model, device), parts in sorted(places.items(), key=lambda pair: pair[0]):
        taken: dict[str, tuple[Run, Section]] = {}
        for benchmark in USED:
            having = [
                (run, one) for run, one in parts if any(len(rows) for rows in one.of(benchmark))
            ]
            if benchmark == "quality":
                having = [(run, one) for run, one in having if run.name in scored]
                having.sort(key=lambda pair: -replicates(pair[1]))
            if having:
                taken[benchmark] = having[0]
        if not taken:
            continue
        suffix = [model] * (tasks.count(task) > 1) + [device] * (len(devices) > 1)
        title = f"{task} ({', '.join(suffix)})" if suffix else task
        first = next(iter(taken.values()))[1]  # the one with quality, if there is any
        rows = [[one.of(name)[i] for name, (_, one) in taken.items()] for i in (0, 1)]
        section = replace(
            first,
            title=title,
            quality=pd.concat(rows[0], ignore_index=True),
            runtime=pd.concat(rows[1], ignore_index=True),
        )
        found.append(Merged(section, {name: run.name for name, (run, _) in taken.items()}))
    return found


def replicates(section: Section) -> int:
    """The number of nodes x models that quality was measured on."""
    nodes, models = quality.replicates(section)
    return nodes * models


def main_sections(merged: Sequence[Merged]) -> list[Section]:
    """Of each task that has quality one section: the one with the most nodes x models.

    Of equals the default kind of model.
    """
    chosen: dict[str, Section] = {}
    for one in merged:
        known = chosen.get(one.section.task)
        if "quality" in one.sources and (known is None or _size(one.section) > _size(known)):
            chosen[one.section.task] = one.section
    return list(chosen.values())


def _size(section: Section) -> tuple[int, bool]:
    return replicates(section), section.model == DEFAULT_MODEL
