"""Labels for what a model returns, and how well it does: classes, labels or real numbers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.explain import ModelConfig

from explainers.prepare.outputs import is_multiclass, is_regression, to_probabilities

ACCURACY, MICRO_F1, R_SQUARED = "accuracy", "micro-F1", "R²"
HINT = "without labels, give the model's predictions"


def check_labels(y: object, output: Tensor, config: ModelConfig) -> None:
    """Checks that the labels suit what the model returns.

    Args:
        y: Of R nodes or graphs: a class for each, int64 [R]; of independent binary outputs 0 or 1
            for each column, of any type; of a regression real numbers. The latter two are [R, C],
            or [R] for one column.
        output: The model's, [R, C].
        config: What it means.

    Raises:
        ValueError: They do not; says what they must be.
    """
    rows, columns = output.shape
    shapes = [[rows]] if is_multiclass(config) else [[rows, columns]]
    if columns == 1:
        shapes = [[rows], [rows, 1]]
    wanted = " or ".join(map(str, shapes))
    kind = "torch.int64"
    if not is_multiclass(config):
        kind = "real numbers" if is_regression(config) else "0 or 1"
        wanted += f" for model_config mode {config.mode.value!r}"
    if not isinstance(y, Tensor):
        raise ValueError(f"data.y must be {kind} {wanted}, got {type(y).__name__}; {HINT}")
    got = f"{y.dtype} {list(y.shape)}"
    if is_multiclass(config):
        typed = y.dtype == torch.int64
    elif is_regression(config):
        # Whole numbers are more likely classes than quantities.
        typed = y.is_floating_point()
    else:
        typed = not y.is_complex()
    if not typed or list(y.shape) not in shapes:
        raise ValueError(f"data.y must be {kind} {wanted}, got {got}; {HINT}")
    if is_regression(config) and not bool(y.isfinite().all()):
        raise ValueError("data.y has NaN or infinite numbers; give a label for each")
    if not is_multiclass(config) and not is_regression(config):
        other = y[(y != 0) & (y != 1)]
        if other.numel():
            raise ValueError(
                f"data.y must be {kind} {wanted}, but has {other[0].item()!r}; for classes, the "
                "mode is 'multiclass_classification'"
            )


def performance(
    output: Tensor, y: Tensor, config: ModelConfig, mask: Tensor | None = None
) -> tuple[str, float]:
    """How well a model does, and the name of that number.

    Of classes, and of one binary output: the accuracy, the share that is predicted right, in
    [0, 1]. Of several binary outputs: micro-F1, ``2 TP / (2 TP + FP + FN)`` over all labels of all
    rows, in [0, 1]; 1 where there is no label and none is predicted. Of a regression: R², the
    coefficient of determination, ``1 - sum (y - f)^2 / sum (y - mean y)^2``, at most 1, the mean
    over the columns; NaN where the labels of a column are all equal. A binary output predicts 1 if
    its probability is above 1/2.

    Args:
        output: The model's, [R, C].
        y: The labels, see :func:`check_labels`.
        config: What the output means.
        mask: The rows that count, bool [R]; None for all.
    """
    rows = slice(None) if mask is None else mask
    output, y = output[rows], y[rows]
    if is_multiclass(config):
        return ACCURACY, float((output.argmax(dim=-1) == y).double().mean())
    y = y.view(output.shape).double()
    values = to_probabilities(output, config)
    if is_regression(config):
        left, spread = (y - values).square().sum(dim=0), (y - y.mean(dim=0)).square().sum(dim=0)
        ratio = torch.where(spread > 0, left / spread, torch.nan)
        return R_SQUARED, float((1 - ratio).mean())
    found, there = values > 0.5, y == 1
    if output.size(1) == 1:
        return ACCURACY, float((found == there).double().mean())
    hits, wrong = int((found & there).sum()), int((found != there).sum())
    return MICRO_F1, 2 * hits / (2 * hits + wrong) if hits + wrong else 1.0
