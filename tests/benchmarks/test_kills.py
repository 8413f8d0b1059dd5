"""A run that is killed at any moment and resumed has the cells of one that was not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness.cells import Cell, load_all, spread, write

ROOT = Path(__file__).parents[2]
KILLS = 20

# Imports once, then forks a benchmark run for every kill.
SERVER = """
import json, os, random, signal, sys, time
from pathlib import Path
import captum.attr, pandas, pytest, torch, torch_geometric.explain
import benchmarks.report, benchmarks.tasks, explainers, explainers.metrics
from benchmarks.harness.cells import load_all

top, kills = Path(sys.argv[1]), int(sys.argv[2])
output = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

def start(folder):
    pid = os.fork()
    if pid == 0:
        status = pytest.main(
            ["benchmarks/test_quality.py", "benchmarks/test_runtime.py", "--benchmark-only",
             "-q", "-p", "no:cacheprovider", "--task=karate", "--nodes=2", "--method=random",
             "--method=degree", "--method=saliency", f"--results={folder}",
             *(["--resume"] if folder.exists() else [])],
            plugins=[object()],  # in this process, which is to be killed
        )
        os._exit(status)
    return pid

def files(folder):
    return {path.name: path.read_bytes() for path in folder.glob("cells/*.json")}

whole = top / "whole"
begin = time.monotonic()
assert os.waitpid(start(whole), 0)[1] == 0
length = time.monotonic() - begin
rng, number, killed = random.Random(0), 0, 0
while killed < kills:
    folder = top / f"killed-{number}"
    before = files(folder)
    pid = start(folder)
    time.sleep(rng.uniform(0.05, 0.8) * length)
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    if status == signal.SIGKILL:
        killed += 1
    else:
        assert status == 0
        number += 1  # it was faster
    assert load_all(folder / "cells")[1] == []
    assert files(folder).items() >= before.items()
if folder.exists():
    assert os.waitpid(start(folder), 0)[1] == 0
os.write(output, json.dumps([p.name for p in sorted(top.glob("killed-*"))]).encode())
"""


def content(folder):
    """Each cell's key, status and values, without what is measured by the clock."""
    found, problems = load_all(folder / "cells")
    assert problems == []
    return {
        cell.key: (cell.config, cell.status, len(cell.runtime), list(spread(cell.quality)))
        for cell in found
    }


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_twenty_kills(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SERVER, str(tmp_path), str(KILLS)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = content(tmp_path / "whole")
    assert len(expected) == 3 + 3 * 5
    folders = json.loads(done.stdout)
    assert folders
    for name in folders:
        assert content(tmp_path / name) == expected
        assert not list((tmp_path / name / "cells").glob("aside/*"))
        assert not list((tmp_path / name / "cells").glob(".*.tmp"))


@pytest.mark.skipif(os.name != "posix", reason="sets a limit that only POSIX systems have")
def test_a_full_disk_leaves_the_old_cell(tmp_path):
    """A limit on the size of files stands in for the full disk: both end a write halfway."""
    import resource
    import signal

    cell = Cell("quality", {"task": "karate"}, quality=[{"metric": "gini", "value": 0.5}])
    path = write(tmp_path, cell)
    before = path.read_bytes()
    cell.message = "x" * 100_000
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            write(tmp_path, cell)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert load_all(tmp_path) == ([Cell("quality", {"task": "karate"}, quality=cell.quality)], [])
