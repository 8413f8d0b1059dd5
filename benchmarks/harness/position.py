"""Where a child of the supervisor is, by what it tells, and how it has died."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Position:
    """Where the child is: in which test, at which cell, since when (monotonic seconds).

    ``began`` is whether a test has begun, ``late`` whether the place took too long, ``ended`` the
    exit status once the run is over, ``interrupted`` whether a SIGINT that was not the user's ended
    it, ``lingers`` whether the process stayed after that.
    """

    test: str | None = None
    cell: dict[str, Any] | None = None
    since: float = field(default_factory=time.monotonic)
    began: bool = False
    late: bool = False
    ended: int | None = None
    interrupted: bool = False
    lingers: bool = False


def update(at: Position, line: bytes) -> None:
    """Takes in what the child says; what a method writes into the pipe is no news."""
    with contextlib.suppress(ValueError, RecursionError):
        change = json.loads(line)
        if isinstance(change, dict) and all(map(_is_told, change.items())):
            for name, value in change.items():
                setattr(at, name, value)
            at.began = at.began or at.test is not None
            at.since = time.monotonic()


def _is_told(entry: tuple[str, Any]) -> bool:
    """Whether this is what a child says, and not only in its form."""
    name, value = entry
    if name == "cell":
        return value is None or (
            isinstance(value, dict)
            and value.keys() == {"benchmark", "config", "inputs"}
            and isinstance(value["benchmark"], str)
            and isinstance(value["config"], dict)
            and isinstance(value["inputs"], dict)
        )
    kinds: dict[str, tuple[type, ...]] = {
        "test": (str, type(None)),
        "ended": (int,),
        "interrupted": (bool,),
    }
    return isinstance(value, kinds.get(name, ()))


def death(status: int, at: Position, limit: float) -> tuple[str, str]:
    """The cell's status and message for a child's exit status."""
    if at.late:
        return "timeout", f"took longer than the {limit:g} s of --cell-timeout"
    if at.interrupted:
        return "error", "the process was interrupted (SIGINT)"
    if at.ended is not None:
        if not at.began:
            return "error", "its tests could not begin (its import may have failed)"
        return "error", f"the process could not go on; pytest ended with exit status {at.ended}"
    if status >= 0:
        return "crash", f"the process ended itself with exit status {status}"
    name = signal.Signals(-status).name
    hint = "; the system may have run out of memory" if name == "SIGKILL" else ""
    return "crash", f"the process was killed by {name}{hint}"
