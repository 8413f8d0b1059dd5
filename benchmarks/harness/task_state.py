"""What no method may leave behind: another model, other data."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data, HeteroData

from benchmarks.harness.guards import Invalid
from explainers.prepare import forget, prepare
from explainers.prepare.outputs import alike

if TYPE_CHECKING:
    from benchmarks.tasks import Task


# Outputs are compared as numbers, whatever they mean.
NUMBERS = {"mode": "regression", "return_type": "raw"}


@contextmanager
def unchanged(task: Task) -> Iterator[None]:
    """Compares the task after its body with what it was when it was first seen.

    Whatever the body did or raised, model and data are put back as they were.

    Raises:
        Invalid: The model's parameters, buffers, mode, hooks or outputs are others, or the data's
            keys, tensors or their content. It takes the place of an :class:`Invalid` that the body
            raised, which follows from it; anything else that the body raised goes on its way.
    """
    state = _STATES.get(task.model)
    if state is None:
        state = _STATES[task.model] = _State(task)
    else:
        state.put_back()  # what an earlier method did after its cell, by a finaliser or a thread
    try:
        yield
    except Invalid as error:
        if problem := state.put_back():
            raise Invalid(f"the method has changed {problem}") from error
        raise
    except BaseException:
        state.put_back()
        raise
    if problem := state.put_back():
        raise Invalid(f"the method has changed {problem}")


class _State:
    """A copy of a task's model and data.

    Args:
        task: As it was loaded.
    """

    def __init__(self, task: Task) -> None:
        # Not the task: the table of states is keyed by its model, which must be free to go.
        self._model = weakref.ref(task.model)
        self._data, self._node_type = task.data, task.node_type
        self._kept = copy.deepcopy(task.model)
        self._types, self._entries = _types(task.data), _entries(task.data)
        found = {_said(place): value for place, value in self._entries.items()}
        found |= {f"the task's {name}": value for name, value in vars(task).items()}
        self._tensors = {name: one for name, one in found.items() if isinstance(one, Tensor)}
        # With the shapes and strides: a tensor can be resized in place.
        self._contents = {name: value.clone() for name, value in self._tensors.items()}
        self._config = task.model_config
        self._config_entries = {} if self._config is None else dict(vars(self._config))
        self._prepared = prepare(task.model, task.data, NUMBERS, node_type=self._node_type)
        self._outputs = self._run()

    def difference(self) -> str | None:
        """What is not as it was; None if all is."""
        found = self._difference_of_data() or _difference(self._kept, self._there())
        if found is not None:
            return found
        try:
            same = all(map(alike, self._run(), self._outputs))
        except Exception as error:
            return f"the model: it fails now ({type(error).__name__}: {error})"
        return None if same else "the model's outputs"

    def put_back(self) -> str | None:
        """Makes good what is not as it was, and says what that was; None if all was."""
        problem = self.difference()
        if problem is not None:
            self.restore()
        return problem

    def restore(self) -> None:
        """Puts the same objects back, with the content that they had."""
        model = self._there()
        # A module is its attributes: parameters, hooks, and what was patched onto it.
        model.__class__ = self._kept.__class__
        model.__dict__.clear()
        model.__dict__.update(copy.deepcopy(self._kept).__dict__)
        if self._config is not None:
            vars(self._config).clear()
            vars(self._config).update(self._config_entries)
        if _types(self._data) != self._types:  # their order is that in which they were added
            for key in _types(self._data):
                del self._data[key]
        for key, name in _entries(self._data).keys() - self._entries.keys():
            del _store(self._data, key)[name]
        for (key, name), value in self._entries.items():
            store = _store(self._data, key)
            if store.get(name) is not value:
                store[name] = value
        with torch.no_grad():
            for name, tensor in self._tensors.items():
                if not _same(tensor, self._contents[name]):
                    # Its memory may have been cut off, or lie in an array that is gone.
                    tensor.set_(self._contents[name].clone())  # type: ignore[call-overload]
                if tensor.grad is not None:
                    tensor.grad = None
                tensor.requires_grad_(False)
        forget(model)
        try:
            self._prepared = prepare(model, self._data, NUMBERS, node_type=self._node_type)
        except ValueError:
            # Not the model but the process is another, by a global hook or a patched class; what
            # is found of it is told already.
            del _STATES[model]

    def _there(self) -> nn.Module:
        model = self._model()
        assert model is not None  # the task that is looked at has it
        return model

    def _difference_of_data(self) -> str | None:
        now = _entries(self._data)
        for place in sorted(now.keys() ^ self._entries.keys(), key=_said):
            return f"the data: {'a new' if place in now else 'no longer a'} {_said(place)}"
        if _types(self._data) != self._types:
            return "the data: its types, or their order"
        for place, value in self._entries.items():
            if now[place] is not value:
                return f"{_said(place)}: another object"
        if self._config is not None and vars(self._config) != self._config_entries:
            return "the task's model_config"
        for name, tensor in self._tensors.items():
            if tensor.requires_grad or not _same(tensor, self._contents[name]):
                return name
        return None

    @torch.no_grad()
    def _run(self) -> list[Tensor]:
        """The outputs of the task's model and of the private copies that the engines share."""
        if isinstance(self._data, HeteroData):
            own = self._there()(self._data.x_dict, self._data.edge_index_dict)
        else:
            inputs = {**self._prepared.keywords, **self._prepared.given[1]}
            own = self._there()(self._data.x, self._data.edge_index, **inputs)
        # One number for each row, as a prepared model has them.
        return [own[:, None] if own.dim() == 1 else own, *self._prepared.copy_outputs()]


# A node type, an edge type, or None for what belongs to no type; and a name.
_Place = tuple[Any, str]


def _types(data: Data | HeteroData) -> list[Any]:
    """The types of heterogeneous data, of nodes and of edges; none of others."""
    return [*data.node_types, *data.edge_types] if isinstance(data, HeteroData) else []


def _store(data: Data | HeteroData, key: Any) -> Any:
    """What holds the entries of a type."""
    return data.stores[0] if key is None else data[key]


def _entries(data: Data | HeteroData) -> dict[_Place, Any]:
    """All that the data hold; the first store is that of no type."""
    stores = zip([None, *_types(data)], data.stores, strict=True)
    return {(key, name): value for key, store in stores for name, value in store.items()}


def _said(place: _Place) -> str:
    key, name = place
    return f"data.{name}" if key is None else f"data[{key!r}].{name}"


_STATES: weakref.WeakKeyDictionary[nn.Module, _State] = weakref.WeakKeyDictionary()


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same type, shape and content; ``other`` is whole."""
    if one.layout == torch.strided and other.layout == torch.strided and one.numel():
        last = sum((n - 1) * step for n, step in zip(one.shape, one.stride(), strict=True))
        if (one.storage_offset() + last + 1) * one.element_size() > one.untyped_storage().nbytes():
            return False  # its memory was taken away: it cannot even be read
    if one.dtype != other.dtype or one.shape != other.shape or one.layout != other.layout:
        return False
    return torch.equal(one, other) or bool(
        ((one == other) | ((one != one) & (other != other))).all()
    )


def _difference(kept: nn.Module, model: nn.Module) -> str | None:
    """What of a model's state is not as in the copy that was kept."""
    for kind in ("parameter", "buffer"):
        before = dict(getattr(kept, f"named_{kind}s")())
        after = dict(getattr(model, f"named_{kind}s")())
        for name in sorted(before.keys() ^ after.keys()):
            return f"the model: {'a new' if name in after else 'no longer a'} {kind} {name}"
        for name, tensor in before.items():
            if not torch.equal(tensor, after[name]):
                return f"the model's {kind} {name}"
            if tensor.requires_grad != after[name].requires_grad:
                return f"whether the model's {kind} {name} requires a gradient"
    layers, others = dict(kept.named_modules()), dict(model.named_modules())
    for name in sorted(layers.keys() ^ others.keys()):
        return f"the model: {'a new' if name in others else 'no longer a'} layer {name}"
    for name, before in layers.items():
        after = others[name]
        where = f" of {name}" if name else ""
        if type(before) is not type(after):
            return f"the model: the class{where}"
        # The outputs may be the same, and the gradients others.
        for patched in sorted(vars(after).keys() - vars(before).keys()):
            if callable(getattr(type(after), patched, None)):
                return f"the model: the function {patched}{where}"
        if before.training != after.training:
            return f"the model's mode{where}"
        if _hooks(before) != _hooks(after):
            return f"the model: hooks{where} were left or taken away"
    return None


def _hooks(module: nn.Module) -> dict[str, int]:
    return {name: len(value) for name, value in vars(module).items() if name.endswith("_hooks")}
