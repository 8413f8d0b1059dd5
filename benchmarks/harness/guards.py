"""What holds for every explanation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch_geometric.explain import Explanation

from explainers import unit
from explainers.prepare import PreparedModel, prepare

if TYPE_CHECKING:
    from benchmarks.tasks import Task


class Invalid(ValueError):
    """An explanation that cannot be one, or a task that was changed; the message says how."""


def check(
    explanations: Sequence[Explanation],
    task: Task,
    nodes: Sequence[int],
    targets: Sequence[int] | Tensor | None = None,
) -> None:
    """Checks what a method gave: that it is of what was asked for, with finite scores.

    A list, since an iterator can be read once and has done no work when its time is taken; shapes
    and types; that nothing still hangs on a gradient; that ``n_id``, ``e_id`` and ``edge_index``
    are those of the computation graph, in its order, by which scores are compared (of
    heterogeneous data, those of all types numbered through); that each
    explanation is of its node, in order, and of the class that was asked for; that ``prediction``
    is the model's.

    Args:
        explanations: What ``explain`` returned.
        task: What was explained.
        nodes: The nodes, graphs or links asked for, in order.
        targets: The class asked for of each; None for what the task explains: its own targets, or
            the class that the model predicts.

    Raises:
        Invalid: One of them is not as it must be; the message says how.
    """
    if type(explanations) is not list:
        raise Invalid(f"explain returned a {type(explanations).__name__} instead of a list")
    if len(explanations) != len(nodes):
        asked = f"{len(nodes)} {task.unit}{'' if len(nodes) == 1 else 's'}"
        raise Invalid(f"{len(explanations)} explanations for {asked}")
    try:
        prepared = prepare(task.model, task.data, task.model_config, node_type=task.node_type)
    except ValueError as error:  # they could be explained before the method had them
        raise Invalid(f"model or data cannot be explained any more: {error}") from error
    explanations = [_as_one(one, task) for one in explanations]
    for explanation, node in zip(explanations, nodes, strict=True):
        if not isinstance(explanation, Explanation):
            raise Invalid(f"an explanation is a {type(explanation).__name__}")
        _check_places(explanation, task, prepared, node)
        masks = [name for name in ("edge_mask", "node_mask") if explanation.get(name) is not None]
        if not masks:
            raise Invalid("an explanation has neither edge_mask nor node_mask")
        for name in masks:
            mask, rows = explanation[name], len(explanation[_ROWS[name]])
            if not isinstance(mask, Tensor) or not mask.is_floating_point():
                raise Invalid(f"{name} is not a tensor of real numbers")
            if mask.layout != torch.strided:
                raise Invalid(f"{name} is not a dense tensor")
            wanted = [rows] if name == "edge_mask" else [rows, task.num_features]
            if list(mask.shape) != wanted:
                raise Invalid(f"{name} is {list(mask.shape)} instead of {wanted}")
            if mask.requires_grad:
                raise Invalid(f"{name} is not detached")
            if bad := int((~mask.isfinite()).sum()):
                raise Invalid(f"{name} has {bad} of {mask.numel()} scores that are not finite")
        _check_types(explanation)
    targets = task.targets(nodes) if targets is None else targets
    # Which outcome a single column stands for is the library's own convention.
    if targets is not None or task.mode == "multiclass_classification":
        _check_targets(explanations, targets)
    _check_prepared(explanations, prepared, nodes)


def _as_one(explanation: Any, task: Task) -> Explanation:
    """An explanation with the nodes and edges of all types numbered through."""
    try:
        return task.as_one(explanation)
    # Whatever a method left out, or gave too much of, is what the message says.
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        raise Invalid(f"an explanation is not one of the types of the data ({told})") from error


_ROWS = {"edge_mask": "e_id", "node_mask": "n_id"}
# How an explanation says what it is of, by the task level.
_UNITS = {"node": "index", "graph": "graph", "edge": "link"}


def _whole(explanation: Explanation, name: str) -> int:
    """A single whole number; a number that would be cut to one is none.

    Raises:
        Invalid: It is not there, or none.
    """
    value = explanation.get(name)
    if not isinstance(value, Tensor) or value.dtype != torch.long or value.numel() != 1:
        raise Invalid(f"{name} is not a tensor of one int64 number")
    return int(value)


def _check_types(explanation: Explanation) -> None:
    """That the rest is of the types in which it is read, with what methods may say besides."""
    if explanation.get("target") is not None:
        _whole(explanation, "target")
    prediction = explanation.get("prediction")
    if isinstance(prediction, Tensor):
        if not prediction.is_floating_point() or prediction.layout != torch.strided:
            raise Invalid("prediction is not a dense tensor of real numbers")
        if prediction.requires_grad:
            raise Invalid("prediction is not detached")
        if not prediction.isfinite().all():
            raise Invalid("prediction is not finite")
    for name in ("converged", "collapsed", "valid"):
        value = explanation.get(name)
        if value is not None and not (_is_bool(value) and value.numel() == 1):
            raise Invalid(f"{name} is not a tensor of one bool")
    chosen = explanation.get("selected_edges")
    if chosen is None and explanation.get("valid") is not None:
        raise Invalid("valid is there without selected_edges")
    if chosen is not None and not (_is_bool(chosen) and chosen.shape == explanation.e_id.shape):
        raise Invalid(f"selected_edges is not {list(explanation.e_id.shape)} bool")


def _is_bool(value: object) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.bool


def _check_places(explanation: Explanation, task: Task, prepared: PreparedModel, node: int) -> None:
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
    if edge_index.dtype != torch.long:
        raise Invalid("edge_index is not int64")
    if edge_index.numel() and not 0 <= int(edge_index.min()) <= int(edge_index.max()) < len(n_id):
        raise Invalid("edge_index has positions beyond n_id")
    every = task.data.edge_index if task.node_type is None else prepared.edge_index
    if not torch.equal(n_id[edge_index], every[:, e_id]):
        raise Invalid("edge_index, n_id and e_id are not of the same edges")
    place = _whole(explanation, _UNITS[task.level])
    for level, name in _UNITS.items():
        if level != task.level and name in explanation:
            raise Invalid(f"an explanation of a {task.level} has {name}, as one of a {level} has")
    if task.level == "node" and not 0 <= place < len(n_id):
        raise Invalid(f"index is {place}, where n_id has positions 0 to {len(n_id) - 1}")
    if task.level == "edge":
        ends = explanation.get("edge_label_index")
        if not isinstance(ends, Tensor) or ends.dtype != torch.long or list(ends.shape) != [2, 1]:
            raise Invalid("edge_label_index is not a [2, 1] tensor of int64")
        if not 0 <= int(ends.min()) <= int(ends.max()) < len(n_id) or not torch.equal(
            n_id[ends[:, 0]], task.data.edge_label_index[:, node]
        ):
            raise Invalid("edge_label_index and n_id are not those of the link")
    if (of := unit(explanation)) != node:
        raise Invalid(f"an explanation is of {of} where {node} was asked for")


def _check_targets(
    explanations: Sequence[Explanation], targets: Sequence[int] | Tensor | None
) -> None:
    """That the explained class is the one asked for, else that with the largest output."""
    for i, explanation in enumerate(explanations):
        target, prediction = _whole(explanation, "target"), explanation.get("prediction")
        if not isinstance(prediction, Tensor) or prediction.dim() != 1:
            raise Invalid("prediction is not the model's output for the node")
        wanted = int(prediction.argmax() if targets is None else targets[i])
        if target != wanted:
            raise Invalid(f"target is {target} where class {wanted} was asked for")


def _check_prepared(
    explanations: Sequence[Explanation], prepared: PreparedModel, nodes: Sequence[int]
) -> None:
    """That each is of its computation graph, and its prediction the model's output.

    By another prediction, another class would be explained.
    """
    for explanation, node in zip(explanations, nodes, strict=True):
        graph = prepared.cut(torch.tensor([node], device=prepared.x.device))
        e_id = graph.e_id if prepared.e_id is None else prepared.e_id[graph.e_id]
        for name, wanted in (("n_id", graph.n_id), ("e_id", e_id)):
            if not torch.equal(explanation[name].to(wanted.device), wanted):
                raise Invalid(f"{name} is not that of the computation graph, in ascending order")
        prediction, expected = explanation.get("prediction"), prepared.output[node]
        if not isinstance(prediction, Tensor) or prediction.shape != expected.shape:
            raise Invalid("prediction is not the model's output for the node")
        if by := prepared.differs(
            prediction[None].to(expected), torch.tensor([node]).to(expected.device)
        ):
            raise Invalid(f"prediction differs from the model's output for the node by {by}")
