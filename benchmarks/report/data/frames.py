"""Cells to two tidy frames, one observation per row: ``quality.csv.gz`` and ``runtime.csv``."""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.report.data.manifest import read_manifest
from benchmarks.store.archive import load_run
from benchmarks.store.cell import Cell
from benchmarks.store.text import printable, table_text

_CONFIG = ("task", "model", "model_seed", "method", "engine", "options", "device")
QUALITY = (
    "benchmark",
    *_CONFIG,
    *("node", "metric", "level", "semantics", "selection", "other", "value", "status", "message"),
)
RUNTIME = (
    "benchmark",
    *_CONFIG,
    *("n_steps", "internal_batch_size", "repeat", "node", "nodes", "seconds", "peak_bytes"),
    *("varied", "at", "status", "message"),
)
_WHOLE = ("model_seed", "n_steps", "internal_batch_size", "repeat", "node", "nodes", "peak_bytes")
_REAL = ("value", "seconds", "at")
# Rows that agree in all else keep the order in which they were measured.
_MEASURED = ("value", "seconds", "peak_bytes", "status", "message")
# Which edges come first, in cells from when there was no other selection than by absolute score.
_BY_ABSOLUTE_SCORE = {
    *("auroc", "auroc_undirected", "average_precision", "r_precision", "recall", "jaccard"),
}


@dataclass(frozen=True)
class Results:
    """What a results folder holds.

    Attributes:
        manifest: The content of ``manifest.json``; empty if there is none that can be read.
        quality: The columns ``QUALITY``.
        runtime: The columns ``RUNTIME``. A cell that failed and whose rows do not say so, for
            example because it has none, is a row here, whatever its benchmark.
        problems: One sentence for each file that could not be read.
        split: In how many cells of a method a batch was split for lack of memory.
    """

    manifest: dict[str, Any]
    quality: pd.DataFrame
    runtime: pd.DataFrame
    problems: list[str]
    split: Counter[str]


def load(folder: Path) -> Results:
    """Reads the cells of a run, packed or not, and its manifest; nothing is changed.

    Raises:
        UnreadableArchive: They are packed, and the archive is damaged.
    """
    cells, problems = load_run(folder)
    manifest: dict[str, Any] = {}
    try:
        manifest = read_manifest(folder)
    except ValueError as error:
        problems.append(str(error))
    split = Counter(str(cell.config.get("method", "")) for cell in cells if cell.splits)
    return Results(manifest, quality_frame(cells), runtime_frame(cells), problems, split)


def quality_frame(cells: list[Cell]) -> pd.DataFrame:
    """One row for each value of a metric."""
    rows = [
        _row(cell, row) | {"selection": selection(row)} for cell in cells for row in cell.quality
    ]
    return _frame(rows, QUALITY)


def runtime_frame(cells: list[Cell]) -> pd.DataFrame:
    """One row for each timing, and one for each cell that failed without a row that says so."""
    rows = []
    for cell in cells:
        rows += [_row(cell, row) for row in cell.runtime]
        reported = {row.get("status", cell.status) for row in [*cell.runtime, *cell.quality]}
        if cell.status != "ok" and cell.status not in reported:
            rows.append(_row(cell, {}))
    return _frame(rows, RUNTIME)


def steps_and_batch(options: Mapping[str, Any]) -> tuple[Any, Any]:
    """``n_steps`` and ``internal_batch_size`` of a configuration, None where it has none.

    A batch size of ``"all"`` is the number of steps.
    """
    steps, batch = options.get("n_steps"), options.get("internal_batch_size")
    return steps, steps if batch == "all" else batch


@functools.cache
def natural(text: str) -> tuple[Any, ...]:
    """Sort key that takes the numbers in a text as numbers: ``f=5%`` comes before ``f=10%``."""
    parts = enumerate(re.split(r"(\d+)", text))
    return tuple(int(part) if position % 2 else part for position, part in parts)


def _row(cell: Cell, row: Mapping[str, Any]) -> dict[str, Any]:
    config = cell.config
    options = config.get("options") or {}
    steps, batch = steps_and_batch(options)
    status = row.get("status") or cell.status
    message = row.get("message") or ("" if status == "ok" else cell.message)
    return {
        **row,
        "benchmark": cell.benchmark,
        **{name: config.get(name) for name in _CONFIG},
        "model": config.get("model", "gcn"),  # cells from when there was no other
        "options": json.dumps(options, sort_keys=True, ensure_ascii=False),
        "n_steps": steps,
        "internal_batch_size": batch,
        "status": status,
        "message": message,
    }


def selection(row: Mapping[str, Any]) -> str:
    """By which scores the edges of a row of quality were selected.

    ``signed``, ``absolute``, or empty where no order of the edges matters. Rows of older cells do
    not say: there it was by absolute score.
    """
    if "selection" in row:
        return str(row["selection"] or "")
    ordered = row.get("level") or row.get("semantics") or row.get("metric") in _BY_ABSOLUTE_SCORE
    return "absolute" if ordered else ""


def _frame(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> pd.DataFrame:
    """The rows in order; one whose ``value`` is a list stands for as many (``codec.join``)."""
    # A published run has millions of values: little here is done for each of them in Python.
    lengths = [len(row["value"]) if isinstance(row.get("value"), list) else 1 for row in rows]
    positions = np.repeat(np.arange(len(rows)), lengths)
    # Of each column its different values and, a row, which of them: small until all are sorted.
    found: dict[str, tuple[pd.Series, npt.NDArray[Any]]] = {}
    keys = []
    for name in columns:
        entries = [row.get(name) for row in rows]
        if name == "value":  # nearly all differ, and nothing is sorted by them
            found[name] = _numbers(entries), np.arange(len(positions))
            continue
        if any(isinstance(entry, list) for entry in entries):
            many = zip(entries, lengths, strict=True)
            flat = (item if isinstance(item, list) else [item] * count for item, count in many)
            codes, distinct = _factors(itertools.chain.from_iterable(flat))
        else:
            codes, distinct = _factors(entries)
            codes = codes[positions]
        codes = codes.astype(np.min_scalar_type(len(distinct)))
        if name not in _MEASURED:
            ranked = sorted(range(len(distinct)), key=lambda code: _sort_key(distinct[code]))
            places = np.empty(len(distinct), dtype=codes.dtype)
            places[ranked] = np.arange(len(distinct))
            keys.append(places[codes])
        if name in _WHOLE or name in _REAL:
            numbers = _numbers(distinct)
            column: pd.Series = numbers.round().astype("Int64") if name in _WHOLE else numbers
        else:
            column = pd.Series([_text(value) for value in distinct], dtype=object)
        found[name] = column, codes
    order = np.lexsort(keys[::-1])
    keys.clear()
    ordered = {
        name: column.take(codes[order]).reset_index(drop=True)
        for name, (column, codes) in found.items()
    }
    return pd.DataFrame(ordered, columns=list(columns), copy=False)


def _numbers(entries: Iterable[Any]) -> pd.Series:
    """The entries, or those of the lists among them, as numbers; NaN for what is none."""
    parts = []
    for entry in entries:
        many = entry if isinstance(entry, list) else [entry]
        try:
            parts.append(np.array(many, dtype=np.float64))  # None is NaN
        except (TypeError, ValueError, OverflowError):
            found = pd.to_numeric(pd.Series(many, dtype=object), errors="coerce")
            parts.append(found.to_numpy(dtype=np.float64))
    return pd.Series(np.concatenate(parts) if parts else np.empty(0))


def _factors(entries: Iterable[Any]) -> tuple[npt.NDArray[np.int64], list[Any]]:
    """The different ones among ``entries``, and the position there of each."""
    places: dict[Any, int] = {}
    codes = [places.setdefault(entry, len(places)) for entry in entries]
    return np.array(codes, dtype=np.int64), list(places)


def _text(value: Any) -> str:
    return "" if value is None else table_text(printable(str(value)))


def _sort_key(value: Any) -> tuple[int, float, tuple[Any, ...]]:
    if value is None:
        return (0, 0.0, ())
    if isinstance(value, (int, float)):
        return (1, float(value), ())
    return (2, 0.0, natural(str(value)))
