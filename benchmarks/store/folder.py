"""A folder of cells, one JSON file each: how a run keeps what it has measured so far."""

from __future__ import annotations

from pathlib import Path

from benchmarks.store.atomic import move_aside, temporary_files, write_atomically
from benchmarks.store.cell import Cell
from benchmarks.store.codec import UnreadableCell, decode, encode, seal


def write(folder: Path, cell: Cell) -> Path:
    """Writes ``folder/<key>.json`` atomically; an older file of that name is replaced."""
    path = folder / f"{cell.key}.json"
    write_atomically(path, seal(encode(cell)))
    return path


def read(path: Path) -> Cell:
    """The cell in ``path``.

    Raises:
        UnreadableCell: The file cannot be read, or is not that cell; see
            :func:`benchmarks.store.codec.decode`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableCell(f"{path.name} is not readable as JSON ({error})") from error
    return decode(path.name, content)


def load_all(folder: Path, *, set_aside: bool = False) -> tuple[list[Cell], list[str]]:
    """All cells of ``folder``, ordered by key, and a message for each file that is none.

    Args:
        folder: The folder ``cells`` of a run. Temporary files of an interrupted write are not read.
        set_aside: Whether to move the unreadable files to ``folder/aside`` (and to delete the
            temporary ones), so that they are out of the way; otherwise nothing is touched.
    """
    found: list[Cell] = []
    problems: list[str] = []
    for path in sorted(folder.glob("*.json")):
        if path.name.startswith("."):
            continue
        try:
            found.append(read(path))
        except UnreadableCell as error:
            problems.append(f"{error}; {'set aside' if set_aside else 'left out'}")
            if set_aside:
                move_aside(path)
    if set_aside:
        for path in temporary_files(folder):
            path.unlink()
    return found, problems
