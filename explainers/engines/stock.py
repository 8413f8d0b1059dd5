"""Captum and PyG as published: the whole graph, one node and one pass at a time.

The reference: every other engine is tested for equality with this one and timed against it. A graph
of a batch is explained by itself, as PyG does it, and of links the model is asked for one alone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.explain import ExplainerAlgorithm, Explanation
from torch_geometric.utils import get_embeddings

from explainers import _compat
from explainers.engines.base import (
    Attribution,
    Engine,
    Explains,
    NotTheModel,
    ReferenceProblem,
)
from explainers.prepare.copies import ModelCopy
from explainers.prepare.layers import edge_type
from explainers.prepare.model import PreparedModel


class StockProblem(ReferenceProblem):
    """One node or link on the whole graph, or one graph, by PyG's ``CaptumModel``; see `Problem`.

    Attributes:
        whole: Whether there is more of the graph than the computation graph.
    """

    copies = 1

    def __init__(
        self, prepared: PreparedModel, nodes: Tensor, targets: Tensor, memory_budget: int
    ) -> None:
        super().__init__(prepared, prepared.cut(nodes), nodes, targets, memory_budget)
        self.graph = HomeGraph.of(prepared, self.graphs.n_id, nodes)
        self.whole = prepared.task_level != "graph"
        self.index: Tensor | None = nodes if prepared.task_level == "node" else None

    @property
    def x(self) -> Tensor:
        return self.graph.x

    @cached_property
    def edge_mask(self) -> Tensor:
        return self.prepared.output.new_ones(self.graph.edge_index.size(1))

    def predict(self, x: Tensor, edge_mask: Tensor) -> Tensor:
        if not self.prepared.suits_pyg:
            return self._with_own_masks(x[0], edge_mask[0])[None]
        with self._model() as copy:
            # Keyword inputs are bound here: CaptumModel passes on positions only.
            bound = _Bound(copy.model, self.graph.keywords)
            captum = _compat.CaptumModel(bound, "node_and_edge", self.index)
            output: Tensor = captum(x, edge_mask, self.graph.edge_index)
        return output.view(1, -1, self.prepared.output.size(1))

    def verify(self) -> None:
        """Verified on all nodes when the model was prepared; of graphs and links, on a few.

        Each of these is taken by itself, which is not the model's answer if it mixes them; once,
        so that what others publish is not timed with a pass of this library's.
        """
        if self.verified or self.prepared.task_level == "node":
            return
        seen: set[int] = self.prepared.memo("stock: verified", set)
        if int(self.nodes) in seen:
            return
        with torch.no_grad():
            output = self.predict(self.x[None], self.edge_mask[None])[0]
        if wrong := self.prepared.differs(output, self.nodes):
            raise NotTheModel(
                f"{self.prepared.task_level} {int(self.nodes)} by itself has another output, by "
                f"{wrong}, than among the others: the model mixes them; give it that one alone"
            )
        self.verified = True
        seen.add(int(self.nodes))

    def scores_of(self, method: Explains) -> Attribution:
        both = self.with_features and self.with_edges
        published = both and self.prepared.suits_pyg
        return method.reference(self) if published else method.attribute(self)

    def deleted_outputs(self, kept: Tensor, *, alone: bool) -> Tensor:
        """On the graph as it was given, its own self loops included."""
        graph, prepared = self.graph, self.prepared
        edge_index, inputs = graph.given
        e_id = graph.explained[self.graphs.e_id] if self.whole else graph.explained
        outputs = []
        for row in kept:
            edges = torch.full_like(edge_index[0], not alone, dtype=torch.bool)
            if alone and prepared.e_id is not None:
                edges = edge_index[0] == edge_index[1]
            edges[e_id] = row
            left = {name: value[edges] for name, value in inputs.items()}
            with prepared.borrowed() as copy:
                output = copy.run(graph.x, edge_index[:, edges], graph.with_batch(left))
            outputs.append(output if self.index is None else output[self.index])
        return torch.stack(outputs)

    def run_pyg(self, algorithm: ExplainerAlgorithm) -> Explanation:
        with self._model() as copy:
            return algorithm(copy.model, *self.graph.inputs_of_pyg, **self._pyg_keywords)

    def train_pyg(self, algorithm: Any, epoch: int) -> float:
        with self._model() as copy:
            inputs = self.graph.inputs_of_pyg
            return float(algorithm.train(epoch, copy.model, *inputs, **self._pyg_keywords))

    @property
    def _pyg_keywords(self) -> dict[str, Any]:
        # PyG reads the row of the explained node alone.
        target = self.targets
        if self.index is not None:
            target = self.targets.new_zeros(self.prepared.units).index_put((self.index,), target)
        return {"target": target, "index": self.index, **self.graph.keywords}

    def _model(self) -> AbstractContextManager[ModelCopy]:
        return without_loops(self.prepared, self.graph)

    def _with_own_masks(self, x: Tensor, edge_mask: Tensor) -> Tensor:
        """On the graph as it was given, with each mask where its edge is in each layer."""
        graph, prepared = self.graph, self.prepared
        edge_index, inputs = graph.given
        mask = edge_mask.new_ones(edge_index.size(1)).index_put((graph.explained,), edge_mask)
        masks = prepared.masks(mask, edge_index, edge_type(inputs), len(x))
        with prepared.borrowed() as copy:
            output = copy.run(x, edge_index, graph.with_batch(inputs), masks)
        return output if self.index is None else output[self.index]

    @property
    def node_batch(self) -> Tensor:
        return torch.zeros(len(self.x), dtype=torch.long, device=self.x.device)

    @property
    def edge_batch(self) -> Tensor:
        return torch.zeros(len(self.edge_mask), dtype=torch.long, device=self.x.device)

    @property
    def node_rows(self) -> Tensor | slice:
        return self.graphs.n_id if self.whole else super().node_rows

    @property
    def edge_rows(self) -> Tensor | slice:
        return self.graphs.e_id if self.whole else super().edge_rows


class HomeGraph:
    """The graph on which a node is explained: the whole one, or one graph of a batch by itself.

    Attributes:
        x: [N, F].
        edge_index: The edges that are explained, [2, E'].
        inputs: Edge-level inputs, each [E', ...].
        batch: [N] zeros for a graph of a batch, else the batch of the whole, or None.
        links: The link [2, 1] that is explained, else all links [2, U], or None.
        given: ``edge_index`` [2, E] and inputs [E, ...] with the graph's own self loops.
        explained: [E'], which of the given edges are explained.
        norms: Of GCNConv layers by number, see ``PreparedModel.norms``; none if no loop is missing.
    """

    def __init__(self, prepared: PreparedModel) -> None:
        self.x, self.edge_index, self.inputs = prepared.x, prepared.edge_index, prepared.inputs
        self.batch, self.links, self.given = prepared.batch, prepared.links, prepared.given
        number = torch.arange(self.edge_index.size(1), device=self.edge_index.device)
        self.explained = number if prepared.e_id is None else prepared.e_id
        # Without the graph's own loops a GCNConv would not know their weights.
        self.norms = {} if prepared.e_id is None else prepared.norms()

    @classmethod
    def of_all(cls, prepared: PreparedModel) -> HomeGraph:
        """The whole graph, or all graphs of a batch."""
        return prepared.memo("home graph", lambda: cls(prepared))

    @classmethod
    def of(cls, prepared: PreparedModel, n_id: Tensor, unit: Tensor) -> HomeGraph:
        """That of a node or a link, or of a graph with the nodes ``n_id``."""
        whole = cls.of_all(prepared)
        if whole.links is not None:
            one = copy.copy(whole)
            one.links = whole.links[:, unit]
            return one
        return whole if prepared.task_level == "node" else whole._alone(n_id, int(unit))

    def _alone(self, n_id: Tensor, graph: int) -> HomeGraph:
        assert self.batch is not None
        one: HomeGraph = object.__new__(HomeGraph)
        place = torch.zeros_like(self.batch)
        place[n_id] = torch.arange(len(n_id), device=n_id.device)
        inside = self.batch[self.edge_index[0]] == graph
        edge_index, inputs = self.given
        all_inside = self.batch[edge_index[0]] == graph
        one.x = self.x[n_id]
        one.edge_index = place[self.edge_index[:, inside]]
        one.inputs = {name: value[inside] for name, value in self.inputs.items()}
        one.batch, one.links = torch.zeros_like(n_id), None
        rest = {name: value[all_inside] for name, value in inputs.items()}
        one.given = place[edge_index[:, all_inside]], rest
        number = all_inside.cumsum(0) - 1
        one.explained = number[self.explained[inside]]
        one.norms = {}
        for layer, (index, norm) in self.norms.items():
            # Self loops of the layer, if it has any, come behind the edges.
            chosen = torch.cat([inside, self.batch == graph])[: len(norm)]
            one.norms[layer] = place[index[:, chosen]], norm[chosen]
        return one

    def with_batch(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Edge-level inputs, and the batch or the links if there are any."""
        if self.links is not None:
            return {**inputs, "edge_label_index": self.links}
        return inputs if self.batch is None else {**inputs, "batch": self.batch}

    @property
    def inputs_of_pyg(self) -> tuple[Tensor, Tensor]:
        """What PyG's explainers take by position besides the model."""
        return self.x, self.edge_index

    @property
    def keywords(self) -> dict[str, Tensor]:
        """All that the model takes by keyword."""
        return self.with_batch(self.inputs)


@contextmanager
def without_loops(prepared: PreparedModel, graph: HomeGraph) -> Iterator[ModelCopy]:
    """A copy of the model that computes on a graph without the graph's own self loops."""
    with prepared.borrowed() as copy:
        for number, norm in graph.norms.items():
            _compat.set_norm(copy.layers[number], norm)
        try:
            yield copy
        finally:
            for number in graph.norms:
                _compat.set_norm(copy.layers[number], None)
            for layer in copy.layers:
                # GNNExplainer leaves a parameter behind, with which CaptumModel fails (PyG 9653).
                _compat.strip(layer)


def run_on_all(prepared: PreparedModel, algorithm: ExplainerAlgorithm) -> Explanation:
    """What one of PyG's explainers gives over the whole graph or batch, for no unit of it."""
    graph = HomeGraph.of_all(prepared)
    with without_loops(prepared, graph) as copy:
        target = prepared.output.argmax(dim=-1)
        return algorithm(copy.model, *graph.inputs_of_pyg, target=target, **graph.keywords)


def embeddings(prepared: PreparedModel) -> Tensor:
    """The output of the last message-passing layer at all nodes, [N, d]."""
    graph = HomeGraph.of_all(prepared)
    with without_loops(prepared, graph) as copy:
        return get_embeddings(copy.model, *graph.inputs_of_pyg, **graph.keywords)[-1]


class _Bound(nn.Module):
    """A model with its keyword inputs filled in."""

    def __init__(self, model: nn.Module, inputs: dict[str, Tensor]) -> None:
        super().__init__()
        self.model, self.inputs = model, inputs

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.model(x, edge_index, **self.inputs)


class Stock(Engine):
    """The whole graph, one node and one pass at a time."""

    name = "stock"
    explains_forms = True
    as_published = True

    def refusal(self, prepared: PreparedModel) -> str | None:
        """None, unless a graph or a link has been seen not to be explained by itself."""
        refusal: str | None = prepared.memo("stock: refusal", lambda: None)
        return refusal

    def problems(
        self,
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
