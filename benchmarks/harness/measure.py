"""How numbers are taken: the clock, the memory, and what becomes of a failure."""

from __future__ import annotations

import ctypes
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

# Waits for the accelerator, then reads the wall clock, in seconds. The plugin gives this one to
# pytest-benchmark.
from torch.utils.benchmark.utils.timer import timer

from benchmarks.harness import interrupts
from benchmarks.harness.guards import Invalid
from benchmarks.store.atomic import umask
from benchmarks.store.text import printable
from explainers.engines.memory import is_out_of_memory

__all__ = [
    "Outcome",
    "Raised",
    "attempt",
    "is_long",
    "memory_limit",
    "one_line",
    "own_streams",
    "peak_memory",
    "text_of",
    "timer",
]

MESSAGE_LENGTH = 500
# Characters of an error's text that are read: it may have any number of them.
TEXT_LENGTH = 10_000
MOST_ERRORS = 30  # that have led to one another and are printed


@dataclass
class Outcome:
    """How an attempt ended (``ok``, ``error``, ``invalid``, ``oom``), and in one line why.

    ``error`` is what was raised; of what is no :class:`Exception` a :class:`Raised` that tells it.
    """

    status: str = "ok"
    message: str = ""
    error: Exception | None = None


@contextmanager
def attempt() -> Iterator[Outcome]:
    """Runs its body; whatever it raises ends the body and is told in the outcome.

    That includes what is no :class:`Exception`: a method may call ``sys.exit``. An interrupt of the
    user's goes on its way.

        with attempt() as outcome:
            explanations = method.explain(...)
        if outcome.status == "oom": ...
    """
    outcome = Outcome()
    try:
        yield outcome
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and interrupts.received():
            raise
        outcome.status = "oom" if _is_out_of_memory(error) else "error"
        if isinstance(error, Invalid):
            outcome.status = "invalid"
        outcome.message = one_line(error)
        # What ends a process (SystemExit), a generator or, of pytest's, a test or the whole run.
        foreign = type(error).__module__.partition(".")[0] in ("_pytest", "pytest")
        if isinstance(error, Exception) and not foreign:
            outcome.error = error
        else:
            outcome.error = Raised(outcome.message)
            outcome.error.__cause__ = error
        if outcome.status == "oom":
            # The traceback's frames hold the tensors that filled the memory.
            traceback.clear_frames(error.__traceback__)
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()


def _is_out_of_memory(error: BaseException) -> bool:
    """The same of an error whose message may raise anything where it is read."""
    try:
        return is_out_of_memory(error)
    except KeyboardInterrupt:
        if interrupts.received():
            raise
        return False


class Raised(Exception):
    """A method has raised something that would end the process, or the test."""


def text_of(error: BaseException) -> str:
    """The beginning of an error's message; of a class of the method's own it may raise anything."""
    try:
        # Not by a method of its own, which a class of texts may have.
        return str.__getitem__(str(error), slice(TEXT_LENGTH))
    except BaseException as failure:
        if isinstance(failure, KeyboardInterrupt) and interrupts.received():
            raise
        return "(its message cannot be printed)"


def one_line(error: BaseException) -> str:
    """Class and message of an error, in one line that can be printed."""
    name = type(error).__name__[:MESSAGE_LENGTH]
    text = " ".join(printable(f"{name}: {text_of(error)}").split())
    return text if len(text) <= MESSAGE_LENGTH else text[: MESSAGE_LENGTH - 1] + "…"


def is_long(error: BaseException) -> bool:
    """Whether an error, with those that led to it and what was added to them, is long to print."""
    errors, seen = [error], set[int]()
    while errors:
        one = errors.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        notes = vars(one).get("__notes__", ())
        texts = [type(one).__name__, text_of(one), *(text for text in notes if type(text) is str)]
        if sum(map(len, texts)) >= TEXT_LENGTH or len(seen) > MOST_ERRORS:
            return True
        errors += [led for led in (one.__cause__, one.__context__) if led is not None]
        errors += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
    return False


def peak_memory(function: Callable[[], object], device: str | torch.device = "cpu") -> int | None:
    """Bytes that one call of ``function`` needs beyond what was in use before it, at its peak.

    Call it apart from the timing, after a warm-up.

    On a GPU these are the bytes of tensors, by torch's allocator. On a CPU they are resident
    memory: free memory is handed back to the system first (else the call would be served from it,
    unseen), then Linux resets the process's high-water mark. That sees every library's memory and
    works with all threads; a forked child instead would have to run with one thread, since OpenMP's
    do not survive a fork. It counts in pages; differences below about 1 MB mean nothing.

    Returns:
        The bytes, or None where the system cannot tell (on a CPU: anywhere but on Linux).
    """
    place = torch.device(device)
    if place.type == "cuda":
        torch.cuda.synchronize(place)
        torch.cuda.reset_peak_memory_stats(place)
        before = torch.cuda.memory_allocated(place)
        function()
        torch.cuda.synchronize(place)
        return max(0, torch.cuda.max_memory_allocated(place) - before)
    if not _reset_peak_resident():
        function()
        return None
    before = _status_bytes("VmHWM")
    function()
    return max(0, _status_bytes("VmHWM") - before)


@contextmanager
def memory_limit(device: str | torch.device = "cpu", share: float = 0.9) -> Iterator[None]:
    """Lets an allocation fail inside its body before the system runs out of memory.

    On a CPU, Linux hands out more memory than there is and then kills the process: the run would
    be lost, not the cell. Inside, the process may take ``share`` of the memory that is available
    now; what goes beyond raises, and :func:`attempt` calls it ``oom``. Elsewhere it does nothing:
    a GPU's allocator raises by itself.
    """
    status = Path("/proc/self/status")
    if torch.device(device).type != "cpu" or not status.exists():
        yield
        return
    import resource  # there is none on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _status_bytes("VmData") + int(share * available_memory())
    if soft != resource.RLIM_INFINITY and soft < limit:
        yield  # there is a tighter one already
        return
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextmanager
def own_streams() -> Iterator[None]:
    """Gives its body a stdout and a stderr of its own: closing them closes nobody else's.

    And puts back the working folder, and by which rights files are made.
    """
    kept, folder, rights = (sys.stdout, sys.stderr), Path.cwd(), umask()
    with ExitStack() as opened:
        with suppress(OSError, ValueError, AttributeError):  # not the system's, or closed
            sys.stdout, sys.stderr = (
                opened.enter_context(open(os.dup(stream.fileno()), "w", buffering=1))  # noqa: PTH123
                for stream in kept
            )
        try:
            yield
        finally:
            sys.stdout, sys.stderr = kept
            os.umask(rights)
            with suppress(OSError):  # it may be gone
                os.chdir(folder)


def available_memory() -> int:
    """Bytes that this process could still take, of the machine's or of its container's."""
    available = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    try:
        allowed = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return available
    return available if allowed == "max" else max(0, min(available, int(allowed) - used))


def _reset_peak_resident() -> bool:
    """Hands free memory back and makes the present resident size the peak; False if it cannot."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError, TypeError):  # no Linux, no glibc, or not allowed
        return False
    return True


def _status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {name}")
