"""One writer for each results folder."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = ".lock"


class Locked(ValueError):
    """Another process writes into the folder; the message names both."""


@contextmanager
def locked(folder: Path) -> Iterator[str | None]:
    """Keeps other runs out of ``folder`` while its body runs; makes the folder if need be.

    The lock is the system's (``flock`` on a file in the folder): it ends with the process, however
    that dies, so no stale lock is ever left.

    Yields:
        None, or why the folder could not be locked: the system or the file system has no locks.

    Raises:
        Locked: Another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        yield _unprotected(folder, "this system has no fcntl")
        return
    import fcntl

    path = folder / NAME
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 200).decode(errors="replace").strip()
            os.close(handle)
            raise Locked(
                f"--results {folder}: another run is writing there ({holder or 'just started'}); "
                "wait for its end, stop it, or name another folder"
            ) from None
        except OSError as error:  # some network file systems
            os.close(handle)
            yield _unprotected(folder, str(error))
            return
        # The last holder deletes the file: what was opened may be no longer what has the name.
        if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
            break
        os.close(handle)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield None
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _unprotected(folder: Path, reason: str) -> str:
    return f"{folder} cannot be locked ({reason}); let no second run write there"
