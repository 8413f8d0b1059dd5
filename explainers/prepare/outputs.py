"""What a model's outputs mean: classes, independent binary outputs, or real numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.explain.config import (
    ModelConfig,
    ModelMode,
    ModelReturnType,
    ModelTaskLevel,
)

CONFIG_HINT = (
    "say what it is with model_config, for example dict(mode='binary_classification', "
    "task_level={level!r}, return_type='probs') or dict(mode='regression', task_level={level!r}, "
    "return_type='raw')"
)


def resolve(
    config: ModelConfig | dict[str, Any] | None,
    output: Tensor,
    level: str,
    stays_in_unit: Callable[[], bool] = lambda: True,
) -> ModelConfig:
    """PyG's configuration of a model, from what the user says or, without doubt, from its output.

    Args:
        config: The user's, or None to infer it.
        output: [N, C], the model's output on the whole graph.
        level: ``"node"`` or ``"graph"``, as the output's rows say.
        stays_in_unit: Whether outputs between 0 and 1 stay there at large inputs, as
            probabilities do; asked only if there is doubt.

    Raises:
        ValueError: The configuration is malformed or does not fit the output, or none is given and
            the output leaves doubt: a single column may be a class, a probability or a real number,
            and several numbers between 0 and 1 that do not add up to 1 may be independent
            probabilities.
    """
    if config is None:
        return _infer(output, level, stays_in_unit)
    if isinstance(config, dict):
        try:
            config = ModelConfig(**{"task_level": level, **config})
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"model_config {config!r} is invalid: {error}; it has mode, task_level and "
                "return_type, as torch_geometric.explain.ModelConfig"
            ) from error
    if not isinstance(config, ModelConfig):
        raise ValueError(
            "model_config must be a torch_geometric.explain.ModelConfig or a dict of its "
            f"arguments, got {type(config).__name__}"
        )
    if config.task_level != ModelTaskLevel(level):
        raise ValueError(
            f"model_config says task_level={config.task_level.value!r}, but the model returned "
            f"{output.size(0)} rows, one for each {level}"
        )
    _check_fits(config, output)
    return config


def _infer(output: Tensor, level: str, stays_in_unit: Callable[[], bool]) -> ModelConfig:
    hint = CONFIG_HINT.format(level=level)
    if output.size(1) == 1:
        raise ValueError(
            "the model returns one column, which may be a probability, a score or a real number: "
            f"{hint}"
        )
    kind = _distribution(output)
    in_unit = bool((output >= 0).all()) and bool((output <= 1).all())
    if kind == ModelReturnType.raw and in_unit and stays_in_unit():
        raise ValueError(
            f"the model returns {output.size(1)} columns of numbers between 0 and 1 that do not "
            "add up to 1, which may be independent probabilities (mode='binary_classification', "
            "return_type='probs') or raw scores of classes (mode='multiclass_classification', "
            f"return_type='raw'): {hint}"
        )
    return ModelConfig("multiclass_classification", level, kind)


def _check_fits(config: ModelConfig, output: Tensor) -> None:
    low, high = float(output.min()), float(output.max())
    said = f"model_config says return_type={config.return_type.value!r}"
    if config.mode == ModelMode.multiclass_classification:
        if output.size(1) == 1:
            raise ValueError(
                "model_config says mode='multiclass_classification', but the model returns one "
                "column; use mode='binary_classification' or 'regression'"
            )
        found = _distribution(output)
        if config.return_type not in (ModelReturnType.raw, found):
            raise ValueError(
                f"{said}, but the rows of the output are no {config.return_type.value}"
            )
    elif config.return_type == ModelReturnType.probs and not 0 <= low <= high <= 1:
        raise ValueError(f"{said}, but the outputs are between {low:.3g} and {high:.3g}")
    elif config.return_type == ModelReturnType.log_probs and high > 0:
        raise ValueError(f"{said}, but the largest output is {high:.3g}, above 0")


def _distribution(output: Tensor) -> ModelReturnType:
    """Whether the rows [N, C] or their exponentials sum to one; raw if neither."""
    # Half precision rounds each of the numbers: their sum is off by several of its steps.
    tolerance = max(1e-4, 4 * torch.finfo(output.dtype).eps)
    output = output.double()
    if bool((output <= tolerance).all()) and _sum_to_one(output.exp(), tolerance):
        return ModelReturnType.log_probs
    if bool((output >= 0).all()) and _sum_to_one(output, tolerance):
        return ModelReturnType.probs
    return ModelReturnType.raw


def _sum_to_one(rows: Tensor, tolerance: float) -> bool:
    return bool(((rows.sum(-1) - 1).abs() < tolerance).all())


def is_multiclass(config: ModelConfig) -> bool:
    """Whether the columns are the classes of one variable."""
    return bool(config.mode == ModelMode.multiclass_classification)


def is_regression(config: ModelConfig) -> bool:
    """Whether the columns are real numbers, without probabilities."""
    return bool(config.mode == ModelMode.regression)


def to_probabilities(output: Tensor, config: ModelConfig) -> Tensor:
    """A model's output [..., C] as probabilities, float64.

    Of the classes; of independent binary outputs that of each; of a regression the numbers
    themselves.
    """
    output = output.double()
    if is_regression(config) or config.return_type == ModelReturnType.probs:
        return output
    if config.return_type == ModelReturnType.log_probs:
        return output.exp()
    return output.softmax(-1) if is_multiclass(config) else output.sigmoid()


COMPARED = 2**18  # numbers of two outputs that are compared at a time
FORMS = ("raw", "log_probs", "probs")  # as PyG's return_type


def form(config: ModelConfig, wanted: str) -> Callable[[Tensor], Tensor] | None:
    """What makes outputs [..., C] of the form ``wanted`` of a model's outputs; None if they are.

    Of classes the softmax and its logarithm; of independent binary outputs, which are never given
    as logarithms, the sigmoid, its logarithm and its inverse. Differentiable, in the outputs' type.
    Probabilities of zero have no finite logarithm.

    Args:
        config: What the model's outputs mean.
        wanted: One of ``FORMS``.

    Raises:
        ValueError: There is no such form of these outputs: a regression has no probabilities, and
            the raw scores of classes are not determined by their probabilities.
    """
    own = config.return_type.value
    if own == wanted:
        return None
    if is_regression(config):
        raise ValueError(
            f"explained_output={wanted!r}: the model is a regression, which has no probabilities; "
            "leave it out"
        )
    multiclass = is_multiclass(config)
    if wanted == "raw":
        if multiclass:
            raise ValueError(
                f"explained_output='raw': the model returns {own}, which determine the raw scores "
                "of the classes only up to a number that they share; explain a model that ends "
                "before its softmax"
            )
        return _logit
    if own == "raw":
        if wanted == "probs":
            return (lambda output: output.softmax(-1)) if multiclass else torch.sigmoid
        return (lambda output: output.log_softmax(-1)) if multiclass else F.logsigmoid
    return torch.log if wanted == "log_probs" else torch.exp


def _logit(probability: Tensor) -> Tensor:
    return probability.log() - (-probability).log1p()


def typical_size(output: Tensor) -> float:
    """The median of the sizes of the rows [R, C] that are not 0; their mean may be that of a few.

    A node with features far larger than all others' would hide what is wrong with those.
    """
    sizes = output.detach().abs().amax(dim=-1).view(-1)
    sizes = sizes[sizes > 0]
    return float(sizes.median()) if len(sizes) else 0.0


def alike(output: Tensor, expected: Tensor, typical: float | None = None) -> bool:
    """Whether two computations of the model's outputs [R, C] agree up to rounding.

    Each row is compared by its own size, so that no large row hides a wrong small one; by that of
    the outputs at large where it is smaller, since a small number may be a difference of larger
    ones.

    Args:
        output: The one.
        expected: The other.
        typical: :func:`typical_size` of the model's outputs; None for that of ``expected``.
    """
    if output.shape != expected.shape:
        return False
    if not expected.numel():
        return True
    # Sums in another order: many steps of the type, since errors add up over the layers.
    tolerance = {torch.float64: 1e-9, torch.float32: 1e-4}.get(
        expected.dtype, 8 * torch.finfo(expected.dtype).eps
    )
    if typical is None:
        typical = typical_size(expected)
    rows = max(1, COMPARED // max(1, expected[0].numel()))  # what is compared is not held twice
    if len(output) <= rows:
        return _close(output, expected, tolerance, typical)
    parts = zip(output.split(rows), expected.split(rows), strict=True)
    return all(_close(one, other, tolerance, typical) for one, other in parts)


def _close(one: Tensor, other: Tensor, tolerance: float, typical: float) -> bool:
    """Whether the rows differ by no more than ``tolerance`` of their size; NaN is never close."""
    one, other = one.detach().double(), other.detach().double()
    if one.device.type != "cpu":
        scale = other.abs().amax(-1).clamp(min=typical)
        return bool(((one - other).abs().amax(-1) <= tolerance * scale).all())
    # Mostly a few numbers, of the nodes that are explained: NumPy begins sooner than torch.
    found, known = one.numpy(), other.numpy()
    with np.errstate(invalid="ignore"):
        scale = np.maximum(np.abs(known).max(-1), typical)
        return bool((np.abs(found - known).max(-1) <= tolerance * scale).all())


def distance(one: Tensor, other: Tensor) -> str:
    """The largest difference of two outputs, for messages."""
    return f"{float((one.double() - other.double()).abs().max()):.1e}"
