"""What metrics ask of heterogeneous graphs: over the union of all types, or of one edge type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor
from torch_geometric.explain import Explanation

from explainers import _compat
from explainers.engines.base import Problem
from explainers.hetero.explanations import as_union
from explainers.hetero.prepared import PreparedHetero
from explainers.hetero.schema import EdgeType, Schema
from explainers.prepare.computation_graph import ComputationGraphs


def node_type_of(explanations: Sequence[Any]) -> str:
    """The node type that is explained.

    Raises:
        ValueError: They are of several types, or not of a heterogeneous graph.
    """
    types = {one.node_type if "node_type" in one else None for one in explanations}
    if len(types) != 1 or None in types:
        raise ValueError(
            "explanations must be of nodes of one type of data, got "
            f"{', '.join(sorted(map(str, types)))}; score each type by itself"
        )
    return str(types.pop())


def marks_over_all(name: str, marks: Any, schema: Schema) -> Tensor:
    """Marks by edge type, bool [..., E_t] each, as one [..., E]; none for types that are left out.

    Raises:
        ValueError: They are not by type, or of other types or sizes.
    """
    known = {k: b - a for k, a, b in _sizes(schema)}
    fits = isinstance(marks, Mapping) and marks.keys() <= known.keys()
    if not fits or any(
        one.dtype != torch.bool or one.shape[-1] != known[key] for key, one in marks.items()
    ):
        raise ValueError(
            f"{name} of heterogeneous data must be a dictionary of bool tensors [..., E_t] by edge "
            f"type, where E_t is {known}"
        )
    first = next(iter(marks.values()))
    shape = first.shape[:-1]
    return torch.cat(
        [
            marks[key] if key in marks else first.new_zeros(*shape, size)
            for key, size in known.items()
        ],
        dim=-1,
    )


def _sizes(schema: Schema) -> list[tuple[EdgeType, int, int]]:
    return list(zip(schema.edge_types, schema.edge_ptr, schema.edge_ptr[1:], strict=False))


def edge_type_number(edge_type: Any, schema: Schema) -> int:
    """The number of an edge type.

    Raises:
        ValueError: There is no such type.
    """
    if edge_type not in schema.edge_types:
        raise ValueError(
            f"edge_type {edge_type!r}: data has no such type; it has: "
            f"{', '.join(map(str, schema.edge_types))}"
        )
    return schema.edge_types.index(edge_type)


def unions(explanations: Sequence[Any], prepared: PreparedHetero, number: int | None) -> list[Any]:
    """The explanations over the union; of the edges only those of a type, if it is given."""
    found = [as_union(one, prepared.schema) for one in explanations]
    return found if number is None else [_narrowed(one, prepared.schema, number) for one in found]


def _narrowed(explanation: Explanation, schema: Schema, number: int) -> Explanation:
    rows = schema.edge_type_of(explanation.e_id) == number
    values = dict(explanation.items())
    values.update(
        e_id=explanation.e_id[rows],
        edge_mask=explanation.edge_mask[rows],
        edge_index=explanation.edge_index[:, rows],
    )
    values.pop("convergence_delta", None)  # scores of one type do not add up to anything
    return _compat.explanation(values)


class OfEdgeType:
    """A problem, of whose edges those of one type are asked about; all others stay throughout."""

    def __init__(self, problem: Problem, number: int) -> None:
        graphs, prepared = problem.graphs, problem.prepared
        assert isinstance(prepared, PreparedHetero)
        self._problem = problem
        self._rows = (prepared.schema.edge_type_of(graphs.e_id) == number).nonzero().view(-1)
        batch = graphs.edge_batch[self._rows]
        counts = torch.bincount(batch, minlength=len(graphs))
        self.graphs: ComputationGraphs = replace(
            graphs,
            e_id=graphs.e_id[self._rows],
            e_ptr=torch.cat([counts.new_zeros(1), counts.cumsum(0)]),
            edge_index=graphs.edge_index[:, self._rows],
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._problem, name)

    def masked_outputs(self, kept: Tensor) -> Tensor:
        """The outputs [B, R, C] with only ``kept`` [B, e_t] of the type's edges sending."""
        return self._problem.masked_outputs(self._with_others(kept))

    def deleted_outputs(self, kept: Tensor, *, alone: bool) -> Tensor:
        """The outputs [B, R, C] with only ``kept`` [B, e_t] of the type's edges left."""
        return self._problem.deleted_outputs(self._with_others(kept), alone=False)

    def _with_others(self, kept: Tensor) -> Tensor:
        every = kept.new_ones(len(kept), len(self._problem.graphs.e_id))
        every[:, self._rows] = kept
        return every


def of_edge_type(problem: Problem, number: int) -> Problem:
    """The problem of the edges of one type; see :class:`OfEdgeType`."""
    return cast(Problem, OfEdgeType(problem, number))
