"""An interrupt of a run: what the supervisor makes of it."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import Any

# What tells a child to end its run.
STOP = getattr(signal, "SIGUSR1", signal.SIGINT)  # there is no supervisor where it is missing

# Seconds that a child may take to end its run and draw the report once it is told to; and in which
# further interrupts are the same one: tox repeats the terminal's.
STOPPING = 300.0
SAME = 2.0


class Stop:
    """Hands an interrupt on to the child, which ends its run; at another one it is killed.

    Attributes:
        process: The child, if there is one.
        asked: Whether there was an interrupt.
        at_once: Whether there was another one.
        deadline: When the child is killed, in monotonic seconds; infinite without an interrupt.
    """

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.asked = self.at_once = False
        self.deadline = float("inf")
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as in the background of a shell
                self._before[number] = signal.signal(number, self)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self, *_: Any) -> None:
        now = time.monotonic()
        if not self.asked:
            self.asked, self.deadline = True, now + STOPPING
            if self.process is not None:
                self.process.send_signal(STOP)
        elif now > self.deadline - STOPPING + SAME:
            self.at_once = True
            if self.process is not None:
                self.process.kill()

    def hand_on_to(self, process: subprocess.Popen[bytes]) -> None:
        """From here on interrupts are the child's; one that came before is now."""
        self.process = process
        if self.asked:
            process.send_signal(STOP)
