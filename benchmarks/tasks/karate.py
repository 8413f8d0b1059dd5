"""Zachary's karate club: the smallest real graph, for a first try and for quick tests."""

from __future__ import annotations

from pathlib import Path

from torch_geometric.datasets import KarateClub

from benchmarks.tasks._definition import Dataset, Definition, Recipe


def build(root: Path | None) -> Dataset:
    """34 nodes, 156 directed edges, one-hot features; the graph is part of PyG's code."""
    data = KarateClub()[0]
    data.test_mask = ~data.train_mask
    return Dataset(data, provenance="real graph and labels, as shipped with PyG")


TASK = Definition(
    title="Karate club",
    description="34 members of a karate club in four communities; one of each is labelled.",
    recipe=Recipe(
        hidden=(16,),
        epochs=200,
        lr=0.01,
        weight_decay=5e-4,
        dropout=0.5,
        source="Kipf and Welling, arXiv:1609.02907, the settings for citation networks",
    ),
    build=build,
)
