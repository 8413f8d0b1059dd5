"""Integrated Gradients of two GCNConv layers with a ReLU between, by their algebra.

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
    features of w:    x_w * W1 (sum over edges w -> u of n_wu G(v, u), and n_ww K(v, w)).

The steps are summed before any edge is touched. P is quadratic in a, so for each hidden unit the
steps with P > 0 are at most two runs, and B_k is a difference of prefix sums of q_v over the steps:
many steps cost little more than few. Points and weights of the quadrature are Captum's; the sums
are those of the stock engine in another order.

Two layers only: with a third, the gradient at the first depends on v through every node between,
and no sum over the steps can be taken before the edges.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.explain.config import ModelReturnType

from explainers.engines import batched
from explainers.engines.batched import BatchedProblem
from explainers.engines.fields import Fields
from explainers.engines.network import Network, alike, is_normalised
from explainers.engines.problem import groups


@dataclass(frozen=True)
class _Stack:
    """The two layers, and what of them does not depend on the explained node.

    Attributes:
        w1: [H, F], b1 [H], w2 [C, H], b2 [C]: weights and biases.
        n1: Norms of the first layer, of edges [E'] and of self loops [N]; n2 of the second.
        y: [N, H], the transformed features Y.
        a: [N, H], their sums A over the incoming edges.
    """

    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor
    n1: tuple[Tensor, Tensor]
    n2: tuple[Tensor, Tensor]
    y: Tensor
    a: Tensor

    @classmethod
    def of(cls, network: Network) -> _Stack:
        """Takes the layers apart; the first is the one whose input has the features' width."""
        one, two = network.layers
        norms = []
        for layer in (one, two):
            edges, loops = network.norm(layer)
            norms.append((edges, loops if len(loops) else edges.new_zeros(network.num_nodes)))
        w1, w2 = one.lin.weight, two.lin.weight
        b1, b2 = (
            w.new_zeros(len(w)) if layer.bias is None else layer.bias
            for layer, w in ((one, w1), (two, w2))
        )
        y = network.x @ w1.t()
        index = network.index
        # The index has the edges by destination: a sparse product, with nothing of size E x H.
        edges, shape = norms[0][0][index.edge], (network.num_nodes,) * 2
        a = sparse_product(index.ptr, index.source, edges, shape, y)
        return cls(w1, b1, w2, b2, norms[0], norms[1], y, a)


def sparse_product(
    ptr: Tensor, column: Tensor, values: Tensor, shape: tuple[int, int], dense: Tensor
) -> Tensor:
    """A matrix in CSR times a dense one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        matrix = torch.sparse_csr_tensor(ptr, column, values, shape, check_invariants=False)
    return matrix @ dense


DIRECT = 500_000  # entries of [U, S, H]


class AnalyticProblem(BatchedProblem):
    """R receptive fields of a two-layer GCN."""

    def __init__(
        self,
        network: Network,
        fields: Fields,
        nodes: Tensor,
        targets: Tensor,
        memory_budget: int,
    ) -> None:
        super().__init__(network, fields, nodes, targets, memory_budget)
        self.stack = _prepared(network)
        # The edges into the explained nodes, and the nodes that the second layer reads.
        into = fields.edge_index[1] == fields.roots[fields.edge_field]
        self.last = into.nonzero().view(-1)
        inner = torch.zeros(len(fields.n_id), dtype=torch.bool, device=into.device)
        inner[fields.roots] = True
        inner[fields.edge_index[0, self.last]] = True
        self.inner = inner.nonzero().view(-1)
        self.pair = inner.cumsum(0) - 1  # position in `inner` of a node that is there
        self.pair_field = fields.node_field[self.inner]
        self.unique, self.which = fields.n_id[self.inner].unique(return_inverse=True)
        # Of each edge into an explained node, the source's position in `unique`.
        self.ends = self.which[self.pair[fields.edge_index[0, self.last]]]

    def hidden(self, alphas: Tensor) -> Tensor:
        """Pre-activations of the nodes in ``unique`` at each step, [U, S, H]."""
        stack = self.stack
        y, a_u, loops = (t.index_select(0, self.unique) for t in (stack.y, stack.a, stack.n1[1]))
        s = y.mul_(loops[:, None])
        a = alphas[:, None]
        return torch.addcmul(a * s[:, None] + stack.b1, a * a, a_u[:, None])

    def result(self, transformed: Tensor, alphas: Tensor) -> Tensor:
        """The second layer's result z at the explained nodes, [R, S, C], from h W2 [U, S, C]."""
        fields, stack = self.fields, self.stack
        norm = stack.n2[0].index_select(0, fields.e_id.index_select(0, self.last))
        messages = transformed.index_select(0, self.ends) * norm.view(-1, 1, 1)
        own = transformed.index_select(0, self.which[self.pair[fields.roots]])
        z = own * stack.n2[1][self.nodes].view(-1, 1, 1) + stack.b2
        messages = messages * alphas[:, None]
        return z.index_add_(0, fields.edge_field[self.last], messages)

    def gradient(self, z: Tensor) -> Tensor:
        """The gradient of the explained outputs by z, [R, S, C]."""
        chosen = torch.zeros_like(z[:, :1])
        chosen.scatter_(2, self.targets.view(-1, 1, 1), 1.0)
        kind = self.network.return_type
        if kind == ModelReturnType.raw:
            return chosen.expand_as(z)
        p = z.softmax(dim=-1)
        if kind == ModelReturnType.log_probs:
            return chosen - p
        return (p * chosen).sum(dim=-1, keepdim=True) * (chosen - p)

    @torch.no_grad()
    def path_gradients(
        self, alphas: Sequence[float] = (1.0,), weights: Sequence[float] = (1.0,)
    ) -> tuple[Tensor, Tensor]:
        """Gradients by features [n, F] and edge mask [e], summed along the path from 0.

        The points ``alphas`` are ascending and in [0, 1]. By default, the gradient at the inputs.
        """
        fields, stack, x = self.fields, self.stack, self.network.x
        a = x.new_tensor(alphas)
        weight = torch.tensor(weights, dtype=torch.float32).to(x)  # rounded, as Captum does
        before = self.hidden(a)
        transformed = before.relu() @ stack.w2.t()
        g = self.gradient(self.result(transformed, a)) * weight[:, None]

        b = self._summed(before > 0, g @ stack.w2, a)
        last_norm = stack.n2[0][fields.e_id[self.last]]
        c = x.new_zeros(len(self.inner), 1)
        c[:, 0].index_add_(0, self.pair[fields.edge_index[0, self.last]], last_norm)
        big_g, k = c * b[2], c * b[1]
        roots = self.pair[fields.roots]
        own = stack.n2[1][self.nodes][:, None]
        big_g[roots] += own * b[1][roots]
        k[roots] += own * b[0][roots]

        source, pair = fields.edge_index[0], self.pair.index_select(0, fields.edge_index[1])
        norm = stack.n1[0].index_select(0, fields.e_id)
        # index_select copies rows; indexing by brackets goes element by element.
        messages = big_g.index_select(0, pair).mul_(norm[:, None])
        sent = stack.y.index_select(0, fields.n_id.index_select(0, source))
        edge_mask = torch.einsum("eh,eh->e", sent, messages)
        sent = transformed.index_select(0, self.ends)
        reached = g.index_select(0, fields.edge_field.index_select(0, self.last))
        along = torch.einsum("esc,esc->e", sent, reached)
        edge_mask[self.last] += along * last_norm
        sums = x.new_zeros(len(fields.n_id), len(stack.w1)).index_add_(0, source, messages)
        sums[self.inner] += k * stack.n1[1][fields.n_id[self.inner], None]
        return sums @ stack.w1, edge_mask

    def _summed(self, positive: Tensor, q: Tensor, alphas: Tensor) -> list[Tensor]:
        """``B_k`` for k = 0, 1, 2, each [P, H]."""
        if len(q) > 1 or positive.numel() > DIRECT:
            return _by_prefix_sums(positive, q, alphas, self.which, self.pair_field)
        # For one node with a small field the sums themselves are quicker than their preparation.
        powers = torch.stack([torch.ones_like(alphas), alphas, alphas * alphas])
        terms = powers[:, :, None] * q
        found = torch.bmm(terms.permute(2, 0, 1), positive.to(q).permute(2, 1, 0))
        return list(found.permute(1, 2, 0)[:, self.which].unbind())

    @torch.no_grad()
    def change(self) -> Tensor:
        stack = self.stack
        rest = (stack.b1.relu() @ stack.w2.t()) * stack.n2[1][self.nodes][:, None] + stack.b2
        change = self.network.output[self.nodes] - self._head(rest)
        return change.gather(1, self.targets[:, None]).squeeze(1)

    def mask(self, kept: Tensor, nodes: Tensor | None = None) -> Tensor:
        stack, fields = self.stack, self.fields
        one, two = (norm[0][fields.e_id] * kept for norm in (stack.n1, stack.n2))
        own = stack.n1[1][fields.n_id]
        if nodes is not None:  # without its features a node sends nothing in the first layer
            one, own = one * nodes[:, fields.edge_index[0]], own * nodes
        return self._outputs(one, own, two, stack.n2[1][fields.n_id])

    def delete(self, kept: Tensor, *, alone: bool) -> Tensor:
        fields, network = self.fields, self.network
        norms: list[Tensor] = []
        for layer in network.layers:
            edges, own = batched.reduced_norm(network, fields, layer, kept, alone=alone)
            norms += [edges, own if len(own) else edges.new_zeros(len(fields.n_id))]
        return self._outputs(*norms)

    @property
    def copies(self) -> int:
        entries = len(self.inner) * len(self.stack.b1) + len(self.fields.e_id)
        needed = 6 * entries * self.network.x.element_size()
        return max(1, self.memory_budget // needed)

    def _outputs(self, one: Tensor, own: Tensor, two: Tensor, last_own: Tensor) -> Tensor:
        """The model's outputs [B, R, C], given both layers' norms.

        Of the edges, ``one`` and ``two`` [B, e]; of self loops, ``own`` and ``last_own``, [n] or
        [B, n].
        """
        stack, fields = self.stack, self.fields
        count, pairs = len(one), len(self.inner)
        # One sparse product for all variants: a row for each variant and inner node.
        order = self.pair[fields.edge_index[1]].argsort(stable=True)
        degree = torch.bincount(self.pair[fields.edge_index[1]], minlength=pairs)
        ptr = torch.cat([degree.new_zeros(1), degree.repeat(count).cumsum(0)])
        column = fields.edge_index[0, order].repeat(count)
        y = stack.y[fields.n_id]
        shape = (count * pairs, len(y))
        sums = sparse_product(ptr, column, one[:, order].flatten(), shape, y)
        before = sums.view(count, pairs, -1) + own[..., self.inner, None] * y[self.inner]
        transformed = (before + stack.b1).relu_() @ stack.w2.t()
        roots = fields.roots
        z = transformed[:, self.pair[roots]] * last_own[..., roots, None] + stack.b2
        source = self.pair[fields.edge_index[0, self.last]]
        messages = transformed[:, source] * two[:, self.last, None]
        return self._head(z.index_add_(1, fields.edge_field[self.last], messages))

    def _head(self, z: Tensor) -> Tensor:
        """The model's output of the second layer's result."""
        kind = self.network.return_type
        if kind == ModelReturnType.raw:
            return z
        return z.log_softmax(-1) if kind == ModelReturnType.log_probs else z.softmax(-1)


def _by_prefix_sums(
    positive: Tensor, q: Tensor, alphas: Tensor, which: Tensor, field: Tensor
) -> list[Tensor]:
    """``B_k`` for k = 0, 1, 2, each [P, H].

    Args:
        positive: [U, S, H], where the pre-activation is above 0.
        q: [R, S, H], with the quadrature's weights.
        alphas: [S].
        which: [P], the row of ``positive`` of each pair.
        field: [P], the row of ``q`` of each pair.
    """
    steps = positive.size(1)
    # One past the last positive step, and the first; 0 and `steps` if there is none.
    forwards = torch.arange(1, steps + 1, device=q.device, dtype=torch.int32)[:, None]
    end = (positive * forwards).amax(dim=1).long()
    start = steps - (positive * forwards.flip(0)).amax(dim=1).long()
    start = torch.minimum(start, end)
    # Between the first and the last positive step there may be one run that is not.
    gaps = (end - start - positive.sum(dim=1)).nonzero().t()
    bounds = [bound[which] for bound in (start, end)]
    result = []
    for k in range(3):
        terms = q * (alphas**k)[:, None]
        sums = torch.cat([torch.zeros_like(q[:, :1]), terms.cumsum(dim=1)], dim=1)
        flat = sums.flatten(0, 1)
        offset = field[:, None] * (steps + 1)
        low, high = (flat.gather(0, offset + bound) for bound in bounds)
        result.append(high - low)
    if gaps.numel():
        _take_out_gaps(result, gaps, positive, start, end, q, alphas, which, field)
    return result


def _take_out_gaps(
    result: list[Tensor],
    gaps: Tensor,
    positive: Tensor,
    start: Tensor,
    end: Tensor,
    q: Tensor,
    alphas: Tensor,
    which: Tensor,
    field: Tensor,
) -> None:
    """Subtracts the steps within [start, end) at which a unit is not positive; there are few."""
    number = torch.full_like(start, -1)
    number[gaps[0], gaps[1]] = torch.arange(gaps.size(1), device=gaps.device)
    pairs, units = (number[which] >= 0).nonzero(as_tuple=True)
    gap = number[which[pairs], units]
    step = torch.arange(positive.size(1), device=gaps.device)
    first, last = start[gaps[0], gaps[1]], end[gaps[0], gaps[1]]
    inside = (step >= first[:, None]) & (step < last[:, None])
    missing = (inside & ~positive[gaps[0], :, gaps[1]]).to(q)
    terms = q[field[pairs], :, units] * missing[gap]
    for k, values in enumerate(result):
        values[pairs, units] -= terms @ alphas**k


def problems(
    network: Network,
    nodes: Tensor,
    targets: Tensor,
    memory_budget: int,
    copies: int = 1,
    most: int | None = None,
) -> Iterator[AnalyticProblem]:
    """Problems of as many nodes as fit into the budget with ``copies`` steps."""
    stack = _prepared(network)
    ptr = network.index.ptr
    inner = (ptr[nodes + 1] - ptr[nodes] + 1).cpu().double()
    steps = inner * copies * len(stack.b1) * 6 * network.x.element_size()
    costs = network.field_bytes[nodes.cpu()] + steps
    for group in groups(costs, memory_budget, most):
        fields = network.cut(nodes[group])
        yield AnalyticProblem(network, fields, nodes[group], targets[group], memory_budget)


_STACKS: weakref.WeakKeyDictionary[Network, _Stack] = weakref.WeakKeyDictionary()
_REFUSALS: weakref.WeakKeyDictionary[Network, str | None] = weakref.WeakKeyDictionary()


def _prepared(network: Network) -> _Stack:
    if network not in _STACKS:
        _STACKS[network] = _Stack.of(network)
    return _STACKS[network]


def refusal(network: Network) -> str | None:
    """Why the engine cannot explain this model, or None if it can.

    The layers say what the model is made of, but not what it does with them: its outputs along the
    path are compared with the formulas', for a few nodes; once.
    """
    if network not in _REFUSALS:
        _REFUSALS[network] = _check(network)
    return _REFUSALS[network]


def _check(network: Network) -> str | None:
    layers = network.layers
    if network.level != "node":
        return "it classifies graphs"
    if len(layers) != 2 or network.hops != 2 or not all(map(is_normalised, layers)):
        return "it is not a stack of two GCNConv layers with normalisation"
    if any(layer.explain is False for layer in layers):
        return "one of its layers is exempt from explanation"
    one, two = (layer.lin.weight for layer in layers)
    if one.size(1) != network.x.size(1) or two.size(1) != one.size(0):
        return "its GCNConv layers do not follow each other"
    if two.size(0) != network.output.size(1):
        return "its output is not that of the second GCNConv layer"
    if reason := batched.refusal(network):
        return reason
    nodes = batched.sample(network)
    problem = AnalyticProblem(
        network, network.cut(nodes), nodes, torch.zeros_like(nodes), memory_budget=1
    )
    alphas = network.x.new_tensor([0.0, 0.3, 0.7, 1.0])
    with torch.no_grad(), torch.inference_mode(False):
        expected = problem.predict(
            alphas.view(-1, 1, 1) * problem.x, alphas[:, None] * problem.edge_mask
        ).transpose(0, 1)
        z = problem.result(problem.hidden(alphas).relu() @ problem.stack.w2.t(), alphas)
    if not alike(problem._head(z), expected):
        return "it does more than GCNConv, ReLU, GCNConv and a (log-)softmax"
    return None
