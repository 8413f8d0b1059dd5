"""Files written whole or not at all, and moved out of the way without losing any."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

ASIDE = "aside"


def write_atomically(path: Path, content: str | bytes) -> None:
    """Puts ``content`` under ``path``: after a crash the file is the old one or the new one, whole.

    It goes to a temporary file beside it, is forced to the disk, and takes the name then. A text is
    written as UTF-8.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~umask())  # mkstemp's 0600 would hide results from others
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if os.name == "posix":  # elsewhere, folders cannot be opened
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def temporary_files(folder: Path) -> Iterator[Path]:
    """What interrupted calls of :func:`write_atomically` have left in ``folder``."""
    return folder.glob(".*.tmp")


def move_aside(path: Path) -> Path:
    """Moves a file to the folder ``aside`` beside it, under a name that is free there."""
    target = path.parent / ASIDE / path.name
    target.parent.mkdir(exist_ok=True)
    number = 1
    while target.exists():
        target = target.with_name(f"{path.stem}.{number}{path.suffix}")
        number += 1
    return path.replace(target)


def umask() -> int:
    """Which rights this process takes from the files that it makes."""
    # There is no call that only reads it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
