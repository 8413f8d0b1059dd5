"""One option of the command line, and what can be wrong with its value.

A check gets the value and all that was asked for, by the names of the plan's fields; it returns
what is wrong and what to do, in words that follow ``--nodes 0: ``, or None.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.lock import NAME as LOCK

DEVICES = ("cpu", "cuda")
EXECUTORS = ("local", "ray")

Asked = Mapping[str, Any]
Check = Callable[[Any, Asked], str | None]


@dataclass(frozen=True)
class Option:
    """One option of the command line.

    Attributes:
        flag: Such as ``--nodes``.
        help: Its line in ``--help``.
        metavar: What stands there for the value; empty for a switch, which has none.
        type: Makes the value from a word.
        repeatable: Whether it can be given several times; the plan has a tuple of what differs.
        default: What holds if it is not given; or a function of the plan's values before it.
        check: Of one value.
        check_last: Whether the check needs torch or runs the user's code: the others come first.
        for_workers: Whether a worker of a cluster is called with it.
    """

    flag: str
    help: str
    metavar: str = ""
    type: Callable[[str], Any] = str
    repeatable: bool = False
    default: Any = None
    check: Check | None = None
    check_last: bool = False
    for_workers: bool = True

    @property
    def parser_arguments(self) -> dict[str, Any]:
        """For ``addoption`` or argparse's ``add_argument``, beside the flag."""
        if not self.metavar:
            return {"action": "store_true", "help": self.help}
        action = "append" if self.repeatable else "store"
        default = [] if self.repeatable else None if callable(self.default) else self.default
        return {
            "action": action,
            "default": default,
            "type": _word if self.type is str else _folder if self.type is Path else self.type,
            "metavar": self.metavar,
            "help": self.help,
        }

    def value(self, given: Any, asked: Asked, before: Mapping[str, Any]) -> Any:
        """The plan's value.

        Args:
            given: The command line's; None or empty if the option was not given.
            asked: All options by name, as they were given.
            before: The plan's values so far.

        Raises:
            ValueError: It cannot be; the message names the option, its value and what to do.
        """
        default = self.default(before) if callable(self.default) else self.default
        if self.repeatable:
            chosen = tuple(dict.fromkeys(given or ()))
            self._check(chosen, asked)
            return chosen or tuple(default or ())
        if given is None:
            given = default
        if given is not None:
            self._check([given], asked)
        return given

    def words(self, value: Any) -> list[str]:
        """The words of a command line that ask for a value; folders become absolute."""
        if not self.metavar:
            return [self.flag] if value else []
        values = value if self.repeatable else [value] if value is not None else []
        return [f"{self.flag}={one.resolve() if isinstance(one, Path) else one}" for one in values]

    def _check(self, values: Iterable[Any], asked: Asked) -> None:
        for value in values:
            if self.check is not None and (problem := self.check(value, asked)) is not None:
                shown = f"{value:g}" if isinstance(value, float) else value
                raise ValueError(f"{self.flag}{f' {shown}' if self.metavar else ''}: {problem}")


def _word(text: str) -> str:
    """A value that a shell's unset variable is not: an option's default would take its place."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty; name a value, or leave it out")
    return text


def _folder(text: str) -> Path:
    return Path(_word(text))


def one_of(names: Iterable[str]) -> Check:
    """It is one of a few names."""
    choice = f"use {' or '.join(names)}"
    return lambda value, _: None if value in names else _unknown(value, choice, names)


def at_least_one(value: int, _: Asked) -> str | None:
    """A count."""
    return None if value >= 1 else "must be at least 1"


def seconds(value: float, _: Asked) -> str | None:
    """A time limit, where 0 is none; nan is neither."""
    return None if value >= 0 else "must be at least 0 seconds; 0 is no limit"


def sha256(value: str, _: Asked) -> str | None:
    """A checksum."""
    if re.fullmatch(r"[0-9a-fA-F]{64}", value):
        return None
    return "must be a file's SHA-256, 64 hexadecimal digits"


def known_task(value: str, _: Asked) -> str | None:
    """A task's name, or the user's own file."""
    import benchmarks.tasks

    return None if benchmarks.tasks.is_own(value) else _known(value, benchmarks.tasks.available())


def known_method(value: str, _: Asked) -> str | None:
    """A method's name."""
    import explainers

    return _known(value, explainers.available())


def known_model(value: str, _: Asked) -> str | None:
    """A kind of model."""
    import benchmarks.tasks

    return _known(value, benchmarks.tasks.MODELS)


def working_device(value: str, asked: Asked) -> str | None:
    """``cpu``, or ``cuda`` with a GPU that works."""
    if value != "cuda":
        return one_of(DEVICES)(value, asked)
    import torch

    if not torch.cuda.is_available():
        return (
            "torch finds no working CUDA device; use --device cpu, or check the driver, "
            "CUDA_VISIBLE_DEVICES and that this torch is a CUDA build"
        )
    try:
        torch.ones(1, device="cuda").add_(1).cpu()
    except RuntimeError as error:
        return f"the GPU does not work ({' '.join(str(error).split())}); use --device cpu"
    return None


def folder_of_data(value: Path, _: Asked) -> str | None:
    """An existing folder."""
    if value.is_dir():
        return None
    return "there is no such folder; create it and put the raw files there, or leave the option out"


def folder_of_results(value: Path, asked: Asked) -> str | None:
    """A new or empty folder; with ``--resume`` one that is there."""
    resume = asked.get("resume")
    if value.exists() and not value.is_dir():
        return "is a file; name a folder"
    if resume and not value.is_dir():
        return "nothing to resume there; check the path, or leave --resume out"
    if not resume and value.is_dir() and any(path.name != LOCK for path in value.iterdir()):
        return "the folder is not empty; add --resume to go on with its run, or name another folder"
    return None


def resumable(value: bool, asked: Asked) -> str | None:
    """``--resume`` and the folder of a run."""
    if value and asked.get("results") is None:
        return "needs --results DIR, the folder of the run to go on with"
    return None


def installed_executor(value: str, asked: Asked) -> str | None:
    """An executor that can be imported."""
    if value == "ray" and importlib.util.find_spec("ray") is None:
        return "Ray is not installed; install the extra: pip install -e '.[bench,ray]'"
    return one_of(EXECUTORS)(value, asked)


def for_ray(value: Any, asked: Asked) -> str | None:
    """Something that only a Ray cluster needs."""
    return None if asked.get("executor") == "ray" else "is for --executor ray only; add it"


def workers(value: int, asked: Asked) -> str | None:
    """A count of a Ray cluster's workers."""
    return at_least_one(value, asked) or for_ray(value, asked)


def _known(value: str, names: Iterable[str]) -> str | None:
    return None if value in names else _unknown(value, f"available: {', '.join(names)}", names)


def _unknown(value: str, choice: str, names: Iterable[str]) -> str:
    from explainers._names import did_you_mean  # with torch, which a good name does not wait for

    return f"unknown; {choice}{did_you_mean(value, names)}"
