"""Integrated Gradients and plain gradients of one or two GCNConv layers, by their algebra.

Along the path both x and the edge mask are scaled by a; self loops are not masked. With Y = X W1,
the first layer's pre-activation at node u is

    P_u(a) = a^2 A_u + a S_u + b1,   A_u = sum over edges w -> u of n_wu Y_w,   S_u = n_uu Y_u,

so A and S are computed once, for every step and every explained node. With h = relu(P) and g_v(a)
the gradient of the explained output by the second layer's result at node v, let q_v = W2 g_v and

    B_k(v, u) = sum over steps of weight * a^k * q_v(a) * [P_u(a) > 0],
    G(v, u) = c_vu B_2 + l_vu B_1,     K(v, u) = c_vu B_1 + l_vu B_0,

where c_vu is the second layer's norm of the edges u -> v, and l_vu that of v's own loop if u is v.
Then, in the explanation of v,

    edge w -> u:      n_wu <Y_w, G(v, u)>, and into v also n'_wv sum of weight * <h_w(a), q_v(a)>,
    features of w:    x_w * (sum over edges w -> u of n_wu W1 G(v, u), and n_ww W1 K(v, w)).

The steps are summed before any edge is touched, and W1 is applied before any edge is touched: an
edge costs one inner product, and one row that is added to its source's.

With one layer, P_v(a) is the result itself: G(v, v) = sum of weight * a * g_v, K(v, v) = sum of
weight * g_v. With a third, the gradient at the first depends on v through every node between, and
no sum over the steps can be taken before the edges.

Points and weights of the quadrature are Captum's; the sums are those of the stock engine in
another order.
"""

# long: one derivation, whose parts are read together
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from explainers.engines import batched
from explainers.engines.analytic import coalitions
from explainers.engines.analytic.agreement import agrees
from explainers.engines.analytic.at_input import AtInput
from explainers.engines.analytic.params import GCNParameters, products, weighted_sums
from explainers.engines.analytic.path import HiddenPathCache
from explainers.engines.base import Attribution, Engine, Finish, groups
from explainers.engines.batched import BatchedProblem
from explainers.engines.blocks import reduced_norm
from explainers.engines.closing import feature_scores
from explainers.prepare.computation_graph import Reach, reach
from explainers.prepare.csr import expand, to_indptr
from explainers.prepare.layers import is_normalised
from explainers.prepare.model import PreparedModel
from explainers.prepare.outputs import alike

# What a problem's answer takes on a CPU, in bytes: in its caches it is written faster.
CACHED = 16 * 2**20


@dataclass(frozen=True)
class PathGradients:
    """Gradients of R nodes summed along the path, before any edge is touched.

    Attributes:
        g: [P, H], G of the inner nodes.
        k: [P, H], their K.
        last: [L], what the edges into the explained nodes get from the second layer; None with
            one.
    """

    g: Tensor
    k: Tensor
    last: Tensor | None


@dataclass(frozen=True)
class LastEdges:
    """The L edges into the explained nodes: those of the second layer that matter.

    Attributes:
        ptr: [R + 1]; the edges into explained node r are those from ``ptr[r]`` to ``ptr[r + 1]``.
        place: [L], their places among the edges as they are found.
        graph: [L].
        source: [L], the place of the source of each among the inner nodes.
    """

    ptr: Tensor
    place: Tensor
    graph: Tensor
    source: Tensor


class AnalyticProblem(BatchedProblem):
    """R computation graphs of a GCN of one or two layers."""

    def __init__(
        self,
        prepared: PreparedModel,
        found: Reach,
        nodes: Tensor,
        targets: Tensor,
        memory_budget: int,
        hidden_cache: HiddenPathCache | None = None,
    ) -> None:
        super().__init__(prepared, found.graphs, nodes, targets, memory_budget)
        self.params, self.found = gcn_parameters(prepared), found
        self._hidden_cache = hidden_cache

    @cached_property
    def last(self) -> LastEdges:
        """The edges into the explained nodes."""
        found, index = self.found, self.prepared.index
        if len(self.graphs) == 1 and found.own.device.type == "cpu":  # they lie side by side
            first, end = found.ptr[int(found.own) :][:2].tolist()
            place = torch.arange(first, end)
            source = index.source.index_select(0, found.position[first:end])
            source = torch.searchsorted(found.inner_id, source)
            return LastEdges(found.ptr.new_tensor([0, end - first]), place, place * 0, source)
        ptr, place, graph = expand(found.ptr, found.own)
        source = index.source.index_select(0, found.position.index_select(0, place))
        return LastEdges(ptr, place, graph, found.places(index, source, graph))

    @cached_property
    def hidden_cache(self) -> HiddenPathCache:
        """The inner nodes, each once."""
        if self._hidden_cache is not None:
            return self._hidden_cache
        alone = len(self.graphs) == 1
        nodes = self.found.inner_id if alone else self.found.inner_id.unique()
        return HiddenPathCache(self.params, nodes, alone=alone)

    @cached_property
    def which(self) -> Tensor:
        """The place in ``hidden_cache`` of each inner node, [P]."""
        if self.hidden_cache.alone:
            return torch.arange(len(self.found.inner), device=self.nodes.device)
        return torch.searchsorted(self.hidden_cache.nodes, self.found.inner_id)

    def read(self, places: Tensor) -> Tensor:
        """The places in ``hidden_cache`` of some inner nodes."""
        return places if self.hidden_cache.alone else self.which.index_select(0, places)

    @cached_property
    def last_read(self) -> Tensor:
        """The place in ``hidden_cache`` of the source of each edge into an explained node, [L]."""
        return self.read(self.last.source)

    @cached_property
    def norm(self) -> Tensor:
        """The first layer's norms of the edges as they are found, [e]."""
        return self.params.layers[0].norm.index_select(0, self.found.position)

    @cached_property
    def last_norm(self) -> Tensor:
        """The second layer's norms of the edges into the explained nodes, [L]."""
        edges = self.found.position.index_select(0, self.last.place)
        return self.params.layers[1].norm.index_select(0, edges)

    def result(self, alphas: Sequence[float]) -> Tensor:
        """The last layer's result z at the explained nodes along the path, [R, S, C]."""
        params, nodes = self.params, self.nodes
        layer = params.layers[-1]
        if len(params.layers) == 1:
            a = params.y.new_tensor(alphas)[:, None]
            squared, own = (t.index_select(0, nodes)[:, None] for t in (params.a, params.s))
            return layer.bias + a * own + a * a * squared
        path = self.hidden_cache.path(alphas)
        loops = layer.loops.index_select(0, nodes).view(-1, 1, 1)
        own = path.transformed.index_select(0, self.read(self.found.own))
        z = torch.addcmul(layer.bias, own, loops)
        sent = weighted_sums(
            self.last.ptr, self.last_read, self.last_norm, path.transformed.flatten(1)
        ).view_as(z)
        return z.addcmul_(sent, path.alphas[:, None])

    def path_sums(self, alphas: Sequence[float], weights: Sequence[float]) -> PathGradients:
        """Gradients summed along the path from 0.

        The points ``alphas`` are ascending and in [0, 1].
        """
        params, found = self.params, self.found
        if list(alphas) == list(weights) == [1.0]:
            return self.gradients_at_input()
        weight = torch.tensor(weights, dtype=torch.float32).to(params.y)  # rounded, as Captum does
        gradient = params.slope(self.result(alphas), self.targets) * weight[:, None]
        if len(params.layers) == 1:
            a = params.y.new_tensor(alphas)[:, None]
            return PathGradients((gradient * a).sum(dim=1), gradient.sum(dim=1), None)
        path, two, last = self.hidden_cache.path(alphas), params.layers[1], self.last
        q = gradient @ two.weight
        terms = q * path.alphas[:, None]
        b1, b2 = path.sums((terms, terms * path.alphas[:, None]), self.which, found.inner_batch)
        number = torch.arange(len(self.nodes), device=q.device)
        (b0,) = path.sums((q,), self.read(found.own), number)
        c = q.new_zeros(len(b1), 1).index_add_(0, last.source, self.last_norm[:, None])
        loops = two.loops.index_select(0, self.nodes)[:, None]
        g = (c * b2).index_add_(0, found.own, loops * b1.index_select(0, found.own))
        k = (c * b1).index_add_(0, found.own, loops * b0)
        along = products(last.ptr, self.last_read, gradient.flatten(1), path.transformed.flatten(1))
        return PathGradients(g, k, along * self.last_norm)

    def gradients_at_input(self) -> PathGradients:
        """The plain gradients: what :meth:`path_sums` gives for the single point 1."""
        params, found = self.params, self.found
        values = at_input(self.prepared)
        z = values.z.index_select(0, self.nodes)
        gradient = params.slope(z[:, None], self.targets)[:, 0]
        if values.positive is None or values.sent is None:
            return PathGradients(gradient, gradient, None)
        two, last = params.layers[1], self.last
        q = gradient @ two.weight
        share = q.new_zeros(len(found.inner)).index_add_(0, last.source, self.last_norm)
        share.index_add_(0, found.own, two.loops.index_select(0, self.nodes))
        sent = values.sent.index_select(0, found.inner_id.index_select(0, last.source))
        if len(self.nodes) > 1:
            q = q.index_select(0, found.inner_batch)
            gradient = gradient.index_select(0, last.graph)
        positive = values.positive.index_select(0, found.inner_id)
        g = (share[:, None] * q).mul_(positive)
        return PathGradients(g, g, (sent * gradient).sum(dim=1).mul_(self.last_norm))

    def edge_scores(self, sums: PathGradients) -> Tensor:
        """The summed gradients by the edge mask, [e]."""
        found, params = self.found, self.params
        source = self.prepared.index.source.index_select(0, found.position)
        scores = products(found.ptr, source, sums.g, params.y).mul_(self.norm)
        if sums.last is not None:
            scores.index_add_(0, self.last.place, sums.last)
        return scores.index_select(0, found.order)

    def feature_scores(self, sums: PathGradients, finish: Finish) -> Tensor:
        """Scores of the features, [n, F].

        Args:
            sums: Of :meth:`path_sums`.
            finish: See :data:`explainers.engines.base.Finish`.
        """
        found, layer = self.found, self.params.layers[0]
        rows = (sums.g if sums.k is sums.g else torch.cat([sums.g, sums.k])) @ layer.weight
        loops = layer.loops.index_select(0, found.inner_id)
        # One node's features have been read already, to see whether they are unchanged.
        read = self.x if len(self.graphs) == 1 else None
        return feature_scores(found, self.norm, loops, rows, self.prepared.x, finish, read=read)

    def path_gradients(
        self,
        points: Sequence[float],
        weights: Sequence[float],
        finish: Finish,
        *,
        batch_size: int | None = None,
        complete: bool = False,
    ) -> Attribution:
        if not (self.with_features and self.with_edges):
            # What stays as it is has another path: that of both together is no help.
            return super().path_gradients(
                points, weights, finish, batch_size=batch_size, complete=complete
            )
        sums = self.path_sums(points, weights)
        scores = self.edge_scores(sums)[:, None]
        finish(scores, torch.ones_like(scores), scores)
        attribution = Attribution(self.feature_scores(sums, finish), scores[:, 0])
        if complete:
            missing = self.total_scores(sums) - self.change()
            attribution.extra["convergence_delta"] = missing
        return attribution

    def total_scores(self, sums: PathGradients) -> Tensor:
        """The sum of each node's scores for features, times the input, and edges, [R].

        Over the edges into a node the first layer's terms add up to <A, G>, and over the features
        to the same, besides the loops' <S, K>: no score has to be looked at.
        """
        found, params = self.found, self.params
        a, s = (t.index_select(0, found.inner_id) for t in (params.a, params.s))
        terms = (a.mul_(2).mul_(sums.g).addcmul_(s, sums.k)).sum(dim=1)
        total = terms.new_zeros(len(self.nodes)).index_add_(0, found.inner_batch, terms)
        return total if sums.last is None else total.index_add_(0, self.last.graph, sums.last)

    def verify(self) -> None:
        """Verified on all nodes when the engine was chosen."""

    def change(self) -> Tensor:
        if not (self.with_features and self.with_edges):
            return super().change()
        params = self.params
        nothing = params.layers[0].bias
        if len(params.layers) == 2:
            two = params.layers[1]
            loops = two.loops.index_select(0, self.nodes)[:, None]
            nothing = torch.addcmul(two.bias, nothing.relu() @ two.weight.t(), loops)
        change = self.prepared.output.index_select(0, self.nodes) - params.head(nothing)
        return change.gather(1, self.targets[:, None]).squeeze(1)

    def masked_outputs(self, kept: Tensor, nodes: Tensor | None = None) -> Tensor:
        prepared, graphs = self.prepared, self.graphs
        if nodes is not None and len(graphs) == 1:
            return coalitions.masked(self, kept, nodes)
        norms = []
        for number, stacked in enumerate(self.params.layers):
            edges, _ = prepared.norm(number)
            norms.append((edges[graphs.e_id] * kept, stacked.loops[graphs.n_id]))
        if nodes is not None:  # without its features a node sends nothing in the first layer
            edges, loops = norms[0]
            norms[0] = edges * nodes[:, graphs.edge_index[0]], loops * nodes
        return self._outputs(norms)

    def leave_one_out(self) -> tuple[Tensor, Tensor]:
        """What each explained output loses without a node's features [n], an edge's message [e]."""
        nodes, edges = coalitions.leave_one_out(self)
        return nodes * self.with_features, edges * self.with_edges

    def insertion_outputs(self, orders: Tensor) -> Tensor:
        """The output [T, n + e + 1] as the players of one graph join in ``orders`` [T, n + e]."""
        if not (self.with_features and self.with_edges):
            return super().insertion_outputs(orders)
        return coalitions.insertion_outputs(self, orders)

    def deleted_outputs(self, kept: Tensor, *, alone: bool) -> Tensor:
        if not self.prepared.weights_known:
            return super().deleted_outputs(kept, alone=alone)
        norms = []
        for number in self.prepared.normalised:
            edges, own = reduced_norm(self.prepared, self.graphs, number, kept, alone=alone)
            own = own if len(own) else edges.new_zeros(len(self.graphs.n_id))
            norms.append((edges, own))
        return self._outputs(norms)

    @property
    def copies(self) -> int:
        entries = len(self.found.inner) * self.params.y.size(1) + len(self.graphs.e_id)
        needed = 6 * entries * self.prepared.x.element_size()
        return max(1, self.memory_budget // needed)

    def _outputs(self, norms: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """The model's outputs [B, R, C], given each layer's norms.

        Of the edges [B, e], and of self loops, [n] or [B, n].
        """
        params, graphs, found = self.params, self.graphs, self.found
        (edges, loops), last = norms[0], norms[-1]
        count, pairs = len(edges), len(found.inner)
        # One sparse product for all variants: a row for each variant and inner node.
        place = torch.empty_like(found.order)
        place[found.order] = torch.arange(len(place), device=place.device)
        ptr = to_indptr(found.ptr.diff().repeat(count))
        column = graphs.edge_index[0, place].repeat(count)
        y = params.y[graphs.n_id]
        sums = weighted_sums(ptr, column, edges[:, place].flatten(), y)
        z = sums.view(count, pairs, -1) + loops[..., found.inner, None] * y[found.inner]
        z += params.layers[0].bias
        if len(params.layers) == 2:
            edges, loops = last
            sent = z.relu_() @ params.layers[1].weight.t()
            z = sent[:, found.own] * loops[..., graphs.roots, None] + params.layers[1].bias
            messages = sent[:, self.last.source] * edges[:, place[self.last.place], None]
            z.index_add_(1, self.last.graph, messages)
        return params.head(z)


def gcn_parameters(prepared: PreparedModel) -> GCNParameters:
    """The model's parameters, taken apart once."""
    return prepared.memo("GCN parameters", lambda: GCNParameters.of(prepared))


def at_input(prepared: PreparedModel) -> AtInput:
    """What all nodes have at the full input, found once."""

    def make() -> AtInput:
        return AtInput.of(gcn_parameters(prepared), prepared.index)

    return prepared.memo("GCN at the input", make)


class Analytic(Engine):
    """GCNs of one or two layers by their algebra."""

    name = "analytic"
    takes_passes = False
    closed_form = True
    general = False

    def problems(
        self,
        prepared: PreparedModel,
        nodes: Tensor,
        targets: Tensor,
        memory_budget: int,
        copies: int = 1,
        most: int | None = None,
    ) -> Iterator[AnalyticProblem]:
        """Problems of as many nodes as fit into the budget, and on a CPU into its caches.

        What the inner nodes do at ``copies`` steps is found once for the nodes of many problems.
        """
        params, index, x = gcn_parameters(prepared), prepared.index, prepared.x
        if len(nodes) == 1:
            found = reach(index, nodes, prepared.hops)
            yield AnalyticProblem(prepared, found, nodes, targets, memory_budget)
            return
        inner = (index.indptr[nodes + 1] - index.indptr[nodes] + 1).cpu().double()
        classes = len(params.layers[-1].weight)
        steps = inner * (copies * classes * x.element_size() + 3 * 8 * params.y.size(1))
        answer = params.bytes_per_unit[nodes.cpu()]
        budget = min(memory_budget, CACHED) if x.device.type == "cpu" else memory_budget
        for group in groups(steps, memory_budget / 2, most):
            hidden_cache = None
            if len(params.layers) == 2:
                chosen = nodes[group]
                _, position, _ = expand(index.indptr, chosen)
                read = torch.cat([chosen, index.source[position]]).unique()
                hidden_cache = HiddenPathCache(params, read, alone=False)
            for part in groups(answer[group], budget, most):
                some = slice(group.start + part.start, group.start + part.stop)
                found = reach(index, nodes[some], prepared.hops)
                yield AnalyticProblem(
                    prepared, found, nodes[some], targets[some], memory_budget, hidden_cache
                )

    def refusal(self, prepared: PreparedModel) -> str | None:
        """Why the engine cannot explain this model, or None if it can.

        The layers say what the model is made of, but not what it does with them: its outputs are
        compared with the formulas', for all nodes at the full input, and for a few at inputs drawn
        at random, gradients, too; once.
        """
        return prepared.memo("analytic: refusal", lambda: _refusal(prepared))


def _refusal(prepared: PreparedModel) -> str | None:
    layers = prepared.layers
    if prepared.task_level != "node":
        return "it classifies graphs" if prepared.links is None else "it predicts links"
    if not 1 <= len(layers) == prepared.hops <= 2 or not all(map(is_normalised, layers)):
        return "it is not a stack of one or two GCNConv layers with normalisation"
    if any(layer.explain is False for layer in layers):
        return "one of its layers is exempt from explanation"
    width = prepared.x.size(1)
    for layer in layers:
        if layer.lin.weight.size(1) != width:
            return "its GCNConv layers do not follow each other"
        width = layer.lin.weight.size(0)
    if width != prepared.output.size(1):
        return "its output is not that of the last GCNConv layer"
    if not prepared.x.is_floating_point() or not prepared.trial.features:
        return "its features are not differentiable"
    if prepared.half_precision:
        return "it computes in half precision"
    if reason := batched.Batched().refusal(prepared):
        return reason
    more = "it does more than GCNConv, with ReLU between two, and a (log-)softmax or sigmoid"
    if not alike(gcn_parameters(prepared).head(at_input(prepared).z), prepared.output):
        return more
    params, part = gcn_parameters(prepared), prepared
    if not len(batched.sample(prepared)):  # even the smallest computation graph is large
        try:
            part = prepared.on_part(batched.some_edges(prepared))
        except ValueError as error:
            return f"it cannot be tried on a part of the graph: {error}"
        params = replace(GCNParameters.of(part), config=prepared.config)
    nodes = batched.sample(part)[-2:]
    problem = BatchedProblem(part, part.cut(nodes), nodes, nodes * 0, memory_budget=1)
    return None if len(nodes) and agrees(params, problem) else more
