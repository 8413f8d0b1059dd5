"""BA-Community: two BA-Shapes with features of their own; the role and the community are asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.datasets.graph_generator import BAGraph

from benchmarks.tasks._definition import Dataset, Definition, Recipe
from benchmarks.tasks._motifs import attach, published
from benchmarks.tasks._source import split
from benchmarks.tasks.ba_shapes import ROLES

NODES, BRIDGES = 700, 350  # of one community; random edges between the two
CLASSES = tuple(f"{role}, community {number}" for number in (1, 2) for role in ROLES)
FEATURES, TELLING = 10, 2  # features, and those that differ between the communities

# With BA-Shapes' recipe of two layers the training nodes are learned by heart, and a quarter of the
# others are wrong.
RECIPE = Recipe(
    hidden=(20, 20, 20),
    epochs=1000,
    lr=1e-3,
    weight_decay=5e-3,
    dropout=0.0,
    source="RexYing/gnn-model-explainer, configs.py and models.py, of Ying et al., "
    "arXiv:1903.03894; without clipping of gradients",
    normalize=False,
    concatenate=True,
)


def build(root: Path | None) -> Dataset:
    """1,400 nodes in two communities, each a BA-Shapes graph, with 350 random edges between them.

    Ying et al., "GNNExplainer", arXiv:1903.03894. Two of the ten features are drawn around -1 in
    one community and around 1 in the other, with standard deviation 0.5; the others are standard
    normal. The classes are the four roles of BA-Shapes in each community; the ground truth is the
    edges inside the houses.
    """
    halves = [attach(BAGraph(num_nodes=300, num_edges=5), "house", 80, seed=s) for s in (0, 1)]
    rng = np.random.RandomState(0)
    ends = rng.randint(NODES, size=(2, BRIDGES)) + np.array([[0], [NODES]])
    bridges = torch.from_numpy(np.concatenate([ends, ends[::-1]], axis=1))
    x = rng.standard_normal((2 * NODES, FEATURES))
    centre = np.repeat([-1.0, 1.0], NODES)[:, None]
    x[:, :TELLING] = 0.5 * x[:, :TELLING] + centre
    y = torch.cat([halves[0].y, halves[1].y + 4])
    data = Data(
        x=torch.from_numpy(x).float(),
        edge_index=torch.cat([halves[0].edge_index, halves[1].edge_index + NODES, bridges], dim=1),
        y=y,
    )
    data.train_mask, data.test_mask = split(y)
    truth = [half.edge_mask.bool() for half in halves]
    return Dataset(
        data,
        provenance="generated: two Barabasi-Albert graphs of 300 nodes with 80 houses each, joined "
        "by 350 random edges; Gaussian features; seed 0",
        ground_truth=torch.cat([*truth, torch.zeros(2 * BRIDGES, dtype=torch.bool)]),
        explainable=y % 4 > 0,
        class_names=CLASSES,
    )


TASK = Definition(
    title="BA-Community",
    description="Roles in the houses of two joined BA-Shapes graphs, and in which of the two.",
    recipe=RECIPE,
    build=build,
    motif=True,
    variants=published(
        "syn2.npz",
        "5e08b132cd2b89996b87e3b68c63f257191338cc887231c2ac58d7f6bdc60123",
        title="BA-Community",
        description="Roles in the houses of two joined BA-Shapes graphs, and in which of the two.",
        recipe=RECIPE,
        class_names=CLASSES,
    ),
)
