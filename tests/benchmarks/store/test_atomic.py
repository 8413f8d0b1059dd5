"""Files are whole after a crash at any moment, and none is lost when it is moved aside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.store.atomic import move_aside, write_atomically
from benchmarks.store.folder import load_all


def test_aside_keeps_every_version(tmp_path):
    for number in range(3):
        path = tmp_path / "a.json"
        path.write_text(str(number))
        move_aside(path)
    assert {file.read_text() for file in (tmp_path / "aside").iterdir()} == {"0", "1", "2"}


@pytest.mark.parametrize("call", ["os.fsync", "os.replace"])
def test_failure_before_the_rename_leaves_the_old_file(tmp_path, monkeypatch, call):
    path = tmp_path / "cell.json"
    path.write_text("old")

    def fail(*_arguments):
        raise OSError("the disk is full")

    monkeypatch.setattr(call, fail)
    with pytest.raises(OSError, match="the disk is full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="kills a process with a POSIX signal")
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_kill_before_the_rename_leaves_the_old_file(tmp_path, call):
    path = tmp_path / "cells" / "cell.json"
    path.parent.mkdir()
    path.write_text("old")
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from benchmarks.store.atomic import write_atomically\n"
        f"os.{call} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomically(Path(sys.argv[1]), 'new' * 10000)\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=root, check=False)
    assert done.returncode == -9
    assert path.read_text() == "old"

    left = [file for file in path.parent.iterdir() if file != path]
    assert [file.suffix for file in left] == [".tmp"]
    path.unlink()
    assert load_all(path.parent) == ([], [])  # it is no cell
    load_all(path.parent, set_aside=True)
    assert list(path.parent.iterdir()) == []


def test_texts_are_utf_8_and_bytes_stay_as_they_are(tmp_path):
    for content in ("fidelity \u2212\n", b"\x89PNG\r\n\x00"):
        write_atomically(tmp_path / "file", content)
        expected = content.encode() if isinstance(content, str) else content
        assert (tmp_path / "file").read_bytes() == expected
