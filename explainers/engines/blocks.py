"""Some computation graphs, side by side as often as wanted, as one graph; and the model on it."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from explainers.engines.base import NotTheModel
from explainers.engines.memory import is_out_of_memory
from explainers.prepare.computation_graph import ComputationGraphs, LinkGraphs
from explainers.prepare.layers import edge_type, normalise
from explainers.prepare.model import PreparedModel


class Blocks:
    """Some computation graphs, side by side as often as wanted, as one graph; and the model on it.

    Attributes:
        edge_index: [2, e], the edges of all copies.
        num_nodes: The nodes of all copies.
        inputs: What the model takes by keyword.
        norms: Edges and norms that GCNConv layers, by number, take in the place of their own.
    """

    def __init__(self, prepared: PreparedModel, edge_index: Tensor, num_nodes: int) -> None:
        self.prepared, self.edge_index, self.num_nodes = prepared, edge_index, num_nodes
        self.inputs: dict[str, Tensor] = {}
        if prepared.links is not None:  # any, for what is read before the output
            self.inputs["edge_label_index"] = edge_index.new_zeros(2, 1)
        self.norms: dict[int, tuple[Tensor, Tensor]] = {}

    @classmethod
    def whole(cls, prepared: PreparedModel) -> Blocks:
        """The whole graph, or all graphs of a batch."""
        blocks = cls(prepared, prepared.edge_index, prepared.num_nodes)
        blocks.inputs = dict(prepared.keywords)
        for layer in prepared.normalised:
            blocks.set_norm(layer, *prepared.norm(layer))
        return blocks

    @classmethod
    def copies(cls, prepared: PreparedModel, graphs: ComputationGraphs, count: int) -> Blocks:
        """The computation graphs ``count`` times."""
        blocks = cls(prepared, _repeat(graphs, count), count * len(graphs.n_id))
        for name, value in prepared.inputs.items():
            blocks.inputs[name] = _copies(value[graphs.e_id], count)
        of_layer: dict[int, int] = {}
        for layer in prepared.normalised:
            edges, loops = prepared.norm(layer)
            first = of_layer.setdefault(id(edges), layer)
            if first != layer:  # equal norms are the same tensors
                blocks.norms[layer] = blocks.norms[first]
                continue
            loops = loops[graphs.n_id] if len(loops) else loops
            blocks.set_norm(layer, _copies(edges[graphs.e_id], count), _copies(loops, count))
        blocks.set_units(graphs, count)
        return blocks

    @classmethod
    def reduced(
        cls, prepared: PreparedModel, graphs: ComputationGraphs, kept: Tensor, *, alone: bool
    ) -> Blocks:
        """The graphs once for each row of ``kept`` [B, e], with these edges; see ``delete``."""
        count, n = len(kept), len(graphs.n_id)
        flat = kept.flatten()
        everywhere = _repeat(graphs, count)
        blocks = cls(prepared, everywhere[:, flat], count * n)
        for name, value in prepared.inputs.items():
            blocks.inputs[name] = _copies(value[graphs.e_id], count)[flat]
        for layer in prepared.normalised:
            edges, loops = reduced_norm(prepared, graphs, layer, kept, alone=alone)
            blocks.set_norm(layer, edges.flatten()[flat], loops.flatten())
        blocks.set_units(graphs, count)
        return blocks

    def set_units(self, graphs: ComputationGraphs, count: int) -> None:
        """Tells a model that asks for it which nodes are a graph by themselves, or the links."""
        if isinstance(graphs, LinkGraphs):
            self.inputs["edge_label_index"] = graphs.links(count)
        if self.prepared.batch is not None and count == 1:
            self.inputs["batch"] = graphs.node_batch
        elif self.prepared.batch is not None:
            shift = torch.arange(count, device=graphs.n_id.device) * len(graphs)
            self.inputs["batch"] = (graphs.node_batch + shift[:, None]).flatten()

    def set_norm(self, layer: int, edges: Tensor, loops: Tensor) -> None:
        """Gives a layer its normalised weights."""
        self.norms[layer] = (
            self._with_loops if len(loops) else self.edge_index,
            torch.cat([edges, loops]),
        )

    @cached_property
    def _with_loops(self) -> Tensor:
        loops = torch.arange(self.num_nodes, device=self.edge_index.device).expand(2, -1)
        return torch.cat([self.edge_index, loops], dim=1)

    def run(self, x: Tensor, edge_mask: Tensor | None) -> Tensor:
        """The output [n, C] for features [n, F] and, if not None, a mask over the edges [e]."""
        prepared, norms, masks = self.prepared, self.norms, None
        if edge_mask is not None:
            by_edge = prepared.masks(
                edge_mask,
                self.edge_index,
                edge_type(self.inputs),
                self.num_nodes,
                has_loops=prepared.has_loops,
            )
            # A message is the norm times what is sent: the mask goes onto the smaller factor.
            norms = {}
            masked: dict[tuple[int, int], Tensor] = {}  # layers with the same norms share a product
            for number, (index, norm) in self.norms.items():
                if prepared.layers[number].explain is False:
                    norms[number] = index, norm
                    continue
                factor = by_edge(number, 0)
                key = id(norm), id(factor)
                if key not in masked:
                    # Some loops may be left out, of nodes whose result nobody reads.
                    fits = len(factor) == len(norm)
                    masked[key] = norm * (factor if fits else factor[: len(norm)])
                norms[number] = index, masked[key]

            def masks(layer: int, call: int) -> Tensor | None:
                return None if layer in self.norms else by_edge(layer, call)

        try:
            with prepared.borrowed() as copy:
                return copy.run(x, self.edge_index, self.inputs, masks, norms)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise NotTheModel(
                f"its layers fail on a cut graph ({type(error).__name__}: {error})"
            ) from error


def reduced_norm(
    prepared: PreparedModel, graphs: ComputationGraphs, layer: int, kept: Tensor, *, alone: bool
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


def _copies(value: Tensor, count: int) -> Tensor:
    """``value`` [e, ...] so often after itself; once is itself, which saves one node's time."""
    return value if count == 1 else value.repeat(count, *[1] * (value.dim() - 1))


def _repeat(graphs: ComputationGraphs, count: int) -> Tensor:
    """The edges of the computation graphs, ``count`` times, each time with nodes of its own."""
    if count == 1:
        return graphs.edge_index
    shift = torch.arange(count, device=graphs.n_id.device) * len(graphs.n_id)
    return (graphs.edge_index[:, None] + shift[:, None]).flatten(1)
