"""What holds for every explanation."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch_geometric.explain import Explanation

from explainers import unit
from explainers.prepare import prepare

if TYPE_CHECKING:
    from benchmarks.tasks import Task


class Invalid(ValueError):
    """An explanation that cannot be one, or a task that was changed; the message says how."""


def check(
    explanations: Iterable[Explanation],
    task: Task,
    nodes: Sequence[int],
    targets: Sequence[int] | Tensor | None = None,
) -> None:
    """Checks what a method gave: that it is of what was asked for, with finite scores.

    Shapes and types; that nothing still hangs on a gradient; that ``n_id``, ``e_id`` and
    ``edge_index`` say the same of the task's graph; that each explanation is of its node, in order,
    and of the class that was asked for; that ``prediction`` is the model's.

    Args:
        explanations: What ``explain`` returned.
        task: What was explained.
        nodes: The nodes or graphs asked for, in order.
        targets: The class asked for of each; None for what the task explains: its own targets, or
            the class that the model predicts.

    Raises:
        Invalid: One of them is not as it must be; the message says how.
    """
    found = list(itertools.islice(explanations, len(nodes) + 1))  # it may be endless
    if len(found) > len(nodes):
        raise Invalid(f"more than {len(nodes)} explanations for {len(nodes)} nodes")
    if len(found) < len(nodes):
        raise Invalid(f"{len(found)} explanations for {len(nodes)} nodes")
    for explanation, node in zip(found, nodes, strict=True):
        if not isinstance(explanation, Explanation):
            raise Invalid(f"an explanation is a {type(explanation).__name__}")
        _check_places(explanation, task, node)
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
    targets = task.targets(nodes) if targets is None else targets
    # Which outcome a single column stands for is the library's own convention.
    if targets is not None or task.mode == "multiclass_classification":
        _check_targets(found, targets)
    _check_predictions(found, task, nodes)


_ROWS = {"edge_mask": "e_id", "node_mask": "n_id"}
_DIMENSIONS = {"edge_mask": 1, "node_mask": 2}


def _check_places(explanation: Explanation, task: Task, node: int) -> None:
    """That the nodes and edges are the task's, and the explanation that of ``node``."""
    n_id, e_id, edge_index = (explanation.get(name) for name in ("n_id", "e_id", "edge_index"))
    counts = {"n_id": task.data.num_nodes, "e_id": task.data.num_edges}
    for name, ids in (("n_id", n_id), ("e_id", e_id)):
        if not isinstance(ids, Tensor) or ids.dtype != torch.long or ids.dim() != 1:
            raise Invalid(f"{name} is not an int64 vector")
        if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < (counts[name] or 0):
            raise Invalid(f"{name} has numbers that the graph does not have")
        if ids.unique().numel() != ids.numel():
            raise Invalid(f"{name} has a number twice")
    if not isinstance(edge_index, Tensor) or list(edge_index.shape) != [2, len(e_id)]:
        raise Invalid(f"edge_index is not [2, {len(e_id)}]")
    if edge_index.numel() and not 0 <= int(edge_index.min()) <= int(edge_index.max()) < len(n_id):
        raise Invalid("edge_index has positions beyond n_id")
    if not torch.equal(n_id[edge_index], task.data.edge_index[:, e_id]):
        raise Invalid("edge_index, n_id and e_id are not of the same edges")
    try:
        of = unit(explanation)
    except Exception as error:
        raise Invalid(f"index does not say which node it is of ({error})") from error
    if of != node:
        raise Invalid(f"an explanation is of {of} where {node} was asked for")


def _check_targets(
    explanations: Sequence[Explanation], targets: Sequence[int] | Tensor | None
) -> None:
    """That the explained class is the one asked for, else that with the largest output."""
    for i, explanation in enumerate(explanations):
        target, prediction = explanation.get("target"), explanation.get("prediction")
        if not isinstance(prediction, Tensor) or prediction.dim() != 1:
            raise Invalid("prediction is not the model's output for the node")
        if not isinstance(target, Tensor) or target.numel() != 1:
            raise Invalid("target is not a class")
        wanted = int(prediction.argmax() if targets is None else targets[i])
        if int(target) != wanted:
            raise Invalid(f"target is {int(target)} where class {wanted} was asked for")


def _check_predictions(
    explanations: Sequence[Explanation], task: Task, nodes: Sequence[int]
) -> None:
    """That each prediction is the model's output: by another one, another class is explained."""
    prepared = prepare(task.model, task.data, task.model_config)
    for explanation, node in zip(explanations, nodes, strict=True):
        prediction, expected = explanation.get("prediction"), prepared.output[node]
        if not isinstance(prediction, Tensor) or prediction.shape != expected.shape:
            raise Invalid("prediction is not the model's output for the node")
        if by := prepared.differs(
            prediction[None].to(expected), torch.tensor([node]).to(expected.device)
        ):
            raise Invalid(f"prediction differs from the model's output for the node by {by}")
