"""Gradients along the path, with the first message passing taken out of it.

On the path features are a x and the mask is a, and the value behind the first message passing is

    P_u(a) = a^2 A_u + a S_u + b_u,     A_u = sum over edges w -> u of n_wu W x_w,

with A and S the graph's own (:class:`~explainers.engines.hoisted.first.FirstHop`). A model of L
message-passing steps is then a function of the P_u(a) of its inner nodes, those within L - 1 hops,
and of the a of the edges among them: the user's own code, differentiated on that smaller graph.
With F the explained output and weights w of the points,

    G_u = sum over points of w a dF/dP_u,     K_u = sum over points of w dF/dP_u,
    edge w -> u:     n_wu <W x_w, G_u>, and what later layers give it;
    features of w:   x_w (sum over edges w -> u of n_wu W' G_u, and (l_w W' + R') K_w).

The steps are summed before any edge of the widest hop is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from explainers.engines.analytic.params import products, weighted_sums
from explainers.engines.base import Attribution, Finish, NotTheModel, groups
from explainers.engines.batched import BatchedProblem
from explainers.engines.closing import feature_scores
from explainers.engines.hoisted.first import FirstHop
from explainers.engines.hoisted.point import replaced
from explainers.engines.hoisted.rest import InnerGradients, inner_graphs
from explainers.engines.hoisted.ways import WAYS, ways
from explainers.engines.hoisted.widest import Widest
from explainers.engines.inner import Inner, tiled
from explainers.engines.objective import Losses, Objective
from explainers.engines.recorded import RecordedObjective
from explainers.prepare.computation_graph import ComputationGraphs, Reach
from explainers.prepare.model import PreparedModel

EDGE_BYTES = 64  # of an edge of the widest hop in a pass, as VARIANT numbers for a node
VARIANT = 4
# Numbers of features, values and messages, in all variants of a pass, from which on it is quicker
# in two parts than by the model as it is; of recorded passes, which do not run the model's code.
LEAST_NUMBERS, LEAST_RECORDED = 150_000, 30_000
PASS_BYTES = 64 * 2**20  # on a CPU: larger passes take longer for memory that is new to the process


def variant_bytes(prepared: PreparedModel, first: FirstHop) -> int:
    """Roughly what a node takes in a pass of one variant that lies on no path."""
    columns = first.y.size(1) + prepared.x.size(1) * (first.weight is not None)
    return VARIANT * columns * prepared.x.element_size()


class HoistedProblem(BatchedProblem):
    """R computation graphs, of which the rest of the model sees the inner nodes only.

    Attributes:
        first: The first message passing.
        found: The computation graphs, of P inner nodes.
    """

    def __init__(
        self,
        prepared: PreparedModel,
        first: FirstHop,
        found: Reach,
        nodes: Tensor,
        targets: Tensor,
        memory_budget: int,
    ) -> None:
        super().__init__(prepared, found.graphs, nodes, targets, memory_budget)
        self.first, self.found = first, found
        self._recorded = False

    @cached_property
    def _rest_graphs(self) -> tuple[ComputationGraphs, Tensor]:
        return inner_graphs(self.prepared, self.nodes, self.found)

    @property
    def inner(self) -> ComputationGraphs:
        """The computation graphs of the rest of the model: the inner nodes and i edges."""
        return self._rest_graphs[0]

    @property
    def receiving(self) -> Tensor:
        """Positions of the inner nodes of which all incoming edges are in ``inner``."""
        return self._rest_graphs[1]

    def in_one_part(self, variants: int) -> bool:
        """Whether so many variants take less time by the model as it is, in one part."""
        nodes, edges = len(self.graphs.n_id), len(self.graphs.e_id)
        columns = self.first.y.size(1)
        numbers = nodes * (self.prepared.x.size(1) + columns) + edges * columns
        return variants * numbers <= (LEAST_RECORDED if self._recorded else LEAST_NUMBERS)

    @property
    def x(self) -> Tensor:
        """See the base class; gathered anew, as it is read once, if at all."""
        return self.prepared.x.index_select(0, self.graphs.n_id)

    @cached_property
    def norm(self) -> Tensor:
        """The first layer's weights of the edges as they are found, [e]."""
        return self.first.norm.index_select(0, self.found.position)

    @cached_property
    def inner_edges(self) -> Tensor:
        """Where the inner graphs' edges are among those of the computation graphs, [i]."""
        if self.inner.e_id is self.graphs.e_id:
            return torch.arange(len(self.graphs.e_id), device=self.nodes.device)
        edges = self.prepared.edge_index.size(1)
        every = self.graphs.edge_batch * edges + self.graphs.e_id
        return torch.searchsorted(every, self.inner.edge_batch * edges + self.inner.e_id)

    @cached_property
    def inner_x(self) -> Tensor:
        """The features of the inner nodes, [P, F]; nothing is in them if they are not read."""
        x = self.prepared.x
        if self.first.reads_x:
            return x.index_select(0, self.inner.n_id)
        return x.new_zeros(()).expand(len(self.inner.n_id), x.size(1))

    @cached_property
    def bytes_per_variant(self) -> float:
        """As the base class says; of points of a path more go into a pass."""
        each, graphs = variant_bytes(self.prepared, self.first), self.graphs
        return len(graphs.n_id) * each + len(graphs.e_id) * EDGE_BYTES + self._bytes_of_rest

    @property
    def copies(self) -> int:
        """As the base class says, beside the answer and the explanations' own copies of it."""
        x = self.prepared.x
        answers = 2 * len(self.graphs.n_id) * x.size(1) * x.element_size()
        room = self.memory_budget - answers
        if x.device.type == "cpu":
            room = min(room, PASS_BYTES)
        return max(1, int(room / self.bytes_per_variant))

    @property
    def points_at_once(self) -> int:
        """Points of a path in a pass of the rest."""
        return max(1, int(self.memory_budget // self._bytes_of_rest))

    @cached_property
    def _bytes_of_rest(self) -> float:
        """Roughly what one pass of the rest takes."""
        prepared = self.prepared
        features = 4 * prepared.x.size(1) * prepared.x.element_size()
        each = prepared.bytes_per_edge - features * (not self.first.reads_x)
        pairs = len(self.found.inner)
        # Layers whose messages are summed at once keep nothing for an edge.
        if ways(prepared, self.first).few:
            return pairs * (each / 2 + 64)
        return each * (pairs + len(self.inner.e_id))

    def rest(self, value: Tensor, edge_mask: Tensor, x: Tensor) -> Tensor:
        """What the rest of the model makes of values [B, P, H]: its outputs [B, R, C].

        Args:
            value: At the inner nodes.
            edge_mask: [B, i], of the inner graphs' edges.
            x: [B, P, F], their features.
        """
        try:
            return self._rest(value, edge_mask, x)
        except NotTheModel as error:
            # Layers may be joined by their rows (residuals, jumping knowledge): then all are kept.
            now = ways(self.prepared, self.first)
            other = (
                replace(now, clone=True) if "in-place" in str(error) else replace(now, few=False)
            )
            if other == now:
                raise
            self.prepared.replace(WAYS, other, of_graph=True)
            self._inner = {}
        return self.rest(value, edge_mask, x)

    def _rest(self, value: Tensor, edge_mask: Tensor, x: Tensor) -> Tensor:
        count, point, way = len(value), self.first.point, ways(self.prepared, self.first)
        if count not in self._inner:
            self._inner[count] = Inner(
                self.prepared,
                self.inner,
                self.receiving,
                count,
                self.first.fused,
                few=way.few,
            )
        inner = self._inner[count]
        value = value.flatten(0, 1)
        value = value.clone() if way.clone else value
        with self.prepared.borrowed() as copy, replaced(copy, point, value), inner.sparse(copy):
            output = inner.blocks.run(x.flatten(0, 1), edge_mask.flatten())
        return inner.explained(output)

    def verify(self) -> None:
        if self.in_one_part(1):
            super().verify()
        elif not self.verified:
            with torch.no_grad():
                one = self.edge_mask.new_ones(1)
                self.check(self.rest(*self._inner_at(one, one))[0])

    def _inner_at(self, alpha: Tensor, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the rest takes where features are ``alpha`` x and the mask ``beta``, both [S]."""
        value = self.first.value(self.found.inner_id, alpha, beta)
        mask = beta[:, None].repeat(1, len(self.inner.e_id))
        x = self.inner_x.expand(len(alpha), -1, -1)
        return value, mask, alpha[:, None, None] * x if self.first.reads_x else x

    @cached_property
    def widest(self) -> Widest:
        """The first message passing at other inputs than those of a path."""
        return Widest(self.first, self.found, self.norm)

    def predict(self, x: Tensor, edge_mask: Tensor) -> Tensor:
        if self.in_one_part(len(x)):
            return super().predict(x, edge_mask)
        inner = self.found.inner
        read = x if len(inner) == x.size(1) else x.index_select(1, inner)
        value = self.widest.value(x, edge_mask, read)
        read = read if self.first.reads_x else self.inner_x.expand(len(x), -1, -1)
        return self.rest(value, edge_mask[:, self.inner_edges], read)

    def masked_outputs(self, kept: Tensor, nodes: Tensor | None = None) -> Tensor:
        """As the base class says; features are transformed once for the graph, and not again."""
        first, inner, count = self.first, self.found.inner, len(kept)
        if self.in_one_part(count):
            return super().masked_outputs(kept, nodes)
        kept = kept.to(self.edge_mask)
        sent = first.y.index_select(0, self.graphs.n_id)
        own = first.s.index_select(0, self.found.inner_id)
        read = self.inner_x.expand(count, -1, -1)
        order, one = self.widest.order, self.widest.order.source
        if nodes is None:
            source = one.repeat(count)
        else:
            source, nodes = tiled(one, len(sent), count), nodes.to(sent)
            sent = (nodes[..., None] * sent).flatten(0, 1)
            own = nodes[:, inner, None] * own
            if first.reads_x:
                read = nodes[:, inner, None] * read
        if first.constant is not None:
            sent = sent + first.constant
        weights = (self.widest.norm * kept).index_select(1, order.order).flatten()
        ptr = torch.cat([tiled(order.ptr[:-1], len(one), count), one.new_full((1,), len(source))])
        value = weighted_sums(ptr, source, weights, sent).view(count, len(inner), -1)
        value = value + own + self.widest.constant
        return self.rest(value, kept[:, self.inner_edges], read)

    def objective(self, losses: Losses, calls: int) -> Objective:
        objective = super().objective(losses, calls)
        self._recorded = isinstance(objective, RecordedObjective)
        return objective

    def deleted_outputs(self, kept: Tensor, *, alone: bool) -> Tensor:
        """By whole computation graphs, as weights change with the degrees; as many as fit."""
        prepared, parts = self.prepared, kept.split(self.graphs.edge_counts, dim=1)
        costs = prepared.bytes_per_unit[self.nodes.cpu()]
        outputs = []
        for group in groups(costs, self.memory_budget):
            nodes, some = self.nodes[group], torch.cat(parts[group], dim=1)
            graphs = prepared.cut(nodes)
            whole = BatchedProblem(prepared, graphs, nodes, self.targets[group], self.memory_budget)
            found = [whole.deleted_outputs(one, alone=alone) for one in some.split(whole.copies)]
            outputs.append(torch.cat(found))
        return torch.cat(outputs, dim=1)

    def path_gradients(
        self,
        points: Sequence[float],
        weights: Sequence[float],
        finish: Finish,
        *,
        batch_size: int | None = None,
        complete: bool = False,
    ) -> Attribution:
        if self.in_one_part(len(points) + 2 * complete):
            return super().path_gradients(
                points, weights, finish, batch_size=batch_size, complete=complete
            )
        sums = self.inner_gradients(points, weights, batch_size=batch_size, complete=complete)
        by_edge = self._edge_gradients(sums) if self.with_edges else self.edge_mask * 0
        features = self.with_features
        node_mask = self._feature_scores(sums, finish) if features else self.no_features()
        edge_mask = torch.empty_like(by_edge[:, None])
        finish(by_edge[:, None], torch.ones_like(edge_mask), edge_mask)
        attribution = Attribution(node_mask, edge_mask[:, 0])
        if sums.change is not None:
            missing = self.total(attribution) - sums.change
            attribution.extra["convergence_delta"] = missing
        return attribution

    def inner_gradients(
        self,
        points: Sequence[float],
        weights: Sequence[float],
        *,
        batch_size: int | None = None,
        complete: bool = False,
    ) -> InnerGradients:
        """The rest of the model, differentiated at the points of the path and summed.

        Arguments as those of :meth:`path_gradients`.
        """
        one = self.edge_mask.new_ones
        a = self.edge_mask.new_tensor([*points, *(1.0, 0.0) * complete])
        # Rounded as Captum rounds them. Both ends of the path are in the same pass, without weight.
        share = torch.tensor([*weights, *(0.0, 0.0) * complete], dtype=torch.float32).to(a)
        ends = len(a) - 2
        full = ends if complete else len(points) - 1 if points[-1] == 1.0 else None
        # Shares of a point in the sums: 1, and its a, unless the only one is that of the gradient.
        several = len(a) > 1 or float(a[0]) != 1.0
        by_value: Tensor | None = None
        by_mask, by_x = self.edge_mask.new_zeros(len(self.inner.e_id)), None
        outputs = []
        size = batch_size or self.points_at_once
        for place, w in zip(
            torch.arange(len(a), device=a.device).split(size), share.split(size), strict=True
        ):
            s = a[place]
            alpha = s if self.with_features else one(len(s))
            beta = s if self.with_edges else one(len(s))
            value, mask, x = self._inner_at(alpha, beta)
            wanted = [value.requires_grad_()]
            if self.with_edges and mask.size(1):
                wanted.append(mask.requires_grad_())
            if self.with_features and self.first.reads_x:
                wanted.append(x.requires_grad_())
            predicted = self.rest(value, mask, x)
            output = self.explained(predicted)
            if full is not None and int(place[0]) <= full <= int(place[-1]):
                self.check(predicted[full - int(place[0])].detach())
            found = torch.autograd.grad((output * w[:, None]).sum(), wanted, materialize_grads=True)
            outputs.append(output.detach())
            gradient = found[0].flatten(1)
            shares = torch.stack([one(len(s)), s])
            if by_value is not None:
                by_value.addmm_(shares, gradient)
            else:
                by_value = shares @ gradient if several else gradient
            if mask.requires_grad:
                by_mask += found[1].sum(dim=0)
            if x.requires_grad:
                by_features = found[-1].sum(dim=0)
                by_x = by_features if by_x is None else by_x + by_features
            del found, gradient, value, mask, x, wanted, predicted, output  # before the next pass
        assert by_value is not None
        self._inner = {}  # what passes have in common is not needed any more
        every = torch.cat(outputs)
        change = every[ends] - every[ends + 1] if complete else None
        sums = by_value.view(len(by_value), len(self.inner.n_id), -1)
        plain, scaled = sums[0], sums[-1]
        by_edges = scaled if self.with_features else plain
        by_features = scaled if self.with_edges else plain
        return InnerGradients(by_edges, by_features, plain, by_mask, by_x, change)

    def _edge_gradients(self, sums: InnerGradients) -> Tensor:
        """The summed gradients by the edge mask, [e]."""
        found, first = self.found, self.first
        source = self.prepared.index.source.index_select(0, found.position)
        scores = products(found.ptr, source, sums.by_edges, first.y)
        if first.constant is not None:
            scores += (sums.plain @ first.constant).index_select(0, found.target)
        scores = scores.mul_(self.norm).index_select(0, found.order)
        return scores.index_add_(0, self.inner_edges, sums.mask)

    def _feature_scores(self, sums: InnerGradients, finish: Finish) -> Tensor:
        """Scores of the features, [n, F]."""
        found, first = self.found, self.first
        pairs, x = len(sums.plain), self.prepared.x
        rows = sums.plain.new_empty(2 * pairs, x.size(1))
        sent, own = rows.split(pairs)
        first.transposed(sums.by_features, out=sent)
        if first.loops is None:
            own.zero_()
        else:
            loops = first.loops.index_select(0, found.inner_id)
            first.transposed(loops[:, None] * sums.plain, out=own)
        if sums.x is not None:
            own += sums.x
        if first.root is not None:
            own.addmm_(sums.plain, first.root)
        ones = torch.ones_like(own[:, 0])
        return feature_scores(found, self.norm, ones, rows, x, finish)
