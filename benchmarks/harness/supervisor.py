"""A run that outlives its methods.

pytest runs in a child process and tells its parent, the supervisor, over a pipe which test and
which cell it is at. If the child dies (a segmentation fault, ``os._exit``, the system's killer of
processes that take too much memory) or is at one cell for longer than the limit, the supervisor
writes that cell with the status ``crash`` or ``timeout`` and starts pytest again, without this test
and with the finished cells kept. The supervisor imports no torch; what is measured is measured in a
process like any other, with nothing between.

Where the system is not POSIX there is no supervisor: a fault like these ends the run, which
``--resume`` continues.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.store.cell import Cell
from benchmarks.store.folder import write

# Set for the child: a JSON object with the entries of `Orders`.
VARIABLE = "GNN_BENCH_SUPERVISED"
# Set for a supervisor that is to die with the process that started it.
WITH_PARENT = "GNN_BENCH_WITH_PARENT"


@dataclass(frozen=True)
class Orders:
    """What the supervisor tells the child.

    Attributes:
        pipe: The file descriptor to write to.
        parent: The supervisor's process id.
        folder: The results folder.
        again: Whether an earlier child has begun the run.
        skip: The tests that died.
    """

    pipe: int
    parent: int
    folder: str
    again: bool = False
    skip: list[str] = field(default_factory=list)


@dataclass
class _Position:
    """Where the child is: in which test, at which cell, since when (monotonic seconds).

    ``late`` is whether that took too long, ``ended`` whether it has come to its end.
    """

    test: str | None = None
    cell: dict[str, Any] | None = None
    since: float = field(default_factory=time.monotonic)
    late: bool = False
    ended: bool = False


# ---------------------------------------------------------------------------------------- the child


@functools.cache
def orders() -> Orders | None:
    """What the supervisor told this process, or None if it has none. Ties its life to it."""
    text = os.environ.pop(VARIABLE, None)  # not for this process's own children
    if text is None:
        return None
    found = Orders(**json.loads(text))
    os.set_inheritable(found.pipe, False)
    _die_with_parent()
    if os.getppid() != found.parent:
        os._exit(1)
    return found


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def at_test(test: str, stand_in: Cell) -> None:
    """A test begins; the cell stands for it until it begins one of its own."""
    _tell(test=test, cell=_identified(stand_in))


def started(cell: Cell) -> None:
    """A cell begins."""
    _tell(cell=_identified(cell))


def finished() -> None:
    """The cell is written."""
    _tell(cell=None)


def after_test() -> None:
    """The test has ended."""
    _tell(test=None, cell=None)


def ended() -> None:
    """All is done; the process may go."""
    _tell(ended=True)


def _identified(cell: Cell) -> dict[str, Any]:
    return {"benchmark": cell.benchmark, "config": cell.config, "inputs": cell.inputs}


def _tell(**change: Any) -> None:
    if (told := orders()) is not None:
        data = memoryview((json.dumps(change) + "\n").encode())
        while data:  # a pipe takes what fits
            data = data[os.write(told.pipe, data) :]


# ----------------------------------------------------------------------------------- the supervisor


def run(arguments: Sequence[str], directory: Path, folder: Path, limit: float) -> int:
    """Runs ``pytest ARGUMENTS`` in children until all its tests have ended; the exit status.

    Args:
        arguments: Of the command line.
        directory: The working folder.
        folder: The results folder, absolute.
        limit: Seconds that a child may be at one cell, or at what a test does before it; 0 is none.
    """
    skip: list[str] = []
    if os.environ.pop(WITH_PARENT, None):
        _die_with_parent()
    while True:
        status, at = _child(arguments, directory, folder, limit, skip)
        if at.ended:
            return 1 if skip and status in (0, 5) else status  # 5: no test was left
        death, message = _death(status)
        if at.late:
            death, message = "timeout", f"took longer than the {limit:g} s of --cell-timeout"
        if at.test is None or at.test in skip:
            _say(f"{message}, not in a test; the cells so far are in {folder / 'cells'}")
            return status if status > 0 else 128 - status
        if at.cell is not None:
            write(folder / "cells", Cell(**at.cell, status=death, message=message))
        skip.append(at.test)
        _say(f"{message}, in {at.test}; recorded as {death}, going on with the others")


def _child(
    arguments: Sequence[str], directory: Path, folder: Path, limit: float, skip: list[str]
) -> tuple[int, _Position]:
    """One child, to its end: its exit status, and where it was."""
    reading, writing = os.pipe()
    told = Orders(writing, os.getpid(), str(folder), bool(skip), skip)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=directory,
        env={**os.environ, VARIABLE: json.dumps(told.__dict__)},
        pass_fds=[writing],
    )
    os.close(writing)
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    at = _Position()
    try:
        _follow(process, reading, limit, at)
        if at.late:
            _kill(process)
        return process.wait(), at
    finally:
        if process.poll() is None:
            _kill(process)
        signal.signal(signal.SIGTERM, previous)
        os.close(reading)


def _follow(process: subprocess.Popen[bytes], pipe: int, limit: float, at: _Position) -> None:
    """Keeps ``at`` up to date until the child ends, or is late."""
    kept = b""
    while True:
        try:
            # Not for ever: a process that the child has forked may keep the pipe open.
            ready, _, _ = select.select([pipe], [], [], 0.5)
            received = os.read(pipe, 65536) if ready else None
        except KeyboardInterrupt:
            if not _shares_the_terminal():  # else the child has had it from there
                process.send_signal(signal.SIGINT)
            continue
        if received:
            *lines, kept = (kept + received).split(b"\n")
            for line in lines:
                for name, value in json.loads(line).items():
                    setattr(at, name, value)
                at.since = time.monotonic()
        elif received == b"" or process.poll() is not None:
            return
        at.late = limit > 0 and at.test is not None and time.monotonic() - at.since > limit
        if at.late:
            return


def _shares_the_terminal() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a child and what it has started."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        for other in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                other.kill()
    process.kill()
    process.wait()


def _death(status: int) -> tuple[str, str]:
    """The cell's status and message for a child's exit status."""
    if status >= 0:
        return "crash", f"the process ended itself with exit status {status}"
    name = signal.Signals(-status).name
    hint = "; the system may have run out of memory" if name == "SIGKILL" else ""
    return "crash", f"the process was killed by {name}{hint}"


def _say(message: str) -> None:
    print(f"\nbenchmarks: {message}\n", file=sys.stderr, flush=True)
