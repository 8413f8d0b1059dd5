"""BA-Shapes: houses attached to a random graph; the ground truth is the edges of the houses."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch_geometric.data import Data
from torch_geometric.datasets.graph_generator import BAGraph

from benchmarks.tasks._definition import Dataset, Definition, Recipe
from benchmarks.tasks._motifs import attach, published
from benchmarks.tasks._source import split

# PyG's example has lr 1e-3 and weight decay 5e-3: 85 % accuracy, and not one top of a house is
# recognised. What explains a wrong prediction is unknown; with these two values it is 98 %.
RECIPE = Recipe(
    hidden=(20, 20),
    epochs=2000,
    lr=1e-2,
    weight_decay=5e-4,
    dropout=0.0,
    source="PyG, examples/explain/gnn_explainer_ba_shapes.py, other lr and weight decay",
)


ROLES = ("outside", "middle of a house", "bottom of a house", "top of a house")


def build(root: Path | None) -> Dataset:
    """700 nodes: a Barabasi-Albert graph of 300 and 80 houses of 5, each tied to it by an edge.

    Ying et al., "GNNExplainer", arXiv:1903.03894, made by PyG's generator. The classes are the
    roles: 0 outside the houses, 1 to 3 the middle, bottom and top of a house. The ground truth is
    the edges inside the houses: 80 houses of 6 edges in both directions.
    """
    graph = attach(BAGraph(num_nodes=300, num_edges=5), "house", 80, seed=0)
    y = graph.y
    data = Data(x=torch.ones(y.numel(), 1), edge_index=graph.edge_index, y=y)
    data.train_mask, data.test_mask = split(y)
    return Dataset(
        data,
        provenance="generated: Barabasi-Albert graph of 300 nodes with 80 houses, seed 0",
        ground_truth=graph.edge_mask.bool(),
        explainable=y > 0,
        class_names=ROLES,
    )


TASK = Definition(
    title="BA-Shapes",
    description="Roles in 80 houses attached to a Barabasi-Albert graph; the houses are known.",
    recipe=RECIPE,
    build=build,
    motif=True,
    variants=published(
        "syn1.npz",
        "f8b372012429ea39637a2d03225fdb1ab3bf172d3dca6dd41bb07dc09ee2fd25",
        title="BA-Shapes",
        description="Roles in 80 houses attached to a Barabasi-Albert graph, with 1 % random "
        "edges.",
        # With layers that weigh by degrees it is 92 %, with these 97 %.
        recipe=dataclasses.replace(RECIPE, epochs=3000, normalize=False),
        class_names=ROLES,
    ),
)
