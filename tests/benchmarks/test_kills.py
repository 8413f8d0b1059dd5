"""A run that is killed or fills the disk and is resumed has the cells of one that was not."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.store.cell import Cell
from benchmarks.store.codec import spread
from benchmarks.store.folder import load_all, write

ROOT = Path(__file__).parents[2]
# Of each signal to each process.
KILLS = 10 if os.environ.get("GNN_BENCH_LARGE") else 1

# Imports once, then forks a benchmark run, its supervisor and all, for every kill.
SERVER = """
import json, os, random, shutil, signal, sys, time
from pathlib import Path
sys.path.insert(1, "tests/benchmarks")
import forked, psutil
from benchmarks.store.folder import load_all

top, kills = Path(sys.argv[1]), int(sys.argv[2])
output = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

def start(folder):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # also in the background
            status = forked.run(
                ["benchmarks/test_quality.py", "benchmarks/test_runtime.py", "--benchmark-only",
                 "-q", "-p", "no:cacheprovider", "--task=karate", "--nodes=2", "--method=random",
                 "--method=degree", "--method=saliency", f"--results={folder}",
                 *(["--resume"] if folder.exists() else [])],
                grace=30,
            )
        finally:
            os._exit(status)
    return pid

def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def alive(pid):
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

def sound(folder):
    return {path.name: path.read_bytes() for path in folder.glob("cells/*.json")
            if '"ok"' in path.read_text()}

whole = top / "whole"
begin = time.monotonic()
assert ended(start(whole)) == 0
length = time.monotonic() - begin
rng, told = random.Random(kills), []
signals = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
for number in range(kills):
    folder = top / f"killed-{number}"
    kinds = [(number, child) for number in signals for child in (False, True)]
    rng.shuffle(kinds)
    for kind, child in kinds:
        while True:
            before = sound(folder)
            pid = start(folder)
            process = psutil.Process(pid)
            new = rng.randrange(4)  # so many cells further on, then at any moment
            while new and len(sound(folder)) < len(before) + new and alive(pid):
                time.sleep(0.02)
            time.sleep(rng.uniform(0, 0.1 if new else 0.5) * length)
            try:
                target = process.children()[0] if child else process
                target.send_signal(kind)
            except (IndexError, psutil.NoSuchProcess):
                target = None
            children = process.children() if process.is_running() else []
            status = ended(pid)
            psutil.wait_procs(children, timeout=10)
            assert load_all(folder / "cells")[1] == []
            assert sound(folder).items() >= before.items()
            if target is not None and (status or child):  # another child may make it good
                break
            shutil.rmtree(folder, ignore_errors=True)  # it was faster: once more
        # Nobody hears what comes before the run has begun: it ends as by SIGKILL.
        early = status == -kind and sound(folder) == before
        killed = not child and (kind == signal.SIGKILL or early)
        report = (folder / "report.html").exists()
        told.append([kind.name, "child" if child else "parent", status, len(sound(folder)), report])
        assert report or killed or not list(folder.glob("cells/*.json")), told
    assert ended(start(folder)) == 0, told
    assert (folder / "report.html").stat().st_size and (folder / "manifest.json").stat().st_size
os.write(output, json.dumps(told).encode())
"""


def content(folder):
    """Each cell's key, status and values, without what is measured by the clock."""
    found, problems = load_all(folder / "cells")
    assert problems == []
    return {
        cell.key: (cell.config, cell.status, len(cell.runtime), list(spread(cell.quality)))
        for cell in found
    }


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_kills_and_interrupts_of_both_processes(tmp_path):
    """Each signal to each process at a random moment; all that follow go on with one folder.

    ``GNN_BENCH_LARGE=1`` does that ten times.
    """
    done = subprocess.run(
        [sys.executable, "-c", SERVER, str(tmp_path), str(KILLS)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900 * KILLS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    print(*told, sep="\n")
    counts = Counter((signal, process) for signal, process, *_ in told)
    assert set(counts.values()) == {KILLS}
    assert len(counts) == 6
    expected = content(tmp_path / "whole")
    assert len(expected) == 3 + 3 * 3  # three methods once, and timed in three turns
    for name in range(KILLS):
        folder = tmp_path / f"killed-{name}"
        assert content(folder) == expected
        # What was interrupted is an error, which the next run sets aside.
        assert not any('"ok"' in one.read_text() for one in folder.glob("cells/aside/*"))
        assert not list((folder / "cells").glob(".*.tmp"))


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
    """Most of the cells fit: one clear error, nothing torn; with space again, ``--resume``."""

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
    free = 4096 * (3 * sum(pages) // 4 + 2)  # and the manifest
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
