"""One writer for each results folder, whatever becomes of the writer."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness.lock import NAME, Locked, locked

fcntl = pytest.importorskip("fcntl", reason="this system has no file locks")

HOLDER = """
import os, sys, time
from pathlib import Path
from benchmarks.harness.lock import locked
with locked(Path(sys.argv[1])):
    child = os.fork()
    if child:
        print(child, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of the folder ``run``."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as other:
        other.child = int(other.stdout.readline())
        yield other
        other.kill()
        os.kill(other.child, signal.SIGKILL)


def test_the_second_writer_gets_one_clear_error(tmp_path, holder):
    folder = tmp_path / "run"
    with pytest.raises(Locked) as caught, locked(folder):
        pytest.fail("both hold the lock")
    message = str(caught.value)
    assert message.startswith(f"--results {folder}: another run is writing there (process ")
    assert f"process {holder.pid} on " in message


def test_a_killed_writer_leaves_no_lock(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    os.kill(holder.child, 0)  # the child that it had forked lives, and does not keep the lock
    assert (tmp_path / "run" / NAME).exists()
    with locked(tmp_path / "run") as problem:
        assert problem is None


def test_a_folder_is_locked_once_in_a_process_too(tmp_path):
    refused = pytest.raises(Locked, match=f"process {os.getpid()} on ")
    with locked(tmp_path), refused, locked(tmp_path):
        pytest.fail("locked twice")


def test_the_lock_ends_with_the_body_and_leaves_no_file(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "run"):
            assert (tmp_path / "run" / NAME).read_text().startswith(f"process {os.getpid()} on ")
        assert list((tmp_path / "run").iterdir()) == []


def test_a_lock_whose_file_was_deleted_by_its_last_holder_is_none(tmp_path, monkeypatch):
    flock, deleted = fcntl.flock, []

    def slow(handle, operation):
        if not deleted:  # the last holder ends between the opening and the locking
            deleted.append((tmp_path / NAME).unlink())
        return flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", slow)
    with locked(tmp_path):
        assert (tmp_path / NAME).exists()
    assert deleted


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    with locked(tmp_path) as problem:
        assert problem == (
            f"{tmp_path} cannot be locked ([Errno {errno.ENOLCK}] No locks available); let no "
            "second run write there"
        )


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as caught, locked(tmp_path / "file" / "run"):
        pytest.fail("there is no such folder")
    message = str(caught.value)
    assert message.startswith(f"--results {tmp_path}/file/run: cannot be written (Not a directory)")
