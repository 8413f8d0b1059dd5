"""Receptive fields instead of the whole graph, and many of them side by side in one pass.

Any homogeneous message-passing model. The fields of R nodes, and B variants of each, are one
block-diagonal graph; whatever the layers compute, blocks do not touch. Two things keep a cut graph
equal to the whole one: every node that is not on the border has all its incoming edges, and a
GCNConv, whose normalisation needs the degrees of the border too, is given that of the whole graph.
Whether it is equal for a given model is checked once, on a few nodes.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor
from torch_geometric.nn import GCNConv

from explainers.engines.fields import Fields
from explainers.engines.network import Network, alike, is_normalised, normalise, owns_loops
from explainers.engines.problem import Problem, groups


class BatchedProblem(Problem):
    """R receptive fields, of which B variants go through the model at once."""

    def __init__(
        self,
        network: Network,
        fields: Fields,
        nodes: Tensor,
        targets: Tensor,
        memory_budget: int,
    ) -> None:
        super().__init__(network, fields, nodes, targets, memory_budget)
        self._blocks: dict[int, _Blocks] = {}

    @cached_property
    def x(self) -> Tensor:
        return self.network.x.index_select(0, self.fields.n_id)

    @cached_property
    def edge_mask(self) -> Tensor:
        return self.network.x.new_ones(len(self.fields.e_id))

    def predict(self, x: Tensor, edge_mask: Tensor) -> Tensor:
        count = len(x)
        if count not in self._blocks:
            self._blocks[count] = _Blocks.copies(self.network, self.fields, count)
        output = self._blocks[count].run(x.flatten(0, 1), edge_mask.flatten())
        return self._explained(output, count)

    def delete(self, kept: Tensor, *, alone: bool) -> Tensor:
        blocks = _Blocks.reduced(self.network, self.fields, kept, alone=alone)
        output = blocks.run(self.x.repeat(len(kept), 1), None)
        return self._explained(output, len(kept))

    def _explained(self, output: Tensor, count: int) -> Tensor:
        """The rows [B, R, C] that are explained, of the model's output on ``count`` variants."""
        return output.view(count, len(output) // count, -1)[:, self.fields.rows]

    @property
    def copies(self) -> int:
        needed = float(self.network.field_bytes[self.nodes.cpu()].sum())
        return max(1, int(self.memory_budget / needed))

    @property
    def node_field(self) -> Tensor:
        return self.fields.node_field

    @property
    def edge_field(self) -> Tensor:
        return self.fields.edge_field


class _Blocks:
    """Some fields, side by side as often as wanted, as one graph; and the model on it."""

    def __init__(self, network: Network, edge_index: Tensor, num_nodes: int) -> None:
        self.network, self.edge_index = network, edge_index
        self.ones = network.x.new_ones(num_nodes)
        loops = torch.arange(num_nodes, device=edge_index.device).expand(2, -1)
        self.with_loops = torch.cat([edge_index, loops], dim=1)
        self.inputs: dict[str, Tensor] = {}
        # What each GCNConv is to take for its own cached normalisation, self loops last.
        self.norms: dict[GCNConv, tuple[Tensor, Tensor]] = {}

    @classmethod
    def copies(cls, network: Network, fields: Fields, count: int) -> _Blocks:
        """The fields ``count`` times."""
        blocks = cls(network, _repeat(fields, count), count * len(fields.n_id))
        for name, value in network.inputs.items():
            blocks.inputs[name] = value[fields.e_id].repeat(count, *[1] * (value.dim() - 1))
        for layer in filter(is_normalised, network.layers):
            edges, loops = network.norm(layer)
            loops = loops[fields.n_id] if len(loops) else loops
            blocks.set_norm(layer, edges[fields.e_id].repeat(count), loops.repeat(count))
        blocks.set_batch(fields, count)
        return blocks

    @classmethod
    def reduced(cls, network: Network, fields: Fields, kept: Tensor, *, alone: bool) -> _Blocks:
        """The fields once for each row of ``kept`` [B, e], with these edges; see ``delete``."""
        count, n = len(kept), len(fields.n_id)
        flat = kept.flatten()
        everywhere = _repeat(fields, count)
        blocks = cls(network, everywhere[:, flat], count * n)
        for name, value in network.inputs.items():
            blocks.inputs[name] = value[fields.e_id].repeat(count, *[1] * (value.dim() - 1))[flat]
        for layer in filter(is_normalised, network.layers):
            edges, loops = reduced_norm(network, fields, layer, kept, alone=alone)
            blocks.set_norm(layer, edges.flatten()[flat], loops.flatten())
        blocks.set_batch(fields, count)
        return blocks

    def set_batch(self, fields: Fields, count: int) -> None:
        """Tells a model that asks for it that every field is a graph by itself."""
        if self.network.batch is not None:
            shift = torch.arange(count, device=fields.n_id.device) * len(fields)
            self.inputs["batch"] = (fields.node_field + shift[:, None]).flatten()

    def set_norm(self, layer: GCNConv, edges: Tensor, loops: Tensor) -> None:
        """Gives a layer its normalised weights."""
        edge_index = self.with_loops if len(loops) else self.edge_index
        self.norms[layer] = edge_index, torch.cat([edges, loops])

    def run(self, x: Tensor, edge_mask: Tensor | None) -> Tensor:
        """The output [n, C] for features [n, F] and, if not None, a mask over the edges [e]."""
        if edge_mask is not None:
            with_loops = torch.cat([edge_mask, self.ones])
        for layer in self.network.layers:
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
            return self.network.model(x, self.edge_index, **self.inputs)
        finally:
            for layer in self.network.layers:
                layer._edge_mask = None
                layer.explain = None if layer.explain else layer.explain
            for layer in self.norms:
                layer._cached_edge_index = None


def reduced_norm(
    network: Network, fields: Fields, layer: GCNConv, kept: Tensor, *, alone: bool
) -> tuple[Tensor, Tensor]:
    """A GCNConv's norm if only ``kept`` [B, e] is left: of edges [B, e], of loops [B, n] or [0]."""
    edges, loops = network.weights(layer)
    weight = edges[fields.e_id] * kept
    loops = loops[fields.n_id] if len(loops) else loops
    degree = loops if len(loops) else weight.new_zeros(len(fields.n_id))
    if not alone:
        # Of nodes on the border only the degree is known here, not the edges.
        degree = torch.where(fields.border, network.degree(layer)[fields.n_id], degree)
    degree = degree.repeat(len(kept), 1).index_add_(1, fields.edge_index[1], weight)
    return normalise(weight, loops, fields.edge_index, degree)


def _repeat(fields: Fields, count: int) -> Tensor:
    """The edges of the fields, ``count`` times, each time with nodes of its own."""
    shift = torch.arange(count, device=fields.n_id.device) * len(fields.n_id)
    return (fields.edge_index[:, None] + shift[:, None]).flatten(1)


def problems(
    network: Network,
    nodes: Tensor,
    targets: Tensor,
    memory_budget: int,
    copies: int = 1,
    most: int | None = None,
) -> Iterator[BatchedProblem]:
    """Problems of as many nodes as fit into the budget ``copies`` times, and at most ``most``."""
    costs = network.field_bytes[nodes.cpu()] * copies
    for group in groups(costs, memory_budget, most):
        fields = network.cut(nodes[group])
        yield BatchedProblem(network, fields, nodes[group], targets[group], memory_budget)


_REFUSALS: weakref.WeakKeyDictionary[Network, str | None] = weakref.WeakKeyDictionary()
CHECKED_NODES = 8


def refusal(network: Network) -> str | None:
    """Why the engine cannot explain this model on this graph, or None if it can.

    A layer that looks beyond the messages it gets (normalisation over all nodes, degrees, global
    pooling) would compute something else on a cut graph. So predictions on fields are compared with
    those on the whole graph, for nodes from small fields to large ones; once.
    """
    if network not in _REFUSALS:
        _REFUSALS[network] = _check(network)
    return _REFUSALS[network]


def _check(network: Network) -> str | None:
    nodes = sample(network)
    fields = network.cut(nodes)
    problem = BatchedProblem(network, fields, nodes, torch.zeros_like(nodes), memory_budget=1)
    try:
        with torch.no_grad(), torch.inference_mode(False):
            output = problem.predict(problem.x.expand(2, -1, -1), problem.edge_mask.expand(2, -1))
    except Exception as error:
        return f"its layers fail on a cut graph ({type(error).__name__}: {error})"
    expected = network.output[nodes]
    if not alike(output, expected):
        wrong = float((output - expected).abs().max())
        whole = "in the batch" if network.level == "graph" else "on the whole graph"
        return (
            f"its predictions on receptive fields differ from those {whole} by {wrong:.1e}: some "
            "layer depends on more than the messages into each node"
        )
    return None


def sample(network: Network) -> Tensor:
    """A few nodes, from small receptive fields to large ones.

    Up to the 90th percentile: hubs would make a check dear, and show nothing that others do not.
    """
    order = network.field_bytes.argsort()
    chosen = torch.linspace(0, 0.9 * (len(order) - 1), min(CHECKED_NODES, len(order))).long()
    return order[chosen].unique().to(network.x.device)
