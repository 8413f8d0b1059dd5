"""What the supervisor makes of the ways in which its children end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness import supervisor
from benchmarks.harness.position import Position, update
from benchmarks.store.cell import Cell
from benchmarks.store.folder import load_all, write

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the supervisor needs a POSIX system")
CONFIG = {"task": "karate", "model": "gcn", "model_seed": 0, "method": "saliency", "engine": ""}
CELL = Cell(
    "quality",
    {**CONFIG, "options": {}, "device": "cpu"},
    quality=[{"node": 0, "metric": "gini", "value": 0.5}],
)


@pytest.fixture
def children(tmp_path, monkeypatch):
    """``children(ends, apart)``: a run whose children end so; its status and what they were for."""

    def run(ends, apart=()):
        told, left = [], list(ends)
        write(tmp_path / "cells", CELL)

        def child(arguments, directory, limit, orders, stop):
            told.append((orders.only, orders.again, [*orders.skip]))
            end = left.pop(0)
            return end() if callable(end) else end

        monkeypatch.setattr(supervisor, "_child", child)
        status = supervisor.run([], tmp_path, tmp_path, 0, apart)
        assert not left
        return status, told

    return run


def dead(status, **where):
    return status, Position(**where)


def done(status):
    return 0, Position(began=True, ended=status)


def statuses(folder):
    cells, problems = load_all(folder / "cells")
    assert problems == []
    return {(one.benchmark, one.config["method"]): (one.status, one.message) for one in cells}


def test_a_child_that_dies_between_two_tests_is_started_once_more(children, tmp_path):
    status, told = children([dead(-signal.SIGTERM, began=True), done(0)])
    assert status == 0
    assert told == [("", False, []), ("", True, [])]
    assert not (tmp_path / "report.html").exists()  # that is the child's


def test_a_child_that_is_interrupted_while_it_collects_is_started_once_more(children):
    status, told = children([(0, Position(ended=2, interrupted=True)), done(0)])
    assert status == 0
    assert told == [("", False, []), ("", True, [])]


def test_a_test_whose_cell_was_written_when_it_was_interrupted_is_not_run_again(children):
    where = Position(test="a", began=True, ended=2, interrupted=True)
    status, told = children([(2, where), done(0)])
    assert status == 1
    assert told == [("", False, []), ("", True, ["a"])]


def test_what_no_child_could_draw_the_supervisor_draws(children, tmp_path, capfd):
    status, _ = children([dead(-signal.SIGKILL)] * 2)
    assert status == 128 + signal.SIGKILL
    assert (tmp_path / "report.html").stat().st_size
    assert f"report: {tmp_path / 'report.md'}" in capfd.readouterr().err


@pytest.mark.parametrize("ended", [None, 0])
def test_an_interrupt_that_no_child_hears_ends_the_run_with_a_report(children, tmp_path, ended):
    def interrupted():
        os.kill(os.getpid(), signal.SIGTERM)
        return 0, Position(ended=ended)

    status, told = children([interrupted], apart=["a", "b"])
    assert status == 2
    assert [only for only, *_ in told] == ["a"]
    assert (tmp_path / "report.html").stat().st_size


@pytest.mark.parametrize(
    ("ends", "outcome"),
    [
        ([dead(0)] * 2, ("crash", "the process ended itself with exit status 0")),
        ([dead(-9, late=True)], ("timeout", "took longer than the 0 s of --cell-timeout")),
        ([(0, Position(ended=1))], ("error", "its tests could not begin (its import may .*")),
        ([(0, Position(ended=2))], ("error", "its tests could not begin (its import may .*")),
    ],
)
def test_a_method_whose_tests_do_not_begin_is_a_row_until_they_do(
    children, tmp_path, ends, outcome
):
    status, told = children([*ends, done(0)], apart=["a"])
    assert status == 1
    assert [only for only, *_ in told] == ["a"] * len(ends) + [""]
    found, message = statuses(tmp_path)["method", "a"]
    assert (found, message[:30]) == (outcome[0], outcome[1][:30])
    assert children([done(0), done(0)], apart=["a"])[0] == 0
    assert set(statuses(tmp_path)) == {("quality", "saliency")}


def test_a_cell_that_its_process_could_not_write_is_written(children, tmp_path):
    at = {"benchmark": "quality", "config": {**CELL.config, "method": "a"}, "inputs": {}}
    where = Position(test="test_quality.py::test[a]", cell=at, began=True, ended=1)
    status, told = children([(0, where), done(5), done(0)], apart=["a"])
    assert status == 1
    assert told[1] == ("a", True, ["test_quality.py::test[a]"])
    assert statuses(tmp_path)["quality", "a"][0] == "error"


@pytest.mark.parametrize(
    "line",
    [
        b"hello",
        b"[]",
        b'{"cell": 5}',
        b'{"cell": {"benchmark": 1, "config": {}, "inputs": {}}}',
        b'{"cell": {"benchmark": "quality"}}',
        b'{"test": 7}',
        b'{"ended": "now"}',
        b'{"late": true}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_no_child_says_is_no_news(line):
    at = Position(test="a", since=0.0)
    update(at, line)
    assert at == Position(test="a", since=0.0)


@pytest.mark.parametrize("where", ["missing", "file/run", "file"])
def test_a_folder_in_which_there_is_no_run_to_go_on_with(where, tmp_path):
    """It is not made first, and then found to be there."""
    (tmp_path / "file").write_text("")
    folder = tmp_path / where
    command = [sys.executable, "-m", "pytest", "benchmarks/test_quality.py", "--benchmark-only"]
    few = ["--task=karate", "--method=random", "--nodes=1", "--no-baselines"]
    done = subprocess.run(
        [*command, *few, "-p", "no:cacheprovider", "--resume", "--results", str(folder)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    said = {"file": "is a file; name a folder"}.get(where, "nothing to resume there")
    assert done.stderr.startswith(f"ERROR: --results {folder}: {said}")
    assert [*tmp_path.iterdir()] == [tmp_path / "file"]
