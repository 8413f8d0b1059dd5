"""Captum and PyG as published: the whole graph, one node and one pass at a time.

The reference: every other engine is tested for equality with this one and timed against it. A graph
of a batch is explained by itself, as PyG does it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor
from torch_geometric.explain.algorithm.captum import CaptumModel

from explainers.engines.base import Problem
from explainers.prepare.model import PreparedModel, private_copy


class StockProblem(Problem):
    """One node on the whole graph, or one graph, through PyG's ``CaptumModel``; see `Problem`.

    Attributes:
        home: What the passes run on: the network, or that of the explained graph alone.
        index: The row [1] of the output there that is explained; None if it is the only one.
    """

    copies = 1

    def __init__(
        self, prepared: PreparedModel, nodes: Tensor, targets: Tensor, memory_budget: int
    ) -> None:
        graphs = prepared.cut(nodes)
        super().__init__(prepared, graphs, nodes, targets, memory_budget)
        self.home = prepared
        self.index: Tensor | None = nodes
        if prepared.task_level == "graph":
            self.home, self.index = prepared.alone(int(nodes)), None
        self.model = self.home.whole()
        # Keyword inputs are bound here: CaptumModel passes on positions only.
        bound = _Bound(self.model, self.home.keywords)
        self._captum = CaptumModel(bound, "node_and_edge", self.index)

    @property
    def x(self) -> Tensor:
        return self.home.x

    @cached_property
    def edge_mask(self) -> Tensor:
        return self.x.new_ones(self.home.edge_index.size(1))

    def predict(self, x: Tensor, edge_mask: Tensor) -> Tensor:
        return self._captum(x, edge_mask, self.home.edge_index)[None]

    def delete(self, kept: Tensor, *, alone: bool) -> Tensor:
        home = self.home
        edge_index, inputs = home.given
        e_id = self.edge_rows if home.e_id is None else home.e_id[self.edge_rows]
        model = private_copy(home.model)
        batch = {} if home.batch is None else {"batch": home.batch}
        outputs = []
        for row in kept:
            edges = edge_index[0] == edge_index[1] if home.e_id is not None else None
            if edges is None or not alone:
                edges = torch.full_like(edge_index[0], not alone, dtype=torch.bool)
            edges[e_id] = row
            left = {name: value[edges] for name, value in inputs.items()}
            output = model(home.x, edge_index[:, edges], **left, **batch)
            outputs.append(output if self.index is None else output[self.index])
        return torch.stack(outputs)

    @property
    def node_batch(self) -> Tensor:
        return self.x.new_zeros(len(self.x), dtype=torch.long)

    @property
    def edge_batch(self) -> Tensor:
        return self.x.new_zeros(len(self.edge_mask), dtype=torch.long)

    @property
    def node_rows(self) -> Tensor | slice:
        return super().node_rows if self.index is None else self.graphs.n_id

    @property
    def edge_rows(self) -> Tensor | slice:
        return super().edge_rows if self.index is None else self.graphs.e_id


class _Bound(torch.nn.Module):
    """A model with its keyword inputs filled in."""

    def __init__(self, model: torch.nn.Module, inputs: dict[str, Tensor]) -> None:
        super().__init__()
        self.model, self.inputs = model, inputs

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.model(x, edge_index, **self.inputs)


def problems(
    prepared: PreparedModel,
    nodes: Tensor,
    targets: Tensor,
    memory_budget: int,
    copies: int = 1,
    most: int | None = None,
) -> Iterator[StockProblem]:
    """One problem for each node."""
    for node, target in zip(nodes.split(1), targets.split(1), strict=True):
        yield StockProblem(prepared, node, target, memory_budget)


def refusal(prepared: PreparedModel) -> str | None:
    """None: the engine explains whatever :class:`PreparedModel` takes."""
    return None
