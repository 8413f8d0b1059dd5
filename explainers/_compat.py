"""Private names of torch, PyG and Captum that this library touches, all in one place.

Each is used because there is no public way; ``tests/explainers/test_compat.py`` holds what is
assumed of them on the lowest and on the newest supported versions.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.explain import Explanation
from torch_geometric.explain.algorithm.captum import CaptumHeteroModel as PyGCaptumHeteroModel
from torch_geometric.explain.algorithm.captum import CaptumModel
from torch_geometric.explain.algorithm.utils import clear_masks, set_hetero_masks
from torch_geometric.nn import MessagePassing, Sequential

__all__ = [
    "CaptumHeteroModel",
    "CaptumModel",
    "adam_step",
    "clear_masks",
    "explanation",
    "has_mask",
    "leftovers",
    "mask_of",
    "named_inputs",
    "original_module",
    "set_hetero_masks",
    "set_norm",
    "sigmoid_backward",
    "strip",
    "stripped_state",
    "tensors_and_settings",
]

# What convolutions keep of a graph they have seen; ignored again once it is None.
CACHES = ("_cached_edge_index", "_cached_adj_t", "_cached_x", "_cached_h")
# What PyG's explainers set on a layer, with the values of a layer that none has touched.
MASKS = {"_edge_mask": None, "_loop_mask": None, "_apply_sigmoid": True}


class CaptumHeteroModel(PyGCaptumHeteroModel):
    """PyG's, with masks as they are.

    PyG 2.8 leaves ``apply_sigmoid`` at its default there, other than in ``CaptumModel``: a mask of
    ones multiplies all messages by sigmoid(1) = 0.73, so that another model than the user's is
    explained.
    """

    def forward(self, *args: Any) -> Tensor:
        """The explained rows for masks and features by type, then the edges by type."""
        x, edge_index, masks = self._captum_data_to_hetero_data(*args)
        set_hetero_masks(self.model, masks, edge_index, apply_sigmoid=False)
        found: Tensor = self.postprocess(self.model(x, edge_index))
        return found


def explanation(values: Mapping[str, Any]) -> Explanation:
    """A PyG explanation with these attributes.

    ``Explanation(**values)`` sets them one by one through ``Data.__setattr__``, which for many
    small explanations takes longer than to compute them.
    """
    made = Explanation()
    made._store._mapping.update(values)
    return made


def leftovers(model: nn.Module) -> dict[int, Any]:
    """For ``copy.deepcopy``'s memo: results of operations that modules hold, detached.

    They cannot be copied, and are not part of the model: caches, or what an explainer has left.
    """
    held = [value for part in model.modules() for value in vars(part).values()]
    return {id(one): one.detach() for one in held if isinstance(one, Tensor) and not one.is_leaf}


# Attributes of a module that say what it does; others, such as tensors that it keeps of its last
# pass, may be new each time.
OPTIONS = frozenset({int, float, bool, str})
FUNCTIONS = frozenset({FunctionType, BuiltinFunctionType, MethodType, functools.partial})


def tensors_and_settings(model: nn.Module) -> tuple[list[Tensor], list[Any]]:
    """The parameters and buffers of all parts of a model, those that parts share several times.

    And what else says what it computes: its parts, their options, functions and hooks; not whether
    they are in training mode. ``model.parameters()`` makes a name for each, and ``model.modules()``
    one for each part, at several times the cost.
    """
    found: list[Tensor] = []
    settings: list[Any] = []
    parts, seen = [model], {id(model)}
    for part in parts:  # it grows meanwhile
        own = vars(part)
        settings.append((id(part), part.__class__))
        for name, value in own.items():
            kind = value.__class__
            if kind is OrderedDict:
                if value:
                    settings.append(tuple(value))
            elif kind in OPTIONS:
                if name != "training":
                    settings.append(value)
            elif kind in FUNCTIONS:
                settings.append(id(value))  # it may hold the model, which is not to be kept
        for kept in (own["_parameters"], own["_buffers"]):
            if kept:
                found += [one for one in kept.values() if one is not None]
        for child in own["_modules"].values():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                parts.append(child)
    return found, settings


def named_inputs(model: nn.Module) -> list[str] | None:
    """What a PyG ``Sequential`` takes, by the names it was given; None for other models."""
    return list(model.signature.param_dict) if isinstance(model, Sequential) else None


def original_module(model: nn.Module) -> nn.Module | None:
    """The module that ``torch.compile`` has wrapped, or None if it has not."""
    found = getattr(model, "_orig_mod", None)
    return found if isinstance(found, nn.Module) else None


def mask_of(layer: MessagePassing) -> Tensor | None:
    """The mask that an explainer has set on the layer."""
    found: Tensor | None = layer._edge_mask
    return found


def has_mask(layer: MessagePassing) -> bool:
    """Whether an explainer's mask is in force on the layer."""
    return layer.explain is True or getattr(layer, "_edge_mask", None) is not None


def stripped_state(layer: MessagePassing) -> dict[int, Any]:
    """For ``copy.deepcopy``'s memo: tensors of an explainer, which a copy of the layer lacks.

    They may be the results of operations, which cannot be copied.
    """
    names = [*MASKS, *CACHES]
    held = [vars(layer).get(name) for name in names]
    held += [layer._parameters.get(name) for name in names]
    parts = [part for one in held for part in (one if isinstance(one, tuple) else (one,))]
    return {id(part): None for part in parts if isinstance(part, Tensor)}


def strip(layer: MessagePassing) -> Callable[[], None]:
    """Takes an explainer's masks off a layer; call the result to put them back."""
    parameter = layer._parameters.pop("_edge_mask", None)
    kept = {name: vars(layer).get(name, default) for name, default in MASKS.items()}
    explain = layer.explain
    # GraphMaskExplainer puts one of its own in the place of the class's.
    own = vars(layer).pop("explain_message", None)
    vars(layer).update(MASKS)
    if explain is True:
        layer.explain = None

    def put_back() -> None:
        vars(layer).update(kept)
        if parameter is not None:
            vars(layer).pop("_edge_mask", None)
            layer._parameters["_edge_mask"] = parameter
        if own is not None:
            vars(layer)["explain_message"] = own
        if explain is True:
            layer.explain = True

    return put_back


def can_be_explained(layer: MessagePassing) -> bool:
    """Whether PyG's own masks work on the layer.

    They take it back to the ``propagate`` that its class had before PyG compiled it. For a class
    whose base was compiled first, such as FastRGCNConv after RGCNConv, that is the base's.
    """
    plain = MessagePassing.propagate.__module__
    return bool(getattr(type(layer), "_orig_propagate", layer.propagate).__module__ == plain)


def forget_caches(layer: MessagePassing) -> None:
    """Lets a convolution compute anew what it kept of an earlier graph, now and later."""
    if getattr(layer, "cached", False):
        layer.cached = False
    for name in CACHES:
        if getattr(layer, name, None) is not None:
            setattr(layer, name, None)


def set_norm(layer: MessagePassing, norm: tuple[Tensor, Tensor] | None) -> None:
    """Gives a GCNConv its edges and their normalised weights; None lets it compute them."""
    layer._cached_edge_index = norm


def adam_step(
    values: Tensor, gradient: Tensor, moments: tuple[Tensor, Tensor], step: Tensor, lr: float
) -> None:
    """One step of ``torch.optim.Adam(fused=True)`` with its defaults, in place.

    The optimiser's own Python takes several times as long as the step of a small tensor.

    Args:
        values: What is optimised.
        gradient: Contiguous: on a CPU it is read as if it were.
        moments: Of the gradients and of their squares, zeros at first.
        step: A number, the steps before this one.
        lr: The learning rate.
    """
    step += 1
    torch._fused_adam_(
        [values],
        [gradient],
        [moments[0]],
        [moments[1]],
        [],
        [step],
        lr=lr,
        beta1=0.9,
        beta2=0.999,
        eps=1e-8,
        weight_decay=0.0,
        amsgrad=False,
        maximize=False,
    )


def sigmoid_backward(gradient: Tensor, output: Tensor) -> None:
    """Multiplies the derivative of the sigmoid whose values are ``output`` onto a gradient."""
    torch.ops.aten.sigmoid_backward.grad_input(gradient, output, grad_input=gradient)
