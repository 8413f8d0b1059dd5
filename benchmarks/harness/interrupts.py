"""Tells an interrupt of the user's from a ``KeyboardInterrupt`` that a method raises."""

from __future__ import annotations

import signal
from types import FrameType

_received = 0
_received_alone = False


def watch(number: int = signal.SIGINT) -> None:
    """Notes each such signal; the first, and each SIGINT, raises ``KeyboardInterrupt``.

    A SIGINT is left alone where the process was started with interrupts ignored, as a shell starts
    what runs in its background, or has a handler of its own.

    Args:
        number: SIGINT, or what a supervisor sends in its place.
    """
    if number != signal.SIGINT or _is_heard():
        signal.signal(number, _note)


def watch_alone() -> None:
    """Notes each SIGINT of a process whose supervisor has those of the user."""
    if _is_heard():
        signal.signal(signal.SIGINT, _note_alone)


def received() -> bool:
    """Whether there was one."""
    return _received > 0


def received_alone() -> bool:
    """Whether a SIGINT has reached this process past its supervisor.

    It may have come in the middle of an import or of pytest's own work, which are not repeated:
    what is measured in this process from then on may fail for that reason.
    """
    return _received_alone


def _is_heard() -> bool:
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _note_alone(number: int, frame: FrameType | None) -> None:
    global _received_alone
    _received_alone = True
    signal.default_int_handler(number, frame)


def _note(number: int, frame: FrameType | None) -> None:
    global _received
    _received += 1
    if _received == 1 or number == signal.SIGINT:
        signal.default_int_handler(number, frame)
