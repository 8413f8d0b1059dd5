"""Tree-Grid: grids attached to a tree; the ground truth is the edges of the grids."""

from __future__ import annotations

from pathlib import Path

from torch_geometric.datasets.graph_generator import TreeGraph

from benchmarks.tasks._definition import Dataset, Definition
from benchmarks.tasks._motifs import TREE_RECIPE, attach, in_motifs, published

CLASSES = ("tree", "grid")


def build(root: Path | None) -> Dataset:
    """1,231 nodes: a balanced binary tree of depth 8 and 80 grids of 3 x 3, each tied to it.

    Ying et al., "GNNExplainer", arXiv:1903.03894. The classes are outside and inside a grid; the
    ground truth is the edges of the grids.
    """
    graph = attach(TreeGraph(depth=8, undirected=True), "grid", 80, seed=0)
    return in_motifs(
        graph, "generated: binary tree of depth 8 with 80 grids of 3 x 3, seed 0", CLASSES
    )


TASK = Definition(
    title="Tree-Grid",
    description="Is a node in one of the 80 three-by-three grids attached to a binary tree?",
    recipe=TREE_RECIPE,
    build=build,
    motif=True,
    variants=published(
        "syn4.npz",
        "0275c868708dbe9f3fe188af4d0ebc4db8e87e77f44adba9ab59a05facf48250",
        title="Tree-Grid",
        description="Is a node in one of the 80 three-by-three grids attached to a binary "
        "tree, with 1 % random edges?",
        recipe=TREE_RECIPE,
        class_names=CLASSES,
    ),
)
