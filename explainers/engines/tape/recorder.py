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

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from explainers.engines.tape.steps import Step, Value, compiled, flat, needed, once
from explainers.engines.tape.sums import summed

Function = Callable[..., Sequence[Tensor]]
_Key = tuple[Any, ...]

# Their results depend on the shapes of their inputs alone.
FACTORIES = frozenset(
    {"new_zeros", "new_ones", "new_full", "new_empty", "new_empty_strided"}
    | {"zeros_like", "ones_like", "full_like", "empty_like"}
)
# To the host or to a shape: what follows need not be the same next time.
REFUSED = frozenset({torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape})


class NotRecorded(BaseException):
    """A function that a tape cannot hold; says why.

    No error of the function: what handles a model's errors lets it through.
    """


class Tape:
    """What a function of tensors does, to be done again on tensors of the same shapes.

    Args:
        function: Of the inputs; returns tensors. It is called once.
        inputs: Tensors that share no memory. Leaves, if the function differentiates by them.

    Attributes:
        results: What the function returned.
        steps: What is done when it is played.

    Raises:
        NotRecorded: The operations need not be the same at other inputs, or write where others
            read.
    """

    def __init__(self, function: Function, inputs: Sequence[Tensor]) -> None:
        recorder = _Recorder(inputs)
        with recorder, torch.autograd.set_multithreading_enabled(False):
            self.results = tuple(function(*inputs))
        outputs = [recorder.read(result) for result in self.results]
        steps = needed(once(recorder.steps, outputs), outputs)
        self.steps = needed(once(summed(steps, recorder.shapes), outputs), outputs)
        self._play = compiled(self.steps, outputs, len(inputs))

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The results at other inputs, without a graph of gradients."""
        results: tuple[Tensor, ...] = self._play(*inputs)
        return results


class _Recorder(TorchDispatchMode):
    """Notes the operations on tensors that depend on the inputs.

    Tensors are distinguished by the memory they show: those that the backward pass reads are other
    objects than those that the forward pass made.
    """

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.inputs = {_memory(one) for one in inputs}
        self._values: dict[int, dict[_Key, int]] = {}  # by memory, then by what is shown of it
        self._kept: list[Any] = []  # so that no memory is given to another tensor
        self.shapes: dict[int, tuple[int, ...]] = {}  # of the values
        self._constants: dict[_Key, list[Tensor]] = {}
        for one in inputs:
            self._new(one)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Runs an operation, and notes it if it has to be run again."""
        kwargs = kwargs or {}
        self._kept.append((args, kwargs))
        name = func._schema.name.partition("::")[2]
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise NotRecorded(f"{name} draws random numbers")
        if not any(self._depends(one) for one in flat((args, kwargs))):
            return self._keep(func(*args, **kwargs))
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
        step = Step(func, self._noted(args), self._noted(kwargs), {}, changes=old)
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
        number = len(self.shapes)
        self._values.setdefault(_memory(tensor), {})[_shown(tensor)] = number
        self.shapes[number] = tuple(tensor.shape)
        return number

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
        self.steps.append(Step(torch.ops.aten.clone.default, (before,), {}, {0: number}))

    def read(self, tensor: Tensor) -> Any:
        """The value that a tensor has, or a constant itself."""
        if not self._depends(tensor):
            return self._constant(tensor)
        found = self._values[_memory(tensor)].get(_shown(tensor))
        if found is None:
            raise NotRecorded("an operation reads another part of what was written")
        return Value(found)

    def _constant(self, tensor: Tensor) -> Tensor:
        """One tensor for all equal ones: layers with the same norms share what is made of them."""
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


def _by_numbers(name: str, args: tuple[Any, ...]) -> bool:
    """Whether it is ``x[i]`` with whole numbers i, whose shape is that of i; else it selects."""
    chosen = [one for one in flat(args[1:2]) if isinstance(one, Tensor)]
    return name == "index" and all(one.dtype not in (torch.bool, torch.uint8) for one in chosen)


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The tensors to which an operation writes."""
    if not func._schema.is_mutable:
        return []
    found = []
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            given = args[place] if place < len(args) else kwargs.get(argument.name)
            found += [one for one in flat(given) if isinstance(one, Tensor)]
    return found
