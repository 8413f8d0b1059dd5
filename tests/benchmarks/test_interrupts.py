"""Ctrl-C leaves a manifest, a report, pytest-benchmark's file, and one line on how to go on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.store.folder import load_all

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="the supervisor needs a POSIX system")
# A program that calls pytest with a plugin of its own: no supervisor.
ALONE = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:], plugins=[object()]))"


def hears_interrupts():
    """Undoes what a shell does to what it runs in its background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


# A plugin: the child alone is interrupted in the middle of pytest's work, where a file says.
INTERRUPTS = """
import os, signal, time
from pathlib import Path

def pytest_fixture_setup(fixturedef):
    interrupt(fixturedef.argname)

def pytest_sessionfinish():
    interrupt("end")

def interrupt(place):
    path = Path(os.environ["GNN_BENCH_TEST_PLACES"])
    first, *left = path.read_text().split() or [""]
    if first == place:
        path.write_text(" ".join(left))
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
"""


def test_interrupts_of_the_child_alone(tmp_path):
    """Another process goes on: the test is run again and, at a second one, recorded."""
    folder, places = tmp_path / "results", tmp_path / "places"
    (tmp_path / "interrupting.py").write_text(INTERRUPTS)
    places.write_text("load_task load_task load_task end end")
    done = subprocess.run(
        [
            *(sys.executable, "tests/benchmarks/forked.py", "30", "-p", "interrupting"),
            *("benchmarks/test_quality.py", "--benchmark-only", "--task=karate", "--nodes=2"),
            *("--method=random", "--method=degree", "--method=saliency", f"--results={folder}"),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
            "GNN_BENCH_TEST_PLACES": str(places),
            "OMP_NUM_THREADS": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        preexec_fn=hears_interrupts,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert not places.read_text(), done.stdout
    told = [line for line in done.stdout.splitlines() if line.startswith("benchmarks: ")]
    test = "benchmarks/test_quality.py::test_quality[karate-gcn-0-"
    message = "the process was interrupted (SIGINT)"
    assert told[:3] == [
        f"benchmarks: {message}, in {test}random]; it is run once more",
        f"benchmarks: {message}, in {test}random]; recorded as error, going on with the others",
        f"benchmarks: {message}, in {test}degree]; it is run once more",
    ]
    assert told[3:] == [f"benchmarks: {message}, not in a test; it is tried once more"]
    cells, problems = load_all(folder / "cells")
    assert problems == []
    assert {cell.config["method"]: (cell.status, cell.message) for cell in cells} == {
        "random": ("error", message),
        "degree": ("ok", ""),
        "saliency": ("ok", ""),
    }
    assert (folder / "report.html").stat().st_size


@pytest.mark.parametrize("how", ["supervised", "repeated_as_tox_does", "without_a_supervisor"])
def test_an_interrupt_within_a_timed_call(third_party, tmp_path, how):
    folder, here = tmp_path / "results", tmp_path / "here"
    program = ["-c", ALONE] if how == "without_a_supervisor" else ["-m", "pytest"]
    options = ["--benchmark-only", "--task=karate", "--nodes=2", f"--results={folder}"]
    with subprocess.Popen(
        [
            *(sys.executable, *program, "benchmarks/test_quality.py", "benchmarks/test_runtime.py"),
            *(*options, "--method=waits_while_timed", "--no-baselines"),
        ],
        cwd=ROOT,
        env={**third_party, "GNN_BENCH_TEST_HERE": str(here)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=hears_interrupts,
        start_new_session=True,
    ) as run:
        end = time.monotonic() + 300
        while not here.exists():
            assert run.poll() is None, run.communicate()[0]
            assert time.monotonic() < end
            time.sleep(0.05)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does
        if how == "repeated_as_tox_does":
            time.sleep(0.3)
            run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=300)
    assert run.returncode == 2, output
    told = [line for line in output.splitlines() if "--resume" in line]
    line = f"interrupted; go on with the same command and --results {folder} --resume"
    assert [one.removeprefix("benchmarks: ") for one in told] == [line]
    assert "Traceback" not in output
    assert "was not written" not in output
    for name in ("manifest.json", "report.html", "report.md", "quality.csv.gz", "benchmark.json"):
        assert (folder / name).stat().st_size, name
    cells, problems = load_all(folder / "cells")
    assert problems == []
    assert [(cell.benchmark, cell.status) for cell in cells] == [("quality", "ok")]
    (measured,) = json.loads((folder / "benchmark.json").read_text())["benchmarks"]
    assert measured["name"] == "test_quality[karate-gcn-0-waits_while_timed]"


def test_a_second_interrupt_ends_the_run_at_once(third_party, tmp_path):
    """A method that takes no notice of the first one; the cells are kept."""
    folder, here = tmp_path / "results", tmp_path / "here"
    options = ["--benchmark-only", "--task=karate", "--nodes=2", f"--results={folder}"]
    methods = ["--together", "--method=random", "--method=is_deaf"]
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", "benchmarks/test_quality.py", *options, *methods],
        cwd=ROOT,
        env={**third_party, "GNN_BENCH_TEST_HERE": str(here)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=hears_interrupts,
    ) as run:
        end = time.monotonic() + 300
        while not here.exists():
            assert run.poll() is None, run.communicate()[0]
            assert time.monotonic() < end
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        time.sleep(3)  # longer than what counts as the same
        run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=60)
    assert run.returncode == 2, output
    line = f"interrupted; go on with the same command and --results {folder} --resume"
    assert output.count(line) == 1
    cells, _ = load_all(folder / "cells")
    assert {cell.config["method"]: cell.status for cell in cells} == {"random": "ok"}
