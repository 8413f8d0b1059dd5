"""The nodes and targets of a call, checked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from explainers.prepare import PreparedModel
from explainers.prepare.outputs import is_multiclass, is_regression

WHOLE = {"node": "graph", "graph": "batch", "edge": "edge_label_index"}
Numbers = int | Sequence[int] | Tensor
Nodes = Numbers | tuple[str, Numbers]  # of heterogeneous data with their type


def nodes_of_type(
    nodes: Nodes | None, data: Data | HeteroData
) -> tuple[str | None, Numbers | None]:
    """The type of ``nodes`` and their numbers in it; None for a homogeneous graph.

    Raises:
        ValueError: Nodes of a heterogeneous graph have no type, or others have.
    """
    typed = isinstance(nodes, tuple) and len(nodes) == 2 and isinstance(nodes[0], str)
    if typed and not isinstance(data, HeteroData):
        raise ValueError(
            f"nodes {nodes!r:.80}: data is a {type(data).__name__}, whose nodes have no type; "
            "leave it out"
        )
    if not typed and isinstance(data, HeteroData):
        example = next(iter(data.node_types), "paper")
        raise ValueError(
            f"nodes {nodes!r:.80}: data is a HeteroData; say of which type they are, such as "
            f"nodes=({example!r}, [0, 1])"
        )
    return nodes if typed else (None, nodes)  # type: ignore[return-value]


def chosen_nodes(nodes: Numbers | None, prepared: PreparedModel) -> Tensor:
    """``nodes`` as an int64 tensor [R] on the graph's device.

    Raises:
        ValueError: They are no whole numbers, or not all in the graph.
    """
    chosen = _whole_numbers("nodes", nodes)
    for node in chosen.tolist():
        if not 0 <= node < prepared.units:
            whole = WHOLE[prepared.task_level]
            raise ValueError(
                f"{prepared.task_level} {node} is out of range: the {whole} has "
                f"{prepared.task_level}s 0 to {prepared.units - 1}"
            )
    return chosen.to(prepared.x.device)


def targets_of(
    target: int | Sequence[int] | Tensor | None, nodes: Tensor, prepared: PreparedModel
) -> Tensor:
    if target is None:
        if is_regression(prepared.config) and prepared.output.size(1) > 1:
            raise ValueError(
                f"the model returns {prepared.output.size(1)} real numbers for each "
                f"{prepared.task_level}; target must say which column to explain"
            )
        return prepared.output[nodes].argmax(dim=-1)
    targets = _whole_numbers("target", target)
    if len(targets) != len(nodes):
        raise ValueError(
            f"target has {len(targets)} classes for {len(nodes)} {prepared.task_level}s; give one "
            f"for each {prepared.task_level}"
        )
    classes = prepared.output.size(1)
    for value in targets.tolist():
        if not 0 <= value < classes:
            what = "classes" if is_multiclass(prepared.config) else "columns"
            raise ValueError(f"target {value} is out of range: {what} are 0 to {classes - 1}")
    return targets.to(prepared.x.device)


def _whole_numbers(name: str, values: int | Sequence[int] | Tensor | None) -> Tensor:
    """``values`` as an int64 tensor [R] on the CPU."""
    try:
        tensor = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError):
        tensor = torch.empty(0, 0)
    if not tensor.numel() and tensor.dim() == 1:
        return tensor.long().cpu()
    kind = tensor.dtype
    if tensor.dim() > 1 or kind == torch.bool or kind.is_floating_point or kind.is_complex:
        raise ValueError(
            f"{name} must be a whole number, a list of them or a LongTensor [R], got {values!r:.80}"
        )
    return tensor.detach().clone().long().cpu().view(-1)
