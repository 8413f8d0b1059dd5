"""What is checked of a dataset before anything is trained or explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData

if TYPE_CHECKING:
    from benchmarks.tasks._definition import Dataset

# Tensors by name, each with the type and the shape that it must have.
_Wanted = dict[str, tuple[Tensor | None, torch.dtype, tuple[int, ...]]]
# Tensors of numbers by name, each with how many there are to name.
_Numbers = list[tuple[str, Tensor, int]]


def check(dataset: Dataset) -> None:
    """Raises ``ValueError`` if a dataset is not as :class:`benchmarks.tasks.Dataset` says."""
    data, node_type = dataset.data, dataset.node_type
    if isinstance(data, HeteroData) != (node_type is not None):
        raise ValueError(
            "a task has a node_type if its data are a HeteroData, and else none; it has "
            f"{type(data).__name__} and node_type {node_type!r}"
        )
    if node_type is None:
        wanted, units, numbers = _of_one_type(data)
        features, y = int(data.num_features), data.get("y")
    else:
        wanted, units, numbers = _of_types(data, node_type)
        features, y = 0, data[node_type].get("y")
        if dataset.alternatives is not None:
            raise ValueError("a task with a node_type has one ground_truth, and no alternatives")
    e = int(data.num_edges)
    if dataset.ground_truth is not None:
        rows = (units,) if dataset.ground_truth.dim() == 2 else ()
        wanted["ground_truth"] = (dataset.ground_truth, torch.bool, (*rows, e))
    if dataset.alternatives is not None:
        several = dataset.alternatives
        wanted["alternatives"] = (several, torch.bool, (len(several), e))
    if dataset.explainable is not None:
        wanted["explainable"] = (dataset.explainable, torch.bool, (units,))
    for name, (tensor, dtype, shape) in wanted.items():
        if tensor is None or tensor.dtype != dtype or tuple(tensor.shape) != shape:
            got = "missing" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
            raise ValueError(f"a task's {name} must be {dtype} {list(shape)}, but is {got}")
    # Torch would read elsewhere in memory, or fail later and without a reason.
    for name, found, count in numbers:
        if found.numel() and not 0 <= (least := int(found.min())) <= int(found.max()) < count:
            raise ValueError(
                f"a task's {name} must be from 0 to {count - 1}, but is from {least} to "
                f"{int(found.max())}"
            )
    for what, names, count in (
        ("feature_names", dataset.feature_names, features),
        ("class_names", dataset.class_names, int(y.max()) + 1),
    ):
        if len(names) not in (0, count):
            raise ValueError(
                f"a task has {len(names)} {what}; there must be {count} of them, or none"
            )


def _of_one_type(data: Data) -> tuple[_Wanted, int, _Numbers]:
    n, e = int(data.num_nodes or 0), int(data.num_edges)
    wanted: _Wanted = {
        "data.x": (data.get("x"), torch.float32, (n, int(data.num_features))),
        "data.edge_index": (data.get("edge_index"), torch.int64, (2, e)),
    }
    units = n
    if (batch := data.get("batch")) is not None:
        wanted["data.batch"] = (batch, torch.int64, (n,))
        units = int(batch.max()) + 1
    if (links := data.get("edge_label_index")) is not None:
        units = int(links.size(-1))
        wanted["data.edge_label_index"] = (links, torch.int64, (2, units))
    if (weight := data.get("edge_weight")) is not None:
        wanted["data.edge_weight"] = (weight, torch.float32, (e,))
    for name, dtype in _LABELS.items():
        wanted[f"data.{name}"] = (data.get(name), dtype, (units,))
    counts = {"edge_index": n, "edge_label_index": n, "batch": units}
    numbers = [(f"data.{name}", data.get(name), count) for name, count in counts.items()]
    return wanted, units, [one for one in numbers if one[1] is not None]


_LABELS = {"y": torch.int64, "train_mask": torch.bool, "test_mask": torch.bool}


def _of_types(data: HeteroData, node_type: str) -> tuple[_Wanted, int, _Numbers]:
    if node_type not in data.node_types:
        raise ValueError(
            f"a task's node_type must be one of {', '.join(data.node_types)}, but is {node_type!r}"
        )
    wanted: _Wanted = {}
    numbers: _Numbers = []
    counts = {name: int(data[name].num_nodes or 0) for name in data.node_types}
    for name, count in counts.items():
        x = data[name].get("x")
        width = 0 if x is None or x.dim() != 2 else x.size(1)
        wanted[f"data[{name!r}].x"] = (x, torch.float32, (count, width))
    for edge_type in data.edge_types:
        name = f"data[{edge_type!r}].edge_index"
        edge_index = data[edge_type].get("edge_index")
        wanted[name] = (edge_index, torch.int64, (2, int(data[edge_type].num_edges)))
        if edge_index is not None:
            ends = zip(edge_index, (edge_type[0], edge_type[2]), strict=False)
            numbers += [(f"{name}, of {end}", row, counts.get(end, 0)) for row, end in ends]
    units = counts[node_type]
    for name, dtype in _LABELS.items():
        wanted[f"data[{node_type!r}].{name}"] = (data[node_type].get(name), dtype, (units,))
    return wanted, units, numbers
