"""Heterogeneous graphs as tasks: what differs from graphs of one type of nodes and edges.

Edges are numbered through all types, in the order of ``data.edge_types``, as the library's metrics
number them; nodes are those of the explained type, as in the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.explain import Explanation

from explainers.hetero import EdgeType, PreparedHetero, unions
from explainers.prepare import PreparedModel

if TYPE_CHECKING:
    from benchmarks.tasks._definition import Wanted


def type_name(edge_type: EdgeType) -> str:
    """An edge type in plain text, ``venue, publishes, paper``."""
    return ", ".join(edge_type)


def tensors(data: HeteroData) -> dict[str, Tensor]:
    """All tensors of the data by their type and name, for a hash."""
    found = {}
    for key, store in [*data.node_items(), *data.edge_items()]:
        of = key if isinstance(key, str) else type_name(key)
        found.update({f"{of}: {name}": value for name, value in store.items()})
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}


def wanted(data: HeteroData, node_type: str) -> tuple[Wanted, int, list[tuple[str, Tensor, int]]]:
    """What :class:`~benchmarks.tasks.Dataset` checks of heterogeneous data.

    Returns:
        Each tensor with its type and shape; how many nodes are explained; and the tensors with
        numbers of nodes, each with how many there are.

    Raises:
        ValueError: The explained type is none of the data's.
    """
    if node_type not in data.node_types:
        raise ValueError(
            f"a task's node_type must be one of {', '.join(data.node_types)}, but is {node_type!r}"
        )
    found: Wanted = {}
    numbers = []
    for name in data.node_types:
        x, count = data[name].get("x"), int(data[name].num_nodes or 0)
        width = x.size(-1) if isinstance(x, Tensor) and x.dim() else 0
        found[f"data[{name!r}].x"] = (x, torch.float32, (count, width))
    for edge_type in data.edge_types:
        edge_index, count = data[edge_type].get("edge_index"), int(data[edge_type].num_edges)
        where = f"data[{edge_type!r}].edge_index"
        found[where] = (edge_index, torch.int64, (2, count))
        for row, end in enumerate((edge_type[0], edge_type[2])):
            if isinstance(edge_index, Tensor) and len(edge_index) == 2:
                nodes = int(data[end].num_nodes or 0) if end in data.node_types else 0
                numbers.append((f"{where}[{row}]", edge_index[row], nodes))
    units = int(data[node_type].num_nodes or 0)
    for name in ("y", "train_mask", "test_mask"):
        dtype = torch.int64 if name == "y" else torch.bool
        found[f"data[{node_type!r}].{name}"] = (data[node_type].get(name), dtype, (units,))
    return found, units, numbers


def graph_of(data: HeteroData, node_type: str) -> Data:
    """What a network is called with, trained on and measured by: dictionaries by type.

    ``x`` and ``edge_index`` are by type; ``y`` and the masks are the explained type's.
    """
    own = data[node_type]
    return Data(
        x=data.x_dict,
        edge_index=data.edge_index_dict,
        y=own.y,
        train_mask=own.train_mask,
        test_mask=own.test_mask,
        node_type=node_type,
    )


def with_edges(data: HeteroData, node_type: str) -> Tensor:
    """Which nodes of the type have an incoming edge of any type, bool [N]."""
    found = torch.zeros(int(data[node_type].num_nodes or 0), dtype=torch.bool)
    for edge_type, edge_index in data.edge_index_dict.items():
        if edge_type[2] == node_type:
            found[edge_index[1]] = True
    return found


def by_type(marks: Tensor, data: HeteroData) -> dict[EdgeType, Tensor]:
    """Marks of all edges, [..., E], as the library's metrics take them: [..., E_t] by type."""
    sizes = [int(data[edge_type].num_edges) for edge_type in data.edge_types]
    return dict(zip(data.edge_types, marks.split(sizes, dim=-1), strict=True))


def over_all_types(marks: Mapping[EdgeType, Tensor], data: HeteroData) -> Tensor:
    """:func:`by_type` undone: marks of all edges, [..., E]."""
    return torch.cat([marks[edge_type] for edge_type in data.edge_types], dim=-1)


def as_one(explanation: Any, prepared: PreparedModel, data: HeteroData) -> Explanation:
    """An explanation by type with the edges and nodes of all types numbered through.

    Raises:
        ValueError: It has other types than the data, or masks of other sizes.
    """
    assert isinstance(prepared, PreparedHetero)
    (found,) = unions([explanation], prepared, None)
    for name in data.node_types:  # which the union makes as wide as the widest
        own, mask = explanation[name], explanation[name].node_mask
        if list(mask.shape) != [len(own.n_id), data[name].num_features]:
            raise ValueError(
                f"node_mask of type {name!r} is {list(mask.shape)} instead of "
                f"{[len(own.n_id), data[name].num_features]}"
            )
    return found
