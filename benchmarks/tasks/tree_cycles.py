"""Tree-Cycles: cycles attached to a tree; the ground truth is the edges of the cycles."""

from __future__ import annotations

from pathlib import Path

from torch_geometric.datasets.graph_generator import TreeGraph
from torch_geometric.datasets.motif_generator import CycleMotif

from benchmarks.tasks._definition import Dataset, Definition
from benchmarks.tasks._motifs import TREE_RECIPE, attach, in_motifs, published

CLASSES = ("tree", "cycle")


def build(root: Path | None) -> Dataset:
    """991 nodes: a balanced binary tree of depth 8 and 80 cycles of 6, each tied to it by an edge.

    Ying et al., "GNNExplainer", arXiv:1903.03894. The classes are outside and inside a cycle; the
    ground truth is the edges of the cycles.
    """
    graph = attach(TreeGraph(depth=8, undirected=True), CycleMotif(6), 80, seed=0)
    return in_motifs(
        graph, "generated: binary tree of depth 8 with 80 cycles of 6 nodes, seed 0", CLASSES
    )


TASK = Definition(
    title="Tree-Cycles",
    description="Is a node in one of the 80 six-cycles attached to a binary tree, or in the tree?",
    recipe=TREE_RECIPE,
    build=build,
    motif=True,
    variants=published(
        "syn3.npz",
        "ba4dce935bd5f3c579896102b67c7d1e23eac925ed68f1bb79417e7fa321787c",
        title="Tree-Cycles",
        description="Is a node in one of the 60 six-cycles attached to a binary tree, or in "
        "the tree?",
        recipe=TREE_RECIPE,
        class_names=CLASSES,
    ),
)
