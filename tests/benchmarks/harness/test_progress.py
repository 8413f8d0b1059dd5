"""Progress: a line now and then in a log, a bar on a terminal, nothing if it is to be quiet."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.harness import plugin, progress
from benchmarks.harness.progress import Progress

ROOT = Path(__file__).parents[3]
RUN = ["benchmarks/test_quality.py", "--benchmark-only", "--task", "karate", "--nodes", "1"]
RUN += ["--method", "random", "--method", "degree", "-p", "no:cacheprovider"]


KIND = ("runtime", "random", "", "karate")


class Reporter:
    def __init__(self):
        self.lines = []

    def ensure_newline(self):
        pass

    def write_line(self, line):
        self.lines.append(line)


def test_a_line_in_a_log_every_thirty_seconds():
    now = [0.0]
    reporter = Reporter()
    told = Progress(reporter, with_bar=False, clock=lambda: now[0])
    now[0] = 100.0  # loading the data is no part of the cells
    told.begin([KIND] * 10)
    for number in range(10):
        told.cell_begins(f"runtime[karate-{number}]")
        now[0] += 20
        told.cell_ends()
    assert reporter.lines[0] == (
        "2 of 10 cells, 0:40 so far, about 2:40 to go; now runtime[karate-2]"
    )
    assert [line.split()[0] for line in reporter.lines] == ["2", "4", "6", "8"]


def test_cells_of_an_earlier_run_do_not_count_as_fast():
    now = [0.0]
    told = Progress(Reporter(), with_bar=False, clock=lambda: now[0])
    told.begin([KIND] * 10)
    for number in range(6):
        resumed = number < 5
        told.cell_begins("quality")
        now[0] += 0.0 if resumed else 4000.0
        told.skipped += resumed
        told.cell_ends()
    assert str(told) == "6 of 10 cells, 1:06:40 so far, about 4:26:40 to go"


def test_what_is_left_is_estimated_by_cells_of_its_kind():
    """A slow engine of one method says nothing of the others that are left."""
    now = [0.0]
    told = Progress(Reporter(), with_bar=False, clock=lambda: now[0])
    slow = ("runtime", "shapley_sampling", "stock", "karate")
    fast = ("runtime", "saliency", "analytic", "karate")
    unseen = [("runtime", "saliency", "analytic", "cora"), ("sweep", "saliency", "", "karate")]
    unseen += [("sweep", "lime", "", "karate")]
    told.begin([slow, fast, fast, fast, *unseen])
    for seconds in (100.0, 2.0, 4.0):
        told.cell_begins("")
        now[0] += seconds
        told.cell_ends()
    # Fast ones take 3 s, also on another task and in another benchmark; of a new method nothing is
    # known but the mean.
    assert str(told).endswith(f"about 0:{3 + 3 + 3 + round(106 / 3)} to go")


def test_until_a_benchmark_begins_it_is_estimated_by_what_is_usual(monkeypatch):
    monkeypatch.setattr(progress, "TESTS", {"test_sweep": 0.1})
    monkeypatch.setattr(progress, "TASKS", {"white-box": 0.5})
    now = [0.0]
    told = Progress(Reporter(), with_bar=False, clock=lambda: now[0])
    first, small = ("test_quality", "a", "", "karate"), ("test_quality", "a", "", "white-box-or")
    told.begin([first, small, *[("test_sweep", "", "", "karate")] * 30])
    for seconds, left in ((20.0, "1:10"), (20.0, "1:20")):  # 10 + 30 * 2, then 30 * 40 / 1.5 / 10
        told.cell_begins("")
        now[0] += seconds
        told.cell_ends()
        assert str(told).endswith(f"about {left} to go")
    told.cell_begins("")
    now[0] += 1
    told.cell_ends()
    assert str(told).endswith("about 0:29 to go")  # by its own cell


def test_no_estimate_without_a_measurement():
    told = Progress(Reporter(), with_bar=False, clock=lambda: 0.0)
    told.begin([KIND] * 3)
    assert str(told) == "0 of 3 cells, 0:00 so far"


@pytest.mark.parametrize(("verbosity", "installed"), [(-1, False), (0, True), (1, True)])
def test_quiet_is_quiet(verbosity, installed):
    manager = SimpleNamespace(getplugin=lambda name: Reporter())
    stash = pytest.Stash()
    stash[plugin.RUN] = None
    plugin.pytest_sessionstart(
        SimpleNamespace(
            config=SimpleNamespace(
                pluginmanager=manager, get_verbosity=lambda: verbosity, stash=stash
            )
        )
    )
    assert (plugin.PROGRESS in stash) == installed
    if installed:
        assert not stash[plugin.PROGRESS].with_bar  # no terminal here


@pytest.mark.skipif(os.name != "posix", reason="needs pseudo-terminals")
def test_a_bar_on_a_terminal(tmp_path):
    """The bar counts to the end and takes the place of the dots; the summary is whole."""
    import pty
    import termios

    head, tail = pty.openpty()
    termios.tcsetwinsize(tail, (40, 120))
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *RUN, "--results", str(tmp_path / "out")],
        cwd=ROOT,
        stdout=tail,
        stderr=tail,
    )
    os.close(tail)
    shown = b""
    while True:
        try:
            shown += os.read(head, 65536)
        except OSError:  # the other side is closed
            break
    os.close(head)
    assert process.wait() == 0, shown.decode()
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", shown.decode())
    assert re.search(r"\r *0%\|.*0/2 cells .*quality\[karate-gcn-0-random\]", text)
    assert re.search(r"\r *50%\|.*1/2 cells .*quality\[karate-gcn-0-degree\]", text)
    assert "\n." not in text
    assert " 2 passed" in text
