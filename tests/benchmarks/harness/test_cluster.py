"""``--executor ray``: the same quality as in one process, also if a worker dies; timed alone."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from benchmarks.harness import cluster
from benchmarks.harness.options import make_plan
from benchmarks.store.codec import spread
from benchmarks.store.folder import load_all

ROOT = Path(__file__).parents[3]
METHODS = ("random", "degree", "saliency")


def item(number, **parameters):
    path = Path(f"test_{'runtime' if 'repeat' in parameters else 'quality'}.py")
    return SimpleNamespace(
        nodeid=f"{path}::{number}", path=path, callspec=SimpleNamespace(params=parameters)
    )


def test_what_is_paired_is_one_unit():
    timed = [
        item(f"{task}-{seed}-{repeat}-{variant}", task_name=task, model_seed=seed, repeat=repeat)
        for task in ("cora", "karate")
        for seed in (0, 1)
        for repeat in range(3)
        for variant in range(5)
    ]
    scored = [item(n, task_name=t, model_seed=0) for t in ("cora", "karate") for n in range(8)]
    found = cluster.units([*timed, *scored], workers=2)
    tests = [name for unit in found for name in unit.tests]
    assert sorted(tests) == sorted(entry.nodeid for entry in [*timed, *scored])
    alone = [unit.tests for unit in found if unit.timed]
    assert len(alone) == 2 * 2 * 3
    assert all(len({name.rpartition("-")[0] for name in tests}) == 1 for tests in alone)
    shared = [unit.tests for unit in found if not unit.timed]
    assert [len(tests) for tests in shared] == [2] * 8


def command(folder, *arguments):
    return [
        *(sys.executable, "-m", "pytest", "benchmarks/test_quality.py", "--benchmark-only"),
        *("--task", "karate", "--nodes", "2", "--results", str(folder), *arguments),
        *(f"--method={name}" for name in METHODS),
    ]


def quality(folder):
    """Status and values by task and method; the key has the number of threads in it."""
    cells, problems = load_all(folder / "cells")
    assert problems == []
    return {cell.config["method"]: (cell.status, list(spread(cell.quality))) for cell in cells}


def work_in_progress(pid):
    """The Ray workers below a process whose pytest has begun."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if "ray::_work" in " ".join(process.cmdline()) and process.children(recursive=True):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def test_a_killed_worker_changes_no_value(tmp_path):
    pytest.importorskip("ray", reason="needs Ray (the extra `ray`); runs in tox -e ray")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    local, spread_out = tmp_path / "local", tmp_path / "ray"
    subprocess.run(command(local), cwd=ROOT, env=environment, check=True, capture_output=True)
    arguments = command(spread_out, "--executor", "ray", "--workers", "2")
    with subprocess.Popen(
        arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as driver:
        end = time.monotonic() + 120
        while not (workers := work_in_progress(driver.pid)):
            assert time.monotonic() < end
            time.sleep(0.1)
        below = workers[0].children(recursive=True)
        workers[0].kill()
        output, _ = driver.communicate(timeout=300)
    assert "a worker died" in output
    assert driver.returncode == 0, output
    assert not [process for process in below if process.is_running()]  # nothing is left behind
    assert quality(spread_out) == quality(local)
    assert set(quality(local)) == set(METHODS)


@pytest.fixture
def two_nodes():
    """A cluster of two nodes on this machine; their processes are below this one."""
    pytest.importorskip("ray", reason="needs Ray (the extra `ray`); runs in tox -e ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    yield cluster, cluster.add_node(num_cpus=1)
    cluster.shutdown()


def test_a_cluster_loses_a_worker_a_node_and_its_driver(two_nodes, tmp_path):
    """One after the other, each while it is at work; what is resumed is a local run's."""
    cluster, node = two_nodes
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    local, spread_out = tmp_path / "local", tmp_path / "ray"
    subprocess.run(command(local), cwd=ROOT, env=environment, check=True, capture_output=True)
    arguments = command(spread_out, "--executor", "ray", "--address", cluster.address)

    log = tmp_path / "driver.log"

    def wait_for(is_so):
        end = time.monotonic() + 120
        while not is_so():
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)

    def at_work(number):
        wait_for(lambda: len(work_in_progress(os.getpid())) >= number)
        return work_in_progress(os.getpid())

    with (
        log.open("w") as out,
        subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=out) as driver,
    ):
        at_work(2)[0].kill()
        wait_for(lambda: "a worker died" in log.read_text())
        at_work(2)
        cluster.remove_node(node, allow_graceful=False)
        left = at_work(1)
        below = [one for worker in left for one in worker.children(recursive=True)]
        driver.kill()
        driver.wait(timeout=60)
    psutil.wait_procs(below, timeout=30)
    assert not [process for process in below if process.is_running()]
    before = {path.name: path.read_bytes() for path in spread_out.glob("cells/*.json")}
    assert len(before) < len(METHODS)
    done = subprocess.run(
        [*arguments, "--resume"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (spread_out / "report.html").stat().st_size
    after = {path.name: path.read_bytes() for path in spread_out.glob("cells/*.json")}
    assert before.items() <= after.items()
    assert quality(spread_out) == quality(local)


def test_what_is_timed_is_alone_on_its_node(third_party, tmp_path):
    """The method tells when its process was there: no other was while a timed one was."""
    pytest.importorskip("ray", reason="needs Ray (the extra `ray`); runs in tox -e ray")
    folder, watch = tmp_path / "results", tmp_path / "watch"
    watch.mkdir()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--benchmark-only", "--task=karate", "--nodes=2"),
            *("benchmarks/test_quality.py", "benchmarks/test_runtime.py"),
            *("--method=watches", "--method=random", f"--results={folder}"),
            *("--executor=ray", "--workers=2"),
        ],
        cwd=ROOT,
        env={**third_party, "GNN_BENCH_TEST_WATCH": str(watch)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cells, problems = load_all(folder / "cells")
    assert problems == []
    timed = [cell for cell in cells if cell.benchmark == "runtime"]
    turns = sorted((cell.config["method"], cell.inputs["part"]["repeat"]) for cell in timed)
    assert turns == [(method, turn) for method in ("random", "watches") for turn in range(3)]
    for cell in timed:
        assert cell.status == "ok"
        assert len(cell.runtime) == cell.inputs["rounds"]
        assert all(row["seconds"] > 0 for row in cell.runtime)
    processes = [json.loads(path.read_text()) for path in watch.iterdir()]
    alone = [one for one in processes if "test_runtime" in " ".join(one["arguments"])]
    assert (len(alone), len(processes)) == (3, 4)  # a turn each, and the scores
    for one in alone:
        for other in processes:
            assert one is other or one["end"] < other["begin"] or other["end"] < one["begin"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--executor", "mpi"], "--executor mpi: unknown; use local or ray"),
        (["--workers", "2"], "--workers 2: is for --executor ray only; add it"),
        (["--executor", "ray", "--workers", "0"], "--workers 0: must be at least 1"),
    ],
)
def test_bad_options(tmp_path, arguments, message):
    done = subprocess.run(
        command(tmp_path / "out", *arguments), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert message in done.stderr


def test_without_ray(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"Ray is not installed; install the extra: pip install"):
        make_plan(executor="ray")
