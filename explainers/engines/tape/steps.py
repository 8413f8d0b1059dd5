"""The steps of a tape: operations on values, simplified and made into a Python function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Value:
    """A value of the tape, in the place of a tensor among the arguments of an operation."""

    number: int


@dataclass
class Step:
    """An operation.

    Attributes:
        operation: Of torch's dispatcher, or a function that changes nothing.
        args: With values in the place of tensors that depend on the inputs.
        kwargs: As ``args``.
        made: The values it makes, by their positions among its results.
        several: Whether its result is several tensors.
        changes: Values that it writes to, and that no one reads after it.
    """

    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    made: dict[int, int]
    several: bool = False
    changes: set[int] = field(default_factory=set)

    @property
    def reads(self) -> list[int]:
        """The values among the arguments."""
        return [one.number for one in flat((self.args, self.kwargs)) if isinstance(one, Value)]

    @property
    def name(self) -> str:
        """Of an operation of torch's dispatcher, without its overload."""
        schema = getattr(self.operation, "_schema", None)
        return "" if schema is None else str(schema.name.partition("::")[2])


def flat(part: Any) -> Iterator[Any]:
    """What is in nested lists, tuples and dictionaries."""
    if isinstance(part, dict):
        part = part.values()
    elif not isinstance(part, (tuple, list)):
        yield part
        return
    for one in part:
        yield from flat(one)


def once(steps: list[Step], outputs: list[Any]) -> list[Step]:
    """The steps without those that do what another has done; ``outputs`` are renamed."""
    changed = {number for step in steps for number in step.changes}
    same: dict[int, int] = {}
    seen: dict[Any, dict[int, int]] = {}
    left = []
    for step in steps:
        step.args, step.kwargs = _renamed(step.args, same), _renamed(step.kwargs, same)
        if step.changes or changed & {*step.made.values()} or changed & {*step.reads}:
            left.append(step)
            continue
        key = (step.operation, _hashable(step.args), _hashable(step.kwargs), tuple(step.made))
        if key in seen:
            same |= {number: seen[key][place] for place, number in step.made.items()}
        else:
            seen[key] = step.made
            left.append(step)
    outputs[:] = _renamed(outputs, same)
    return left


def needed(steps: list[Step], outputs: list[Any]) -> list[Step]:
    """The steps that the outputs depend on."""
    wanted = {one.number for one in outputs if isinstance(one, Value)}
    left = []
    for step in reversed(steps):
        if wanted & {*step.made.values()}:
            wanted |= {*step.reads}
            left.append(step)
    return left[::-1]


def _renamed(part: Any, same: dict[int, int]) -> Any:
    if isinstance(part, Value):
        return Value(same.get(part.number, part.number))
    if isinstance(part, dict):
        return {name: _renamed(one, same) for name, one in part.items()}
    if isinstance(part, (tuple, list)):
        return type(part)(_renamed(one, same) for one in part)
    return part


def _hashable(part: Any) -> Any:
    if isinstance(part, dict):
        return tuple((name, _hashable(one)) for name, one in part.items())
    if isinstance(part, (tuple, list)):
        return tuple(_hashable(one) for one in part)
    # A constant by identity; 1, 1.0 and True are equal and not the same.
    return id(part) if isinstance(part, Tensor) else (type(part), part)


def compiled(steps: list[Step], outputs: list[Any], inputs: int) -> Callable[..., Any]:
    """The steps as a Python function: nothing is looked up when it is called."""
    names: dict[str, Any] = {}

    def given(part: Any) -> str:
        if isinstance(part, Value):
            return f"v{part.number}"
        if isinstance(part, (tuple, list)):
            inner = ", ".join(map(given, part))
            return f"[{inner}]" if isinstance(part, list) else f"({inner},)"
        name = f"c{len(names)}"
        names[name] = part
        return name

    last: dict[int, int] = {}
    for place, step in enumerate(steps):
        last |= dict.fromkeys([*step.reads, *step.made.values()], place)
    for one in outputs:
        if isinstance(one, Value):
            last[one.number] = len(steps)
    done: dict[int, list[str]] = {}
    for number, end in last.items():
        if number >= inputs:
            done.setdefault(end, []).append(f"v{number}")
    lines = [f"def play({', '.join(f'v{i}' for i in range(inputs))}):"]
    for place, step in enumerate(steps):
        arguments = [given(one) for one in step.args]
        arguments += [f"{name}={given(one)}" for name, one in step.kwargs.items()]
        # An operation of the dispatcher without the Python around it.
        run = getattr(step.operation, "_op", step.operation)
        call = f"{given(run)}({', '.join(arguments)})"
        if step.several:
            lines.append(f"    several = {call}")
            lines += [f"    v{number} = several[{i}]" for i, number in step.made.items()]
            lines.append("    del several")
        else:
            lines.append(f"    v{step.made[0]} = {call}")
        if place in done:  # memory goes back as soon as it can, while it is in the cache
            lines.append(f"    del {', '.join(done[place])}")
    lines.append(f"    return {given(tuple(outputs))}")
    exec("\n".join(lines), names)  # of our own making
    play: Callable[..., Any] = names["play"]
    return play
