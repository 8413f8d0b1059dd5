"""Tells an interrupt of the user's from a ``KeyboardInterrupt`` that a method raises."""

from __future__ import annotations

import signal
from types import FrameType

_received = 0


def watch(number: int = signal.SIGINT) -> None:
    """Notes each such signal; the first, and each SIGINT, raises ``KeyboardInterrupt``.

    A SIGINT is left alone where the process was started with interrupts ignored, as a shell starts
    what runs in its background, or has a handler of its own.

    Args:
        number: SIGINT, or what a supervisor sends in its place.
    """
    if number != signal.SIGINT or signal.getsignal(number) is signal.default_int_handler:
        signal.signal(number, _note)


def received() -> bool:
    """Whether there was one."""
    return _received > 0


def _note(number: int, frame: FrameType | None) -> None:
    global _received
    _received += 1
    if _received == 1 or number == signal.SIGINT:
        signal.default_int_handler(number, frame)
