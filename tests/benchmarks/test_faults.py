"""A method may fail in any way: the run ends, the others are right, and the fault is a row."""

# long: one table of all that can go wrong, and the runs that it is tried in
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch

import benchmarks.tasks
from benchmarks.harness.lock import locked
from benchmarks.store.atomic import umask
from benchmarks.store.cell import STATUSES
from benchmarks.store.codec import spread
from benchmarks.store.folder import load_all

ROOT = Path(__file__).parents[2]
LIMIT = 8  # seconds, for what hangs; an honest cell takes less on a busy machine, too
GRACE = 3  # seconds that a process may stay after its end
TIMEOUT = (
    1800  # seconds; of a run that starts pytest again after every death, also on a busy machine
)
pytestmark = pytest.mark.skipif(os.name != "posix", reason="the supervisor needs a POSIX system")

# Of each method its cell's status and message.
FAULTS = {
    "raises": ("error", "RuntimeError: no such luck"),
    "half_a_character": ("error", "RuntimeError: half \ufffd, bell , right to left \ufffd"),
    "closes_its_generator": ("error", "GeneratorExit:"),
    "raises_its_own": ("error", r"_OwnError: \(its message cannot be printed\)"),
    "raises_no_exception": ("error", r"_Own: \(its message cannot be printed\)"),
    "raises_at_length": ("error", "RuntimeError: no such luck x{400,}…"),
    "raises_many_lines": ("error", "KeyError: 'no luck'"),
    "raises_at_length_before_its_cell": ("error", "RuntimeError: no such luck"),
    "interrupts_when_read": ("error", "KeyboardInterrupt:"),
    "exits_politely": ("error", "SystemExit: 0"),
    "exits_pytest": ("error", "Exit: enough"),
    "exits_pytest_before_its_cell": ("error", "RuntimeError: a method has raised Exit enough"),
    "interrupts": ("error", "KeyboardInterrupt:"),
    "interrupts_before_its_cell": ("error", "RuntimeError: a method has raised KeyboardInterrupt"),
    "interrupts_itself": ("error", "KeyboardInterrupt:"),
    "skips": ("error", "Skipped: not today"),
    "recurses": ("error", "RecursionError: maximum recursion depth exceeded.*"),
    "gives_nothing": ("invalid", "Invalid: explain returned a NoneType instead of a list"),
    "gives_without_end": ("invalid", "Invalid: explain returned a cycle instead of a list"),
    "gives_an_iterator": ("invalid", "Invalid: explain returned a generator instead of a list"),
    "empties_the_nodes": ("invalid", "Invalid: 0 explanations for 2 nodes"),
    "sorts_edges": ("invalid", "Invalid: e_id is not that of the computation graph, .*"),
    "knows_other_features": ("invalid", r"Invalid: node_mask is \[\d+, 3\] instead of \[.*, 34\]"),
    "leaves_other_gradients": (
        "invalid",
        "Invalid: the method has changed the model: the function forward",
    ),
    "takes_another_name": (
        "error",
        "ValueError: the method takes_another_name calls itself 'saliency'",
    ),
    "moves_away": ("ok", ""),
    "not_finite": ("invalid", r"Invalid: edge_mask has \d+ of \d+ scores that are not finite"),
    "wrong_shape": ("invalid", r"Invalid: edge_mask is \[\d+\] instead of \[\d+\]"),
    "not_detached": ("invalid", "Invalid: edge_mask is not detached"),
    "whole_numbers": ("invalid", "Invalid: edge_mask is not a tensor of real numbers"),
    "complex_numbers": ("invalid", "Invalid: node_mask is not a tensor of real numbers"),
    "short_numbers": ("invalid", "Invalid: e_id is not an int64 vector"),
    "half_numbers": ("ok", ""),
    "draws_numbers": ("ok", ""),
    "flips_edges": ("invalid", "Invalid: edge_index, n_id and e_id are not of the same edges"),
    "other_target": ("invalid", r"Invalid: target is \d where class \d was asked for"),
    "fraction_of_a_class": ("invalid", "Invalid: target is not a tensor of one int64 number"),
    "other_prediction": ("invalid", "Invalid: prediction differs from the model's output .*"),
    "in_reverse": ("invalid", r"Invalid: an explanation is of \d+ where \d+ was asked for"),
    "changes_model": ("invalid", r"Invalid: the method has changed the model's parameter \S+"),
    "changes_data": ("invalid", "Invalid: the method has changed data.x"),
    "changes_and_raises": ("error", "RuntimeError: no such luck"),
    "replaces_edges": (
        "invalid",
        "Invalid: the method has changed data.edge_index: another object",
    ),
    "adds_weights": ("invalid", "Invalid: the method has changed the data: a new data.edge_weight"),
    "leaves_hooks": ("invalid", "Invalid: the method has changed the model: hooks .*"),
    "patches_model": ("invalid", "Invalid: the method has changed the model.*"),
    "trains": ("invalid", "Invalid: the method has changed the model's mode"),
    "eats_memory": ("oom", ".*(memory|alloc).*"),
    "exits": ("crash", "the process ended itself with exit status 0"),
    "forks_and_crashes": ("crash", "the process was killed by SIGSEGV"),
    "closes_the_pipe": ("timeout", f"took longer than the {LIMIT} s of --cell-timeout"),
    "stops_itself": ("timeout", f"took longer than the {LIMIT} s of --cell-timeout"),
    "hangs_before_its_cell": ("timeout", f"took longer than the {LIMIT} s of --cell-timeout"),
}
# Those that leave their process in a bad state, or leave it: the same, in processes of their own.
APART = {
    "broken_and_exits": ("crash", "the process ended itself with exit status 0"),
    "closes_everything": ("crash", "the process ended itself with exit status 1"),
    "exits_later": ("ok", ""),
    "forks": ("ok", ""),
    "huge": ("ok", ""),
    "leaves_things_running": ("ok", ""),
    "opens_no_more": ("error", "the process could not go on; .*"),
    "poisons": ("invalid|error", ".*"),
    "tells_the_supervisor": ("crash", "the process ended itself with exit status 3"),
    "writes_no_more": ("error|crash", ".*"),
}
HONEST = ("saliency", "gnn_explainer")


def command(folder, *arguments, module="test_quality.py"):
    target = str(ROOT / "benchmarks" / module)
    options = ["--benchmark-only", "--results", str(folder), "--task", "karate", "--nodes", "2"]
    options += ["--no-baselines", *arguments]
    return [sys.executable, "-m", "pytest", target, "-q", *options]


def run_forked(environment, folder, *arguments, module="test_quality.py"):
    """The same command, quicker by the imports that its processes share."""
    words = command(folder, *arguments, module=module)[3:]
    forked = Path(__file__).with_name("forked.py")
    return subprocess.run(
        [sys.executable, str(forked), str(GRACE), *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@pytest.fixture(scope="module")
def clean(third_party, tmp_path_factory):
    """The folder of a run of honest methods only, by processes that are started as a user's."""
    folder = tmp_path_factory.mktemp("clean") / "results"
    methods = [f"--method={name}" for name in HONEST]
    subprocess.run(
        command(folder, *methods), cwd=ROOT, env=third_party, check=True, capture_output=True
    )
    return folder


@pytest.fixture(scope="module")
def faulty_run(third_party, tmp_path_factory):
    """A run of all of them in turn with a method that is right: its folder, what it printed."""
    folder = tmp_path_factory.mktemp("faults") / "results"
    methods = [f"--method={name}" for fault in FAULTS for name in (fault, f"after_{fault}")]
    options = ["--cell-timeout", str(LIMIT), "--together"]
    return folder, run_forked(third_party, folder, *options, *methods)


@pytest.mark.parametrize("method", FAULTS)
def test_a_fault_is_a_cell_and_a_row(faulty_run, method):
    folder, done = faulty_run
    cells, problems = load_all(folder / "cells")
    assert problems == []
    (cell,) = [cell for cell in cells if cell.config["method"] == method]
    status, message = FAULTS[method]
    assert cell.status == status, done.stdout + done.stderr
    assert re.fullmatch(message, cell.message)
    tables = [pd.read_csv(folder / name) for name in ("quality.csv.gz", "runtime.csv")]
    rows = pd.concat([table[table["method"] == method] for table in tables])
    assert set(rows["task"]) == {"karate"}
    assert set(rows["status"]) == {status}
    if status != "ok":
        assert set(rows["message"]) == {cell.message}


def test_each_is_followed_by_a_method_that_is_right(faulty_run, clean):
    folder, _ = faulty_run
    cells = {cell.config["method"]: cell for cell in load_all(folder / "cells")[0]}
    order = [*_cells_in_order(folder)]
    (honest,) = (one for one in load_all(clean / "cells")[0] if one.config["method"] == "saliency")
    wanted = list(spread(honest.quality))
    assert len(wanted) > 50
    for name in FAULTS:
        after = cells.pop(f"after_{name}")
        assert order.index(name) + 1 == order.index(f"after_{name}")
        assert (after.status, after.message) == ("ok", "")
        assert list(spread(after.quality)) == wanted, name
    assert set(cells) == set(FAULTS)


def _cells_in_order(folder):
    """The methods, as their cells were written."""
    cells = {cell.key: cell.config["method"] for cell in load_all(folder / "cells")[0]}
    paths = (folder / "cells").glob("*.json")
    for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns):
        yield cells[path.stem]


def test_the_run_counts_them_and_fails(faulty_run):
    folder, done = faulty_run
    assert done.returncode == 1
    counts = Counter(status for status, _ in FAULTS.values())
    counts["ok"] += len(FAULTS)
    # Of 100 MB that a method raises neither the terminal nor a file has more than the beginning.
    assert len(done.stdout) + len(done.stderr) < 2 * 10**6
    assert all(path.stat().st_size < 5 * 10**6 for path in folder.rglob("*"))
    told = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
    assert f"cells: {told}" in done.stdout.splitlines()
    deaths = counts["crash"] + counts["timeout"] + 1  # and one that interrupts itself
    assert done.stderr.count("going on with the others") == deaths
    assert "test_quality[karate-gcn-0-exits]; recorded as crash" in done.stderr
    for name in ("manifest.json", "quality.csv.gz", "report.html"):
        assert (folder / name).stat().st_size
    readable = 0o444 & ~umask()
    assert all(path.stat().st_mode & readable == readable for path in folder.rglob("*"))
    # What was called, not what the supervisor added.
    assert "--deselect" not in json.loads((folder / "manifest.json").read_text())["command"]


def test_resume_tries_the_faults_again_and_keeps_the_rest(faulty_run, third_party):
    folder, _ = faulty_run
    before = {cell.key: cell for cell in load_all(folder / "cells")[0]}
    methods = ["--method=after_exits", "--method=exits"]
    done = run_forked(third_party, folder, "--resume", "--together", *methods)
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
    _wait(lambda: _ended(child))
    with locked(folder) as problem:
        assert problem is None


@pytest.fixture(scope="module")
def run_apart(third_party, tmp_path_factory):
    """A run of all of those before two methods that are right: its folder, what it printed."""
    folder = tmp_path_factory.mktemp("apart") / "results"
    start = time.time()
    methods = [f"--method={name}" for name in (*APART, *HONEST)]
    return folder, run_forked(third_party, folder, "--cell-timeout=30", *methods), start


@pytest.mark.parametrize("method", APART)
def test_a_fault_in_a_process_of_its_own_is_a_row(run_apart, method):
    folder, done, _ = run_apart
    cells, problems = load_all(folder / "cells")
    assert problems == []
    (cell,) = [cell for cell in cells if cell.config["method"] == method]
    status, message = APART[method]
    assert re.fullmatch(status, cell.status), done.stdout + done.stderr
    assert re.fullmatch(message, cell.message)


def test_methods_of_others_run_apart(run_apart, clean):
    """What they do to their process reaches nobody, and nothing that they leave is left."""
    folder, done, start = run_apart
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.count("something of a method was still running") == 1
    assert (folder / "report.html").stat().st_size
    for process in psutil.process_iter(["create_time", "cmdline"]):
        left = "time.sleep(10**6)" in " ".join(process.info["cmdline"] or [])
        assert not (left and process.info["create_time"] > start)
    found, expected = content(folder), content(clean)
    assert {config["method"] for config, *_ in found.values()} == {*APART, *HONEST}
    assert len(expected) == len(HONEST)
    assert found.items() >= expected.items()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {entry["name"] for entry in manifest["methods"]} >= {"huge", "poisons", *HONEST}


def test_a_method_that_cannot_be_imported_is_a_row(third_party, tmp_path):
    """Also of a benchmark that asks it before its tests begin; the others are measured."""
    folder = tmp_path / "results"
    methods = ["--method=random", "--method=broken", "--method=broken_and_hangs"]
    options = ["--cell-timeout", str(LIMIT)]
    done = run_forked(third_party, folder, *options, *methods, module="test_axioms.py")
    assert done.returncode == 1, done.stdout + done.stderr
    found = Counter(
        (one.benchmark, one.config["method"], one.status, one.message)
        for one in load_all(folder / "cells")[0]
    )
    late = f"took longer than the {LIMIT} s of --cell-timeout"
    reason = "its tests could not begin (its import may have failed)"
    assert found == {
        ("axioms", "random", "ok", ""): 1,
        ("method", "broken", "error", reason): 1,
        ("method", "broken_and_hangs", "timeout", late): 1,
    }
    assert "| all | method | broken |  | error |" in (folder / "report.md").read_text()


def test_a_method_apart_is_compared_with_all_others(third_party, tmp_path):
    """Also with those behind it in the alphabet, whose process knows nothing of it."""
    methods = [f"--method={name}" for name in ("degree", "huge", "saliency")]
    options = [*methods, "-k", "test_agreement["]
    done = run_forked(third_party, tmp_path / "results", *options, module="test_agreement.py")
    assert done.returncode == 0, done.stdout + done.stderr
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


def _ended(pid):
    """Also before whoever inherited the process has asked how it ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


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
