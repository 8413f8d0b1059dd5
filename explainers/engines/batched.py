"""Computation graphs instead of the whole graph, and many of them side by side in one pass.

Any homogeneous message-passing model. The computation graphs of R nodes, and B variants of each,
are one block-diagonal graph; whatever the layers compute, blocks do not touch. Two things keep a
cut graph equal to the whole one: every node that is not on the border has all its incoming edges,
and a GCNConv, whose normalisation needs the degrees of the border too, is given that of the whole
graph. Whether it is equal is verified for every node that is explained: its output at the full
input, which most methods compute anyway, must be that of the whole graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from explainers.engines.base import Engine, NotTheModel, Problem, groups
from explainers.engines.blocks import Blocks
from explainers.engines.inner import Inner, kinds
from explainers.engines.objective import Losses, Objective
from explainers.engines.recorded import RecordedObjective
from explainers.engines.stock import StockProblem
from explainers.prepare.computation_graph import ComputationGraphs, cut
from explainers.prepare.csr import expand
from explainers.prepare.model import PreparedModel
from explainers.prepare.outputs import alike

WAY = "batched: messages as sums"
# Edges of all variants from which on it pays to sum messages at once: with few rows, and with all.
LEAST_EDGES = {True: 2_500, False: 10_000}
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
        self._inner: dict[int, Inner] = {}

    @cached_property
    def x(self) -> Tensor:
        return self.prepared.x.index_select(0, self.graphs.n_id)

    @cached_property
    def edge_mask(self) -> Tensor:
        return self.prepared.output.new_ones(len(self.graphs.e_id))

    def predict(self, x: Tensor, edge_mask: Tensor) -> Tensor:
        several = len(x) > 1 and edge_mask.numel() >= LEAST_EDGES[True]
        if several and x.device.type == "cpu":  # what pays elsewhere has not been measured
            way = self.prepared.memo(WAY, lambda: _way(self.prepared), of_graph=True)
            if way is not None and edge_mask.numel() >= LEAST_EDGES[way.few]:
                try:
                    return self.predict_by_sums(x, edge_mask, way)
                except NotTheModel:  # other nodes show what those that were tried did not
                    self.prepared.replace(WAY, None, of_graph=True)
        return self.predict_by_layers(x, edge_mask)

    def predict_by_sums(self, x: Tensor, edge_mask: Tensor, way: Way) -> Tensor:
        """As :meth:`predict`, with the messages of layers summed at once; see :class:`Inner`."""
        count = len(x)
        if count not in self._inner:
            self._inner[count] = Inner(
                self.prepared, self.graphs, self._receiving, count, way.fused, few=way.few
            )
        inner = self._inner[count]
        with self.prepared.borrowed() as copy, inner.sparse(copy):
            output = inner.blocks.run(x.flatten(0, 1), edge_mask.flatten())
        return inner.explained(output)

    @cached_property
    def _receiving(self) -> Tensor:
        """The nodes of which all incoming edges are in the computation graphs, as positions."""
        number = torch.arange(len(self.graphs.n_id), device=self.nodes.device)
        if self.prepared.task_level == "graph":
            return number
        (source, target), near = self.graphs.edge_index, torch.zeros_like(number)
        near[self.graphs.roots.flatten()] = 1
        for _ in range(self.prepared.hops - 1):
            near = near.index_add(0, source, near.index_select(0, target)).clamp_(max=1)
        return near.nonzero().view(-1)

    def predict_by_layers(self, x: Tensor, edge_mask: Tensor) -> Tensor:
        """As :meth:`predict`, by the layers as they are."""
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


@dataclass(frozen=True)
class Way:
    """How the messages of a model's layers are summed at once; see :class:`Inner`.

    Attributes:
        fused: The layers of which they are, by number; see :func:`kinds`.
        few: Whether only rows that receive messages are handed on from layer to layer.
    """

    fused: dict[int, str]
    few: bool


def _way(prepared: PreparedModel) -> Way | None:
    """The quickest that gives the model's outputs and gradients, at inputs drawn at random."""
    x = prepared.x
    if prepared.half_precision or not prepared.trial.features or prepared.trial.error:
        return None
    generator = torch.Generator().manual_seed(0)

    def drawn(like: Tensor, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=like.dtype).to(like)

    nodes = sample(prepared)
    if not len(nodes):  # the smallest: larger ones are going to be explained
        nodes = prepared.bytes_per_unit.argmin().view(1).to(x.device)
    problem = BatchedProblem(prepared, prepared.cut(nodes), nodes, nodes * 0, memory_budget=1)
    scale = 2 * float(x.abs().max()) or 1.0
    with torch.no_grad():
        everywhere = (drawn(x, *x.shape) - 0.5) * scale
        edges = drawn(prepared.output, prepared.edge_index.size(1))
        try:
            _, fused = kinds(prepared, Blocks.whole(prepared), everywhere, edges)
        except NotTheModel:
            return None
    sending = {number for number, turns in enumerate(prepared.maps) if turns}
    few = prepared.task_level != "graph" and sending <= fused.keys()
    features = (drawn(x, 2, *problem.x.shape) - 0.5) * scale
    mask = drawn(problem.edge_mask, 2, len(problem.edge_mask))

    def found(predict: Callable[[Tensor, Tensor], Tensor]) -> list[Tensor]:
        leaves = [one.clone().requires_grad_() for one in (features, mask)]
        with torch.inference_mode(False), torch.enable_grad():
            output = predict(*leaves)
            by_inputs = torch.autograd.grad(output.sum(), leaves, materialize_grads=True)
        return [one.detach().flatten(1) for one in (output, *by_inputs)]

    expected = found(problem.predict_by_layers) if fused else []
    for one in sorted({few, False}, reverse=True) if fused else ():
        way, problem._inner = Way(fused, one), {}
        try:
            mine = found(partial(problem.predict_by_sums, way=way))
        except NotTheModel:  # layers may be joined by their rows: residuals, jumping knowledge
            continue
        if all(map(alike, mine, expected)):
            return way
    return None


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
FEW, SEED = 8, 0  # edges into a node, of a part of the graph on which gradients are compared


def sample(prepared: PreparedModel) -> Tensor:
    """A few nodes, from small computation graphs to large ones, whose passes cost little; or none.

    Those that are explained are checked when they are; a sample only has to say so early.
    """
    order = prepared.bytes_per_unit.argsort()
    affordable = int((prepared.bytes_per_unit <= CHECKED_BYTES / CHECKED_NODES).sum())
    chosen = torch.linspace(0, affordable - 1, min(CHECKED_NODES, affordable)).long()
    return order[chosen].unique().to(prepared.x.device)


def some_edges(prepared: PreparedModel) -> Tensor:
    """Some edges, as ids in the graph as given: a few into each node on the way to one."""
    index, found = prepared.index, []
    generator = torch.Generator().manual_seed(SEED)
    if prepared.task_level == "node":
        alone = (index.indptr.diff() == 0).cpu()
        nodes = prepared.bytes_per_unit.masked_fill(alone, torch.inf).argmin().view(1)
        nodes = nodes.to(prepared.x.device)
    else:
        nodes = prepared.edge_index[1, :1]
    for _ in range(prepared.hops):
        ptr, position, which = expand(index.indptr, nodes)
        chance = torch.rand(len(position), generator=generator).to(position.device)
        order = (which + chance.double()).argsort()
        rank = torch.arange(len(order), device=order.device) - ptr[which]
        position = position[order[rank < FEW]]
        found.append(index.edge[position])
        nodes = index.source[position].unique()
    edges = torch.cat(found).unique()
    return edges if prepared.e_id is None else prepared.e_id[edges]
