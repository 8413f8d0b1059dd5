"""How far a run is: a bar on a terminal, now and then a line in a log, nothing under ``-q``.

Everything is shown between tests, and nothing by a thread: what is timed is left alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator

import pytest
from tqdm import tqdm

BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} cells [{elapsed}<{remaining}{postfix}]"
SECONDS = 30.0  # between two lines in a log, at least

Status = Generator[None, tuple[str, str, str], tuple[str, str, str]]


class Progress:
    """A pytest plugin; registered by ``conftest.py`` for runs that are not quiet.

    On a terminal the bar takes the place of pytest's dots, unless pytest is to be verbose.

    Args:
        reporter: What writes to the terminal.
        bar: Whether to show a bar.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        reporter: pytest.TerminalReporter,
        *,
        bar: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reporter = reporter
        self.clock = clock
        self.total = self.done = self.skipped = 0
        self.start = self.told = clock()
        self.with_bar = bar
        self.bar: tqdm[None] | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """The number of cells is known, and the clock runs."""
        self.total = len(session.items)
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

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A cell begins."""
        name = nodeid.rpartition("::")[2].removeprefix("test_")
        if self.bar is not None:
            self.bar.set_postfix_str(name)
        elif self.done and self.clock() - self.told >= SECONDS:
            self.told = self.clock()
            self.reporter.ensure_newline()
            self.reporter.write_line(f"{self}; now {name}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Counts what was skipped: a resumed run's first cells say nothing about the others."""
        self.skipped += report.skipped

    def pytest_runtest_logfinish(self) -> None:
        """A cell is done."""
        self.done += 1
        if self.bar is not None:
            self.bar.update()
            if self.done == self.total:
                self.bar.close()

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> Status:
        """Keeps the dots away from the bar; a failure has a line of its own."""
        category, letter, word = yield
        if self.bar is None:
            return category, letter, word
        if report.failed:
            self.bar.write(f"{word or category}: {report.nodeid}", file=sys.stderr)
        return category, "", ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Takes the bar away; the summary follows."""
        if self.bar is not None:
            self.bar.close()

    def __str__(self) -> str:
        elapsed = self.clock() - self.start
        text = f"{self.done} of {self.total} cells, {_time(elapsed)} so far"
        if measured := self.done - self.skipped:
            left = elapsed / measured * (self.total - self.done)
            text += f", about {_time(left)} to go"
        return text


def install(config: pytest.Config) -> None:
    """Registers the plugin, if the run is one that shows its progress."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    verbosity = config.get_verbosity()
    if reporter is None or verbosity < 0:
        return
    bar = verbosity == 0 and sys.stderr.isatty() and sys.stdout.isatty()
    config.pluginmanager.register(Progress(reporter, bar=bar), "gnn-explainer-bench-progress")


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
