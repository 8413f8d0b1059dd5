"""Explanations of the user's own model on the user's own data, with nothing of ``explainers``.

The model is called as the user calls it. An edge's mask is multiplied onto the messages that go
along the edge, in every message-passing layer, by PyG's message hooks. Which messages these are is
observed: an edge is deleted from the data, and the messages that are gone went along it. So it does
not matter whether a model sorts, turns around or drops edges, or adds loops of its own.
"""

from __future__ import annotations

import inspect
from collections import Counter, defaultdict
from contextlib import contextmanager
from functools import cached_property

import numpy as np
import torch
from torch_geometric.nn import MessagePassing

EDGE_INPUTS = ("edge_weight", "edge_attr", "edge_type")


class Untraceable(Exception):
    """No message of the model belongs to just one edge of the data: edges have no scores."""


def call(model, data, x=None, kept=None):
    """The model's output on ``data``, with features ``x`` and the edges ``kept`` [E] only."""
    kept = slice(None) if kept is None else kept
    taken = inspect.signature(model.forward).parameters
    anything = any(p.kind == p.VAR_KEYWORD for p in taken.values())
    keywords = {
        name: data[name][kept] if name in EDGE_INPUTS else data[name]
        for name in (*EDGE_INPUTS, "batch", "edge_label_index")
        if name in data and (anything or name in taken)
    }
    output = model(data.x if x is None else x, data.edge_index[:, kept], **keywords)
    return output[:, None] if output.dim() == 1 else output


class Reference:
    """What every method should say of one model on one graph, or one batch of graphs.

    Rows are nodes, graphs of the batch, or links, columns of ``data.edge_label_index``. Scores are
    of all node features [N, F] and all edges [E] of the data; messages along the self loops that a
    layer adds are never masked, so that a given loop that a layer replaces has a score of 0.
    """

    def __init__(self, model, data, layers=None):
        self.model, self.data = model, data
        modules = model.modules() if layers is None else layers
        self.layers = [part for part in modules if isinstance(part, MessagePassing)]
        with torch.no_grad():
            self.output = call(model, data)
        try:
            self.places, self.untraceable = self._trace(), None
        except Untraceable as error:
            self.places, self.untraceable = None, str(error)

    def at(self, row, target, x, mask):
        """The explained output, for features ``x`` [N, F] and a mask on the messages [E]."""
        with self._masked(mask):
            return call(self.model, self.data, x)[row, target]

    @torch.no_grad()
    def change(self, row, target):
        """F(x) - F(0); 0 is no features and no messages."""
        x, mask = self.data.x, self.data.x.new_ones(self.data.num_edges)
        return float(self.at(row, target, x, mask) - self.at(row, target, 0 * x, 0 * mask))

    def gradients(self, row, target, scale=1.0):
        """Of the explained output by the features and the mask, at ``scale`` times the input."""
        inputs = (
            (scale * self.data.x.detach()).requires_grad_(),
            torch.full((self.data.num_edges,), scale, dtype=self.data.x.dtype).requires_grad_(),
        )
        found = torch.autograd.grad(self.at(row, target, *inputs), inputs, allow_unused=True)
        return [torch.zeros_like(t) if g is None else g for t, g in zip(inputs, found, strict=True)]

    def saliency(self, row, target):
        return [gradient.abs() for gradient in self.gradients(row, target)]

    def input_x_gradient(self, row, target):
        by_x, by_mask = self.gradients(row, target)
        return [by_x * self.data.x, by_mask]

    def integrated_gradients(self, row, target, n_steps):
        points, weights = np.polynomial.legendre.leggauss(n_steps)
        scores = [torch.zeros_like(self.data.x), self.data.x.new_zeros(self.data.num_edges)]
        for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
            for score, gradient in zip(scores, self.gradients(row, target, point), strict=True):
                score += weight * gradient
        return [scores[0] * self.data.x, scores[1]]

    def occlusion(self, row, target):
        """Less features of a node, shared among its nonzero ones; less an edge's messages."""
        full, nodes, edges = (outputs[:, row, target] for outputs in self._left_out)
        used = self.data.x != 0
        shares = (full - nodes) / used.sum(dim=1).clamp(min=1)
        return [used * shares[:, None], full - edges]

    @cached_property
    @torch.no_grad()
    def _left_out(self):
        """All outputs: as they are, without each node's features, without each edge's messages."""
        x, mask = self.data.x, self.data.x.new_ones(self.data.num_edges)
        everything = slice(None), slice(None)

        def outputs(variants):
            return torch.stack([self.at(*everything, *variant) for variant in variants])

        return (
            outputs([(x, mask)]),
            outputs([(x * (torch.arange(len(x)) != v)[:, None], mask) for v in range(len(x))]),
            outputs([(x, (torch.arange(len(mask)) != e).to(x)) for e in range(len(mask))]),
        )

    @property
    def silent(self):
        """Which given edges carry no message, [E]: loops that the layers replace by their own."""
        silent = torch.ones(self.data.num_edges, dtype=torch.bool)
        for place in self.places:
            silent[place[place >= 0]] = False
        return silent

    @torch.no_grad()
    def keeping(self, kept, how="delete"):
        """All outputs if edges not ``kept`` [E] are deleted, or (``how="mask"``) their messages."""
        if how == "delete":
            return call(self.model, self.data, kept=kept)
        with self._masked(kept.to(self.data.x)):
            return call(self.model, self.data)

    @contextmanager
    def _masked(self, mask):
        """The mask on every message; ones (the last entry) on what belongs to no given edge."""
        entries = torch.cat([mask, mask.new_ones(1)])
        calls = []

        def multiply(layer, _, messages):
            shape = [1] * messages.dim()
            shape[layer.node_dim] = -1
            return messages * entries[self.places[len(calls) - 1]].view(shape)

        handles = [
            handle
            for layer in self.layers
            for handle in (
                layer.register_propagate_forward_pre_hook(lambda *_: calls.append(1)),
                layer.register_message_forward_hook(multiply),
            )
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _seen(self, kept=None):
        """The edges [(source, target), ...] of every call of ``propagate``."""
        calls = []
        handles = [
            layer.register_propagate_forward_pre_hook(
                lambda _, given: calls.append(list(map(tuple, given[0].t().tolist())))
            )
            for layer in self.layers
        ]
        try:
            call(self.model, self.data, kept=kept)
        finally:
            for handle in handles:
                handle.remove()
        return calls

    @torch.no_grad()
    def _trace(self):
        """For every call of ``propagate`` and each of its messages: the given edge, or -1."""
        whole = self._seen()
        owners = [defaultdict(list) for _ in whole]  # of each pair of nodes: given edges, ascending
        for e in range(self.data.num_edges):
            kept = torch.ones(self.data.num_edges, dtype=torch.bool)
            kept[e] = False
            less = self._seen(kept)
            if len(less) != len(whole):
                raise Untraceable(f"without edge {e} other layers are called")
            for owner, before, after in zip(owners, whole, less, strict=True):
                if Counter(after) - Counter(before):
                    raise Untraceable(f"without edge {e} others appear")
                for pair in (Counter(before) - Counter(after)).elements():
                    owner[pair].append(e)
        return [self._assign(pairs, owner) for pairs, owner in zip(whole, owners, strict=True)]

    @staticmethod
    def _assign(pairs, owner):
        """Duplicates belong to their edges in the order in which these were given."""
        left = {pair: iter(edges) for pair, edges in owner.items()}
        count = Counter(pairs)
        for pair, several in count.items():
            claimed = len(owner.get(pair, []))
            if claimed > several or (claimed < several and pair[0] != pair[1]):
                raise Untraceable(f"{several} messages along {pair}, {claimed} given edges")
        return torch.tensor([next(left.get(p, iter(())), -1) for p in pairs], dtype=torch.long)
