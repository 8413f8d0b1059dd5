"""A method may fail in any way: the run ends, the others are right, and the fault is a row."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch

import benchmarks.tasks
import explainers
import explainers.metrics
from benchmarks.harness.lock import locked
from benchmarks.store.codec import spread
from benchmarks.store.folder import load_all

ROOT = Path(__file__).parents[2]
LIMIT = 20  # seconds, for what hangs; an honest cell takes less on a busy machine, too
TIMEOUT = (
    1800  # seconds; of a run that starts pytest again after every death, also on a busy machine
)
pytestmark = pytest.mark.skipif(os.name != "posix", reason="the supervisor needs a POSIX system")

# Of each method its cell's status and message.
FAULTS = {
    "raises": ("error", "RuntimeError: no such luck"),
    "not_finite": ("invalid", r"Invalid: edge_mask has \d+ of \d+ scores that are not finite"),
    "wrong_shape": ("invalid", r"Invalid: edge_mask is \[\d+\] instead of \[\d+\]"),
    "not_detached": ("invalid", "Invalid: edge_mask is not detached"),
    "changes_model": ("invalid", r"Invalid: the method has changed the model's parameter \S+"),
    "changes_data": ("invalid", "Invalid: the method has changed data.x"),
    "changes_and_raises": ("error", "RuntimeError: no such luck"),
    "flips_edges": ("invalid", "Invalid: edge_index, n_id and e_id are not of the same edges"),
    "other_target": ("invalid", r"Invalid: target is \d where class \d was asked for"),
    "in_reverse": ("invalid", r"Invalid: an explanation is of \d+ where \d+ was asked for"),
    "exits_politely": ("error", "SystemExit: 0"),
    "interrupts": ("error", "KeyboardInterrupt:"),
    "interrupts_before_its_cell": ("error", "RuntimeError: a method has raised KeyboardInterrupt"),
    "skips": ("error", "Skipped: not today"),
    "half_a_character": ("error", "RuntimeError: half \ufffd, bell , right to left \ufffd"),
    "eats_memory": ("oom", ".*(memory|alloc).*"),
    "exits": ("crash", "the process ended itself with exit status 0"),
    "segfaults": ("crash", "the process was killed by SIGSEGV"),
    "forks_and_crashes": ("crash", "the process was killed by SIGSEGV"),
    "closes_the_pipe": ("timeout", f"took longer than the {LIMIT} s of --cell-timeout"),
    "hangs": ("timeout", f"took longer than the {LIMIT} s of --cell-timeout"),
    "hangs_before_its_cell": ("timeout", f"took longer than the {LIMIT} s of --cell-timeout"),
}


def command(folder, *arguments, module="test_quality.py"):
    target = str(ROOT / "benchmarks" / module)
    options = ["--benchmark-only", "--results", str(folder), "--task", "karate", "--nodes", "2"]
    return [sys.executable, "-m", "pytest", target, "-q", *options, *arguments]


@pytest.fixture(scope="module")
def faulty_run(third_party, tmp_path_factory):
    """A run of all of them between two methods that are right: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("faults") / "results"
    methods = [f"--method={name}" for name in ("random", *FAULTS, "saliency")]
    done = subprocess.run(
        command(folder, "--cell-timeout", str(LIMIT), "--together", *methods),
        cwd=ROOT,
        env=third_party,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    return folder, done


@pytest.mark.parametrize("method", FAULTS)
def test_a_fault_is_a_cell_and_a_row(faulty_run, method):
    folder, done = faulty_run
    cells, problems = load_all(folder / "cells")
    assert problems == []
    (cell,) = [cell for cell in cells if cell.config["method"] == method]
    status, message = FAULTS[method]
    assert cell.status == status, done.stdout + done.stderr
    assert re.fullmatch(message, cell.message)
    tables = [pd.read_csv(folder / name) for name in ("quality.csv", "runtime.csv")]
    rows = pd.concat([table[table["method"] == method] for table in tables])
    assert set(rows["task"]) == {"karate"}
    assert set(rows["status"]) == {status}
    assert set(rows["message"]) == {cell.message}


def test_all_other_cells_are_right(faulty_run):
    folder, _ = faulty_run
    cells = {cell.config["method"]: cell for cell in load_all(folder / "cells")[0]}
    assert set(cells) == {"random", *FAULTS, "saliency"}
    task = benchmarks.tasks.load("karate")
    nodes = task.nodes[:2].tolist()
    for name in ("random", "saliency"):
        assert cells[name].status == "ok"
        explanations = explainers.load(name).explain(task.model, task.data, nodes)
        rows = explainers.metrics.evaluate(task.model, task.data, explanations)
        expected = {row_key(row): row["value"] for row in rows}
        found = {row_key(row): row["value"] for row in spread(cells[name].quality)}
        both = found.keys() & expected.keys()  # cells keep the levels that the report shows
        assert len(both) > 50
        wanted = {key: expected[key] for key in both}
        assert {key: found[key] for key in both} == pytest.approx(wanted, rel=1e-4)  # five digits


def row_key(row):
    return tuple(row[name] for name in ("node", "metric", "level", "semantics", "selection"))


def test_the_run_counts_them_and_fails(faulty_run):
    folder, done = faulty_run
    assert done.returncode == 1
    counts = "cells: 2 ok, 7 error, 8 invalid, 1 oom, 3 timeout, 3 crash"
    assert counts in done.stdout.splitlines()
    assert done.stderr.count("going on with the others") == 6
    assert "test_quality[karate-gcn-0-segfaults]; recorded as crash" in done.stderr
    for name in ("manifest.json", "quality.csv", "report.html"):
        assert (folder / name).stat().st_size
    # What was called, not what the supervisor added.
    assert "--deselect" not in json.loads((folder / "manifest.json").read_text())["command"]


def test_resume_tries_the_faults_again_and_keeps_the_rest(faulty_run, third_party):
    folder, _ = faulty_run
    before = {cell.key: cell for cell in load_all(folder / "cells")[0]}
    methods = ["--method=saliency", "--method=exits"]
    done = subprocess.run(
        command(folder, "--resume", "--together", *methods),
        cwd=ROOT,
        env=third_party,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("test_quality[karate-gcn-0-exits]; recorded as crash") == 1
    assert {cell.key: cell for cell in load_all(folder / "cells")[0]} == before


def test_a_killed_supervisor_takes_the_run_with_it(third_party, tmp_path):
    """... and leaves no lock: the run can be resumed at once."""
    if sys.platform != "linux":
        pytest.skip("only Linux ends a child with its parent; elsewhere it ends after its test")
    folder = tmp_path / "results"
    arguments = command(folder, "--method=hangs", "--cell-timeout=0")
    with subprocess.Popen(arguments, cwd=ROOT, env=third_party, stdout=subprocess.DEVNULL) as run:
        lock = folder / ".lock"
        assert _wait(lambda: lock.exists() and lock.read_text()).split()[1] == str(run.pid)
        child = _wait(lambda: psutil.Process(run.pid).children())[0].pid
        run.send_signal(signal.SIGKILL)
    _wait(lambda: not Path(f"/proc/{child}").exists())
    with locked(folder) as problem:
        assert problem is None


def test_methods_of_others_run_apart(third_party, tmp_path):
    """What they do to their process reaches nobody, and nothing that they leave is left."""
    folder, alone = tmp_path / "results", tmp_path / "alone"
    hostile = ["poisons", "leaves_things_running", "forks", "huge"]
    methods = [f"--method={name}" for name in (*hostile, "saliency", "gnn_explainer")]
    lingers, start = 0, time.time()
    for place, asked, ends in ((folder, methods, 1), (alone, methods[-2:], 0)):
        begin = time.time()
        done = subprocess.run(
            command(place, *asked),
            cwd=ROOT,
            env=third_party,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert done.returncode == ends, done.stdout + done.stderr
        assert "I/O operation on closed file" not in done.stdout + done.stderr
        lingers += done.stderr.count("something of a method was still running")
        assert (place / "report.html").stat().st_mtime > begin
    assert lingers == 1
    for process in psutil.process_iter(["create_time", "cmdline"]):
        left = "time.sleep(10**6)" in " ".join(process.info["cmdline"] or [])
        assert not (left and process.info["create_time"] > start)
    found, expected = ({**content(one)} for one in (folder, alone))
    assert {config["method"] for config, *_ in found.values()} == {
        *hostile,
        *("saliency", "gnn_explainer"),
    }
    statuses = {config["method"]: status for config, status, *_ in found.values()}
    assert statuses == dict.fromkeys(statuses, "ok") | {"poisons": "invalid"}
    assert found.items() >= expected.items()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {entry["name"] for entry in manifest["methods"]} >= {*hostile, "saliency"}


def test_a_method_apart_is_compared_with_all_others(third_party, tmp_path):
    """Also with those behind it in the alphabet, whose process knows nothing of it."""
    methods = [f"--method={name}" for name in ("degree", "huge", "saliency")]
    options = [*methods, "-k", "test_agreement["]
    arguments = command(tmp_path / "results", *options, module="test_agreement.py")
    subprocess.run(arguments, cwd=ROOT, env=third_party, check=True, capture_output=True)
    pairs = {
        (cell.config["method"], row["other"])
        for cell in load_all(tmp_path / "results" / "cells")[0]
        for row in spread(cell.quality)
    }
    assert pairs == {("huge", "degree"), ("huge", "saliency"), ("saliency", "degree")}


@pytest.fixture(scope="module")
def patient(third_party, tmp_path_factory):
    """The environment in which ``waits`` goes on, and the folder of a run alone."""
    place = tmp_path_factory.mktemp("alone")
    environment = {**third_party, "GNN_BENCH_TEST_GO": str(place / "go")}
    (place / "go").touch()
    folder = place / "results"
    arguments = command(folder, "--method=random", "--method=waits")
    subprocess.run(arguments, cwd=ROOT, env=environment, check=True, capture_output=True)
    return environment, folder


def content(folder):
    cells, problems = load_all(folder / "cells")
    assert problems == []
    return {cell.key: (cell.config, cell.status, list(spread(cell.quality))) for cell in cells}


@pytest.mark.parametrize("resume", [False, True], ids=["new", "resume"])
def test_of_two_runs_in_one_folder_one_writes(patient, tmp_path, resume):
    """Both are started at once; the one that has the folder waits until the other has ended."""
    environment, alone = patient
    folder, go = tmp_path / "results", tmp_path / "go"
    options = ["--method=random", "--method=waits"]
    if resume:
        shutil.copytree(alone, folder)
        (waits,) = (key for key, found in content(alone).items() if found[0]["method"] == "waits")
        (folder / "cells" / f"{waits}.json").unlink()
        options.append("--resume")
    runs = [
        subprocess.Popen(
            command(folder, *options),
            cwd=ROOT,
            env={**environment, "GNN_BENCH_TEST_GO": str(go)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        _wait(lambda: [run for run in runs if run.poll() is not None], seconds=180)
        go.touch()
        outputs = [run.communicate() for run in runs]
    finally:
        for run in runs:
            run.kill()
    ends = {run.returncode: errors for run, (_, errors) in zip(runs, outputs, strict=True)}
    assert set(ends) == {0, 4}
    told = ends[4]
    errors = [line for line in told.splitlines() if line]
    reason = "another run is writing there (process "
    if not resume and "the folder is not empty" in told:
        reason = "the folder is not empty; add --resume"  # the other was ahead by that much
    assert len(errors) == 1, told
    assert errors[0].startswith(f"ERROR: --results {folder}: {reason}")
    assert content(folder) == content(alone)
    assert not (folder / "cells" / "aside").exists()
    assert not list(folder.rglob(".*"))  # neither a lock nor a file half written


def _wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def test_the_model_is_put_back(monkeypatch):
    from benchmarks.harness.guards import Invalid
    from benchmarks.harness.task_state import unchanged

    task = benchmarks.tasks.load("karate")
    before = task.model(task.data.x, task.data.edge_index)

    def leak_hook(model):
        model.register_forward_hook(lambda *_: _[-1] * 2)

    def leak_mode(model):
        model.train()

    def leak_patch(model):
        model.forward = lambda x, edge_index: before * 2

    def leak_parameter(model):
        model.extra = torch.nn.Parameter(torch.ones(1))

    def leak_private(model):
        from explainers.prepare import prepare

        prepare(model, task.data).layers[0].register_forward_hook(lambda *_: _[-1] * 2)

    for leak in (leak_hook, leak_mode, leak_patch, leak_parameter, leak_private):
        with pytest.raises(Invalid, match="the method has changed"), unchanged(task):
            leak(task.model)
        with unchanged(task):
            after = task.model(task.data.x, task.data.edge_index)
        assert torch.equal(after, before)
