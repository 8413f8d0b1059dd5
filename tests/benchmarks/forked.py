"""A benchmark run as ``python -m pytest`` starts it, but every process is a fork of this one.

    python tests/benchmarks/forked.py GRACE ARGUMENTS...    (in the repository's root)

What takes longest in a short run is to import torch, Captum and PyG in each child of the
supervisor; here it is done once. All else is as ever: a session for each child, nothing inherited
but the pipe, the end of an interpreter's life. GRACE is the supervisor's, in seconds.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import captum.attr  # noqa: F401
import pandas as pd  # noqa: F401
import pytest
import scipy.stats  # noqa: F401
import torch_geometric.explain  # noqa: F401

sys.path[0] = str(Path.cwd())  # as with -m

import benchmarks.report  # noqa: E402
import benchmarks.tasks  # noqa: E402, F401
import explainers.metrics  # noqa: E402, F401
from benchmarks.harness import supervisor  # noqa: E402


class Fork:
    """What the supervisor uses of a :class:`subprocess.Popen`, for a fork that runs pytest."""

    def __init__(
        self,
        command: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        pass_fds: Sequence[int],
        start_new_session: bool,
    ) -> None:
        assert start_new_session
        sys.stdout.flush()
        sys.stderr.flush()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                _close_all_but(pass_fds)
                os.environ.clear()
                os.environ.update(env)
                os.chdir(cwd)
                supervisor.orders.cache_clear()
                signal.signal(signal.SIGINT, signal.default_int_handler)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                _end(pytest.main([*command[3:]]))
            finally:  # not up the stack of the supervisor
                os._exit(1)

    def poll(self) -> int | None:
        return self._wait(os.WNOHANG)

    def wait(self) -> int:
        while self._wait(0) is None:
            pass
        assert self.returncode is not None
        return self.returncode

    def _wait(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _close_all_but(kept: Sequence[int]) -> None:
    start = 3
    for descriptor in sorted(kept):
        os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, 4096)


def _end(status: int) -> None:
    """As an interpreter ends: it waits for threads and calls what is registered."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    finally:
        os._exit(status)


def run(arguments: Sequence[str], grace: float) -> int:
    """``python -m pytest ARGUMENTS``; the exit status."""
    supervisor.subprocess = SimpleNamespace(Popen=Fork)  # type: ignore[assignment]
    supervisor.GRACE = grace
    return int(pytest.main([*arguments]))


if __name__ == "__main__":
    sys.exit(run(sys.argv[2:], float(sys.argv[1])))
