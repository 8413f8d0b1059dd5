"""A run's cells in one archive: nothing is lost, and nothing else is taken for a cell."""

import io
import lzma
import os
import signal
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.harness.options import make_plan
from benchmarks.harness.run import Run
from benchmarks.store import archive
from benchmarks.store.archive import NAME, UnreadableArchive, load_run, members, pack, unpack
from benchmarks.store.cell import Cell
from benchmarks.store.folder import load_all, write

ROOT = Path(__file__).parents[3]
KEY = "0123456789abcdef"
PLAN = replace(make_plan(methods=["random"], device="cpu", nodes=2), resume=True)


def make_cell(number=0):
    rows = [{"node": node, "metric": "gini", "value": node / 7} for node in range(3)]
    return Cell("quality", {"task": "karate", "model_seed": number}, quality=rows)


@pytest.fixture
def folder(tmp_path):
    """A results folder with five cells."""
    for number in range(5):
        write(tmp_path / "run" / "cells", make_cell(number))
    return tmp_path / "run"


def contents(folder):
    """All files under a folder, by their paths there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def put_together(path, *files, kind=tarfile.REGTYPE):
    """An archive of these names and contents, as anybody could make it."""
    with tarfile.open(path, "w:xz", format=tarfile.USTAR_FORMAT) as made:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size, member.type = len(content), kind
            made.addfile(member, io.BytesIO(content))


def test_packing_keeps_every_byte(folder):
    before, cells = contents(folder), load_all(folder / "cells")
    pack(folder)
    assert list(contents(folder)) == [NAME]
    assert load_run(folder) == cells
    assert {f"cells/{name}": content for name, content in members(folder / NAME)} == before
    unpack(folder)
    assert contents(folder) == before
    unpack(folder)
    assert contents(folder) == before


def test_a_run_that_is_not_packed_is_read_from_its_folder(folder):
    assert load_run(folder) == load_all(folder / "cells")
    assert archive.has_cells(folder)
    assert not archive.has_cells(folder.parent)


def test_tar_gives_the_folder_back(folder, tmp_path):
    before = contents(folder)
    pack(folder)
    with tarfile.open(folder / NAME) as packed:
        packed.extractall(tmp_path / "by-tar", filter="data")
    assert contents(tmp_path / "by-tar") == before


def test_the_same_cells_give_the_same_archive(folder, tmp_path):
    for number in (4, 2, 0, 1, 3):
        path = write(tmp_path / "other" / "cells", make_cell(number))
        os.utime(path, (number, number))
    for run in (folder, tmp_path / "other"):
        pack(run)
    assert (folder / NAME).read_bytes() == (tmp_path / "other" / NAME).read_bytes()


def test_packing_twice_changes_nothing(folder):
    pack(folder)
    before = contents(folder)
    pack(folder)
    assert contents(folder) == before


def test_what_was_set_aside_and_torn_writes_go(folder):
    (folder / "cells" / "aside").mkdir()
    (folder / "cells" / "aside" / f"{KEY}.json").write_text("old")
    (folder / "cells" / ".x-1.tmp").write_text("torn")
    pack(folder)
    assert list(contents(folder)) == [NAME]
    assert len(load_run(folder)[0]) == 5


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (f"{KEY}.json", "{", f"{KEY}.json is not readable as JSON"),
        ("notes.txt", "mine", "notes.txt is no cell; move it elsewhere"),
        ("other.json", "{}", "other.json is no cell; move it elsewhere"),
    ],
)
def test_a_folder_with_anything_else_is_not_packed(folder, name, content, message):
    (folder / "cells" / name).write_text(content)
    before = contents(folder)
    with pytest.raises(ValueError, match=message):
        pack(folder)
    assert contents(folder) == before


def test_an_empty_run_is_not_packed(tmp_path):
    (tmp_path / "cells").mkdir()
    with pytest.raises(ValueError, match="there is no cell in it"):
        pack(tmp_path)


def test_an_archive_that_does_not_have_a_cell_of_the_folder_is_not_trusted(folder):
    kept = contents(folder)
    pack(folder)
    for name, content in kept.items():
        write_back = folder / name
        write_back.parent.mkdir(exist_ok=True)
        write_back.write_bytes(content)
    path = write(folder / "cells", make_cell(9))
    with pytest.raises(ValueError, match=f"{path.name} is not in {NAME} as it is here"):
        pack(folder)
    assert path.exists()
    path.unlink()
    pack(folder)  # the rest is there byte for byte
    assert list(contents(folder)) == [NAME]


def test_a_torn_member_is_named_and_the_others_are_read(folder):
    good = make_cell()
    torn, altered = make_cell(1), make_cell(2)
    files = [
        (f"cells/{cell.key}.json", (folder / "cells" / f"{cell.key}.json").read_bytes())
        for cell in (good, torn, altered)
    ]
    files[1] = (files[1][0], files[1][1][:-20])
    files[2] = (files[2][0], files[2][1].replace(b"0.14286", b"0.14287"))
    put_together(folder / NAME, *files)
    found, problems = load_run(folder)
    assert [cell.key for cell in found] == [good.key]
    assert len(problems) == 2
    assert problems[0].startswith(f"{torn.key}.json is not readable as JSON (")
    assert problems[0].endswith("; left out")
    assert problems[1] == (
        f"{altered.key}.json is no cell of schema 1 or 2: it was altered, its checksum is another; "
        "left out"
    )
    with pytest.raises(FileNotFoundError):  # what is only read is not written
        (folder.parent / "aside").stat()


@pytest.mark.parametrize(
    "name",
    [
        f"../{KEY}.json",
        f"/{KEY}.json",
        f"cells/../{KEY}.json",
        f"cells/cells/{KEY}.json",
        f"cells\\{KEY}.json",
        f"cells/aside/{KEY}.json",
        "cells/other.json",
        f"cells/{KEY}.json\n",
    ],
)
def test_a_member_by_another_name_is_refused(tmp_path, name):
    put_together(tmp_path / NAME, (name, b"{}"))
    for use in (load_run, unpack, pack):
        with pytest.raises(UnreadableArchive, match="is no cell's file") as caught:
            use(tmp_path)
        assert str(caught.value).startswith(f"{tmp_path / NAME} is damaged or was not made by")
    assert list(contents(tmp_path)) == [NAME]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.XHDTYPE]
)
def test_a_member_of_another_kind_is_refused(tmp_path, kind):
    put_together(tmp_path / NAME, (f"cells/{KEY}.json", b""), kind=kind)
    with pytest.raises(UnreadableArchive, match="is no cell's file"):
        load_run(tmp_path)


def test_a_member_that_is_there_twice_is_refused(tmp_path):
    put_together(tmp_path / NAME, *[(f"cells/{KEY}.json", b"{}")] * 2)
    with pytest.raises(UnreadableArchive, match="is there twice"):
        load_run(tmp_path)


@pytest.mark.parametrize(("limit", "size"), [("MEMBER_BYTES", 101), ("ARCHIVE_BYTES", 40)])
def test_what_is_too_large_is_refused_before_it_is_read(tmp_path, monkeypatch, limit, size):
    monkeypatch.setattr(archive, limit, 100)
    files = [(f"cells/{KEY[:-1]}{digit}.json", b" " * size) for digit in "abc"]
    put_together(tmp_path / NAME, *files)
    read = []
    monkeypatch.setattr(archive, "_exactly", spy(archive._exactly, read))
    with pytest.raises(UnreadableArchive, match=f"is too large: {size} bytes"):
        load_run(tmp_path)
    assert sum(size for size in read if size != tarfile.BLOCKSIZE) < 1100


def spy(function, sizes):
    def called(stream, size):
        sizes.append(size)
        return function(stream, size)

    return called


def test_every_cut_and_every_altered_byte_is_noticed(folder):
    pack(folder)
    content = (folder / NAME).read_bytes()
    cells = load_run(folder)
    for position in range(0, len(content), 5):
        altered = bytearray(content)
        altered[position] ^= 1
        for damaged in (content[:position], bytes(altered)):
            (folder / NAME).write_bytes(damaged)
            with pytest.raises(UnreadableArchive, match="is damaged"):
                load_run(folder)
    (folder / NAME).write_bytes(content)
    assert load_run(folder) == cells


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 6), st.integers(0, 511), st.binary(min_size=1, max_size=40))
def test_damage_inside_the_tar_file_loses_no_cell_silently(tmp_path_factory, block, at, noise):
    folder = tmp_path_factory.mktemp("run")
    for number in range(2):
        write(folder / "cells", make_cell(number))
    pack(folder)
    found, _ = load_run(folder)
    plain = bytearray(lzma.decompress((folder / NAME).read_bytes()))
    plain[512 * block + at : 512 * block + at + len(noise)] = noise
    (folder / NAME).write_bytes(lzma.compress(bytes(plain)))
    try:
        read, problems = load_run(folder)
    except UnreadableArchive:
        return
    assert len(read) + len(problems) == 2
    assert all(cell in found for cell in read)


def test_what_stands_behind_an_early_end_is_not_lost_silently(folder):
    pack(folder)
    plain = lzma.decompress((folder / NAME).read_bytes())
    for changed in (plain[:1024] + bytes(512) + plain[1024:], plain + bytes(20480)):
        (folder / NAME).write_bytes(lzma.compress(changed))
        with pytest.raises(UnreadableArchive, match="there is something after its end"):
            load_run(folder)


@pytest.mark.parametrize("content", [b"", b"\0" * 2000, lzma.compress(b""), b"PK\3\4"])
def test_what_is_no_archive(tmp_path, content):
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(UnreadableArchive):
        load_run(tmp_path)


def test_a_damaged_archive_takes_no_cell_with_it(folder):
    before = contents(folder)
    (folder / NAME).write_bytes(b"torn")
    with pytest.raises(UnreadableArchive):
        pack(folder)
    assert contents(folder) == {**before, NAME: b"torn"}


@pytest.mark.skipif(os.name != "posix", reason="kills a process with a POSIX signal")
@pytest.mark.parametrize("work", ["pack", "unpack"])
def test_a_kill_at_any_moment_loses_no_cell(folder, work):
    """Killed before each of its changes on the disk in turn, and finished by the next call."""
    program = f"""
import os, signal, sys
from pathlib import Path
from benchmarks.store import archive
changes = 0
def watch(event, arguments):
    global changes
    if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir"):
        changes += 1
        if changes == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
archive.{work}(Path(sys.argv[1]))
"""
    cells, before = load_all(folder / "cells"), contents(folder)
    if work == "unpack":
        pack(folder)
    code, moment = -signal.SIGKILL, 0
    while code == -signal.SIGKILL:
        moment += 1
        command = [sys.executable, "-c", program, str(folder), str(moment)]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        assert load_run(folder) == cells
        if code and work == "pack" and moment % 2:  # from the beginning, and from where it stood
            unpack(folder)
    assert code == 0
    assert moment > 5
    load_all(folder / "cells", set_aside=True)  # what a run that goes on does
    assert contents(folder) == before if work == "unpack" else list(contents(folder)) == [NAME]


def test_a_packed_run_goes_on(folder):
    before = contents(folder)
    pack(folder)
    cell = make_cell(3)
    run = Run(PLAN, folder)
    run.open()
    try:
        assert run._files.done(cell)
        assert run.messages == []
    finally:
        run.close()
    assert contents(folder) == before


def test_a_run_with_a_damaged_archive_does_not_go_on(folder):
    pack(folder)
    (folder / NAME).write_bytes((folder / NAME).read_bytes()[:-9])
    run = Run(PLAN, folder)
    try:
        with pytest.raises(UnreadableArchive, match="is damaged"):
            run.open()
    finally:
        run.close()
    assert not (folder / "cells").exists()
