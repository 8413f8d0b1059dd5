"""A device for tests, ``strict``, which computes on the CPU and is as particular as CUDA.

Its tensors wrap tensors of the CPU. Each operation on them is run on what they wrap, and raises
where CUDA would raise: where a tensor of the CPU meets one of the device, where NumPy is handed
one of the device, where a generator of the CPU draws on the device. Each operation for which the
host would have to wait for a GPU is noted. It is made by PyTorch's support for backends in Python,
under the name that PyTorch keeps for private devices; :func:`set_up` registers it, once a process.

What CUDA accepts is read from ``aten/src/ATen/TensorIterator.cpp`` (numbers of the CPU),
``aten/src/ATen/native/TensorAdvancedIndexing.cpp`` (indices) and ``native_functions.yaml``
(``device_check``); what waits, from the operations that return sizes or values to the host.
"""

from __future__ import annotations

import copy
import functools
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

import explainers
from explainers.engines import recorded

NAME = "strict"
OURS = f"{Path(explainers.__file__).parent}/"  # of these files the notes name the lines

_aten = torch.ops.aten
# May copy between any two devices.
_COPIES = {_aten.copy_, _aten._to_copy, _aten._copy_from, _aten._foreach_copy_}
# Take indices of the CPU for a tensor of the device, and a value of the CPU if it is a number.
_INDEXED = {
    _aten.index,
    _aten._unsafe_index,
    _aten.index_put,
    _aten.index_put_,
    _aten._unsafe_index_put,
    _aten._index_put_impl_,
}
# Read a number, wherever it is, and fill with it.
_FILLS = {_aten.fill, _aten.fill_, _aten.masked_fill, _aten.masked_fill_}
_FILLS |= {_aten.index_fill, _aten.index_fill_}
# The host has to know a value, or how large the result is.
_WAITS = {
    _aten._local_scalar_dense,
    _aten.bincount,
    _aten.equal,
    _aten.is_nonzero,
    _aten.masked_select,
    _aten.nonzero,
    _aten._unique,
    _aten._unique2,
    _aten.unique_consecutive,
    _aten.unique_dim,
    _aten._linalg_check_errors,
}


class Mixed(RuntimeError):
    """What CUDA would raise for tensors of several devices."""


class StrictTensor(Tensor):
    """A tensor of the device; ``raw`` is the tensor of the CPU that has its numbers."""

    raw: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, raw: Tensor) -> StrictTensor:
        strided = raw.layout == torch.strided
        return Tensor._make_wrapper_subclass(
            cls,
            raw.shape,
            strides=raw.stride() if strided else None,
            storage_offset=raw.storage_offset() if strided else None,
            dtype=raw.dtype,
            layout=raw.layout,
            device=torch.device(NAME, 0),
        )

    def __init__(self, raw: Tensor) -> None:
        self.raw = raw

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})

    @property
    def layout(self) -> torch.layout:  # which torch asks of sparse tensors of a device's own kind
        return self.raw.layout

    def data_ptr(self) -> int:
        return self.raw.data_ptr()

    def numpy(self, **_: Any) -> Any:
        raise TypeError(
            f"can't convert {NAME}:0 device type tensor to numpy. Use Tensor.cpu() to copy the "
            "tensor to host memory first."
        )

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __deepcopy__(self, memo: dict[int, Any]) -> StrictTensor:
        if id(self) in memo:
            return memo[id(self)]
        if not self.is_leaf:
            raise RuntimeError("only leaves of the graph of gradients can be copied by deepcopy")
        made = StrictTensor(self.raw.clone())
        if getattr(self, "_is_param", False):
            made._is_param = True
        made.requires_grad_(self.requires_grad)
        made.grad = copy.deepcopy(self.grad, memo)
        memo[id(self)] = made
        return made

    def __repr__(self, **_: Any) -> str:
        return f"strict({self.raw!r})"


@dataclass(frozen=True)
class _Operation:
    """What :func:`_run` has to know of an operation, read once from its schema."""

    packet: Any
    mutated: tuple[int, ...]
    aliases: bool
    pointwise: bool

    @classmethod
    @functools.cache
    def of(cls, func: Any) -> _Operation:
        schema = func._schema
        written = [
            one.alias_info is not None and one.alias_info.is_write for one in schema.arguments
        ]
        return cls(
            packet=func.overloadpacket,
            mutated=tuple(i for i, one in enumerate(written) if one),
            aliases=any(written) or any(one.alias_info is not None for one in schema.returns),
            pointwise=torch.Tag.pointwise in func.tags,
        )


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The operation on what its tensors wrap, if CUDA would do it."""
    operation = _Operation.of(func)
    arguments = [*args, *kwargs.values()]
    _check(func, operation, arguments)
    asked = kwargs.get("device")
    here = asked is None or torch.device(asked).type == NAME
    _check_generator(func, arguments, here)
    waits = _waits(operation.packet, args, kwargs, here)
    if waits:
        _note(func, waits)
    raw = {name: _unwrapped(value) for name, value in kwargs.items()}
    if asked is not None:
        raw["device"] = "cpu"
    if raw.get("pin_memory"):
        raw["pin_memory"] = False
    result = func(*map(_unwrapped, args), **raw)
    result = _wrapped(result) if here else result
    if not operation.aliases:
        return result
    result = return_and_correct_aliasing(func, args, kwargs, result)
    for one in arguments:
        if isinstance(one, StrictTensor) and one.shape != one.raw.shape:
            raise NotImplementedError(f"{func} changes a tensor's size, which {NAME} cannot")
    return result


def _unwrapped(value: Any) -> Any:
    if isinstance(value, StrictTensor):
        return value.raw
    if isinstance(value, (list, tuple)):
        return type(value)(map(_unwrapped, value))
    return value


def _wrapped(value: Any) -> Any:
    if isinstance(value, Tensor):
        return StrictTensor(value)
    if isinstance(value, (list, tuple)):
        return type(value)(map(_wrapped, value))
    return value


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return (
        [one for part in value for one in _tensors(part)]
        if isinstance(value, (list, tuple))
        else []
    )


def _is_number(tensor: Tensor) -> bool:
    return tensor.dim() == 0


def _check(func: Any, operation: _Operation, arguments: list[Any]) -> None:
    """Raises if the operation mixes devices as CUDA does not."""
    packet = operation.packet
    if packet in _COPIES:
        return
    tensors = _tensors(arguments)
    strays = [one for one in tensors if not isinstance(one, StrictTensor)]
    if not strays or len(strays) == len(tensors):
        return
    if packet in _INDEXED:
        mixed = not isinstance(arguments[0], StrictTensor)
        values = _tensors(arguments[2:])
        mixed |= any(not isinstance(one, StrictTensor) and not _is_number(one) for one in values)
        if not mixed:
            return
        raise Mixed(
            f"{func}: indices should be either on cpu or on the same device as the indexed tensor "
            f"({arguments[0].device}), and values on its device"
        )
    if packet in _FILLS:  # the value is the last argument
        strays = [one for one in strays if one is not arguments[-1] or not _is_number(one)]
    elif operation.pointwise and len(strays) == 1 and _is_number(strays[0]):
        strays = [one for one in strays if any(one is arguments[i] for i in operation.mutated)]
    if strays:
        raise Mixed(
            f"{func}: expected all tensors to be on the same device, but found at least two "
            f"devices, {NAME}:0 and cpu (of shapes {[list(one.shape) for one in strays]})"
        )


def _check_generator(func: Any, arguments: list[Any], here: bool) -> None:
    for one in arguments:
        if isinstance(one, torch._C.Generator) and here and one._cdata not in _GENERATORS:
            raise Mixed(f"{func}: expected a '{NAME}' device type for generator but found 'cpu'")


def _waits(packet: Any, args: tuple[Any, ...], kwargs: dict[str, Any], here: bool) -> int:
    """How often the host has to wait for the device."""
    if packet in _WAITS:
        return 1
    if packet is _aten._to_copy:
        return int(not here)
    if packet is _aten.copy_:  # from pageable memory, too, unless non_blocking
        blocking = not (args[2] if len(args) > 2 else kwargs.get("non_blocking", False))
        return int(
            blocking and isinstance(args[0], StrictTensor) != isinstance(args[1], StrictTensor)
        )
    if packet is _aten._copy_from:
        return 1
    if packet is _aten.repeat_interleave:
        return int(kwargs.get("output_size") is None)
    if packet in _INDEXED:
        indices = [one for one in args[1] if one is not None]
        masks = [one for one in indices if one.dtype in (torch.bool, torch.uint8)]
        moved = sum(not isinstance(one, StrictTensor) for one in indices)
        if len(args) > 2 and len(masks) == len(indices) == 1 and args[2].numel() == 1 and not moved:
            return 0  # filled as by masked_fill; CUDA does so for numbers of Python and of the CPU
        return len(masks) + moved
    return 0


def _note(func: Any, count: int) -> None:
    if not _NOTES:
        return
    frame = sys._getframe(2)
    while frame is not None and not frame.f_code.co_filename.startswith(OURS):
        frame = frame.f_back
    place = "elsewhere"
    if frame is not None:
        place = f"{frame.f_code.co_filename.removeprefix(OURS)}:{frame.f_lineno}"
    for notes in _NOTES:
        notes[place, str(func.overloadpacket)] += count


_NOTES: list[Counter[tuple[str, str]]] = []


@contextmanager
def waits() -> Iterator[Counter[tuple[str, str]]]:
    """How often the host waits for the device, by line of the library and operation."""
    notes: Counter[tuple[str, str]] = Counter()
    _NOTES.append(notes)
    try:
        yield notes
    finally:
        _NOTES.remove(notes)


class _IsGenerator(type):
    def __instancecheck__(cls, one: object) -> bool:
        return isinstance(one, torch._C.Generator)


class Generator(metaclass=_IsGenerator):
    """``torch.Generator``; one of the device draws the CPU's numbers, but only on the device."""

    def __new__(cls, device: Any = "cpu") -> torch._C.Generator:  # type: ignore[misc]
        if torch.device(device).type != NAME:
            return torch._C.Generator(device)
        made = torch._C.Generator()
        _GENERATORS[made._cdata] = made
        return made


# By the address of what is inside: an operation is given another Python object.
_GENERATORS: dict[int, torch._C.Generator] = {}
# Factories whose own way is to make an empty tensor first and to give it its size afterwards.
_RESIZING = ("arange", "eye", "linspace", "logspace", "randperm", "tril_indices", "triu_indices")


class _Module:
    """``torch.strict``. The device's random numbers are the CPU's: there is no other state."""

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        pass

    def get_rng_state(self, device: Any = None) -> Tensor:
        return torch.empty(0, dtype=torch.uint8)

    def set_rng_state(self, state: Tensor, device: Any = None) -> None:
        pass


_LIBRARIES: list[torch.library.Library] = []


def set_up() -> None:
    """Registers the device, if that has not been done; before the process has its first gradient.

    For the engine of autograd starts a thread for each device then.
    """
    if _LIBRARIES:
        return
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
    fallback = torch.library.Library("_", "IMPL")
    # What is asked for by name: torch.zeros(3, device="strict").
    fallback.fallback(lambda func, *args, **kwargs: _run(func, args, kwargs), "PrivateUse1")
    direct = torch.library.Library("aten", "IMPL")
    direct.impl("_copy_from", _copy_from, "PrivateUse1")  # what torch.tensor calls
    for name in _RESIZING:
        for overload in getattr(_aten, name).overloads():
            func = getattr(getattr(_aten, name), overload)
            if not overload.endswith("out"):
                direct.impl(func.name(), functools.partial(_run_factory, func), "PrivateUse1")
    torch.Generator = Generator  # type: ignore[misc]
    recorded.DEVICES = (*recorded.DEVICES, NAME)  # it has what a tape asks for, as CUDA has
    _LIBRARIES.extend([fallback, direct])


def _run_factory(func: Any, *args: Any, **kwargs: Any) -> Any:
    return _run(func, args, kwargs)


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    _note(_aten._copy_from.default, 1)
    _unwrapped(target).copy_(_unwrapped(source))
    return target
