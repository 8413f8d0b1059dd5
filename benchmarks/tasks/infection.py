"""Infection: how far is a node from the nearest infected one? The shortest paths are known."""

from __future__ import annotations

from pathlib import Path

from torch_geometric.datasets import InfectionDataset
from torch_geometric.datasets.graph_generator import ERGraph

from benchmarks.tasks._definition import Dataset, Definition, Recipe
from benchmarks.tasks._source import seeded, split

NODES, PROBABILITY, INFECTED, FAR = 1000, 0.004, 50, 3


def build(root: Path | None) -> Dataset:
    """1,000 nodes of a random graph, 50 of them infected, which is their feature.

    Baldassarre and Azizpour, "Explainability Techniques for Graph Convolutional Networks",
    arXiv:1905.13686, made by PyG's generator. The class is the number of steps from the nearest
    infected node, 0 to 3, or 4 for more. The ground truth is the edges on shortest paths from
    infected nodes, away from them; PyG's mask, which also has the edges that lead back or sideways,
    is cut down to these. Explained are the nodes that an infection reaches in 1 to 3 steps.
    """
    with seeded(0):  # PyG draws from the global generators
        data = InfectionDataset(ERGraph(NODES, PROBABILITY), INFECTED, FAR)[0]
    y, (source, target) = data.y, data.edge_index
    truth = data.edge_mask.bool() & (y[source] + 1 == y[target])
    del data.edge_mask
    data.train_mask, data.test_mask = split(y)
    return Dataset(
        data,
        provenance=f"generated: random graph of {NODES:,} nodes, {INFECTED} infected, seed 0",
        ground_truth=truth,
        class_names=("infected", "1 step away", "2 steps away", "3 steps away", "farther"),
        explainable=(y > 0) & (y <= FAR),
    )


TASK = Definition(
    title="Infection",
    description="Steps from the nearest of 50 infected nodes in a random graph; the paths are "
    "known.",
    recipe=Recipe(
        hidden=(20, 20, 20),
        epochs=1000,
        lr=1e-2,
        weight_decay=5e-4,
        dropout=0.0,
        source="four layers, as many as steps matter and one; as for BA-Shapes otherwise",
    ),
    build=build,
)
