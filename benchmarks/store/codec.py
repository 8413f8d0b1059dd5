"""A cell as text and back: plain, strict JSON with a checksum; see ``results/README.md``."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from numbers import Integral, Real
from typing import Any

from benchmarks.store.cell import STATUSES, Cell, canonical, cell_key, plain
from benchmarks.store.text import printable

SCHEMA = 2
READABLE = (1, SCHEMA)  # in schema 1 every value of a metric was an entry of its own
LARGEST = 2**63  # whole numbers are smaller: as a column of a table holds them
DIGITS = 5  # significant ones of a metric's value: more than any metric of float32 has a use for
_OWN = {"node", "value"}  # what rows of one metric, level and semantics do not share
# The last entry of a file, over all that stands before it; cells of schema 1 may have none.
_SEAL = re.compile(r',\n "sha256": "([0-9a-f]{64})"\n}\n?\Z')


class UnreadableCell(ValueError):
    """A file that is no cell: torn, altered, foreign or renamed. The message names it."""


def encode(cell: Cell) -> str:
    """The cell's file content.

    JSON has no NaN and no infinity. In rows such a value becomes null, the row's status becomes
    ``error`` if it said nothing worse, and the cell's message counts them: one undefined metric
    does not take the rest of the cell with it, nor does it pass unseen. Metrics' values are rounded
    to ``DIGITS``, and rows that agree in all but node and value share one entry: see :func:`join`.

    Raises:
        ValueError: The status is unknown, or something in the cell is not plain data.
    """
    if cell.status not in STATUSES:
        raise ValueError(f"unknown status {cell.status!r}; use one of {', '.join(STATUSES)}")
    undefined = 0
    rows: dict[str, list[dict[str, Any]]] = {"runtime": [], "quality": []}
    for kind, written in rows.items():
        for row in spread(getattr(cell, kind)):
            finite = {name: _readable(value) for name, value in row.items()}
            lost = sum(_not_finite(value) for value in row.values())
            if lost and finite.get("status", "ok") == "ok":
                finite["status"] = "error"
            undefined += lost
            written.append(plain(finite))
    message = printable(cell.message)
    if undefined:
        note = f"{undefined} value{'s' if undefined > 1 else ''} not finite, written as null"
        message = f"{message}; {note}" if message else note
    document = {
        "schema": SCHEMA,
        "benchmark": cell.benchmark,
        "key": cell.key,
        "status": cell.status,
        "message": message,
        "config": cell.config,
        "inputs": cell.inputs,
    }
    if cell.splits:
        document["splits"] = cell.splits
    nodes, joined = join(rows["quality"])
    text = json.dumps(document, allow_nan=False, ensure_ascii=False, indent=1).removesuffix("\n}")
    # An entry a line: readable, at a fifth of the size.
    if nodes:
        text += f',\n "nodes": {_dump(nodes)}'
    for kind, entries in (("runtime", rows["runtime"]), ("quality", joined)):
        lines = (_dump(entry) for entry in entries)
        text += f',\n "{kind}": [\n  ' + ",\n  ".join(lines) + "\n ]"
    return text + "\n}\n"


def seal(text: str) -> str:
    """A cell's file content with its SHA-256 as the last entry."""
    content = text.removesuffix("\n}\n")
    return f'{content},\n "sha256": "{_sha256(content)}"\n}}\n'


def decode(name: str, content: bytes) -> Cell:
    """The cell in the file ``name``, which holds ``content``.

    Raises:
        UnreadableCell: The file is torn, was altered, is no cell of a readable schema, or has
            another cell's name.
    """
    try:
        text = content.decode("utf-8").replace("\r\n", "\n")  # as a checkout on Windows may have it
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UnreadableCell(f"{name} is not readable as JSON ({error})") from error
    problem = _problem(document, name.removesuffix(".json")) or _broken_seal(document, text)
    if problem:
        raise UnreadableCell(f"{name} is no cell of schema {READABLE[0]} or {SCHEMA}: {problem}")
    cell = Cell(
        benchmark=document["benchmark"],
        config=document["config"],
        inputs=document.get("inputs", {}),
        key=document["key"],
        status=document["status"],
        message=document["message"],
        runtime=document["runtime"],
        quality=[_with_nodes(entry, document.get("nodes")) for entry in document["quality"]],
        splits=document.get("splits", 0),
    )
    if not all(map(_is_row, [*cell.runtime, *cell.quality])):
        raise UnreadableCell(f"{name} has rows that are not names with texts and numbers")
    return cell


def join(rows: Iterable[Mapping[str, Any]]) -> tuple[list[Any], list[dict[str, Any]]]:
    """Rows of metrics in little space.

    Rows that agree in all but ``node`` and ``value`` become one entry with lists of both. Most
    entries are about the same nodes: their list is given once and left out of the entries.

    Returns:
        That list, empty if no rows were joined, and the entries, in the order of their first rows.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        short = {**row, "value": _short(row["value"])} if "value" in row else dict(row)
        same = {name: item for name, item in row.items() if name not in _OWN}
        groups.setdefault(canonical([same, sorted(row)]), []).append(short)
    entries: list[dict[str, Any]] = []
    for group in groups.values():
        if len(group) > 1 and group[0].keys() >= _OWN:
            entries.append({**group[0], **{name: [row[name] for row in group] for name in _OWN}})
        else:
            entries += group
    lists = [entry["node"] for entry in entries if isinstance(entry.get("node"), list)]
    common: list[Any] = max(lists, key=lists.count, default=[])
    for entry in entries:
        if entry.get("node") == common:
            del entry["node"]
    return common, entries


def spread(entries: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """One row for each value: what :func:`join` took together."""
    for entry in entries:
        if not isinstance(entry.get("value"), list):
            yield dict(entry)
            continue
        for node, value in zip(entry["node"], entry["value"], strict=True):
            yield {**entry, "node": node, "value": value}


def _problem(document: object, name: str) -> str | None:
    if not isinstance(document, dict):
        return f"it holds a {type(document).__name__}"
    if document.get("schema") not in READABLE:
        return f"its schema is {document.get('schema')!r}"
    kinds = {"benchmark": str, "key": str, "message": str, "status": str, "config": dict}
    for entry, kind in {**kinds, "runtime": list, "quality": list}.items():
        if not isinstance(document.get(entry), kind):
            return f"{entry!r} must be a {kind.__name__}"
    config, inputs = document["config"], document.get("inputs", {})
    if not isinstance(inputs, dict) or not isinstance(config.get("options", {}), dict):
        return "'inputs' and the config's 'options' must be dicts"
    if document["status"] not in STATUSES:
        return f"its status is {document['status']!r}"
    splits = document.get("splits", 0)
    if type(splits) is not int or splits < 0:  # a truth value is an int, too
        return f"its splits are {splits!r}"
    if document["key"] != name:
        return f"its key is {document['key']!r}"
    for entry in document["quality"]:
        if not isinstance(entry, dict):
            return f"'quality' holds a {type(entry).__name__}"
        values = entry.get("value")
        nodes = entry.get("node", document.get("nodes"))
        if isinstance(values, list) and not (isinstance(nodes, list) and len(nodes) == len(values)):
            return f"{entry.get('metric')!r} has {len(values)} values for other nodes"
    try:
        determined = cell_key(document["benchmark"], config, inputs)
    except ValueError as error:
        return str(error)
    return None if determined == name else "its key is that of another content"


def _with_nodes(entry: dict[str, Any], nodes: list[Any] | None) -> dict[str, Any]:
    return {"node": nodes, **entry} if isinstance(entry.get("value"), list) else entry


def _short(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 10**DIGITS else rounded


def _dump(item: Any) -> str:
    """On one line; the items of a list stand close."""
    if isinstance(item, Mapping):
        return "{" + ", ".join(f"{_dump(name)}: {_dump(item[name])}" for name in item) + "}"
    close = (",", ":") if isinstance(item, list) else None
    return json.dumps(item, allow_nan=False, ensure_ascii=False, separators=close)


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and all(
        all(map(_is_entry, value)) if name in _OWN and isinstance(value, list) else _is_entry(value)
        for name, value in row.items()
    )


def _is_entry(value: object) -> bool:
    return (
        value is None
        or isinstance(value, (str, bool))
        or (isinstance(value, float) and math.isfinite(value))
        or (isinstance(value, int) and abs(value) < LARGEST)
    )


def _broken_seal(document: dict[str, Any], text: str) -> str | None:
    found = _SEAL.search(text)
    if found is None:
        if "sha256" in document:
            return "its checksum is not its last entry"
        return None if document["schema"] == 1 else "it has no checksum"
    if _sha256(text[: found.start()]) != found[1]:
        return "it was altered, its checksum is another"
    return None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _readable(value: Any) -> Any:
    """What :func:`decode` takes of a row's entry."""
    if isinstance(value, str):
        return printable(value)
    return None if _not_finite(value) else value


def _not_finite(value: Any) -> bool:
    """Whether it is a number that a table has no place for."""
    if isinstance(value, Integral):
        return abs(int(value)) >= LARGEST
    return isinstance(value, Real) and not math.isfinite(value)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
