"""The cells of a published run in one file, ``cells.tar.xz``, each byte for byte as it was written.

Cells repeat each other: side by side in one xz stream the published ones take 4.6 MB, in a zip
file, which compresses each for itself, 10.6 MB, as files 38 MB. ``tar xJf`` unpacks the archive,
too. The same cells give the same tar file: sorted by name, without times and owners.

An archive may come from anywhere. Nothing is unpacked to be read, and the reader takes plain files
with the name of a cell only, no links, paths or extended headers, and none that is too large.
"""

from __future__ import annotations

import io
import lzma
import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.store.atomic import ASIDE, temporary_files, write_atomically
from benchmarks.store.cell import KEY_LENGTH, Cell
from benchmarks.store.codec import UnreadableCell, decode
from benchmarks.store.folder import load_all

NAME = "cells.tar.xz"
CELLS = "cells"
MEMBER_BYTES = 2**26  # the largest published cell has 0.07 MB
ARCHIVE_BYTES = 2**31  # unpacked
_CELL_NAME = re.compile(rf"[0-9a-f]{{{KEY_LENGTH}}}\.json")
_PREFIX = f"{CELLS}/"  # so that tar, too, gives the folder back


class UnreadableArchive(OSError, ValueError):
    """An archive that is damaged or that no run has made. The message names it and the place."""


def load_run(folder: Path) -> tuple[list[Cell], list[str]]:
    """All cells of a run, ordered by key, and a message for each file or member that is none.

    Args:
        folder: The results folder, with the folder ``cells`` or an archive of it. Where there are
            both, as an interrupted :func:`pack` or :func:`unpack` leaves them, the archive has all.

    Raises:
        UnreadableArchive: The archive as a whole cannot be trusted; see :func:`members`.
    """
    if not (folder / NAME).exists():
        return load_all(folder / CELLS)
    found: list[Cell] = []
    problems: list[str] = []
    for name, content in members(folder / NAME):
        try:
            found.append(decode(name, content))
        except UnreadableCell as error:
            problems.append(f"{error}; left out")
    return found, problems


def has_cells(folder: Path) -> bool:
    """Whether ``folder`` is a run's, packed or not."""
    return (folder / CELLS).is_dir() or (folder / NAME).is_file()


def require_cells(folder: Path) -> None:
    """Refuses a folder that is no run's.

    Raises:
        ValueError: It has no cells, packed or not.
    """
    if not has_cells(folder):
        raise ValueError(
            f"{folder}: no results folder, it has no cells/; name one that a run has written"
        )


def pack(folder: Path) -> None:
    """Puts the folder ``cells`` of a run into its archive and removes it, ``cells/aside`` included.

    Before anything is removed, the archive is on the disk and was read back. After a crash at any
    moment the same call finishes the work; a packed run stays as it is. Let nothing else write into
    ``folder`` meanwhile.

    Raises:
        ValueError: There is no cell, or something in ``cells`` is none, or is not what an archive
            that is there already has under that name.
        UnreadableArchive: The archive that is there already, or was written, is damaged.
    """
    cells, archive = folder / CELLS, folder / NAME
    contents = _contents(cells) if cells.is_dir() else {}
    if not archive.exists():
        if not contents:
            raise ValueError(f"{folder}: there is no cell in it; name a folder of a finished run")
        for name, content in contents.items():
            try:
                decode(name, content)
            except UnreadableCell as error:
                raise ValueError(
                    f"{cells}: {error}; go on with the run by --resume, which sets it aside"
                ) from error
        write_atomically(archive, _packed(contents))
    kept = dict(members(archive))
    for name, content in contents.items():
        if kept.get(name) != content:
            raise ValueError(
                f"{cells / name} is not in {NAME} as it is here; keep one of them, remove the other"
            )
    if cells.is_dir():
        shutil.rmtree(cells)
    for path in temporary_files(folder):  # of a call that was interrupted
        path.unlink()


def unpack(folder: Path) -> None:
    """Gives a packed run its folder ``cells`` back, so that it can go on; any other stays as it is.

    The archive goes last: after a crash the same call finishes the work.

    Raises:
        UnreadableArchive: The archive is damaged; it is left, and so is what was in ``cells``.
    """
    archive = folder / NAME
    if not archive.exists():
        return
    for name, content in dict(members(archive)).items():
        write_atomically(folder / CELLS / name, content)
    archive.unlink()


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file in an archive, in the order of the archive.

    Raises:
        UnreadableArchive: It is damaged, ends too early or goes on after its end, or holds anything
            else than files with the name of a cell, each once and none too large. What came before
            has been given by then.
    """
    last = "its beginning"
    try:
        with lzma.open(archive) as stream:
            for name, content in _members(stream):
                yield name, content
                last = name
    except (OSError, EOFError, ValueError, lzma.LZMAError, tarfile.TarError) as error:
        raise UnreadableArchive(
            f"{archive} is damaged or was not made by `pack`, after {last}: {error}"
        ) from error


def _members(stream: lzma.LZMAFile) -> Iterator[tuple[str, bytes]]:
    """Reads a tar file forward, header by header.

    :mod:`tarfile`'s own reader follows links and extended headers of any size, and takes a broken
    header within the file for its end.
    """
    seen: set[str] = set()
    total = 0
    while any(block := _exactly(stream, tarfile.BLOCKSIZE)):
        member = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        name = member.name.removeprefix(_PREFIX)
        if not (member.isreg() and _CELL_NAME.fullmatch(name)) or name in seen:
            raise ValueError(f"{member.name!r} is no cell's file, or is there twice")
        total += member.size
        if member.size > MEMBER_BYTES or total > ARCHIVE_BYTES:
            raise ValueError(f"{name} is too large: {member.size} bytes, {total} with those before")
        seen.add(name)
        yield name, _exactly(stream, member.size)
        _exactly(stream, -member.size % tarfile.BLOCKSIZE)
    # To the end, where xz has its checksum.
    rest = stream.read(tarfile.RECORDSIZE + 1)
    if any(rest) or len(rest) > tarfile.RECORDSIZE:
        raise ValueError("there is something after its end")


def _exactly(stream: lzma.LZMAFile, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError("it ends too early")
    return content


def _packed(contents: Mapping[str, bytes]) -> bytes:
    """The archive of these files, in their order."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(_PREFIX + name)  # time 0, owner 0, mode 0644
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _contents(cells: Path) -> dict[str, bytes]:
    """The cell files in a folder by name, in order.

    Raises:
        ValueError: There is anything else that a removal of the folder would lose.
    """
    contents = {}
    passing = {cells / ASIDE, *temporary_files(cells)}
    for path in sorted(set(cells.iterdir()) - passing):
        if not path.is_file() or not _CELL_NAME.fullmatch(path.name):
            raise ValueError(f"{path} is no cell; move it elsewhere")
        contents[path.name] = path.read_bytes()
    return contents
