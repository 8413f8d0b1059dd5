"""A cell: one configuration under one benchmark, with its key and its rows.

A configuration is a task, a model and its seed, a method, an engine, options and a device. The key
is a hash of everything that determines the cell's numbers and is also its file's name, so that a
run that was interrupted can go on (``--resume``) and never takes over a number that is out of date.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

KEY_VERSION = 1  # of what a key is made from; another would orphan every published cell
KEY_LENGTH = 16
STATUSES = ("ok", "error", "invalid", "oom", "timeout", "crash", "unavailable")


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
        quality: Rows with ``node``, ``metric``, ``level``, ``semantics``, ``selection``, ``value``.
            As read from a file, rows that agree in all but node and value are one, with lists of
            both.
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
        given = {"level": "", "semantics": "", "selection": "", **row}
        self.quality.append({"node": node, "metric": metric, **given, "value": value})

    @property
    def identity(self) -> str:
        """What the cell is about, whichever versions and nodes it was made with.

        Of two cells with the same identity in one folder, the older is superseded.
        """
        return canonical([self.benchmark, self.config, self.inputs.get("part", {})])


def cell_key(benchmark: str, config: Mapping[str, Any], inputs: Mapping[str, Any]) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of all that determines a cell.

    The order of a mapping's keys does not matter.

    Raises:
        ValueError: Something in it is neither text, a finite number, a truth value, None nor a
            list or mapping of these.
    """
    text = canonical([KEY_VERSION, benchmark, plain(config), plain(inputs)])
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


def canonical(value: Any) -> str:
    """``value`` as JSON in one form: mappings that are equal give the same text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
