"""A computation that is repeated many times, recorded once and played back.

A model's forward and backward pass are Python modules and a graph of gradients that is built anew
each time; on a small graph they take several times as long as the operations on tensors. A
:class:`Tape` holds these operations alone: it watches torch's dispatcher during one call of a
function, the backward pass included, and plays them back on other inputs of the same shapes. What
does not depend on the inputs is a constant; what is computed twice is computed once.

Whatever the function is, its operations are the tape's, so nothing is assumed of a model but that
it does the same operations each time. Where it cannot be seen to (an operation whose result goes to
the host, or has a shape that depends on values, random numbers), there is no tape, and whoever
plays one first compares what it gives with the function itself, at other inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Function = Callable[..., Sequence[Tensor]]
_Key = tuple[Any, ...]

# Their results depend on the shapes of their inputs alone.
FACTORIES = frozenset(
    {"new_zeros", "new_ones", "new_full", "new_empty", "new_empty_strided"}
    | {"zeros_like", "ones_like", "full_like", "empty_like"}
)
# To the host, to a shape, or from a generator: what follows need not be the same next time.
REFUSED = frozenset(
    {
        torch.Tag.data_dependent_output,
        torch.Tag.dynamic_output_shape,
        torch.Tag.nondeterministic_seeded,
    }
)


class NotRecorded(RuntimeError):
    """A function that a tape cannot hold; says why."""


@dataclass(frozen=True)
class _Value:
    """A value of the tape, in the place of a tensor among the arguments of an operation."""

    number: int


@dataclass
class _Step:
    """An operation.

    Attributes:
        operation: Of torch's dispatcher.
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
        return [one.number for one in _flat((self.args, self.kwargs)) if isinstance(one, _Value)]


class Tape:
    """What a function of tensors does, to be done again on tensors of the same shapes.

    Args:
        function: Of the inputs; returns tensors. It is called once.
        inputs: Tensors that share no memory. Leaves, if the function differentiates by them.

    Attributes:
        results: What the function returned.

    Raises:
        NotRecorded: The operations need not be the same at other inputs, or write where others
            read.
    """

    def __init__(self, function: Function, inputs: Sequence[Tensor]) -> None:
        recorder = _Recorder(inputs)
        with recorder, torch.autograd.set_multithreading_enabled(False):
            self.results = tuple(function(*inputs))
        outputs = [recorder.read(result) for result in self.results]
        steps = _needed(_once(recorder.steps, outputs), outputs)
        self._play = _compiled(steps, outputs, len(inputs))

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The results at other inputs, without a graph of gradients."""
        results: tuple[Tensor, ...] = self._play(*inputs)
        return results


class _Recorder(TorchDispatchMode):
    """Notes the operations on tensors that depend on the inputs.

    Tensors are told apart by the memory they show: those that the backward pass reads are other
    objects than those that the forward pass made.
    """

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self.steps: list[_Step] = []
        self.inputs = {_memory(one) for one in inputs}
        self._values: dict[int, dict[_Key, int]] = {}  # by memory, then by what is shown of it
        self._kept: list[Any] = []  # so that no memory is given to another tensor
        self._count = 0
        self._constants: dict[_Key, list[Tensor]] = {}
        for one in inputs:
            self._new(one)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Runs an operation, and notes it if it has to be run again."""
        kwargs = kwargs or {}
        self._kept.append((args, kwargs))
        if not any(self._depends(one) for one in _flat((args, kwargs))):
            return self._keep(func(*args, **kwargs))
        name = func._schema.name.partition("::")[2]
        if name in FACTORIES:
            return self._keep(func(*args, **kwargs))
        if REFUSED & {*func.tags} and not _by_numbers(name, args):
            raise NotRecorded(f"what follows depends on the result of {name}")
        written = _written(func, args, kwargs)
        for one in written:
            if _memory(one) in self.inputs:
                raise NotRecorded(f"{name} writes to an input")
            if not self._depends(one):
                self._copy(one, name)
        old = {self.read(one).number for one in written}
        step = _Step(func, self._noted(args), self._noted(kwargs), {}, changes=old)
        result = func(*args, **kwargs)
        step.several = isinstance(result, (tuple, list))
        for one in written:
            self._values[_memory(one)].clear()  # whoever else shows this memory is out of date
        for place, one in enumerate(result if step.several else (result,)):
            if isinstance(one, Tensor) and (written or not self._known(one)):
                step.made[place] = self._new(one)
        if step.made or written:
            self.steps.append(step)
        for one in written:
            if _shown(one) not in self._values[_memory(one)]:
                raise NotRecorded(f"{name} writes to what it does not return")
        return self._keep(result)

    def _keep(self, result: Any) -> Any:
        self._kept.append(result)
        return result

    def _new(self, tensor: Tensor) -> int:
        self._values.setdefault(_memory(tensor), {})[_shown(tensor)] = self._count
        self._count += 1
        return self._count - 1

    def _known(self, tensor: Tensor) -> bool:
        """Whether there is a value already that shows the same: a view need not be made anew."""
        return _shown(tensor) in self._values.get(_memory(tensor), {})

    def _depends(self, one: Any) -> bool:
        return isinstance(one, Tensor) and _memory(one) in self._values

    def _copy(self, constant: Tensor, name: str) -> None:
        """Has a constant that is going to be written to be copied before, each time."""
        if constant._base is not None:
            raise NotRecorded(f"{name} writes to a part of something else")
        before = constant.clone()
        number = self._new(constant)
        self.steps.append(_Step(torch.ops.aten.clone.default, (before,), {}, {0: number}))

    def read(self, tensor: Tensor) -> Any:
        """The value that a tensor has, or a constant itself."""
        if not self._depends(tensor):
            return self._constant(tensor)
        found = self._values[_memory(tensor)].get(_shown(tensor))
        if found is None:
            raise NotRecorded("an operation reads another part of what was written")
        return _Value(found)

    def _constant(self, tensor: Tensor) -> Tensor:
        """The same tensor for equal ones, such as the norms of layers: they share their products."""
        if tensor.device.type != "cpu" or tensor.layout != torch.strided:
            return tensor
        key = (tensor.shape, tensor.stride(), tensor.dtype)
        alike = self._constants.setdefault(key, [])
        for one in alike:
            if one is tensor or torch.equal(one, tensor):
                return one
        alike.append(tensor.detach())
        return alike[-1]

    def _noted(self, part: Any) -> Any:
        if isinstance(part, Tensor):
            return self.read(part)
        if isinstance(part, dict):
            return {name: self._noted(one) for name, one in part.items()}
        if isinstance(part, (tuple, list)):
            return type(part)(self._noted(one) for one in part)
        return part


def _memory(tensor: Tensor) -> int:
    """Where the numbers are: tensors with other memory have nothing in common."""
    if tensor.layout != torch.strided:
        return id(tensor)
    return tensor.untyped_storage()._cdata


def _shown(tensor: Tensor) -> _Key:
    """What of its memory a tensor shows."""
    if tensor.layout != torch.strided:
        return (id(tensor),)
    return (tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype)


def _flat(part: Any) -> Iterable[Any]:
    if isinstance(part, dict):
        part = part.values()
    elif not isinstance(part, (tuple, list)):
        yield part
        return
    for one in part:
        yield from _flat(one)


def _by_numbers(name: str, args: tuple[Any, ...]) -> bool:
    """Whether it is ``x[i]`` with whole numbers i, whose shape is that of i; else it selects."""
    chosen = [one for one in _flat(args[1:2]) if isinstance(one, Tensor)]
    return name == "index" and all(one.dtype not in (torch.bool, torch.uint8) for one in chosen)


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The tensors to which an operation writes."""
    if not func._schema.is_mutable:
        return []
    found = []
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            given = args[place] if place < len(args) else kwargs.get(argument.name)
            found += [one for one in _flat(given) if isinstance(one, Tensor)]
    return found


# ------------------------------------------------------------------------------ from steps to code


def _once(steps: list[_Step], outputs: list[Any]) -> list[_Step]:
    """The steps without those that do what another has done."""
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


def _needed(steps: list[_Step], outputs: list[Any]) -> list[_Step]:
    """The steps that the outputs depend on."""
    wanted = {one.number for one in outputs if isinstance(one, _Value)}
    left = []
    for step in reversed(steps):
        if wanted & {*step.made.values()}:
            wanted |= {*step.reads}
            left.append(step)
    return left[::-1]


def _renamed(part: Any, same: dict[int, int]) -> Any:
    if isinstance(part, _Value):
        return _Value(same.get(part.number, part.number))
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


def _compiled(steps: list[_Step], outputs: list[Any], inputs: int) -> Callable[..., Any]:
    """The steps as a Python function: nothing is looked up when it is called."""
    names: dict[str, Any] = {}

    def given(part: Any) -> str:
        if isinstance(part, _Value):
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
        if isinstance(one, _Value):
            last[one.number] = len(steps)
    lines = [f"def play({', '.join(f'v{i}' for i in range(inputs))}):"]
    for place, step in enumerate(steps):
        arguments = [given(one) for one in step.args]
        arguments += [f"{name}={given(one)}" for name, one in step.kwargs.items()]
        call = f"{given(_quick(step.operation))}({', '.join(arguments)})"
        if not step.several:
            lines.append(f"    v{step.made[0]} = {call}")
        else:
            lines.append(f"    several = {call}")
            lines += [f"    v{number} = several[{i}]" for i, number in step.made.items()]
            lines.append("    del several")
        done = [number for number, end in last.items() if end == place and number >= inputs]
        if done:  # memory goes back as soon as it can, while it is in the cache
            lines.append(f"    del {', '.join(f'v{number}' for number in done)}")
    lines.append(f"    return {given(tuple(outputs))}")
    exec("\n".join(lines), names)  # noqa: S102  # of our own making
    play: Callable[..., Any] = names["play"]
    return play


def _quick(operation: Any) -> Any:
    """An operation of the dispatcher without the Python around it."""
    return operation._op
