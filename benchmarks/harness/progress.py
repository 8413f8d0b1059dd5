"""How far a run is: a bar on a terminal, now and then a line in a log.

Everything is shown between tests, and nothing by a thread: what is timed is left alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from tqdm import tqdm

BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} cells [{elapsed}<{remaining}{postfix}]"
# Benchmark, method, engine and task of a cell; empty where it has none.
Kind = tuple[str, ...]
SECONDS = 30.0  # between two lines in a log, at least
# How long cells of these tests and tasks last beside each other, in a quick run: until cells of
# their own were measured, that tells more than the mean of the others. 1 for any that is not here.
TESTS = {
    "test_runtime": 0.4,
    "test_engines": 1.0,
    "test_scaling": 2.0,
    "test_ig_sweep": 0.3,
    "test_completeness": 0.1,
    "test_agreement": 0.3,
    "test_explained_output": 0.3,
}
TASKS = {"ba-shapes": 0.35, "white-box": 0.18}  # by the beginning of the name


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

    # Of a kind (benchmark, method, engine, task), what it is taken to last as long as: the first of
    # these parts of it that was measured. One method may take a thousand times another's time, so
    # its time in other benchmarks tells more than other methods' in the same.
    _ALIKE = ((0, 1, 2, 3), (0, 1, 2), (0, 1), (1, 3), (1,), (0, 3), (0,), ())

    def __init__(
        self,
        reporter: Any,
        *,
        with_bar: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reporter = reporter
        self.clock = clock
        self.done = self.skipped = 0
        self.kinds: Sequence[Kind] = ()
        self.measured: dict[tuple[tuple[int, ...], Kind], tuple[float, float]] = {}
        self.began = (0.0, 0)
        self.start = self.told = clock()
        self.with_bar = with_bar
        self.bar: tqdm[None] | None = None

    @property
    def total(self) -> int:
        """The number of cells."""
        return len(self.kinds)

    def begin(self, kinds: Sequence[Kind]) -> None:
        """The cells are known, each by its kind, and the clock runs."""
        self.kinds = kinds
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
        self.began = self.clock(), self.skipped
        if self.bar is not None:
            self.bar.set_postfix_str(name)
        elif self.done and self.clock() - self.told >= SECONDS:
            self.told = self.clock()
            self.reporter.ensure_newline()
            self.reporter.write_line(f"{self}; now {name}")

    def cell_ends(self) -> None:
        """A cell is done."""
        start, skipped = self.began
        if self.skipped == skipped and self.done < self.total:
            for parts in self._ALIKE:
                key = parts, _part(self.kinds[self.done], parts)
                seconds, usual = self.measured.get(key, (0.0, 0.0))
                spent = self.clock() - start
                self.measured[key] = seconds + spent, usual + _usual(self.kinds[self.done])
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
        if self.measured:
            left = sum(map(self._expected, self.kinds[self.done :]))
            text += f", about {_time(left)} to go"
        return text

    def _expected(self, kind: Kind) -> float:
        """The seconds that a cell takes, by the cells measured that are most like it."""
        every = (parts for parts in self._ALIKE if kind[1] or 1 not in parts)
        keys = ((parts, _part(kind, parts)) for parts in every)
        seconds, usual = next(self.measured[key] for key in keys if key in self.measured)
        return seconds / usual * _usual(kind)


def _usual(kind: Kind) -> float:
    test, *_, task = kind
    of_task = (weight for name, weight in TASKS.items() if task.startswith(name))
    return TESTS.get(test, 1.0) * next(of_task, 1.0)


def _part(kind: Kind, parts: tuple[int, ...]) -> Kind:
    return tuple(kind[i] for i in parts)


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
