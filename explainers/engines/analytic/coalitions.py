"""The output of a GCN of one or two layers if only some nodes and edges take part.

A node that is out has features of zero; an edge that is out sends no message, in no layer. In the
terms of :mod:`explainers.engines.analytic.gradients`, for the explained node v and the inner nodes
u,

    P_u = b1 + sum over edges w -> u of n_wu e_wu f_w Y_w + n_uu f_u Y_u,
    z_v = b2 + sum over u of c_vu W2 relu(P_u),
    c_vu = sum over edges u -> v of n'_uv e_uv + l_vu,

where e and f are 1 for edges and nodes that take part, and 0 for others. One that leaves or joins
changes P_u of those it sends to and, if it is an edge into v, one c_vu; of z_v only their terms.
With one layer z_v is P_v.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from explainers.engines.base import groups
from explainers.prepare.csr import to_indptr

if TYPE_CHECKING:
    from explainers.engines.analytic.gradients import AnalyticProblem

BLOCK = 500_000  # entries of hidden units at a time: they stay in a CPU's cache


@dataclass(frozen=True)
class Terms:
    """What the P_u of a problem's inner nodes, and its z_v, are made of.

    The e edges of the computation graphs come first, as they are found, then the P inner nodes' own
    loops.

    Attributes:
        node: [e + P], who sends, as a position in the computation graphs.
        target: [e + P], the inner node to which it is sent.
        factor: [e + P], n_wu and n_uu.
        y: [n, H], Y of the nodes of the computation graphs.
        edge: [e], the edges in the order of the computation graphs.
        last: [L], the edges into the explained nodes, as they are found.
        last_source: [L], the inner nodes that send them; none with one layer.
        last_norm: [L], n'_uv.
        loops: [P], l_vu; 1 of z_v itself with one layer.
    """

    node: Tensor
    target: Tensor
    factor: Tensor
    y: Tensor
    edge: Tensor
    last: Tensor
    last_source: Tensor
    last_norm: Tensor
    loops: Tensor

    @classmethod
    def of(cls, problem: AnalyticProblem) -> Terms:
        """Those of a problem."""
        params, found, graphs = problem.params, problem.found, problem.graphs
        first, number = params.layers[0], torch.arange(len(found.inner), device=found.inner.device)
        edge = torch.empty_like(found.order)
        edge[found.order] = torch.arange(len(edge), device=edge.device)
        loops = first.loops.new_zeros(len(found.inner))
        last, source, norm = (t.new_empty(0) for t in (edge, edge, problem.norm))
        if len(params.layers) == 2:
            loops[found.own] = params.layers[1].loops.index_select(0, problem.nodes)
            last, source, norm = problem.last.place, problem.last.source, problem.last_norm
        else:
            loops[found.own] = 1.0
        return cls(
            node=torch.cat([graphs.edge_index[0].index_select(0, edge), found.inner]),
            target=torch.cat([found.target, number]),
            factor=torch.cat([problem.norm, first.loops.index_select(0, found.inner_id)]),
            y=params.y.index_select(0, graphs.n_id),
            edge=edge,
            last=last,
            last_source=source,
            last_norm=norm,
            loops=loops,
        )


def sent(problem: AnalyticProblem, hidden: Tensor) -> Tensor:
    """W2 relu(P) [..., C] of P [..., H], which it overwrites; P itself with one layer."""
    layers = problem.params.layers
    return hidden if len(layers) == 1 else hidden.relu_() @ layers[1].weight.t()


def rest(problem: AnalyticProblem) -> Tensor:
    """b2, which z_v is besides the terms of the inner nodes, [C]."""
    layers = problem.params.layers
    bias = layers[-1].bias
    return torch.zeros_like(bias) if len(layers) == 1 else bias


def masked(problem: AnalyticProblem, edges: Tensor, nodes: Tensor) -> Tensor:
    """The outputs [B, 1, C] if ``edges`` [B, e] and ``nodes`` [B, n] of one graph take part.

    One inner node after the other, with a dense product for all variants.
    """
    terms, found, bias = Terms.of(problem), problem.found, problem.params.layers[0].bias
    count = len(terms.edge)
    present = edges.index_select(1, terms.edge)
    weights = terms.loops.repeat(len(edges), 1)
    messages = present.index_select(1, terms.last) * terms.last_norm
    weights.index_add_(1, terms.last_source, messages)
    features = nodes.index_select(1, terms.node)
    present *= features[:, :count]
    rows = terms.factor[:, None] * terms.y.index_select(0, terms.node)
    z = rest(problem).repeat(len(edges), 1)
    bounds = found.ptr.tolist()
    for u, weight in enumerate(weights.unbind(1)):
        some = slice(bounds[u], bounds[u + 1])
        hidden = torch.addmm(bias, present[:, some], rows[some])
        hidden.addr_(features[:, count + u], rows[count + u])
        z.addcmul_(sent(problem, hidden), weight[:, None])
    return problem.params.head(z)[:, None]


def leave_one_out(problem: AnalyticProblem) -> tuple[Tensor, Tensor]:
    """What each output loses without each node [n] and each edge [e] of its computation graph."""
    params, found, graphs = problem.params, problem.found, problem.graphs
    terms = Terms.of(problem)
    a, s = (t.index_select(0, found.inner_id) for t in (params.a, params.s))
    hidden = a.add_(s).add_(params.layers[0].bias)
    before = sent(problem, hidden.clone())
    weight = terms.loops.index_add(0, terms.last_source, terms.last_norm)[:, None]
    z = rest(problem).repeat(len(graphs), 1).index_add_(0, found.inner_batch, before * weight)

    def change(target: Tensor, factor: Tensor, node: Tensor) -> Tensor:
        """By how much W2 relu(P) of ``target`` changes without ``factor`` Y of ``node``, [m, C]."""
        changes = []
        for t, f, k in zip(*(v.split(size) for v in (target, factor, node)), strict=True):
            left = torch.addcmul(
                hidden.index_select(0, t), terms.y.index_select(0, k), f[:, None], value=-1
            )
            changes.append(sent(problem, left).sub_(before.index_select(0, t)))
        return torch.cat(changes) if changes else z.new_empty(0, z.size(1))

    size = max(1, BLOCK // hidden.size(1))
    count = len(terms.edge)
    parts = terms.target[:count], terms.factor[:count], terms.node[:count]
    less = change(*parts)
    by_edge = less * weight.index_select(0, parts[0])
    # Its message to v goes, too: what u sends now, which for a loop of v has just changed.
    source = terms.last_source
    message = before.index_select(0, source)
    loop = source == terms.target.index_select(0, terms.last)
    message += less.index_select(0, terms.last) * loop[:, None]
    by_edge.index_add_(0, terms.last, message * terms.last_norm[:, None], alpha=-1)

    # All that a node sends to another goes at once.
    pairs, which = (terms.node * len(hidden) + terms.target).unique(return_inverse=True)
    factor = terms.factor.new_zeros(len(pairs)).index_add_(0, which, terms.factor)
    node, target = pairs // len(hidden), pairs % len(hidden)
    by_node = z.new_zeros(len(graphs.n_id), z.size(1))
    by_node.index_add_(0, node, change(target, factor, node) * weight.index_select(0, target))

    def lost(changes: Tensor, graph: Tensor) -> Tensor:
        left = params.head(z.index_select(0, graph) + changes)
        chosen = problem.targets.index_select(0, graph)[:, None]
        return (params.head(z).index_select(0, graph) - left).gather(1, chosen).squeeze(1)

    edges = by_edge.index_select(0, found.order)
    return lost(by_node, graphs.node_batch), lost(edges, graphs.edge_batch)


def insertion_outputs(problem: AnalyticProblem, orders: Tensor) -> Tensor:
    """The output of one computation graph as its players join, [T, n + e + 1]; the first with none.

    The term of an inner node u changes only when an edge into u and its source are both there, when
    u is, and when an edge u -> v is. These events are sorted by their time; P_u and c_vu are sums
    over them, z_v is a sum of what they change.

    Args:
        problem: Of one computation graph.
        orders: [T, n + e], the players, nodes before edges, in the orders in which they join.
    """
    params, found = problem.params, problem.found
    terms, bias = Terms.of(problem), params.layers[0].bias
    players, inner = orders.size(1), len(found.inner)
    # When each player joins, from 1.
    nodes, edges = (orders.argsort(dim=1) + 1).split(
        [len(problem.graphs.n_id), len(terms.edge)], dim=1
    )
    edges = edges.index_select(1, terms.edge)
    ready = nodes.index_select(1, terms.node)
    ready[:, : len(terms.edge)] = ready[:, : len(terms.edge)].maximum(edges)
    time = torch.cat([ready, edges.index_select(1, terms.last)], dim=1)
    owner = torch.cat([terms.target, terms.last_source])
    keys, events = (owner * (players + 1) + time).sort(dim=1)
    time, owner = keys % (players + 1), owner.sort().values
    count = torch.bincount(owner, minlength=inner)
    begins = to_indptr(count)
    rows = (terms.factor[:, None] * terms.y.index_select(0, terms.node)).double()
    rows = torch.cat([rows, rows.new_zeros(len(terms.last), rows.size(1))])
    shares = torch.cat([torch.zeros_like(terms.factor), terms.last_norm]).double()
    first = terms.loops[:, None] * sent(problem, bias.clone())

    outputs = []
    largest, bounds = int(count.max()) * rows.size(1), begins.tolist()
    for some, when in zip(
        *(t.split(max(1, BLOCK // largest)) for t in (events, time)), strict=True
    ):
        z = first.new_zeros(len(some), players + 1, first.size(1), dtype=torch.float64)
        z[:, 0] = rest(problem) + first.sum(dim=0)
        for part in groups(count * rows.size(1) * len(some), BLOCK):
            run = slice(bounds[part.start], bounds[part.stop])
            event, start = some[:, run], begins[part] - run.start
            which = owner[run]
            hidden = _since(rows[event], start, which - part.start).to(bias) + bias
            weight = _since(shares[event][..., None], start, which - part.start).to(bias)
            weight += terms.loops.index_select(0, which)[:, None]
            term = weight * sent(problem, hidden)
            change = term.diff(dim=1, prepend=term[:, :1])
            change[:, start] = term[:, start] - first[part]
            z.scatter_add_(1, when[:, run, None].expand_as(change), change.double())
        outputs.append(params.head(z.cumsum_(dim=1).to(bias)))
    return torch.cat(outputs)[..., problem.targets[0]]


def _since(terms: Tensor, start: Tensor, owner: Tensor) -> Tensor:
    """The sums of ``terms`` [T, E, K] up to each, from the ``start`` of its ``owner``.

    They run on over the owners, and what was there before each is taken off: in float64.
    """
    sums = terms.cumsum(dim=1)
    before = sums.index_select(1, start) - terms.index_select(1, start)
    return sums.sub_(before.index_select(1, owner))
