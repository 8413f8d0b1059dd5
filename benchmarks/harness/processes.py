"""Processes that end with others: children with their parent, and what they leave behind."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
from collections.abc import Sequence
from typing import Any


def die_with_parent() -> None:
    """On Linux, the system kills this process when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def adopt_orphans() -> None:
    """On Linux, what a child leaves running becomes this process's, which can end it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER


def own_children() -> list[Any]:
    """The children of this process, as psutil has them."""
    import psutil

    return list(psutil.Process().children())


def end_descendants(others: Sequence[Any]) -> None:
    """Kills this process's children and theirs, but for ``others``; until none comes up."""
    import psutil

    while found := [one for one in own_children() if one not in others]:
        for child in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                for one in (*child.children(recursive=True), child):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        one.kill()
        psutil.wait_procs(found, timeout=1)  # the orphans of these come to this process
