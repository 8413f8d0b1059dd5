"""Provenance: the code, machine and versions behind the numbers, and what was explained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.report.data import quality
from benchmarks.report.data.frames import Results
from benchmarks.report.data.section import REGRESSION, Section, units
from benchmarks.report.render.blocks import (
    NOTHING,
    Block,
    Caution,
    Entry,
    Heading,
    Table,
    share,
    size,
)
from benchmarks.report.render.wording import counted, join, mapping, named

_R_SQUARED = "R²"
# What the models' accuracy is where they do not predict one class.
_KINDS = {
    _R_SQUARED: (
        " R² is the share of the variance of the numbers that the model predicts (coefficient of "
        "determination; the mean over the columns)."
    ),
    "micro-F1": " micro-F1 is that of all labels of all test nodes together.",
}


def cautions(results: Results) -> Iterator[Block]:
    """Warnings that come before all else."""
    yield from provenance_cautions(results.manifest, results.problems)


def provenance_cautions(manifest: dict[str, Any], problems: Sequence[str]) -> Iterator[Caution]:
    """What keeps a run from being published: a changed tree, files that could not be read."""
    runs = (*manifest.get("earlier", ()), manifest)
    if any(run.get("dirty") for run in runs):
        yield Caution("Made from a working tree with uncommitted changes: not for publication.")
    elif any(run.get("dirty") is None for run in runs):
        yield Caution("It is not known whether the working tree was clean: not for publication.")
    for problem in problems:
        yield Caution(f"Incomplete: {problem}.")


def environment(results: Results) -> Iterator[Block]:
    """When, on which machine and with which versions the run was made."""
    manifest = results.manifest
    commit = str(manifest.get("commit") or "unknown")
    if manifest.get("dirty"):
        commit += ", with uncommitted changes"
    processor, gpu = manifest.get("cpu") or {}, manifest.get("gpu")
    own = manifest.get("versions") or {}
    facts = {
        "created": manifest.get("created"),
        "commit": commit,
        "command": manifest.get("command"),
        "profile": manifest.get("profile"),
        "CPU": join(
            processor.get("model"),
            counted(processor.get("cores"), "core"),
            counted(processor.get("threads"), "thread"),
        ),
        "GPU": "no GPU"
        if not gpu
        else join(
            gpu.get("name"),
            size(gpu.get("memory_bytes")),
            named("driver", gpu.get("driver")),
            named("CUDA", gpu.get("cuda")),
        ),
        "system": manifest.get("platform"),
        "Python": manifest.get("python"),
        "versions": mapping(own),
        "settings": mapping(manifest.get("determinism")),
    }
    rows = [[Entry(name), Entry(str(value or "unknown"))] for name, value in facts.items()]
    for run in manifest.get("earlier") or ():  # of runs that were merged, what is not the same
        versions = run.get("versions") or {}
        other = {name: one for name, one in versions.items() if own.get(name) != one}
        if other:
            what = f"versions of the run of {str(run.get('created'))[:10]}"
            rows.append([Entry(what), Entry(f"the same, but {mapping(other)}")])
    yield Heading("Environment", "environment")
    yield Table(
        "When, on which machine and with which versions the numbers were measured.",
        ("what", "value"),
        rows,
    )


def tasks(results: Results) -> Iterator[Block]:
    """What was explained, and which tasks were unavailable."""
    entries = results.manifest.get("tasks") or []
    # A run opens its default tasks to see whether they are there, and may then not ask for them.
    used = {name for frame in (results.quality, results.runtime) for name in frame["task"].unique()}
    entries = [entry for entry in entries if not used or entry.get("name") in used]
    kinds = {(entry.get("name"), entry.get("model", "gcn")) for entry in entries}
    described: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        several = sum(name == entry.get("name") for name, _ in kinds) > 1
        kind = f" ({entry.get('model', 'gcn')})" if several else ""
        described.setdefault(f"{entry.get('name')}{kind}", []).append(entry)
    missing = {
        str(entry.get("task")): str(entry.get("message"))
        for entry in results.manifest.get("unavailable") or []
    }
    gone = results.runtime[results.runtime["benchmark"] == "task"]
    missing.update(zip(gone["task"], gone["message"], strict=True))
    if not described and not missing:
        return
    yield Heading("Tasks", "tasks")
    for name, entries in described.items():
        if any(entry.get("stand_in") for entry in entries):
            yield Caution(
                f"{name} is a stand-in: its data are generated in place of the real ones, and its "
                "numbers say nothing about the real ones."
            )
    for name, message in sorted(missing.items()):
        yield Caution(f"{name} is unavailable: {message}")
    if described:
        measures = {entry.get("accuracy_kind") for found in described.values() for entry in found}
        other = "".join(text for kind, text in _KINDS.items() if kind in measures)
        header = (
            *("task", "accuracy", "models", "nodes", "edges", "features", "output"),
            *("provenance of the data", "SHA-256 of the data"),
        )
        yield Table(
            "The tasks. Accuracy is on the test nodes: the mean over the models, in brackets the "
            f"lowest and the highest.{other}",
            header,
            [_task(name, entries) for name, entries in described.items()],
        )


def _task(name: str, entries: list[dict[str, Any]]) -> list[Entry]:
    first = entries[0]
    shown = _plain if first.get("accuracy_kind") == _R_SQUARED else _percent
    found = [float(entry["accuracy"]) for entry in entries if entry.get("accuracy") is not None]
    accuracy = NOTHING
    if found:
        accuracy = shown(sum(found) / len(found))
        if len(found) > 1:
            accuracy += f" [{shown(min(found))}, {shown(max(found))}]"
    if (kind := first.get("accuracy_kind", "accuracy")) != "accuracy":
        accuracy = f"{kind} {accuracy if found else 'undefined'}"
    counts = [
        f"{first[key]:,}" if isinstance(first.get(key), int) else NOTHING
        for key in ("nodes", "edges", "features")
    ]
    sums = sorted({str(entry.get("dataset_sha256") or NOTHING) for entry in entries})
    provenance = str(first.get("provenance") or NOTHING)
    texts = [
        name,
        accuracy,
        str(len(entries)),
        *counts,
        _output(first),
        provenance,
        ", ".join(sums),
    ]
    return [Entry(text) for text in texts]


def _output(entry: dict[str, Any]) -> str:
    """What a task's model returns, in words."""
    columns = entry.get("columns") or 1
    if entry.get("mode") == REGRESSION:
        return "a real number" if columns == 1 else f"{columns:,} real numbers"
    if entry.get("mode") == "binary_classification":
        return "yes or no" if columns == 1 else f"{columns:,} labels"
    classes = entry.get("classes")
    return f"{classes:,} {'class' if classes == 1 else 'classes'}" if classes else NOTHING


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _plain(value: float) -> str:
    return f"{value:.3f}"


def explained(sections: Sequence[Section]) -> Iterator[Block]:
    """How much was explained on each task, and how far that can tell methods apart."""
    rows = []
    for section in sections:
        nodes, models = quality.replicates(section)
        if not nodes:
            continue
        edges, tied = quality.graph_edges(section), quality.tied_nodes(section)
        median = quartiles = NOTHING
        if len(edges):
            low, middle, high = edges.quantile([0.25, 0.5, 0.75])
            median, quartiles = f"{middle:,.0f}", f"{low:,.0f} to {high:,.0f}"
        note = "saturated" if tied is not None and tied > quality.SATURATED else ""
        texts = [section.title, f"{nodes:,} × {models:,}", median, quartiles, share(tied), note]
        rows.append([Entry(text) for text in texts])
    if rows:
        yield Table(
            "What was explained. Edges are those of the computation graphs of the explained "
            f"{units(sections)}. All methods tie at one of them (of a model) where they, the "
            "random baseline included, lie "
            f"within {sections[0].equivalence:g} of each other in fidelity+ at the budget of the "
            "tables; a task where they do so at most of them is saturated.",
            (
                *("task", f"{units(sections)} × models", "edges, median", "edges, quartiles"),
                *("all methods tie", "note"),
            ),
            rows,
        )
