"""White box, common neighbours: how many red ones do two nodes have?

Weights are set by hand. A node's features are which one it is, a column each; the layer adds up
those of a node's red neighbours, so that the inner product of two nodes is the number of their red
common neighbours. An edge w -> u changes the output for the link of u and v in no coalition of
other edges unless w is red and a neighbour of v as well: these edges into both ends are right, and
any other is wrong. In the variant ``saturated`` the output is min(number, 1.5): a second common
neighbour adds half of what one does, and further ones nothing.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GraphConv

from benchmarks.tasks._definition import Dataset, Definition

NODES, EDGE, RED = 120, 0.12, 0.5  # and the probabilities of an edge, and of a node to be red
LINKS = 150  # of either class


class CommonNeighbours(nn.Module):
    """The network above; every score is exact up to rounding.

    Args:
        red: bool [N], the nodes that count.
        saturated: Whether the output is min(number, 1.5).
    """

    def __init__(self, red: Tensor, *, saturated: bool) -> None:
        super().__init__()
        self.saturated = saturated
        self.layer = GraphConv(len(red), len(red), bias=False)
        self.layer.lin_rel.weight = nn.Parameter(red.float().diag())
        self.layer.lin_root.weight = nn.Parameter(torch.zeros(len(red), len(red)))

    def forward(self, x: Tensor, edge_index: Tensor, edge_label_index: Tensor) -> Tensor:
        """Scores [R, 2]: of class 1 the output less 1, of class 0 always -1/2.

        Class 1 is what has any. Scores below 0 are no probabilities.
        """
        source, target = self.layer(x, edge_index)[edge_label_index]
        count = (source * target).sum(dim=-1)
        if self.saturated:  # by ReLU: what every method can go back through; no number is a kink
            count = count - (count - 1.5).relu()
        return torch.stack([torch.full_like(count, -0.5), count - 1], dim=1)


def _build(root: Path | None, *, saturated: bool) -> Dataset:
    """A random graph of :data:`NODES` nodes, and pairs with and without red common neighbours."""
    rng = np.random.RandomState(0)
    adjacency = np.triu(rng.random_sample((NODES, NODES)) < EDGE, 1)
    adjacency |= adjacency.T
    red = rng.random_sample(NODES) < RED
    common = (adjacency & red).astype(np.int64) @ adjacency.T
    pairs = np.stack(np.triu_indices(NODES, 1))[:, rng.permutation(NODES * (NODES - 1) // 2)]
    has = common[tuple(pairs)] > 0
    chosen = [pairs[:, kind][:, :LINKS] for kind in (has, ~has)]
    links = torch.from_numpy(np.concatenate(chosen, axis=1))
    y = torch.arange(2 * LINKS) < LINKS
    edge_index = torch.from_numpy(np.stack(adjacency.nonzero()))
    data = Data(
        x=torch.eye(NODES),
        edge_index=edge_index,
        edge_label_index=links,
        y=y.long(),
        train_mask=torch.zeros_like(y),  # nothing is trained
        test_mask=torch.ones_like(y),
    )
    return Dataset(
        data,
        provenance=f"generated: random graph of {NODES} nodes, seed 0; weights set by hand",
        ground_truth=truth(edge_index, links, torch.from_numpy(red)) & y[:, None],
        explainable=y,
        class_names=("no red common neighbour", "red common neighbour"),
        model=CommonNeighbours(torch.from_numpy(red), saturated=saturated),
        architecture="graph_conv",
    )


def truth(edge_index: Tensor, links: Tensor, red: Tensor) -> Tensor:
    """The right edges of each of ``links`` [2, R], bool [R, E]; see the module."""
    source, target = edge_index
    neighbour = torch.zeros(len(red), len(red), dtype=torch.bool)
    neighbour[target, source] = True  # [u, w]: from w to u
    one, other = links[..., None]
    counts = red[source] & neighbour[one, source] & neighbour[other, source]
    return counts & ((target == one) | (target == other))


def _definition(saturated: bool, title: str, description: str) -> Definition:
    return Definition(
        title=f"White box, common neighbours{title}",
        description=f"{description} Weights are set by hand, the edges that matter are known.",
        recipe=None,
        build=functools.partial(_build, saturated=saturated),
    )


TASK = dataclasses.replace(
    _definition(False, "", "How many red neighbours do two nodes have in common?"),
    variants={
        "saturated": _definition(
            True, ", saturated", "Do two nodes have a red neighbour in common, however many?"
        )
    },
)
