"""The cell files of one run: which are there, and which are out of date."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from benchmarks.store.atomic import move_aside
from benchmarks.store.cell import Cell
from benchmarks.store.codec import UnreadableCell
from benchmarks.store.folder import load_all, read, write

# What counts as done when a run is resumed; an error is tried again.
DONE = ("ok", "oom")


class CellFiles:
    """The files, and of each identity (benchmark, configuration, part) the one that holds.

    Args:
        folder: ``cells`` of the results folder; made when the first cell is written.
        since: When the run began, in seconds of the epoch: a failure after that is of this run.

    Attributes:
        messages: One sentence for each file that was set aside.
    """

    def __init__(self, folder: Path, since: float = float("inf")) -> None:
        self.folder = folder
        self._since = since
        self.messages: list[str] = []
        self._keys: dict[str, str] = {}  # by identity

    def take_over(self) -> None:
        """Makes the cells of an earlier part of the run this one's; sets unreadable ones aside."""
        found, self.messages = load_all(self.folder, set_aside=True)
        self._keys = {cell.identity: cell.key for cell in found}

    def done(self, cell: Cell) -> str | None:
        """The status of this very cell if it is there, whole and with a result, or failed this run.

        None if it has to be measured.
        """
        if self._keys.get(cell.identity) != cell.key:
            return None
        path = self._path(cell.key)
        try:
            status = read(path).status
            return status if status in DONE or path.stat().st_mtime >= self._since else None
        except (UnreadableCell, OSError):
            return None

    def write(self, cell: Cell) -> Path:
        """Writes a cell; one that says the same with other versions, nodes, code is set aside."""
        self.supersede(cell)
        path = write(self.folder, cell)
        self._keys[cell.identity] = cell.key
        return path

    def supersede(self, cell: Cell) -> None:
        """Sets aside what has the identity of ``cell`` and another key: it is out of date."""
        key = self._keys.get(cell.identity)
        if key is not None and key != cell.key:
            self._set_aside(cell.identity, key)

    def discard(self, cell: Cell) -> None:
        """Sets aside what has the identity of ``cell``, whatever its key."""
        key = self._keys.get(cell.identity)
        if key is not None:
            self._set_aside(cell.identity, key)

    def has(self, key: str) -> bool:
        """Whether a cell with this key is there."""
        return key in self._keys.values()

    def statuses(self) -> Counter[str]:
        """How many cells have which status."""
        return Counter(cell.status for cell in load_all(self.folder)[0])

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _set_aside(self, identity: str, key: str) -> None:
        if self._path(key).exists():
            move_aside(self._path(key))
            self.messages.append(f"cell {key} is out of date; set aside")
        del self._keys[identity]
