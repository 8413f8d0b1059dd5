"""A run that outlives its methods.

pytest runs in a child process and tells its parent, the supervisor, over a pipe which test and
which cell it is at. If the child dies (a segmentation fault, ``os._exit``, the system's killer of
processes that take too much memory) or is at one cell for longer than the limit, the supervisor
writes that cell with the status ``crash`` or ``timeout`` and starts pytest again, without this test
and with the finished cells kept. The supervisor imports no torch; what is measured is measured in a
process like any other, with nothing between.

It depends on nothing that a method holds: it has the results folder's lock, each child is a session
of its own and is ended with all that it has started, whoever adopted that, and a child that closes
the pipe is still watched by the clock.

Methods of other packages run in children of their own, one for each, before the others: what they
do to the process reaches no other method's numbers. The last child has the package's own methods
and draws the report.

Where the system is not POSIX there is no supervisor: a fault like these ends the run, which
``--resume`` continues.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.metadata
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.harness.lock import locked
from benchmarks.store.cell import Cell
from benchmarks.store.folder import write

# Set for the child: a JSON object with the entries of `Orders`.
VARIABLE = "GNN_BENCH_SUPERVISED"
# Set for a supervisor that is to die with the process that started it.
WITH_PARENT = "GNN_BENCH_WITH_PARENT"

# Seconds that a child may take to go once all is done, and to end its run and draw the report once
# it is told to; and in which further interrupts are the same one: tox repeats the terminal's.
GRACE = 30.0
STOPPING = 300.0
SAME = 2.0


@dataclass(frozen=True)
class Orders:
    """What the supervisor tells the child.

    Attributes:
        pipe: The file descriptor to write to.
        parent: The supervisor's process id.
        folder: The results folder, which the supervisor has locked.
        again: Whether an earlier child has begun the run.
        skip: The tests that died.
        apart: The methods that have children of their own.
        only: The one of them that this child is for; empty for that of all others, the last.
    """

    pipe: int
    parent: int
    folder: str
    again: bool = False
    skip: list[str] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)
    only: str = ""

    def wants(self, method: str | None) -> bool:
        """Whether the tests of a method are this child's."""
        return method == self.only if self.only else method not in self.apart


@dataclass
class _Position:
    """Where the child is: in which test, at which cell, since when (monotonic seconds).

    ``late`` is whether that took too long, ``ended`` the exit status once the run is over,
    ``lingers`` whether the process stayed after that, ``stopped`` whether the run was interrupted.
    """

    test: str | None = None
    cell: dict[str, Any] | None = None
    since: float = field(default_factory=time.monotonic)
    late: bool = False
    ended: int | None = None
    lingers: bool = False
    stopped: bool = False


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


def ended(status: int) -> None:
    """All is done; the process may go, with this exit status."""
    _tell(ended=status)


def _identified(cell: Cell) -> dict[str, Any]:
    return {"benchmark": cell.benchmark, "config": cell.config, "inputs": cell.inputs}


def _tell(**change: Any) -> None:
    if (told := orders()) is not None:
        data = memoryview((json.dumps(change) + "\n").encode())
        # A method may have closed the pipe; the supervisor then goes by the clock alone.
        with contextlib.suppress(OSError):
            while data:  # a pipe takes what fits
                data = data[os.write(told.pipe, data) :]


# ----------------------------------------------------------------------------------- the supervisor


def foreign_methods(chosen: Sequence[str]) -> list[str]:
    """The names of the methods of other packages, sorted; of those chosen, if some were."""
    points = importlib.metadata.entry_points(group="gnn_explainer_bench.methods")
    return sorted({point.name for point in points if not chosen or point.name in chosen})


def run(
    arguments: Sequence[str],
    directory: Path,
    folder: Path,
    limit: float,
    apart: Sequence[str] = (),
) -> int:
    """Runs ``pytest ARGUMENTS`` in children until all its tests have ended; the exit status.

    Args:
        arguments: Of the command line.
        directory: The working folder.
        folder: The results folder, absolute.
        limit: Seconds that a child may be at one cell, or at what a test does before it; 0 is none.
        apart: The methods that have children of their own.

    Raises:
        Locked: Another run is writing into the folder.
        OSError: The folder cannot be made or written.
    """
    if os.environ.pop(WITH_PARENT, None):
        _die_with_parent()
    _adopt_orphans()
    new = not folder.exists()
    skip: list[str] = []
    statuses: list[int] = []
    try:
        with locked(folder) as problem:
            if problem:
                _say(problem)
            for only in (*apart, ""):
                orders = Orders(0, os.getpid(), str(folder), skip=skip, apart=[*apart], only=only)
                status = _part(arguments, directory, limit, orders, first=not statuses)
                if only and status == 3:  # it has broken its own pytest: the others go on
                    status = 1
                statuses.append(status)
                if status not in (0, 1, 5):  # interrupted, or an error in the command
                    return status
    finally:
        if new:  # and nothing came of it
            with contextlib.suppress(OSError):
                folder.rmdir()
    if 1 in statuses or skip:
        return 1
    return 0 if 0 in statuses else 5  # no test was found


def _part(
    arguments: Sequence[str], directory: Path, limit: float, orders: Orders, *, first: bool
) -> int:
    """Children until the tests of one part have ended; the exit status."""
    folder, skip = Path(orders.folder), orders.skip
    again = not first
    while True:
        status, at = _child(arguments, directory, limit, replace(orders, again=again))
        again = True
        if at.ended is not None:
            if at.lingers:
                _say(f"something of a method was still running {GRACE:g} s after the end; stopped")
            return 0 if skip and at.ended == 5 else at.ended  # 5: no test was left
        if at.stopped:
            _say(f"interrupted; the finished cells are in {folder / 'cells'}, --resume goes on")
            return 2
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
    arguments: Sequence[str], directory: Path, limit: float, orders: Orders
) -> tuple[int, _Position]:
    """One child, to its end and that of all that it has started: its exit status, where it was."""
    reading, writing = os.pipe()
    others = _own_children()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=directory,
        env={**os.environ, VARIABLE: json.dumps(asdict(replace(orders, pipe=writing)))},
        pass_fds=[writing],
        # A session of its own: Ctrl-C reaches it through the supervisor, once.
        start_new_session=True,
    )
    os.close(writing)
    stop = _Stop(process)
    previous = {
        number: signal.signal(number, stop)
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not signal.SIG_IGN  # as in the background of a shell
    }
    at = _Position()
    try:
        _follow(process, reading, limit, at, stop)
        at.stopped = stop.deadline < float("inf")
        process.kill()
        return process.wait(), at
    finally:
        process.kill()
        process.wait()
        _end_descendants(others)
        for number, handler in previous.items():
            signal.signal(number, handler)
        os.close(reading)


class _Stop:
    """Hands an interrupt on to the child, which ends its run; at another one it is killed.

    Attributes:
        deadline: When the child is killed, in monotonic seconds; infinite without an interrupt.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.deadline = float("inf")

    def __call__(self, *_: Any) -> None:
        now = time.monotonic()
        if self.deadline == float("inf"):
            self.deadline = now + STOPPING
            self.process.send_signal(signal.SIGINT)
        elif now > self.deadline - STOPPING + SAME:
            self.process.kill()


def _follow(
    process: subprocess.Popen[bytes], pipe: int, limit: float, at: _Position, stop: _Stop
) -> None:
    """Keeps ``at`` up to date until the child ends, is late, or lingers after its end."""
    kept = b""
    is_open = True
    while True:
        running = process.poll() is None  # before the reading: nothing it wrote is missed
        # Not for ever: a process that the child has forked may keep the pipe open.
        ready = is_open and select.select([pipe], [], [], 0.2 if running else 0)[0]
        if ready:
            received = os.read(pipe, 65536)
            is_open = bool(received)  # a method can close it: the clock goes on
            *lines, kept = (kept + received).split(b"\n")
            for line in lines:
                _update(at, line)
            continue
        if not running:
            return
        if not is_open:
            time.sleep(0.2)
        now = time.monotonic()
        at.late = limit > 0 and at.test is not None and now - at.since > limit
        at.lingers = at.ended is not None and now - at.since > GRACE
        if at.late or at.lingers or now > stop.deadline:
            return


def _update(at: _Position, line: bytes) -> None:
    """Takes in what the child says; what a method writes into the pipe is no news."""
    with contextlib.suppress(ValueError):
        change = json.loads(line)
        if isinstance(change, dict) and change.keys() <= {"test", "cell", "ended"}:
            for name, value in change.items():
                setattr(at, name, value)
            at.since = time.monotonic()


def _adopt_orphans() -> None:
    """On Linux, what a child leaves running becomes this process's, which ends it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER


def _own_children() -> list[Any]:
    import psutil

    return list(psutil.Process().children())


def _end_descendants(others: Sequence[Any]) -> None:
    """Kills this process's children and theirs, but for ``others``; until none comes up."""
    import psutil

    while found := [one for one in psutil.Process().children() if one not in others]:
        for child in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                for one in (*child.children(recursive=True), child):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        one.kill()
        psutil.wait_procs(found, timeout=1)  # the orphans of these come to this process


def _death(status: int) -> tuple[str, str]:
    """The cell's status and message for a child's exit status."""
    if status >= 0:
        return "crash", f"the process ended itself with exit status {status}"
    name = signal.Signals(-status).name
    hint = "; the system may have run out of memory" if name == "SIGKILL" else ""
    return "crash", f"the process was killed by {name}{hint}"


def _say(message: str) -> None:
    print(f"\nbenchmarks: {message}\n", file=sys.stderr, flush=True)
