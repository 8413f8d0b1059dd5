"""What holds for every explanation, and what no method may leave behind."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch_geometric.explain import Explanation

from explainers.prepare import PreparedModel, forget, prepare
from explainers.prepare.outputs import alike

if TYPE_CHECKING:
    from benchmarks.tasks import Task


# Outputs are compared as numbers, whatever they mean.
NUMBERS = {"mode": "regression", "return_type": "raw"}


class Invalid(ValueError):
    """An explanation that cannot be one, or a model that was changed; the message says how."""


def check(explanations: Iterable[Explanation], nodes: int | None = None) -> None:
    """Checks what a method gave: shapes, finite scores, nothing that still hangs on a gradient.

    Args:
        explanations: What ``explain`` returned.
        nodes: For how many nodes; None if it does not matter.

    Raises:
        Invalid: One of them is not as it must be; the message says how.
    """
    found = list(explanations)
    if nodes is not None and len(found) != nodes:
        raise Invalid(f"{len(found)} explanations for {nodes} nodes")
    for explanation in found:
        if not isinstance(explanation, Explanation):
            raise Invalid(f"an explanation is a {type(explanation).__name__}")
        masks = [name for name in ("edge_mask", "node_mask") if explanation.get(name) is not None]
        if not masks:
            raise Invalid("an explanation has neither edge_mask nor node_mask")
        for name in masks:
            mask, rows = explanation[name], len(explanation[_ROWS[name]])
            if not isinstance(mask, Tensor) or not mask.is_floating_point():
                raise Invalid(f"{name} is not a tensor of real numbers")
            if mask.dim() != _DIMENSIONS[name] or len(mask) != rows:
                wanted = f"[{rows}]" if name == "edge_mask" else f"[{rows}, F]"
                raise Invalid(f"{name} is {list(mask.shape)} instead of {wanted}")
            if mask.requires_grad:
                raise Invalid(f"{name} is not detached")
            if bad := int((~mask.isfinite()).sum()):
                raise Invalid(f"{name} has {bad} of {mask.numel()} scores that are not finite")


_ROWS = {"edge_mask": "e_id", "node_mask": "n_id"}
_DIMENSIONS = {"edge_mask": 1, "node_mask": 2}


@contextmanager
def unchanged(task: Task) -> Iterator[None]:
    """Compares the task's model and data after its body with those before.

    The model is put back as it was, so that what follows is right.

    Raises:
        Invalid: The model's parameters, buffers, mode, hooks or outputs are others, or the data's
            tensors were written to.
    """
    model, data = task.model, task.data
    kept = copy.deepcopy(model)
    tensors = {name: value for name, value in data.to_dict().items() if isinstance(value, Tensor)}
    versions = {name: tensor._version for name, tensor in tensors.items()}
    network = prepare(model, data, NUMBERS)
    if network not in _OUTPUTS:
        _OUTPUTS[network] = _outputs(network, task)
    before = _OUTPUTS[network]
    try:
        yield
    finally:
        written = [name for name, tensor in tensors.items() if tensor._version != versions[name]]
        problem = f"data.{written[0]}" if written else _difference(kept, model)
        try:
            if problem is None and not all(map(alike, _outputs(network, task), before)):
                problem = "the model's outputs"
        except Exception as error:
            problem = f"the model: it fails now ({type(error).__name__}: {error})"
        if problem is not None:
            # A module is its attributes: parameters, hooks, and what was patched onto it.
            model.__dict__.clear()
            model.__dict__.update(kept.__dict__)
            forget(model)
    if problem is not None:
        raise Invalid(f"the method has changed {problem}")


_OUTPUTS: weakref.WeakKeyDictionary[PreparedModel, list[Tensor]] = weakref.WeakKeyDictionary()


@torch.no_grad()
def _outputs(network: PreparedModel, task: Task) -> list[Tensor]:
    """The outputs of the task's model and of the private copies that the engines share."""
    data, inputs = task.data, {**network.keywords, **network.given[1]}
    own = task.model(data.x, data.edge_index, **inputs)
    # One number for each row, as a prepared model has them.
    return [own[:, None] if own.dim() == 1 else own, *network.copy_outputs()]


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
    for (name, before), (_, after) in zip(kept.named_modules(), model.named_modules(), strict=True):
        where = f" of {name}" if name else ""
        if before.training != after.training:
            return f"the model's mode{where}"
        if _hooks(before) != _hooks(after):
            return f"the model: hooks{where} were left or taken away"
    return None


def _hooks(module: nn.Module) -> dict[str, int]:
    return {name: len(value) for name, value in vars(module).items() if name.endswith("_hooks")}
