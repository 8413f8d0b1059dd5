"""A part of the union, taken apart by type: what the model is called with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from explainers.hetero.schema import EdgeType, Schema
from explainers.prepare.computation_graph import ComputationGraphs


class Layout:
    """Some computation graphs, ``count`` times side by side, as dictionaries by type.

    Attributes:
        edge_index: By type [2, count * e_t], positions among the nodes of the types of its ends.
        inputs: What the model takes besides, by keyword and then by type.
        sizes: The nodes of each type in one copy.
    """

    def __init__(
        self,
        schema: Schema,
        graphs: ComputationGraphs,
        inputs: Mapping[str, Mapping[EdgeType, Tensor]],
        count: int = 1,
        kept: Tensor | None = None,
    ) -> None:
        """Of edges only ``kept`` [count, e], if given."""
        self.schema, self.graphs, self.count = schema, graphs, count
        device = graphs.n_id.device
        self._rows, own_edges = self._by_type()
        self.sizes = [len(rows) for rows in self._rows]
        place = torch.empty_like(graphs.n_id)
        for rows in self._rows:
            place[rows] = torch.arange(len(rows), device=device)
        self._place = place
        ends = place[graphs.edge_index]
        # Of each type the positions of its edges in a flat mask over all copies, [count * e].
        self.edges: list[Tensor] = []
        self._complete = kept is None
        self.edge_index: dict[EdgeType, Tensor] = {}
        self.inputs: dict[str, dict[EdgeType, Tensor]] = {name: {} for name in inputs}
        copies = torch.arange(count, device=device)[:, None]
        for number, (name, rows) in enumerate(zip(schema.edge_types, own_edges, strict=True)):
            flat, local = rows, ends.index_select(1, rows)
            if count > 1:
                flat = (copies * len(graphs.e_id) + rows).view(-1)
                shift = torch.stack([copies * self.sizes[end] for end in schema.ends(number)])
                local = (local[:, None] + shift).flatten(1)
            if kept is not None:
                stays = kept.flatten()[flat]
                flat, local = flat[stays], local[:, stays]
            self.edges.append(flat)
            self.edge_index[name] = local
            for keyword, values in inputs.items():
                if name in values:
                    of_type = graphs.e_id.repeat(count)[flat] - schema.edge_ptr[number]
                    self.inputs[keyword][name] = values[name][of_type]

    def _by_type(self) -> tuple[list[Tensor], list[Tensor]]:
        """The positions of each type's nodes and edges."""
        schema, n_id, e_id = self.schema, self.graphs.n_id, self.graphs.e_id
        if self._in_order:
            nodes, edges = schema.nodes_by_type(n_id), schema.edges_by_type(e_id)
            return (
                list(torch.arange(len(n_id), device=n_id.device).split(nodes)),
                list(torch.arange(len(e_id), device=e_id.device).split(edges)),
            )
        types, edge_types = schema.type_of(n_id), schema.edge_type_of(e_id)
        return (
            [(types == t).nonzero().view(-1) for t in range(len(schema.node_types))],
            [(edge_types == t).nonzero().view(-1) for t in range(len(schema.edge_types))],
        )

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """Features [B, n, F] by type, each [B * n_t, F_t]; types without features are left out."""
        schema = self.schema
        # Taken apart at once: on the way back, each slice would be a tensor of all nodes.
        parts = (x if self._in_order else x.index_select(1, self._order)).split(self.sizes, dim=1)
        return {
            name: part[..., :width].flatten(0, 1)
            for name, part, width, has in zip(
                schema.node_types, parts, schema.widths, schema.featured, strict=True
            )
            if has
        }

    @cached_property
    def _order(self) -> Tensor:
        return torch.cat(self._rows)

    @property
    def _in_order(self) -> bool:
        """Whether types follow each other: within a computation graph they do."""
        return len(self.graphs) == 1

    def by_edge_type(self, edge_mask: Tensor) -> tuple[Tensor, ...]:
        """A mask [B * e] over all copies by type, each in the order of its edges."""
        if not (self._in_order and self.count == 1 and self._complete):
            edge_mask = edge_mask.index_select(0, torch.cat(self.edges))
        return edge_mask.split([len(one) for one in self.edges])

    def explained(self, output: Tensor, node_type: int, roots: Tensor) -> Tensor:
        """Of the model's rows for a node type those of ``roots`` [R] in each copy: [B, R, C]."""
        return output.view(self.count, self.sizes[node_type], -1)[:, self._place[roots]]

    def masks(self, edge_mask: Tensor, maps: list[list[Any]]) -> Any:
        """What to multiply onto the messages, by layer and call, of a mask [B * e]; see ModelCopy.

        Args:
            edge_mask: [B * e].
            maps: Of each layer, for each call, the :class:`explainers.hetero.calls.CallMap`.
        """
        made: dict[Any, Tensor | None] = {}
        parts = self.by_edge_type(edge_mask)

        def mask(layer: int, call: int) -> Tensor | None:
            one = maps[layer][call % len(maps[layer])] if maps[layer] else None
            if one not in made:
                made[one] = one.mask(self, parts) if one is not None and one.types else None
            return made[one]

        return mask
