"""Networks whose weights are set by hand, so that the edges that matter are provable.

Nodes have a colour. The first layer counts the red (and the yellow) neighbours of a node, if a
gate is there only those of blue nodes; the second adds the counts of a node's neighbours up to R
and Y, the numbers of walks of two steps from red and from yellow nodes. A head makes the output of
them.

What an edge's mask can change follows by hand. An edge of which no coalition of other edges makes
the output change (a dummy player of the model's own game, to which any method that keeps
Shapley's dummy axiom gives 0) is wrong, any other is right. Edges have no loops among them, so in
the computation graph of v the edges into v carry counts and all others carry colours:

- w -> u is right if w has a colour that counts, u passes the gate and u is a neighbour of v;
- u -> v is right if u passes the gate and has a neighbour with such a colour.

That each of them can change the output holds if the head's colours reach v at all; explained
are the nodes whose output is above 0, which makes sure of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.datasets.graph_generator import BAGraph
from torch_geometric.nn import GCNConv, GraphConv

from benchmarks.tasks._definition import Dataset, Definition
from benchmarks.tasks._source import seeded

NODES, DEGREE = 300, 5
NEW_EDGES = 3  # of each node of the scale-free graph
RED, YELLOW, BLUE = range(3)
COLOURS = ("red", "yellow", "blue", "green", "white")


def _at_least_one(count: Tensor) -> Tensor:
    """``min(1, count)`` of counts from 0, by ReLUs: what every method can go back through."""
    return count.relu() - (count - 1).relu()


HEADS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "count": lambda red, yellow: red,
    "or": lambda red, yellow: _at_least_one(red),
    "and": lambda red, yellow: (_at_least_one(red) + _at_least_one(yellow) - 1).relu(),
    "inhibit": lambda red, yellow: (red - yellow).relu(),
}
TWO_COLOURS = ("and", "inhibit")


class WhiteBox(nn.Module):
    """Two layers with the weights above; every score is exact up to rounding.

    Args:
        head: One of :data:`HEADS`.
        degree: The largest number of neighbours.
        gated: Whether only what is next to blue nodes counts.
        gcn: Whether the layers are GCNConv, without loops; every node must have ``degree``
            neighbours then, by which its layers divide.
    """

    def __init__(self, head: str, degree: int, *, gated: bool, gcn: bool) -> None:
        super().__init__()
        self.head = head
        counted = torch.zeros(2, len(COLOURS))
        counted[0, RED] = counted[1, YELLOW] = 1
        blue = torch.zeros(2, len(COLOURS))
        # Above any count: what is not blue stays below 0, whatever edges are taken away.
        blue[:, BLUE] = above = degree + 1 if gated else 0
        bias = torch.full((2,), -float(above))
        self.own: nn.Module | None = None
        self.first: Any  # of two kinds
        self.second: Any
        if gcn:
            self.first = GCNConv(len(COLOURS), 2, add_self_loops=False)
            self.second = GCNConv(2, 2, add_self_loops=False)
            _set(self.first.lin, counted * degree)
            _set(self.second.lin, torch.eye(2) * degree)
            if gated:
                self.own = nn.Linear(len(COLOURS), 2, bias=False)
                _set(self.own, blue)
            self.first.bias.data, self.second.bias.data = bias, torch.zeros(2)
        else:
            self.first, self.second = GraphConv(len(COLOURS), 2), GraphConv(2, 2)
            _set(self.first.lin_rel, counted, bias)
            _set(self.first.lin_root, blue)
            _set(self.second.lin_rel, torch.eye(2), torch.zeros(2))
            _set(self.second.lin_root, torch.zeros(2, 2))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Scores [N, 2]: of class 1 the head's output less 1, of class 0 always -1/2.

        Heads give whole numbers: class 1 is what has any. Scores below 0 are no probabilities.
        """
        counts = self.first(x, edge_index)
        if self.own is not None:
            counts = counts + self.own(x)
        red, yellow = self.second(counts.relu(), edge_index).unbind(dim=1)
        output = HEADS[self.head](red, yellow)
        return torch.stack([torch.full_like(output, -0.5), output - 1], dim=1)


def _set(layer: nn.Module, weight: Tensor, bias: Tensor | None = None) -> None:
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias)


def white_box(head: str, title: str, description: str) -> Definition:
    """The task of a head, with the variants ``gated``, ``scale-free``, ``gcn`` and their mixtures.

    Args:
        head: One of :data:`HEADS`.
        title: See :class:`Definition`.
        description: See :class:`Definition`.
    """

    def variant(*words: str) -> Definition:
        said = {
            "gated": "Only next to blue nodes.",
            "scale-free": "On a scale-free graph.",
            "gcn": "By GCN layers.",
        }
        return Definition(
            title=", ".join([title, *words]),
            description=" ".join([description, *(said[word] for word in words)]),
            recipe=None,
            build=functools.partial(
                _build,
                head,
                gated="gated" in words,
                scale_free="scale-free" in words,
                gcn="gcn" in words,
            ),
        )

    mixtures = [("gated",), ("scale-free",), ("gcn",), ("gated", "scale-free"), ("gated", "gcn")]
    plain = variant()
    return Definition(
        title=plain.title,
        description=plain.description,
        recipe=None,
        build=plain.build,
        variants={"-".join(words): variant(*words) for words in mixtures},
    )


def _build(head: str, root: Path | None, *, gated: bool, scale_free: bool, gcn: bool) -> Dataset:
    edge_index = _scale_free() if scale_free else _regular()
    colour = torch.from_numpy(np.random.RandomState(1).randint(len(COLOURS), size=NODES))
    counted = colour == RED
    if head in TWO_COLOURS:
        counted |= colour == YELLOW
    passes = colour == BLUE if gated else torch.ones(NODES, dtype=torch.bool)
    degree = int(edge_index[1].bincount().max())
    y = labels(head, edge_index, colour, passes)
    everywhere = torch.ones(NODES, dtype=torch.bool)
    data = Data(
        x=nn.functional.one_hot(colour, len(COLOURS)).float(),
        edge_index=edge_index,
        y=y,
        train_mask=~everywhere,  # nothing is trained
        test_mask=everywhere,
    )
    graph = (
        f"Barabasi-Albert graph of {NODES} nodes"
        if scale_free
        else f"random {DEGREE}-regular graph of {NODES} nodes"
    )
    return Dataset(
        data,
        provenance=f"generated: {graph}, random colours, seed 0; weights set by hand",
        ground_truth=truth(edge_index, counted, passes) & (y == 1)[:, None],
        explainable=y == 1,
        feature_names=COLOURS,
        model=WhiteBox(head, degree, gated=gated, gcn=gcn),
        architecture="gcn" if gcn else "graph_conv",
    )


def labels(head: str, edge_index: Tensor, colour: Tensor, passes: Tensor) -> Tensor:
    """The classes [N] that a network without fault predicts, by walks of two steps, in integers."""
    adjacency = torch.zeros(len(colour), len(colour), dtype=torch.long)
    adjacency[edge_index[1], edge_index[0]] = 1  # [v, u]: from u to v
    walks = adjacency @ (passes.long()[:, None] * adjacency)
    red, yellow = (walks @ (colour == which).long() for which in (RED, YELLOW))
    reached = {
        "count": red > 0,
        "or": red > 0,
        "and": (red > 0) & (yellow > 0),
        "inhibit": red > yellow,
    }
    return reached[head].long()


def truth(edge_index: Tensor, counted: Tensor, passes: Tensor) -> Tensor:
    """The right edges of each node, bool [N, E]; see the module.

    Args:
        edge_index: [2, E], without loops.
        counted: bool [N], the nodes with a colour that counts.
        passes: bool [N], the nodes that pass the gate.
    """
    source, target = edge_index
    carries_colour = counted[source] & passes[target]
    has = torch.zeros_like(counted)
    has[target[carries_colour]] = True  # a neighbour that counts, and the gate
    nodes = torch.arange(len(counted))[:, None]
    neighbour = torch.zeros(len(counted), len(counted), dtype=torch.bool)
    neighbour[target, source] = True  # [v, u]: from u to v
    return (has[source] & (target == nodes)) | (carries_colour & neighbour[:, target])


def _regular() -> Tensor:
    """A random graph in which every node has :data:`DEGREE` neighbours, [2, E]."""
    rng = np.random.RandomState(0)
    stubs = np.repeat(np.arange(NODES), DEGREE)
    while True:  # one pairing of 400 has neither loops nor repeated edges
        pairs = rng.permutation(stubs).reshape(2, -1)
        low, high = pairs.min(axis=0), pairs.max(axis=0)
        if (low != high).all() and len(np.unique(low * NODES + high)) == len(low):
            break
    edges = np.concatenate([pairs, pairs[::-1]], axis=1)
    return torch.from_numpy(edges[:, np.lexsort(edges[::-1])].copy())


def _scale_free() -> Tensor:
    with seeded(0):  # PyG draws from the global generators
        return BAGraph(NODES, NEW_EDGES)().edge_index
