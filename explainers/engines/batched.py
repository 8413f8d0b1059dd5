"""Computation graphs instead of the whole graph, and many of them side by side in one pass.

Any homogeneous message-passing model. The computation graphs of R nodes, and B variants of each,
are one block-diagonal graph; whatever the layers compute, blocks do not touch. Two things keep a
cut graph equal to the whole one: every node that is not on the border has all its incoming edges,
and a GCNConv, whose normalisation needs the degrees of the border too, is given that of the whole
graph. Whether it is equal for a given model is checked once, on a few nodes.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor
from torch_geometric.nn import GCNConv

from explainers.engines.base import Problem, groups
from explainers.prepare.computation_graph import ComputationGraphs
from explainers.prepare.model import PreparedModel, alike, is_normalised, normalise, owns_loops


class BatchedProblem(Problem):
    """R computation graphs, of which B variants go through the model at once."""

    def __init__(
        self,
        prepared: PreparedModel,
        graphs: ComputationGraphs,
        nodes: Tensor,
        targets: Tensor,
        memory_budget: int,
    ) -> None:
        super().__init__(prepared, graphs, nodes, targets, memory_budget)
        self._blocks: dict[int, _Blocks] = {}

    @cached_property
    def x(self) -> Tensor:
        return self.prepared.x.index_select(0, self.graphs.n_id)

    @cached_property
    def edge_mask(self) -> Tensor:
        return self.prepared.x.new_ones(len(self.graphs.e_id))

    def predict(self, x: Tensor, edge_mask: Tensor) -> Tensor:
        count = len(x)
        if count not in self._blocks:
            self._blocks[count] = _Blocks.copies(self.prepared, self.graphs, count)
        output = self._blocks[count].run(x.flatten(0, 1), edge_mask.flatten())
        return self._explained(output, count)

    def delete(self, kept: Tensor, *, alone: bool) -> Tensor:
        blocks = _Blocks.reduced(self.prepared, self.graphs, kept, alone=alone)
        output = blocks.run(self.x.repeat(len(kept), 1), None)
        return self._explained(output, len(kept))

    def _explained(self, output: Tensor, count: int) -> Tensor:
        """The rows [B, R, C] that are explained, of the model's output on ``count`` variants."""
        return output.view(count, len(output) // count, -1)[:, self.graphs.rows]

    @property
    def copies(self) -> int:
        needed = float(self.prepared.bytes_per_unit[self.nodes.cpu()].sum())
        return max(1, int(self.memory_budget / needed))

    @property
    def node_batch(self) -> Tensor:
        return self.graphs.node_batch

    @property
    def edge_batch(self) -> Tensor:
        return self.graphs.edge_batch


class _Blocks:
    """Some fields, side by side as often as wanted, as one graph; and the model on it."""

    def __init__(self, prepared: PreparedModel, edge_index: Tensor, num_nodes: int) -> None:
        self.prepared, self.edge_index = prepared, edge_index
        self.ones = prepared.x.new_ones(num_nodes)
        loops = torch.arange(num_nodes, device=edge_index.device).expand(2, -1)
        self.with_loops = torch.cat([edge_index, loops], dim=1)
        self.inputs: dict[str, Tensor] = {}
        # What each GCNConv is to take for its own cached normalisation, self loops last.
        self.norms: dict[GCNConv, tuple[Tensor, Tensor]] = {}

    @classmethod
    def copies(cls, prepared: PreparedModel, graphs: ComputationGraphs, count: int) -> _Blocks:
        """The computation graphs ``count`` times."""
        blocks = cls(prepared, _repeat(graphs, count), count * len(graphs.n_id))
        for name, value in prepared.inputs.items():
            blocks.inputs[name] = value[graphs.e_id].repeat(count, *[1] * (value.dim() - 1))
        for layer in filter(is_normalised, prepared.layers):
            edges, loops = prepared.norm(layer)
            loops = loops[graphs.n_id] if len(loops) else loops
            blocks.set_norm(layer, edges[graphs.e_id].repeat(count), loops.repeat(count))
        blocks.set_batch(graphs, count)
        return blocks

    @classmethod
    def reduced(
        cls, prepared: PreparedModel, graphs: ComputationGraphs, kept: Tensor, *, alone: bool
    ) -> _Blocks:
        """The graphs once for each row of ``kept`` [B, e], with these edges; see ``delete``."""
        count, n = len(kept), len(graphs.n_id)
        flat = kept.flatten()
        everywhere = _repeat(graphs, count)
        blocks = cls(prepared, everywhere[:, flat], count * n)
        for name, value in prepared.inputs.items():
            blocks.inputs[name] = value[graphs.e_id].repeat(count, *[1] * (value.dim() - 1))[flat]
        for layer in filter(is_normalised, prepared.layers):
            edges, loops = reduced_norm(prepared, graphs, layer, kept, alone=alone)
            blocks.set_norm(layer, edges.flatten()[flat], loops.flatten())
        blocks.set_batch(graphs, count)
        return blocks

    def set_batch(self, graphs: ComputationGraphs, count: int) -> None:
        """Tells a model that asks for it that every computation graph is a graph by itself."""
        if self.prepared.batch is not None:
            shift = torch.arange(count, device=graphs.n_id.device) * len(graphs)
            self.inputs["batch"] = (graphs.node_batch + shift[:, None]).flatten()

    def set_norm(self, layer: GCNConv, edges: Tensor, loops: Tensor) -> None:
        """Gives a layer its normalised weights."""
        edge_index = self.with_loops if len(loops) else self.edge_index
        self.norms[layer] = edge_index, torch.cat([edges, loops])

    def run(self, x: Tensor, edge_mask: Tensor | None) -> Tensor:
        """The output [n, C] for features [n, F] and, if not None, a mask over the edges [e]."""
        if edge_mask is not None:
            with_loops = torch.cat([edge_mask, self.ones])
        for layer in self.prepared.layers:
            mask = None
            if edge_mask is not None and layer.explain is not False:  # False: exempt, as in PyG
                mask = with_loops if owns_loops(layer) else edge_mask
            if layer in self.norms:
                # A message is the norm times what is sent: the mask goes onto the smaller factor.
                index, norm = self.norms[layer]
                layer._cached_edge_index = index, norm if mask is None else norm * mask
            elif mask is not None:
                layer.explain = True
                layer._apply_sigmoid = False
                layer._edge_mask = mask
        try:
            return self.prepared.model(x, self.edge_index, **self.inputs)
        finally:
            for layer in self.prepared.layers:
                layer._edge_mask = None
                layer.explain = None if layer.explain else layer.explain
            for layer in self.norms:
                layer._cached_edge_index = None


def reduced_norm(
    prepared: PreparedModel, graphs: ComputationGraphs, layer: GCNConv, kept: Tensor, *, alone: bool
) -> tuple[Tensor, Tensor]:
    """A GCNConv's norm if only ``kept`` [B, e] is left: of edges [B, e], of loops [B, n] or [0]."""
    edges, loops = prepared.weights(layer)
    weight = edges[graphs.e_id] * kept
    loops = loops[graphs.n_id] if len(loops) else loops
    degree = loops if len(loops) else weight.new_zeros(len(graphs.n_id))
    if not alone:
        # Of nodes on the border only the degree is known here, not the edges.
        degree = torch.where(graphs.border, prepared.degree(layer)[graphs.n_id], degree)
    degree = degree.repeat(len(kept), 1).index_add_(1, graphs.edge_index[1], weight)
    return normalise(weight, loops, graphs.edge_index, degree)


def _repeat(graphs: ComputationGraphs, count: int) -> Tensor:
    """The edges of the computation graphs, ``count`` times, each time with nodes of its own."""
    shift = torch.arange(count, device=graphs.n_id.device) * len(graphs.n_id)
    return (graphs.edge_index[:, None] + shift[:, None]).flatten(1)


def problems(
    prepared: PreparedModel,
    nodes: Tensor,
    targets: Tensor,
    memory_budget: int,
    copies: int = 1,
    most: int | None = None,
) -> Iterator[BatchedProblem]:
    """Problems of as many nodes as fit into the budget ``copies`` times, and at most ``most``."""
    costs = prepared.bytes_per_unit[nodes.cpu()] * copies
    for group in groups(costs, memory_budget, most):
        graphs = prepared.cut(nodes[group])
        yield BatchedProblem(prepared, graphs, nodes[group], targets[group], memory_budget)


_REFUSALS: weakref.WeakKeyDictionary[PreparedModel, str | None] = weakref.WeakKeyDictionary()
CHECKED_NODES = 8


def refusal(prepared: PreparedModel) -> str | None:
    """Why the engine cannot explain this model on this graph, or None if it can.

    A layer that looks beyond the messages it gets (normalisation over all nodes, degrees, global
    pooling) would compute something else on a cut graph. So predictions on fields are compared with
    those on the whole graph, for nodes from small computation graphs to large ones; once.
    """
    if prepared not in _REFUSALS:
        _REFUSALS[prepared] = _check(prepared)
    return _REFUSALS[prepared]


def _check(prepared: PreparedModel) -> str | None:
    nodes = sample(prepared)
    graphs = prepared.cut(nodes)
    problem = BatchedProblem(prepared, graphs, nodes, torch.zeros_like(nodes), memory_budget=1)
    try:
        with torch.no_grad(), torch.inference_mode(False):
            output = problem.predict(problem.x.expand(2, -1, -1), problem.edge_mask.expand(2, -1))
    except Exception as error:
        return f"its layers fail on a cut graph ({type(error).__name__}: {error})"
    expected = prepared.output[nodes]
    if not alike(output, expected):
        wrong = float((output - expected).abs().max())
        whole = "in the batch" if prepared.task_level == "graph" else "on the whole graph"
        return (
            f"its predictions on computation graphs differ from those {whole} by {wrong:.1e}: some "
            "layer depends on more than the messages into each node"
        )
    return None


def sample(prepared: PreparedModel) -> Tensor:
    """A few nodes, from small computation graphs to large ones.

    Up to the 90th percentile: hubs would make a check dear, and show nothing that others do not.
    """
    order = prepared.bytes_per_unit.argsort()
    chosen = torch.linspace(0, 0.9 * (len(order) - 1), min(CHECKED_NODES, len(order))).long()
    return order[chosen].unique().to(prepared.x.device)
