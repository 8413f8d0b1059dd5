"""One writer for each results folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

NAME = ".lock"
# Of getting the lock: its last holder may delete the file between its opening and its locking.
SECONDS = 0.2


class Locked(ValueError):
    """Another process writes into the folder; the message names both."""


@contextmanager
def locked(folder: Path) -> Iterator[str | None]:
    """Keeps other runs out of ``folder`` while its body runs; makes the folder if need be.

    The lock is the system's, on a file in the folder: it ends with the process, however that dies,
    so no stale lock is ever left, and a child that the process forks does not have it.

    Yields:
        None, or why the folder could not be locked: its file system has no locks.

    Raises:
        Locked: Another process holds the lock.
        OSError: The folder cannot be made or written; the message names it.
    """
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.touch()  # what fails from here on is the locking
    except OSError as error:
        raise OSError(
            f"--results {folder}: cannot be written ({error.strerror or error}); name a folder "
            "that can be"
        ) from error
    lock = FileLock(path, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(timeout=SECONDS, poll_interval=SECONDS / 10)
    except Timeout:
        holder = ""
        with suppress(OSError):  # the holder may have ended, or keep its file to itself (Windows)
            holder = path.read_text(encoding="utf-8", errors="replace").strip()
        raise Locked(
            f"--results {folder}: another run is writing there ({holder or 'just started'}); "
            "wait for its end, stop it, or name another folder"
        ) from None
    except OSError as error:  # some network file systems
        yield f"{folder} cannot be locked ({error}); let no second run write there"
        return
    try:
        with suppress(OSError):  # on Windows nobody can write a locked file
            path.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield None
    finally:
        with suppress(OSError):  # on Windows nobody can delete an open file
            path.unlink()
        lock.release()
