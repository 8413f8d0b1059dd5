"""The first message passing of a model as a linear form, found by evaluating it.

For node features x and an edge mask m, the value P at a :class:`Point` must be

    P_u = sum over edges w -> u of m_wu n_wu (W x_w + c) + l_u W x_u + R x_u + b_u,

with W and R for all nodes alike: R is what a layer makes of a node itself (SAGE, GraphConv), l_u
the weight of a self loop that it adds (GCN). A graph of pairs, one unit vector each, tells W, R and
c; a gradient by the mask tells n, and what is left without messages l. Whether all that is true is
seen at features and masks drawn at random, on all nodes.
"""

# long: one linear form: what finds it, and what says that it is right
from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from explainers.engines.analytic.params import weighted_sums
from explainers.engines.base import NotTheModel
from explainers.engines.blocks import Blocks
from explainers.engines.hoisted.point import Point, candidates, replaced, value_at
from explainers.engines.inner import kinds
from explainers.prepare.model import PreparedModel
from explainers.prepare.outputs import alike

PAIRS = 256  # unit vectors in a pass
PROBES = 8  # random pairs that say early what is not linear
SEED = 0
# What a pass with gradients over a part of the graph may take, in bytes and of the whole graph.
PART, PARTS = 32 * 2**20, 8


@dataclass(frozen=True)
class FirstHop:
    """The linear form, and what of it does not depend on the explained node.

    On the path, where features are ``alpha x`` and the mask is ``beta``, the value is
    ``alpha beta a + alpha s + beta c_sum + b``.

    Attributes:
        point: Where in the model.
        weight: W [H, F]; None for the identity.
        constant: c [H], or None if it is 0.
        root: R [H, F], or None.
        loops: l [N], or None.
        norm: n [E'], in the order of the index.
        y: [N, H], W x.
        a: [N, H], sums of n y over the incoming edges.
        s: [N, H], l y + R x.
        c_sum: [N, H], sums of n c, or None.
        b: [N, H], or [1, H] if it is the same for all.
        reads_x: Whether the rest of the model reads the features, too.
        fused: The layers behind it whose messages can be summed at once; see
            :func:`explainers.engines.inner.kinds`.
    """

    point: Point
    weight: Tensor | None
    constant: Tensor | None
    root: Tensor | None
    loops: Tensor | None
    norm: Tensor
    y: Tensor
    a: Tensor
    s: Tensor
    c_sum: Tensor | None
    b: Tensor
    reads_x: bool
    fused: dict[int, str]

    def value(self, nodes: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        """The value at ``nodes`` [P] where features are ``alpha x``, the mask ``beta``: [S, P, H].

        Both are [S].
        """
        b = self.b.index_select(0, nodes) if len(self.b) > 1 else self.b
        a, s = self.a.index_select(0, nodes), self.s.index_select(0, nodes)
        value = torch.addcmul(b, alpha[:, None, None], s)
        value.addcmul_((alpha * beta)[:, None, None], a)
        if self.c_sum is not None:
            value.addcmul_(beta[:, None, None], self.c_sum.index_select(0, nodes))
        return value

    def transposed(self, rows: Tensor, out: Tensor) -> None:
        """Writes W' applied to ``rows`` [P, H] to ``out`` [P, F]."""
        if self.weight is None:
            out.copy_(rows)
        else:
            torch.mm(rows, self.weight, out=out)


def find(prepared: PreparedModel) -> FirstHop | str:
    """The first message passing as a linear form, or why it is none."""
    if not prepared.edge_index.size(1):
        return "the graph has no edges"
    if any(layer.explain is False for layer in prepared.layers):
        return "one of its layers is exempt from explanation"
    layer = "that sends messages"
    try:
        points = _candidates(prepared)
        if points:
            layer = type(prepared.layers[points[0].layer]).__name__
        for point in points:
            pairs = _Pairs.of(prepared, point)
            found = None if pairs is None else _of_graph(prepared, point, pairs)
            if found is not None:
                return found
    except NotTheModel as error:
        return f"its layers fail on a graph of pairs of nodes: {error}"
    return (
        f"its first layer ({layer}), with what comes before it, is not linear in the features and "
        "in the edge mask, or the rest of the model looks at more than its result"
    )


def _generator(prepared: PreparedModel) -> torch.Generator:
    return torch.Generator(prepared.x.device).manual_seed(SEED)


def _normal(prepared: PreparedModel, rows: int, generator: torch.Generator) -> Tensor:
    x = prepared.x
    noise = torch.randn(rows, x.size(1), generator=generator, dtype=x.dtype, device=x.device)
    return noise * (float(x.abs().max()) or 1.0)


def _uniform(prepared: PreparedModel, count: int, generator: torch.Generator) -> Tensor:
    one = prepared.output
    return torch.rand(count, generator=generator, dtype=one.dtype, device=one.device)


def _pair_graph(prepared: PreparedModel, count: int) -> Blocks:
    """Nodes 0 to count - 1, each with an edge to and from one more; norms are 1, and no loops."""
    number = torch.arange(count, device=prepared.x.device)
    there = torch.stack([number, number + count])
    blocks = Blocks(prepared, torch.cat([there, there.flip(0)], dim=1), 2 * count)
    for name, value in prepared.inputs.items():
        # The edge whose input is the largest stands for all: one with the weight 0 says nothing.
        largest = value.double().abs().view(len(value), -1).sum(dim=1).argmax()
        blocks.inputs[name] = value[largest].expand(2 * count, *value.shape[1:])
    for layer in prepared.normalised:
        edges, loops = prepared.norm(layer)
        blocks.set_norm(
            layer, edges.new_ones(2 * count), loops.new_zeros(2 * count if len(loops) else 0)
        )
    if prepared.batch is not None:
        blocks.inputs["batch"] = torch.zeros(2 * count, dtype=torch.long, device=number.device)
    return blocks


def _candidates(prepared: PreparedModel) -> list[Point]:
    blocks, x = _pair_graph(prepared, 1), prepared.x
    with torch.no_grad():
        return candidates(prepared, blocks, x.new_zeros(2, x.size(1)), prepared.output.new_ones(2))


@dataclass(frozen=True)
class _Pairs:
    """What a graph of pairs tells: see :class:`FirstHop`; none of it is None.

    Attributes:
        weight: [H, F].
        constant: [H].
        root: [H, F].
    """

    weight: Tensor
    constant: Tensor
    root: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, prepared: PreparedModel, point: Point) -> _Pairs | None:
        """None if the value at the point is not linear there."""
        x, one = prepared.x, prepared.output.new_ones(())

        def at(features: Tensor, mask: Tensor) -> Tensor | None:
            """The values [2k, H] of k nodes with ``features`` and their k neighbours with none."""
            blocks = _pair_graph(prepared, len(features))
            both = torch.cat([features, torch.zeros_like(features)])
            return value_at(prepared, point, blocks, both, mask)

        nothing = x.new_zeros(1, x.size(1))
        alone, empty = at(nothing, one.expand(2) * 0), at(nothing, one.expand(2))
        if alone is None or empty is None:
            return None
        b, constant = alone[0], empty[1] - alone[0]
        weight, root = [], []
        for start in range(0, x.size(1), PAIRS):
            count = min(PAIRS, x.size(1) - start)
            unit = x.new_zeros(count, x.size(1))
            unit[:, start : start + count].fill_diagonal_(1)
            value = at(unit, one.expand(2 * count))
            if value is None:
                return None
            own, neighbour = (value - constant - b).split(count)
            root.append(own)
            weight.append(neighbour)
        pairs = cls(torch.cat(weight).t().contiguous(), constant, torch.cat(root).t().contiguous())
        generator = _generator(prepared)
        features = _normal(prepared, PROBES, generator)
        mask = _uniform(prepared, 2 * PROBES, generator)
        value = at(features, mask)
        there, back = mask[:, None].split(PROBES)
        sent = features @ pairs.weight.t() + constant
        own = features @ pairs.root.t() + constant * back + b
        expected = torch.cat([own, sent * there + b])
        return pairs if value is not None and alike(value, expected) else None


@torch.no_grad()
def _of_graph(prepared: PreparedModel, point: Point, pairs: _Pairs) -> FirstHop | None:
    """The linear form on the whole graph; None if it is not the model's, for some node."""
    x, graph, generator = prepared.x, Blocks.whole(prepared), _generator(prepared)
    mask = prepared.output.new_ones(prepared.edge_index.size(1))

    def at(features: Tensor, edge_mask: Tensor) -> Tensor:
        value = value_at(prepared, point, graph, features, edge_mask)
        if value is None:
            raise NotTheModel("its first layer gives something else on the whole graph")
        return value

    # Features that are the same at every node: what edges and loops weigh is what is left.
    same = _normal(prepared, 1, generator)
    linear = (same @ pairs.weight.t())[0]
    sent = linear + pairs.constant
    if not (bool(linear.any()) and bool(sent.any())):
        return None
    everywhere = same.expand(len(x), -1)
    b, only = at(torch.zeros_like(x), mask * 0), at(everywhere, mask * 0)
    loops = (only - b - (same @ pairs.root.t())) @ (linear / linear.square().sum())
    del only, everywhere
    norm = _norms(prepared, point, same, sent)
    b = b[:1].clone() if bool((b == b[0]).all()) else b
    weight, root, constant = pairs.weight, _unless_zero(pairs.root, pairs.weight), None
    constant = _unless_zero(pairs.constant, weight * float(x.abs().max()))
    identity = weight.size(0) == weight.size(1) and torch.equal(
        weight, torch.eye(len(weight)).to(weight)
    )
    y = x if identity else x @ weight.t()
    index, own = prepared.index, _unless_zero(loops, torch.ones_like(loops))
    s = y.new_zeros(len(x), b.size(1)) if own is None else own[:, None] * y
    drawn = _normal(prepared, len(x), generator), _uniform(prepared, len(mask), generator)
    expected, fused = kinds(prepared, graph, *drawn, point.layer)
    hop = FirstHop(
        point=point,
        weight=None if identity else weight,
        constant=constant,
        root=root,
        loops=own,
        norm=norm,
        y=y,
        a=weighted_sums(index.indptr, index.source, norm, y),
        s=s if root is None else s + x @ root.t(),
        c_sum=None
        if constant is None
        else weighted_sums(index.indptr, index.source, norm, constant.repeat(len(x), 1)),
        b=b,
        reads_x=False,
        fused=fused,
    )
    if not alike(at(*drawn), evaluated(prepared, hop, *drawn)):
        return None
    return _with_rest(prepared, hop, graph, drawn, expected)


def _norms(prepared: PreparedModel, point: Point, same: Tensor, sent: Tensor) -> Tensor:
    """What edges weigh, n [E'] as in the index: the gradient by the mask, at the same features.

    By all edges into some nodes at a time, so that the memory of a pass with gradients is bounded.

    Args:
        prepared: The model.
        point: Where it is cut.
        same: [1, F], the features of all nodes.
        sent: [H], W x + c of them.
    """
    index, direction = prepared.index, sent / sent.square().sum()
    size = max(1, PART // prepared.bytes_per_edge, index.num_edges // PARTS)
    norm: list[Tensor] = []
    nodes, start = torch.arange(index.num_nodes, device=same.device), 0
    while start < index.num_edges:
        # All edges into these: at least into one that has some.
        first, last = torch.searchsorted(
            index.indptr, index.indptr.new_tensor([start, start + size]), right=True
        ).tolist()
        last = max(first, last - 1)
        end = int(index.indptr[last])
        graph, place = _into(prepared, index.edge[start:end], nodes[first - 1 : last])
        with torch.enable_grad():
            mask = prepared.output.new_ones(end - start).requires_grad_()
            value = value_at(prepared, point, graph, same.expand(graph.num_nodes, -1), mask)
            if value is None:
                raise NotTheModel("its first layer gives something else on a part of the graph")
            along = value.index_select(0, place) @ direction
            norm += torch.autograd.grad(along.sum(), mask, materialize_grads=True)
        start = end
    return torch.cat(norm)


def _into(prepared: PreparedModel, edges: Tensor, targets: Tensor) -> tuple[Blocks, Tensor]:
    """All edges [k] into some nodes as a graph, with the norms of the whole; where they are."""
    ends = prepared.edge_index[:, edges]
    nodes, place = torch.cat([ends.flatten(), targets]).unique(return_inverse=True)
    place, at = place.split([ends.numel(), len(targets)])
    graph = Blocks(prepared, place.view(2, -1), len(nodes))
    graph.inputs.update({name: value[edges] for name, value in prepared.inputs.items()})
    for layer in prepared.normalised:
        of_edges, loops = prepared.norm(layer)
        graph.set_norm(layer, of_edges[edges], loops[nodes] if len(loops) else loops)
    if prepared.batch is not None:
        graph.inputs["batch"] = torch.zeros_like(nodes)
    return graph, at


def _unless_zero(tensor: Tensor, of_size: Tensor) -> Tensor | None:
    """The tensor, or None if it is rounding beside numbers ``of_size``."""
    rounding = 100 * torch.finfo(tensor.dtype).eps * float(of_size.abs().max())
    return tensor if bool((tensor.abs() > rounding).any()) else None


def evaluated(prepared: PreparedModel, hop: FirstHop, x: Tensor, edge_mask: Tensor) -> Tensor:
    """The form at any features [N, F] and edge mask [E'], for all nodes: [N, H]."""
    index = prepared.index
    linear = x if hop.weight is None else x @ hop.weight.t()
    sent = linear if hop.constant is None else linear + hop.constant
    weights = hop.norm * edge_mask[index.edge]
    value = weighted_sums(index.indptr, index.source, weights, sent) + hop.b
    if hop.loops is not None:
        value += hop.loops[:, None] * linear
    if hop.root is not None:
        value += x @ hop.root.t()
    return value


def _rest(
    prepared: PreparedModel, point: Point, graph: Blocks, value: Tensor, x: Tensor, mask: Tensor
) -> Tensor:
    """The rest of the model on a graph; it may write to ``value``."""
    with prepared.borrowed() as copy, replaced(copy, point, value):
        return graph.run(x, mask)


@torch.no_grad()
def serves(prepared: PreparedModel, hop: FirstHop) -> bool:
    """Whether a form that was found with other links serves these: the rest gives their outputs.

    Where it was not seen to read the features, it gives them without; a decoder may read those of
    some nodes only.
    """
    x = prepared.x
    mask = prepared.output.new_ones(prepared.edge_index.size(1))
    read = x if hop.reads_x else x.new_full((1, 1), torch.nan).expand_as(x)
    try:
        output = _rest(
            prepared,
            hop.point,
            Blocks.whole(prepared),
            evaluated(prepared, hop, x, mask),
            read,
            mask,
        )
    except NotTheModel:
        return False
    return alike(output, prepared.output, prepared.typical)


def _with_rest(
    prepared: PreparedModel,
    hop: FirstHop,
    graph: Blocks,
    drawn: tuple[Tensor, Tensor],
    expected: Tensor,
) -> FirstHop | None:
    """The form, if the rest of the model with it gives the model's own outputs; else None.

    That is the user's at the data's features, where it is also seen whether the rest reads these:
    then what is no number gets through. And those ``expected`` at features and a mask ``drawn``.
    """
    x, mask = prepared.x, torch.ones_like(drawn[1])

    def full() -> Tensor:
        return evaluated(prepared, hop, x, mask)

    try:
        nothing = x.new_full((1, 1), torch.nan).expand_as(x)
        output = _rest(prepared, hop.point, graph, full(), nothing, mask)
        unread = alike(output, prepared.output, prepared.typical)
    except NotTheModel:
        unread = False
    if not unread:
        output = _rest(prepared, hop.point, graph, full(), x, mask)
        if not alike(output, prepared.output, prepared.typical):
            return None
    value = evaluated(prepared, hop, *drawn)
    output = _rest(prepared, hop.point, graph, value, drawn[0], drawn[1])
    # What is drawn is larger than the data, and a product of embeddings squares that.
    size = max(prepared.typical, float(expected.abs().mean(dtype=torch.float64)))
    right = alike(output, expected, size)
    return replace(hop, reads_x=not unread) if right else None
