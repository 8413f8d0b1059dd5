"""Cells: one JSON file for each thing measured, written whole or not at all.

A cell is one configuration (task, model seed, method, engine, options, device) under one benchmark.
Its key is a hash of everything that determines its numbers and is also the file's name, so that a
run that was interrupted can go on (``--resume``) and never takes over a number that is out of date.

The format is plain, strict JSON; see ``results/README.md``. This module imports no torch: a
published report can be drawn again without it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any

SCHEMA = 2
READABLE = (1, SCHEMA)  # in schema 1 every value of a metric was an entry of its own
KEY_VERSION = 1  # of what a key is made from; another would orphan every published cell
_OWN = {"node", "value"}  # what rows of one metric, level and semantics do not share
DIGITS = 5  # significant ones of a metric's value: more than any metric of float32 has a use for
STATUSES = ("ok", "error", "invalid", "oom", "timeout", "crash", "unavailable")
KEY_LENGTH = 16
ASIDE = "aside"


# The last entry of a file, over all that stands before it; cells of older runs have none.
_SEAL = re.compile(r',\n "sha256": "([0-9a-f]{64})"\n}\n?\Z')


class UnreadableCell(ValueError):
    """A file that is no cell: torn, altered, foreign or renamed. The message names it."""


@dataclass
class Cell:
    """One benchmark cell.

    Attributes:
        benchmark: The benchmark that made it, for example ``"runtime"``.
        config: ``task``, ``model``, ``model_seed``, ``method``, ``engine``, ``options`` (a dict),
            ``device``.
        inputs: What else determines the numbers: nodes, checksums, versions, the machine.
        key: 16 hexadecimal digits, from the three above.
        status: One of ``STATUSES``; ``results/README.md`` says what they mean.
        message: Why the status is not ``ok``, or how many values were not finite.
        runtime: Rows with ``repeat``, ``node``, ``nodes``, ``seconds``, ``peak_bytes``, ``status``.
        quality: Rows with ``node``, ``metric``, ``level``, ``semantics``, ``value``. As read from a
            file, rows that agree in all but node and value are one, with lists of both.
        splits: How often the memory did not suffice and a pass was taken in smaller parts.
    """

    benchmark: str
    config: dict[str, Any]
    inputs: dict[str, Any] = field(default_factory=dict)
    key: str = ""
    status: str = "ok"
    message: str = ""
    runtime: list[dict[str, Any]] = field(default_factory=list)
    quality: list[dict[str, Any]] = field(default_factory=list)
    splits: int = 0

    def __post_init__(self) -> None:
        self.config, self.inputs = plain(self.config), plain(self.inputs)
        self.key = self.key or cell_key(self.benchmark, self.config, self.inputs)

    def add_times(self, seconds: Iterable[float], **row: Any) -> None:
        """Adds a runtime row for each of the times; what else a row says is the same in all."""
        self.runtime += [{**row, "seconds": value} for value in seconds]

    def add_value(self, metric: str, value: float, *, node: int | None, **row: str) -> None:
        """Adds the value of a metric that selects no edges, or what ``row`` says of them."""
        self.quality.append(
            {"node": node, "metric": metric, "level": "", "semantics": "", **row, "value": value}
        )

    @property
    def identity(self) -> str:
        """What the cell is about, whichever versions and nodes it was made with.

        Of two cells with the same identity in one folder, the older is superseded.
        """
        return _canonical([self.benchmark, self.config, self.inputs.get("part", {})])


def cell_key(benchmark: str, config: Mapping[str, Any], inputs: Mapping[str, Any]) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of all that determines a cell.

    The order of a mapping's keys does not matter.

    Raises:
        ValueError: Something in it is neither text, a finite number, a truth value, None nor a
            list or mapping of these.
    """
    text = _canonical([KEY_VERSION, benchmark, plain(config), plain(inputs)])
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it: numpy's numbers become Python's, tuples become lists.

    Raises:
        ValueError: It holds anything else than text, finite numbers, truth values, None, lists and
            mappings with text keys. A tensor in a key would hash its printed, shortened form.
    """
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        if not math.isfinite(value):
            raise ValueError(f"{value!r} is not a finite number and cannot determine a cell")
        return float(value)
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [plain(item) for item in value]
    if getattr(value, "ndim", None) == 0:  # numpy's truth values, a tensor with one number
        return plain(value.item())
    raise ValueError(
        f"cells hold text, numbers, truth values, None, lists and mappings, not {value!r:.80} "
        f"({type(value).__name__}); convert it first, for example with .tolist()"
    )


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
            finite = {name: None if _not_finite(value) else value for name, value in row.items()}
            lost = sum(_not_finite(value) for value in row.values())
            if lost and finite.get("status", "ok") == "ok":
                finite["status"] = "error"
            undefined += lost
            written.append(plain(finite))
    message = cell.message
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
        groups.setdefault(_canonical([same, sorted(row)]), []).append(short)
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


def write(folder: Path, cell: Cell) -> Path:
    """Writes ``folder/<key>.json`` atomically; an older file of that name is replaced."""
    path = folder / f"{cell.key}.json"
    write_atomically(path, seal(encode(cell)))
    return path


def seal(text: str) -> str:
    """A cell's file content with its SHA-256 as the last entry."""
    content = text.removesuffix("\n}\n")
    return f'{content},\n "sha256": "{_sha256(content)}"\n}}\n'


def write_atomically(path: Path, text: str) -> None:
    """Puts ``text`` under ``path``: after a crash the file is the old one or the new one, whole.

    The text goes to a temporary file beside it, is forced to the disk, and takes the name then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())  # mkstemp's 0600 would hide results from others
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if os.name == "posix":  # elsewhere, folders cannot be opened
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def read(path: Path) -> Cell:
    """The cell in ``path``.

    Raises:
        UnreadableCell: The file is torn, was altered, is no cell of this schema, or has another
            cell's name.
    """
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text, parse_constant=_refuse_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableCell(f"{path.name} is not readable as JSON ({error})") from error
    problem = _problem(document, path.stem) or _broken_seal(document, text)
    if problem:
        raise UnreadableCell(
            f"{path.name} is no cell of schema {READABLE[0]} or {SCHEMA}: {problem}"
        )
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
        raise UnreadableCell(f"{path.name} has rows that are not names with texts and numbers")
    return cell


def load_all(folder: Path, *, set_aside: bool = False) -> tuple[list[Cell], list[str]]:
    """All cells of ``folder``, ordered by key, and a message for each file that is none.

    Args:
        folder: The folder ``cells`` of a run. Temporary files of an interrupted write are not read.
        set_aside: Whether to move the unreadable files to ``folder/aside`` (and to delete the
            temporary ones), so that they are out of the way; otherwise nothing is touched.
    """
    found: list[Cell] = []
    problems: list[str] = []
    for path in sorted(folder.glob("*.json")):
        if path.name.startswith("."):
            continue
        try:
            found.append(read(path))
        except UnreadableCell as error:
            problems.append(f"{error}; {'set aside' if set_aside else 'left out'}")
            if set_aside:
                move_aside(path)
    if set_aside:
        for path in folder.glob(".*.tmp"):
            path.unlink()
    return found, problems


def move_aside(path: Path) -> Path:
    """Moves a cell file to the folder ``aside`` beside it, under a name that is free there."""
    target = path.parent / ASIDE / path.name
    target.parent.mkdir(exist_ok=True)
    number = 1
    while target.exists():
        target = target.with_name(f"{path.stem}.{number}{path.suffix}")
        number += 1
    return path.replace(target)


def _problem(document: object, name: str) -> str | None:
    if not isinstance(document, dict):
        return f"it holds a {type(document).__name__}"
    if document.get("schema") not in READABLE:
        return f"its schema is {document.get('schema')!r}"
    kinds = {"benchmark": str, "key": str, "message": str, "status": str, "config": dict}
    for entry, kind in {**kinds, "runtime": list, "quality": list}.items():
        if not isinstance(document.get(entry), kind):
            return f"{entry!r} is to be a {kind.__name__}"
    config, inputs = document["config"], document.get("inputs", {})
    if not isinstance(inputs, dict) or not isinstance(config.get("options", {}), dict):
        return "'inputs' and the config's 'options' are to be dicts"
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
        or (isinstance(value, (int, float)) and abs(value) < 2**63)
    )


def _broken_seal(document: dict[str, Any], text: str) -> str | None:
    found = _SEAL.search(text)
    if found is None:
        return "its checksum is not its last entry" if "sha256" in document else None
    if _sha256(text[: found.start()]) != found[1]:
        return "it was altered, its checksum is another"
    return None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _not_finite(value: Any) -> bool:
    return isinstance(value, Real) and not math.isfinite(value)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _umask() -> int:
    # There is no call that only reads it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
