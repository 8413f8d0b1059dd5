"""A generated stand-in for Twitch EN, for machines that have neither the file nor a network.

Its size, degrees and homophily are the real graph's, so that explanations cost the same; what they
say means nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.random import RandomState
from torch_geometric.data import Data

from benchmarks.tasks import twitch_en
from benchmarks.tasks._definition import Dataset, Definition

# Measured on Twitch EN without its self loops.
NODES, EDGES, FEATURES = 7126, 35_324, 128  # edges: undirected
ONES = 3888  # nodes of class 1, 54.56 %
SAME_CLASS = 19_640  # edges that join two nodes of one class, 55.60 %
# The degree of the node at each rank, counted from the largest. Between the ranks log(degree) is
# nearly linear in log(rank).
RANKS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, NODES]
DEGREES = [720, 691, 378, 278, 186, 130, 85, 58, 40, 26, 16, 9, 4, 1]

# Distance of the classes' feature means, in standard deviations of the noise. Chosen so that the
# GCN gets about the accuracy that it has on Twitch EN, 70 %.
SIGNAL = 0.81


def build(root: Path | None) -> Dataset:
    """7,126 nodes, 70,648 directed edges, 128 features, two classes; always the same."""
    # RandomState, because its stream is frozen: the same graph with every version of numpy.
    rng = RandomState(0)
    y = rng.permutation(np.arange(NODES) < ONES).astype(np.int64)
    left, right = _pair(rng.permutation(_degrees(rng)), y, rng)
    edges = np.stack([np.r_[left, right], np.r_[right, left]])
    direction = rng.standard_normal(FEATURES)
    direction *= SIGNAL / np.linalg.norm(direction)
    x = rng.standard_normal((NODES, FEATURES)) + np.outer(y - 0.5, direction)
    data = Data(
        x=torch.from_numpy(x.astype(np.float32)),
        edge_index=torch.from_numpy(edges[:, np.lexsort(edges[::-1])]),
        y=torch.from_numpy(y),
    )
    data.train_mask = data.test_mask = torch.ones(NODES, dtype=torch.bool)
    return Dataset(
        data,
        provenance="generated stand-in for Twitch EN (same size, degrees and homophily; random "
        "features with a class signal), seed 0; not real data",
    )


def _degrees(rng: RandomState) -> np.ndarray:
    """Degrees [N] that sum to twice the number of edges, the largest first."""
    ranks = np.log(np.arange(1, NODES + 1))
    degrees = np.exp(np.interp(ranks, np.log(RANKS), np.log(DEGREES))).round().astype(np.int64)
    degrees[rng.choice(NODES, 2 * EDGES - degrees.sum(), replace=False)] += 1  # 1 % are missing
    return degrees


def _pair(degrees: np.ndarray, y: np.ndarray, rng: RandomState) -> tuple[np.ndarray, np.ndarray]:
    """The two ends [E], [E] of random edges with these degrees, :data:`SAME_CLASS` within a class.

    A configuration model: every node has as many stubs as its degree; stubs are drawn in pairs.
    Self loops and repeated edges are broken up by exchanging ends with random edges of their kind,
    which keeps all degrees and classes.
    """
    stubs = rng.permutation(np.repeat(np.arange(NODES), degrees))
    zeros, ones = stubs[y[stubs] == 0], stubs[y[stubs] == 1]
    cross = EDGES - SAME_CLASS
    cross += (len(ones) - cross) % 2  # the stubs that stay within a class are an even number
    left = np.r_[zeros[:cross], zeros[cross::2], ones[cross::2]]
    right = np.r_[ones[:cross], zeros[cross + 1 :: 2], ones[cross + 1 :: 2]]
    kind = np.where(y[left] != y[right], 2, y[left])
    while (bad := _loops_and_repeats(left, right)).any():
        for k in range(3):
            wrong = (bad & (kind == k)).nonzero()[0]
            fine = (~bad & (kind == k)).nonzero()[0]
            chosen = np.r_[wrong, rng.choice(fine, len(wrong), replace=False)]
            right[chosen] = right[rng.permutation(chosen)]
    return left, right


def _loops_and_repeats(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Which edges [E] are self loops, or repeat an earlier edge in either direction."""
    pairs = np.minimum(left, right) * NODES + np.maximum(left, right)
    bad = np.ones(len(pairs), dtype=bool)
    bad[np.unique(pairs, return_index=True)[1]] = False
    return bad | (left == right)


TASK = Definition(
    title="Twitch EN, generated stand-in",
    description="Random graph with the size, degrees and homophily of Twitch EN; no real data.",
    recipe=twitch_en.TASK.recipe,
    build=build,
    stand_in=True,
)
