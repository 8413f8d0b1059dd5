"""A run that is killed or fills the disk and is resumed has the cells of one that was not."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.store.cell import Cell
from benchmarks.store.codec import spread
from benchmarks.store.folder import load_all, write

ROOT = Path(__file__).parents[2]
KILLS = 20

# Imports once, then forks a benchmark run for every kill.
SERVER = """
import json, os, random, signal, sys, time
from pathlib import Path
import captum.attr, pandas, pytest, torch, torch_geometric.explain
import benchmarks.report, benchmarks.tasks, explainers, explainers.metrics
from benchmarks.store.folder import load_all

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
    assert len(expected) == 3 + 3 * 6  # turns of the engines: four of saliency, one of each other
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


@pytest.fixture
def disk(tmp_path):
    """``disk(size)``: the folder of a file system of that many bytes, in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = []

    def mount(size):
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("this system has no command `mount`")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"needs the right to mount a tmpfs (root has it): {error.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs is Linux's")
def test_a_disk_that_fills_up_and_is_freed(tmp_path, disk):
    """Half of the cells fit: one clear error, nothing torn; with space again, ``--resume``."""

    def run(folder, *arguments):
        return subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--benchmark-only"),
                *("benchmarks/test_quality.py", "benchmarks/test_runtime.py", "--task=karate"),
                *("--nodes=2", "--method=random", "--method=degree", "--method=saliency"),
                *(f"--results={folder}", *arguments),
            ],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )

    whole = tmp_path / "whole"
    done = run(whole)
    assert done.returncode == 0, done.stdout
    pages = [-(-path.stat().st_size // 4096) for path in whole.glob("cells/*.json")]
    place = disk(2**23)
    folder, ballast = place / "run", place / "ballast"
    free = 4096 * (sum(pages) // 2 + 2)  # and the manifest
    ballast.write_bytes(bytes(shutil.disk_usage(place).free - free))

    done = run(folder)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    message = f"--results {folder}: cannot be written (No space left on device)"
    assert done.stdout.count(message) == 1, done.stdout
    assert "the report could not be drawn; the cells are in" in done.stdout
    expected, found = content(whole), content(folder)
    assert 0 < len(found) < len(expected)
    assert found.items() <= expected.items()
    before = {path.name: path.read_bytes() for path in folder.glob("cells/*.json")}
    assert not list((folder / "cells").glob(".*.tmp"))

    ballast.unlink()
    done = run(folder, "--resume")
    assert done.returncode == 0, done.stdout
    assert f"{len(found)} skipped" in done.stdout
    assert content(folder) == expected
    after = {path.name: path.read_bytes() for path in folder.glob("cells/*.json")}
    assert before.items() <= after.items()
    assert not (folder / "cells" / "aside").exists()
    assert (folder / "report.html").stat().st_size
