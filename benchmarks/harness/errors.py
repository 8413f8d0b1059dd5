"""How a run ends a benchmark, or itself. The pytest plugin makes skips, failures, exits of them."""

from __future__ import annotations


class Resumed(Exception):
    """The cell is there from an earlier part of the run: nothing is left to do."""


class FailedBefore(Exception):
    """The cell was written by an earlier process of this run, which failed."""


class OutOfMemory(Exception):
    """The cell is written with the status ``oom``, which is a result."""


class CannotWrite(Exception):
    """The results folder cannot be written: the run ends; the message says how to go on."""
