"""Tells an interrupt of the user's from a ``KeyboardInterrupt`` that a method raises."""

from __future__ import annotations

import signal
from types import FrameType

_received = 0


def watch(*, always: bool = False) -> None:
    """Notes each SIGINT from here on; it still raises ``KeyboardInterrupt``.

    Args:
        always: Also where the process was started with interrupts ignored, as a shell starts what
            runs in its background: for the child of a supervisor, which alone can send it any.
    """
    if always or signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _note)


def received() -> bool:
    """Whether there was one."""
    return _received > 0


def _note(number: int, frame: FrameType | None) -> None:
    global _received
    _received += 1
    signal.default_int_handler(number, frame)
