"""How far a run is: a bar on a terminal, now and then a line in a log.

Everything is shown between tests, and nothing by a thread: what is timed is left alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} cells [{elapsed}<{remaining}{postfix}]"
SECONDS = 30.0  # between two lines in a log, at least


class Progress:
    """Counts cells and shows them.

    Args:
        reporter: What writes to the terminal or the log: pytest's ``TerminalReporter``.
        with_bar: Whether to show a bar instead.
        clock: Seconds that never go back.

    Attributes:
        skipped: How many of the cells were not measured: a resumed run's first cells say nothing
            about how long the others take.
    """

    def __init__(
        self,
        reporter: Any,
        *,
        with_bar: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reporter = reporter
        self.clock = clock
        self.total = self.done = self.skipped = 0
        self.start = self.told = clock()
        self.with_bar = with_bar
        self.bar: tqdm[None] | None = None

    def begin(self, total: int) -> None:
        """The number of cells is known, and the clock runs."""
        self.total = total
        self.start = self.told = self.clock()
        if self.with_bar:
            tqdm.monitor_interval = 0  # no thread
            self.reporter.showfspath = False
            self.bar = tqdm(
                total=self.total,
                bar_format=BAR,
                smoothing=0,
                leave=False,
                dynamic_ncols=True,
                file=sys.stderr,
            )

    def cell_begins(self, name: str) -> None:
        """The next cell, by its name."""
        if self.bar is not None:
            self.bar.set_postfix_str(name)
        elif self.done and self.clock() - self.told >= SECONDS:
            self.told = self.clock()
            self.reporter.ensure_newline()
            self.reporter.write_line(f"{self}; now {name}")

    def cell_ends(self) -> None:
        """A cell is done."""
        self.done += 1
        if self.bar is not None:
            self.bar.update()
            if self.done == self.total:
                self.bar.close()

    def failed(self, message: str) -> None:
        """A line of its own, above the bar."""
        if self.bar is not None:
            self.bar.write(message, file=sys.stderr)

    def close(self) -> None:
        """Takes the bar away."""
        if self.bar is not None:
            self.bar.close()

    def __str__(self) -> str:
        elapsed = self.clock() - self.start
        text = f"{self.done} of {self.total} cells, {_time(elapsed)} so far"
        if measured := self.done - self.skipped:
            left = elapsed / measured * (self.total - self.done)
            text += f", about {_time(left)} to go"
        return text


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
