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
and draws the report; where it cannot, or the run is interrupted before, the supervisor draws it.

An interrupt, of a terminal or by ``kill``, is handed on as another signal (``STOP``): a SIGINT that
reaches a child by another way may be the doing of a method, and does not end the run. It may have
left imports and fixtures half done: the child ends, and another one goes on.

Where the system is not POSIX there is no supervisor: a fault like these ends the run, which
``--resume`` continues.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.harness.lock import locked
from benchmarks.harness.position import Position, death, update
from benchmarks.harness.processes import (
    adopt_orphans,
    die_with_parent,
    end_descendants,
    own_children,
)
from benchmarks.harness.stop import Stop
from benchmarks.store.cell import Cell
from benchmarks.store.folder import write

# Set for the child: a JSON object with the entries of `Orders`.
VARIABLE = "GNN_BENCH_SUPERVISED"
# Set for a supervisor that is to die with the process that started it.
WITH_PARENT = "GNN_BENCH_WITH_PARENT"

# Seconds that a child may take to go once all is done.
GRACE = 30.0
# Bytes that must fit into a folder that is not full.
PROBE = 2**20


@dataclass(frozen=True)
class Orders:
    """What the supervisor tells the child.

    Attributes:
        pipe: The file descriptor to write to.
        parent: The supervisor's process id.
        folder: The results folder, which the supervisor has locked.
        again: Whether an earlier child has begun the run.
        skip: The tests that died.
        since: When the run began (seconds of the epoch): what failed after that is not tried again.
        apart: The methods that have children of their own.
        only: The one of them that this child is for; empty for that of all others, the last.
    """

    pipe: int
    parent: int
    folder: str
    again: bool = False
    skip: list[str] = field(default_factory=list)
    since: float = float("inf")
    apart: list[str] = field(default_factory=list)
    only: str = ""

    def wants(self, method: str | None) -> bool:
        """Whether the tests of a method are this child's."""
        return method == self.only if self.only else method not in self.apart


# ---------------------------------------------------------------------------------------- the child


@functools.cache
def orders() -> Orders | None:
    """What the supervisor told this process, or None if it has none. Ties its life to it."""
    text = os.environ.pop(VARIABLE, None)  # not for this process's own children
    if text is None:
        return None
    found = Orders(**json.loads(text))
    os.set_inheritable(found.pipe, False)
    die_with_parent()
    if os.getppid() != found.parent:
        os._exit(1)
    return found


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


def interrupted() -> None:
    """The process ends because it alone was interrupted."""
    _tell(interrupted=True)


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
        die_with_parent()
    adopt_orphans()
    new = not folder.exists()
    orders = Orders(0, os.getpid(), str(folder), since=time.time(), apart=[*apart])
    try:
        with locked(folder) as problem:
            if problem:
                _say(problem)
            with Stop() as stop:
                status, drawn = _parts(arguments, directory, limit, orders, stop)
            if not drawn and not stop.at_once:
                _draw(folder)
            if not drawn and stop.asked:
                _say(f"interrupted; go on with the same command and --results {folder} --resume")
    finally:
        if new:  # and nothing came of it
            with contextlib.suppress(OSError):
                folder.rmdir()
    return status


def _parts(
    arguments: Sequence[str], directory: Path, limit: float, orders: Orders, stop: Stop
) -> tuple[int, bool]:
    """All parts, one after the other: the exit status, and whether the last child has ended."""
    statuses: list[int] = []
    for only in (*orders.apart, ""):
        part = replace(orders, only=only, again=bool(statuses))
        status, has_ended = _part(arguments, directory, limit, part, stop)
        statuses.append(status)
        if status not in (0, 1, 5):  # interrupted, or an error in the command
            return status, has_ended
    if 1 in statuses or orders.skip:
        return 1, has_ended
    return (0 if 0 in statuses else 5), has_ended  # 5: no test was found


def _part(
    arguments: Sequence[str], directory: Path, limit: float, orders: Orders, stop: Stop
) -> tuple[int, bool]:
    """Children until the tests of one part have ended: the exit status, whether they really have.

    A child that ends outside of a test is given a second try; what fails then is recorded as the
    method's that it was for. A test that was interrupted before its cell was written has one, too.
    """
    folder, skip = Path(orders.folder), orders.skip
    failure = _of_a_method(orders.only)
    (folder / "cells" / f"{failure.key}.json").unlink(missing_ok=True)  # it is tried again
    before, tries = len(skip), 2
    repeated: set[str | None] = set()
    while True:
        status, at = _child(arguments, directory, limit, orders, stop)
        orders = replace(orders, again=True)
        if stop.asked:
            if at.ended is None or orders.only:
                return 2, False
            return at.ended, True
        unbegun = bool(orders.only) and at.ended == 1 and not at.began
        if at.ended in _ENDS and at.test is None and not unbegun:
            if at.lingers:
                _say(f"something of a method was still running {GRACE:g} s after the end; stopped")
            return (0 if skip and at.ended == 5 else at.ended), True  # 5: no test was left
        status_of_cell, message = death(status, at, limit)
        if at.test is None or at.test in skip:
            tries -= 1
            if tries and not at.late and (at.ended is None or at.began or at.interrupted):
                _say(f"{message}, not in a test; it is tried once more")
                continue
            if not orders.only:
                _say(f"{message}, not in a test; the cells so far are in {folder / 'cells'}")
                return (at.ended or status if status >= 0 else 128 - status) or 1, False
            if len(skip) == before:  # else there are rows of its tests
                found = replace(failure, status=status_of_cell, message=message)
                write(folder / "cells", found)
            _say(f"{message}, not in a test; {orders.only} is recorded as {status_of_cell}")
            return 1, True
        if at.interrupted and at.cell is not None and at.test not in repeated:
            repeated.add(at.test)
            _say(f"{message}, in {at.test}; it is run once more")
            continue
        if at.ended is not None and not _has_space(folder):
            return at.ended, True  # the child has said so
        if at.cell is not None:
            write(folder / "cells", Cell(**at.cell, status=status_of_cell, message=message))
        skip.append(at.test)
        _say(f"{message}, in {at.test}; recorded as {status_of_cell}, going on with the others")


# The exit statuses of pytest that are no fault of a method's: passed, failed, usage, no tests.
_ENDS = (0, 1, 4, 5)


def _child(
    arguments: Sequence[str], directory: Path, limit: float, orders: Orders, stop: Stop
) -> tuple[int, Position]:
    """One child, to its end and that of all that it has started: its exit status, where it was."""
    reading, writing = os.pipe()
    others = own_children()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=directory,
        env={**os.environ, VARIABLE: json.dumps(asdict(replace(orders, pipe=writing)))},
        pass_fds=[writing],
        # A session of its own: Ctrl-C reaches it through the supervisor, once.
        start_new_session=True,
    )
    at = Position()
    try:
        os.close(writing)
        stop.hand_on_to(process)
        _follow(process, reading, limit, at, stop, always=bool(orders.only))
        process.kill()
        return process.wait(), at
    finally:
        stop.process = None
        process.kill()
        process.wait()
        end_descendants(others)
        os.close(reading)


def _follow(
    process: subprocess.Popen[bytes],
    pipe: int,
    limit: float,
    at: Position,
    stop: Stop,
    *,
    always: bool,
) -> None:
    """Keeps ``at`` up to date until the child ends, is late, or lingers after its end.

    Args:
        process: The child.
        pipe: What it tells of itself.
        limit: Seconds that it may be at one place; 0 is none.
        at: Where it is.
        stop: Says when it must have ended.
        always: Whether the limit holds outside of tests, too: the import of a method may hang.
    """
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
                update(at, line)
            continue
        if not running:
            return
        if not is_open:
            time.sleep(0.2)
        now = time.monotonic()
        at.late = (
            0 < limit < now - at.since and at.ended is None and (always or at.test is not None)
        )
        at.lingers = at.ended is not None and now - at.since > GRACE
        if at.late or at.lingers or now > stop.deadline:
            return


def _of_a_method(name: str) -> Cell:
    """What stands for a method that has failed before any test of it began."""
    names = ("task", "model", "method", "engine", "device")
    config: dict[str, Any] = {**dict.fromkeys(names, ""), "model_seed": 0, "options": {}}
    return Cell("method", {**config, "method": name})


def _has_space(folder: Path) -> bool:
    """Whether more than a cell can be written into the folder."""
    path = folder / ".probe"
    try:
        path.write_bytes(bytes(PROBE))
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
    return True


def _draw(folder: Path) -> None:
    """The report, if there are cells: no child has drawn it."""
    if not any((folder / "cells").glob("*.json")):
        return
    try:
        import benchmarks.report

        benchmarks.report.write(folder)
        _say(f"report: {folder / 'report.md'}")
    except Exception as error:
        _say(f"the report could not be drawn ({error}); python -m benchmarks report {folder}")


def _say(message: str) -> None:
    print(f"\nbenchmarks: {message}\n", file=sys.stderr, flush=True)
