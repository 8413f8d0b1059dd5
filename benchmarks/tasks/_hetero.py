"""Heterogeneous graphs as tasks: what differs from graphs of one type of nodes and edges.

Edges are numbered through all types, in the order of ``data.edge_types``, as the library's metrics
number them; nodes are those of the explained type, as in the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.explain import Explanation

from explainers.hetero import EdgeType, PreparedHetero, unions
from explainers.prepare import PreparedModel


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
