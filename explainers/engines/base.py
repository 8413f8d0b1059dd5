"""What a method is given: fields to explain, and the model on them as a function of its inputs.

What is explained is called a node here; for a model that classifies graphs, it is a graph.

A method asks for outputs at chosen node features and edge masks; how they are computed is the
engine's business. So every method is written once and runs on every engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch_geometric.explain import Explanation

from explainers.prepare.computation_graph import ComputationGraphs
from explainers.prepare.model import PreparedModel


@dataclass(frozen=True)
class Attribution:
    """What a method gives for the R nodes of a problem.

    Attributes:
        node_mask: [n, F], scores of the node features.
        edge_mask: [e], scores of the edges.
        extra: More per node, each [R].
    """

    node_mask: Tensor
    edge_mask: Tensor
    extra: dict[str, Tensor] = field(default_factory=dict)


class Problem(ABC):
    """R nodes to explain, independent of each other.

    Attributes:
        prepared: Model and graph.
        graphs: The computation graphs of the nodes.
        nodes: [R], ids of the nodes; of the graphs, for a model that classifies graphs.
        targets: [R], the class to explain for each.
        memory_budget: Bytes that one pass may take, roughly.
        x: [n, F] node features at which the model is explained.
        edge_mask: [e] ones: every message as it is.
    """

    def __init__(
        self,
        prepared: PreparedModel,
        graphs: ComputationGraphs,
        nodes: Tensor,
        targets: Tensor,
        memory_budget: int,
    ) -> None:
        self.prepared, self.graphs = prepared, graphs
        self.nodes, self.targets = nodes, targets
        self.memory_budget = memory_budget

    @property
    @abstractmethod
    def x(self) -> Tensor:
        """See the class."""

    @property
    @abstractmethod
    def edge_mask(self) -> Tensor:
        """See the class."""

    @abstractmethod
    def predict(self, x: Tensor, edge_mask: Tensor) -> Tensor:
        """The model's outputs for the explained nodes, [B, R, C].

        ``x`` [B, n, F] and ``edge_mask`` [B, e] are B variants of the inputs; the mask is
        multiplied onto the messages of every layer.
        """

    def mask(self, kept: Tensor, nodes: Tensor | None = None) -> Tensor:
        """The outputs [B, R, C] with the messages of all edges but ``kept`` [B, e] set to zero.

        And, if given, with the features of all nodes of the computation graphs but ``nodes`` [B,
        n].
        """
        x = self.x.expand(len(kept), -1, -1)
        if nodes is not None:
            x = x.clone()
            x[:, self.node_rows] *= nodes[..., None]
        return self.predict(x, self.edge_masks(kept))

    @abstractmethod
    def delete(self, kept: Tensor, *, alone: bool) -> Tensor:
        """The outputs [B, R, C] with edges of the computation graphs deleted, degrees and all.

        ``kept`` [B, e] says which edges of the computation graphs stay; those elsewhere in the
        graph stay, too, or go if ``alone``. Self loops that the model adds belong to the nodes and
        stay.
        """

    @property
    @abstractmethod
    def node_batch(self) -> Tensor:
        """The computation graph to which each row of ``x`` counts, [n]."""

    @property
    @abstractmethod
    def edge_batch(self) -> Tensor:
        """The computation graph to which each entry of ``edge_mask`` counts, [e]."""

    @property
    @abstractmethod
    def copies(self) -> int:
        """How many variants one pass may take within the memory budget, at least 1."""

    @property
    def node_rows(self) -> Tensor | slice:
        """Which rows of ``x`` are the nodes of the computation graphs, in their order."""
        return slice(None)

    @property
    def edge_rows(self) -> Tensor | slice:
        """Which entries of ``edge_mask`` are edges of the computation graphs, in their order."""
        return slice(None)

    def edge_masks(self, kept: Tensor) -> Tensor:
        """The masks [B, e'] that ``predict`` takes, for ``kept`` [B, e]."""
        masks = self.edge_mask.repeat(len(kept), 1)
        masks[:, self.edge_rows] = kept.to(masks)
        return masks

    def in_computation_graphs(self, attribution: Attribution) -> Attribution:
        """The attribution's rows that belong to the computation graphs, in their order."""
        return Attribution(
            attribution.node_mask[self.node_rows],
            attribution.edge_mask[self.edge_rows],
            attribution.extra,
        )

    def __call__(self, x: Tensor, edge_mask: Tensor) -> Tensor:
        """The explained outputs, summed over the nodes, [B]: what Captum differentiates.

        Computation graphs share nothing: the gradient of the sum holds the gradient of each.
        """
        return self.outputs(x, edge_mask).sum(dim=1)

    def outputs(self, x: Tensor, edge_mask: Tensor) -> Tensor:
        """The output of each node's target class, [B, R]."""
        predicted = self.predict(x, edge_mask)
        return predicted.gather(2, self.targets.expand(len(x), -1)[..., None]).squeeze(2)

    def change(self) -> Tensor:
        """F(x) - F(0) of each explained output, [R]; 0 is no features and no messages."""
        inputs = self.x[None], self.edge_mask[None]
        with torch.no_grad():
            return (self.outputs(*inputs) - self.outputs(*map(torch.zeros_like, inputs)))[0]

    def total(self, attribution: Attribution) -> Tensor:
        """The sum of each node's scores, over features and edges, [R]."""
        total = self.x.new_zeros(len(self.graphs))
        total.index_add_(0, self.node_batch, attribution.node_mask.sum(dim=1))
        total.index_add_(0, self.edge_batch, attribution.edge_mask)
        return total

    def explanations(self, attribution: Attribution) -> Iterator[Explanation]:
        """One PyG explanation for each node, of its own computation graph."""
        part, graphs, prepared = self.in_computation_graphs(attribution), self.graphs, self.prepared
        e_id = graphs.e_id if prepared.e_id is None else prepared.e_id[graphs.e_id]
        nodes, edges = graphs.node_counts, graphs.edge_counts
        shift = graphs.n_ptr[:-1]
        of_graph = prepared.task_level == "graph"
        local = graphs.edge_index
        if len(graphs) > 1:
            local = local - shift[graphs.edge_batch]
        rows = zip(
            graphs.n_id.split(nodes),
            e_id.split(edges),
            local.split(edges, dim=1),
            part.node_mask.detach().split(nodes),
            part.edge_mask.detach().split(edges),
            (self.nodes if of_graph else graphs.roots - shift).unbind(),
            self.targets.unbind(),
            prepared.output[self.nodes].unbind(),
            strict=True,
        )
        masks = ("n_id", "e_id", "edge_index", "node_mask", "edge_mask")
        names = (*masks, "graph" if of_graph else "index", "target", "prediction")
        for r, row in enumerate(rows):
            explanation = Explanation()
            # Past PyG's attribute setters, which take longer than all the rest of a node.
            mapping = explanation._store._mapping
            mapping.update(zip(names, row, strict=True))
            mapping.update((name, values[r]) for name, values in part.extra.items())
            yield explanation


def unit(explanation: Explanation) -> int:
    """What an explanation is of: the node's id in the data, or the graph's in the batch."""
    if "graph" in explanation:
        return int(explanation.graph)
    return int(explanation.n_id[explanation.index])


def groups(costs: Tensor, budget: float, most: int | None = None) -> Iterator[slice]:
    """Cuts a list into runs that cost at most ``budget`` and have 1 to ``most`` entries."""
    start, total = 0, 0.0
    for i, cost in enumerate(costs.tolist()):
        if i > start and (total + cost > budget or i - start == most):
            yield slice(start, i)
            start, total = i, 0.0
        total += cost
    if start < len(costs):
        yield slice(start, len(costs))
