"""Explanations by type, and as one over the union of the types."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.explain import Explanation, HeteroExplanation

from explainers import _compat
from explainers.hetero.schema import EdgeType, Schema

OF_NODES = ("node_mask", "node_mask_std", "selected_nodes")
OF_EDGES = ("edge_mask", "edge_mask_std", "selected_edges")


def by_type(explanation: Explanation, schema: Schema, node_type: str) -> HeteroExplanation:
    """An explanation over the union, with ids in the union, taken apart by type.

    Every type of the data is there, also where no node or edge of it is in the computation graph.
    """
    made = HeteroExplanation()
    # In a computation graph ids ascend, so types follow each other: each is a slice.
    sizes = schema.nodes_by_type(explanation.n_id)
    starts = list(accumulate(sizes, initial=0))
    parts = {key: explanation[key].split(sizes) for key in OF_NODES if key in explanation}
    for t, (name, n_id) in enumerate(
        zip(schema.node_types, explanation.n_id.split(sizes), strict=True)
    ):
        store = made[name]
        store.n_id = n_id - schema.node_ptr[t]
        for key, values in parts.items():
            own = values[t] if values[t].dim() == 1 else values[t][:, : schema.widths[t]]
            store[key] = own.clone()
    sizes = schema.edges_by_type(explanation.e_id)
    parts = {key: explanation[key].split(sizes) for key in OF_EDGES if key in explanation}
    of_types = zip(
        schema.edge_types,
        explanation.e_id.split(sizes),
        explanation.edge_index.split(sizes, dim=1),
        strict=True,
    )
    for t, (edge_type, e_id, edge_index) in enumerate(of_types):
        store = made[edge_type]
        store.e_id = e_id - schema.edge_ptr[t]
        first, last = (starts[end] for end in schema.ends(t))
        store.edge_index = torch.stack([edge_index[0] - first, edge_index[1] - last])
        for key, values in parts.items():
            store[key] = values[t].clone()
    made.node_type = node_type
    made.index = explanation.index - starts[schema.node_types.index(node_type)]
    taken = {"n_id", "e_id", "edge_index", "index", *OF_NODES, *OF_EDGES}
    for key, value in explanation.items():
        if key not in taken:
            made[key] = value
    return made


def as_union(explanation: Any, schema: Schema) -> Explanation:
    """:func:`by_type` undone: what metrics score. ``unit`` is the node's id in its type.

    Raises:
        ValueError: The explanation is of a graph with other types, or of none.
    """
    if not isinstance(explanation, HeteroExplanation) or (
        tuple(explanation.node_types) != schema.node_types
        or tuple(explanation.edge_types) != schema.edge_types
    ):
        raise ValueError("the explanation is of another graph: it has not the types of data")
    width = max(1, *schema.widths)
    starts, n_id, node_mask = [0], [], []
    for ptr, name in zip(schema.node_ptr, schema.node_types, strict=False):
        store = explanation[name]
        starts.append(starts[-1] + len(store.n_id))
        n_id.append(store.n_id + ptr)
        node_mask.append(
            torch.nn.functional.pad(store.node_mask, (0, width - store.node_mask.size(1)))
        )
    e_id, edge_mask, local = [], [], []
    for number, edge_type in enumerate(schema.edge_types):
        store = explanation[edge_type]
        first, last = (starts[end] for end in schema.ends(number))
        e_id.append(store.e_id + schema.edge_ptr[number])
        edge_mask.append(store.edge_mask)
        local.append(store.edge_index + store.edge_index.new_tensor([[first], [last]]))
    values: dict[str, Tensor] = {
        "n_id": torch.cat(n_id),
        "e_id": torch.cat(e_id),
        "edge_index": torch.cat(local, dim=1),
        "node_mask": torch.cat(node_mask),
        "edge_mask": torch.cat(edge_mask),
        "index": explanation.index + starts[schema.node_types.index(explanation.node_type)],
        "unit": explanation[explanation.node_type].n_id[explanation.index],
    }
    for key in ("target", "prediction", "convergence_delta"):
        if key in explanation:
            values[key] = explanation[key]
    return _compat.explanation(values)


def typed_masks(
    explanation: HeteroExplanation, data: HeteroData
) -> tuple[dict[str, Tensor], dict[EdgeType, Tensor]]:
    """The masks over the whole graph by type, [N_t, F_t] and [E_t]; zero elsewhere."""
    nodes, edges = {}, {}
    for name in data.node_types:
        mask = explanation[name].node_mask
        nodes[name] = mask.new_zeros(data[name].num_nodes, mask.size(1))
        nodes[name][explanation[name].n_id] = mask
    for edge_type in data.edge_types:
        mask = explanation[edge_type].edge_mask
        edges[edge_type] = mask.new_zeros(data[edge_type].num_edges)
        edges[edge_type][explanation[edge_type].e_id] = mask
    return nodes, edges
