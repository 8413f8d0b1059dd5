"""Computation graphs instead of the whole graph, and many of them side by side in one pass.

Any homogeneous message-passing model. The computation graphs of R nodes, and B variants of each,
are one block-diagonal graph; whatever the layers compute, blocks do not touch. Two things keep a
cut graph equal to the whole one: every node that is not on the border has all its incoming edges,
and a GCNConv, whose normalisation needs the degrees of the border too, is given that of the whole
graph. Whether it is equal is verified for every node that is explained: its output at the full
input, which most methods compute anyway, must be that of the whole graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor

from explainers.engines.base import Engine, NotTheModel, Problem, groups
from explainers.engines.memory import is_out_of_memory
from explainers.engines.objective import Losses, Objective
from explainers.engines.recorded import RecordedObjective
from explainers.engines.stock import StockProblem
from explainers.prepare.computation_graph import ComputationGraphs, LinkGraphs, cut
from explainers.prepare.layers import edge_type, normalise
from explainers.prepare.model import PreparedModel

RECORDED = 1  # budgets that a pass may take if it is recorded: how much it takes is not known well


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
        self._blocks: dict[int, Blocks] = {}

    @cached_property
    def x(self) -> Tensor:
        return self.prepared.x.index_select(0, self.graphs.n_id)

    @cached_property
    def edge_mask(self) -> Tensor:
        return self.prepared.output.new_ones(len(self.graphs.e_id))

    def predict(self, x: Tensor, edge_mask: Tensor) -> Tensor:
        count = len(x)
        if count not in self._blocks:
            self._blocks[count] = Blocks.copies(self.prepared, self.graphs, count)
        output = self._blocks[count].run(x.flatten(0, 1), edge_mask.flatten())
        return self._explained(output, count)

    def check(self, output: Tensor) -> None:
        if self.verified:
            return
        if wrong := self.prepared.differs(output, self.nodes):
            whole = "in the batch" if self.prepared.task_level == "graph" else "on the whole graph"
            raise NotTheModel(
                f"its predictions on computation graphs differ from those {whole} by {wrong}: some "
                "layer depends on more than the messages into each node"
            )
        self.verified = True

    def objective(self, losses: Losses, calls: int) -> Objective:
        """As the base class says; what is done each time is recorded once.

        Not of a node that takes more than the budget: what is recorded is kept meanwhile.
        """
        record = calls > 2 and self.bytes_per_variant <= RECORDED * self.memory_budget
        return (RecordedObjective if record else Objective)(self, losses)

    def deleted_outputs(self, kept: Tensor, *, alone: bool) -> Tensor:
        if not self.prepared.weights_known:
            return self._deleted_from_the_whole(kept, alone=alone)
        blocks = Blocks.reduced(self.prepared, self.graphs, kept, alone=alone)
        output = blocks.run(self.x.repeat(len(kept), 1), None)
        return self._explained(output, len(kept))

    def _deleted_from_the_whole(self, kept: Tensor, *, alone: bool) -> Tensor:
        """On the graph as it was given: what makes the weights may ask for all of their edges."""
        outputs = []
        parts = kept.split(self.graphs.edge_counts, dim=1)
        for unit, target, part in zip(
            self.nodes.split(1), self.targets.split(1), parts, strict=True
        ):
            whole = StockProblem(self.prepared, unit, target, self.memory_budget)
            outputs.append(whole.deleted_outputs(part, alone=alone))
        return torch.cat(outputs, dim=1)

    def outputs_around(self, x: Tensor) -> Tensor:
        prepared, own = self.prepared, self.graphs
        # What all nodes within L hops see is what the root would see in a network of 2 L layers.
        around = cut(prepared.index, self.nodes, 2 * prepared.hops)
        place = torch.searchsorted(around.n_id, own.n_id)
        larger = len(around.n_id) / len(own.n_id)
        outputs = []
        for some in x.split(max(1, int(self.copies / larger))):
            features = prepared.x[around.n_id].repeat(len(some), 1, 1)
            features[:, place] = some
            blocks = Blocks.copies(prepared, around, len(some))
            output = blocks.run(features.flatten(0, 1), None)
            outputs.append(output.view(len(some), len(around.n_id), -1)[:, place])
        return torch.cat(outputs)

    def _explained(self, output: Tensor, count: int) -> Tensor:
        """The rows [B, R, C] that are explained, of the model's output on ``count`` variants."""
        output = output.view(count, len(output) // count, -1)
        if self.prepared.task_level == "graph":  # it returns no others
            return output
        return output.index_select(1, self.graphs.rows)

    @cached_property
    def bytes_per_variant(self) -> float:
        """Roughly what one variant of all inputs takes in a pass."""
        return float(self.prepared.bytes_per_unit[self.nodes.cpu()].sum())

    @property
    def copies(self) -> int:
        return max(1, int(self.memory_budget / self.bytes_per_variant))

    @property
    def node_batch(self) -> Tensor:
        return self.graphs.node_batch

    @property
    def edge_batch(self) -> Tensor:
        return self.graphs.edge_batch


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


class Batched(Engine):
    """Computation graphs in place of the whole graph, many in a pass."""

    name = "batched"
    explains_forms = True

    def problems(
        self,
        prepared: PreparedModel,
        nodes: Tensor,
        targets: Tensor,
        memory_budget: int,
        copies: int = 1,
        most: int | None = None,
    ) -> Iterator[BatchedProblem]:
        """Problems of as many nodes as fit into the budget ``copies`` times."""
        if len(nodes) == 1:
            yield BatchedProblem(prepared, prepared.cut(nodes), nodes, targets, memory_budget)
            return
        costs = prepared.bytes_per_unit[nodes.cpu()] * copies
        for group in groups(costs, memory_budget, most):
            graphs = prepared.cut(nodes[group])
            yield BatchedProblem(prepared, graphs, nodes[group], targets[group], memory_budget)

    def refusal(self, prepared: PreparedModel) -> str | None:
        """Why the engine cannot explain this model on this graph, or None if it can.

        What a layer computes on a cut graph may be something else (degrees of the border, for one):
        predictions on computation graphs are compared with those on the whole graph, here for
        a few nodes, once, and again for whichever nodes are explained.
        """
        key = "batched: refusal"
        return prepared.memo(
            key, lambda: prepared.memo(key, lambda: _refusal(prepared), of_graph=True)
        )


def _refusal(prepared: PreparedModel) -> str | None:
    if prepared.beyond:
        return prepared.beyond
    if prepared.trial.learned_weights:
        return "the edge weights of a GCNConv depend on the features"
    if prepared.uneven_layer is not None:
        return f"{type(prepared.uneven_layer).__name__} is called twice with different weights"
    if any(one.order or one.reverse for turns in prepared.maps for one in turns):
        return "it changes the order of its edges"
    nodes = sample(prepared)
    if not len(nodes):
        return None
    problem = BatchedProblem(
        prepared, prepared.cut(nodes), nodes, torch.zeros_like(nodes), memory_budget=1
    )
    try:
        problem.verify()
    except NotTheModel as error:
        return str(error)
    return None


CHECKED_NODES, CHECKED_BYTES = 4, 32 * 2**20


def sample(prepared: PreparedModel) -> Tensor:
    """A few nodes, from small computation graphs to large ones, whose passes cost little; or none.

    Those that are explained are checked when they are; a sample only has to say so early.
    """
    order = prepared.bytes_per_unit.argsort()
    affordable = int((prepared.bytes_per_unit <= CHECKED_BYTES / CHECKED_NODES).sum())
    chosen = torch.linspace(0, affordable - 1, min(CHECKED_NODES, affordable)).long()
    return order[chosen].unique().to(prepared.x.device)
