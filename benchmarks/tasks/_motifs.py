"""What the graphs with planted motifs have in common, generated or as published."""

from __future__ import annotations

import dataclasses
import functools
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.datasets import ExplainerDataset
from torch_geometric.datasets.graph_generator import GraphGenerator
from torch_geometric.datasets.motif_generator import MotifGenerator
from torch_geometric.explain import Explanation

from benchmarks.tasks._definition import Dataset, Definition, Recipe
from benchmarks.tasks._source import Source, read_raw, seeded, split

# For motifs attached to a tree, whose nodes only differ in their degrees.
TREE_RECIPE = Recipe(
    hidden=(20, 20),
    epochs=2000,
    lr=1e-2,
    weight_decay=5e-4,
    dropout=0.0,
    source="as for BA-Shapes; three layers of 20, not normalised, in GNNExplainer and PGExplainer",
    normalize=False,
)

# Early stopping is theirs, too, if the validation accuracy is above 0.99; left out here.
REPLICATION = Recipe(
    hidden=(20, 20, 20),
    epochs=1000,
    lr=1e-3,
    weight_decay=0.0,
    dropout=0.0,
    source='configs/replication/models/model_gnn_*.json of Holdijk et al., "[Re] Parameterized '
    'Explainer"',
    concatenate=True,
)

ARRAYS = ("x", "y", "edge_index", "edge_mask", "node_mask", "train_mask", "test_mask")


def attach(
    graph: GraphGenerator, motif: MotifGenerator | str, count: int, seed: int
) -> Explanation:
    """A graph with ``count`` motifs, each tied to it by an edge; PyG's ``ExplainerDataset``."""
    with seeded(seed):  # PyG draws from the global generators
        return ExplainerDataset(graph_generator=graph, motif_generator=motif, num_motifs=count)[0]


def in_motifs(graph: Explanation, provenance: str, class_names: tuple[str, ...]) -> Dataset:
    """The task to tell the motifs' nodes from the others, which all look alike."""
    inside = graph.node_mask.bool()
    y = inside.long()
    data = Data(x=torch.ones(y.numel(), 1), edge_index=graph.edge_index, y=y)
    data.train_mask, data.test_mask = split(y)
    return Dataset(
        data,
        provenance=provenance,
        ground_truth=graph.edge_mask.bool(),
        explainable=inside,
        class_names=class_names,
    )


def published(
    file: str,
    sha256: str,
    title: str,
    description: str,
    recipe: Recipe,
    class_names: tuple[str, ...],
) -> dict[str, Definition]:
    """The very graph on which PGExplainer's and later papers report, with their split.

    Luo et al., "Parameterized Explainer for Graph Neural Network", arXiv:2011.04573; drawn by the
    code of Ying et al., "GNNExplainer", arXiv:1903.03894.

    Args:
        file: An npz file of the plain arrays :data:`ARRAYS`, converted from PGExplainer's pickles.
        sha256: The file's.
        title: See :class:`Definition`.
        description: See :class:`Definition`.
        recipe: See :class:`Definition`.
        class_names: See :class:`Dataset`.

    Returns:
        Variants: ``published``, and with the network of its replication ``replication``.
    """
    source = Source(
        name=f"{title} as published with PGExplainer",
        folder=Path("PGExplainer"),
        files={file: sha256},
        read=functools.partial(_read, file),
    )
    task = Definition(
        title=f"{title}, published",
        description=f"{description} The instance published with PGExplainer.",
        recipe=recipe,
        build=functools.partial(_build, source, sha256, class_names),
        sources=[source],
        motif=True,
    )
    replication = dataclasses.replace(
        task,
        title=f"{title}, replication",
        description=f"{task.description} The network of its replication by Holdijk et al.",
        recipe=REPLICATION,
        build=functools.partial(_build, source, sha256, class_names, scaled=True),
    )
    return {"published": task, "replication": replication}


def _build(
    source: Source[dict[str, Tensor]],
    sha256: str,
    class_names: tuple[str, ...],
    root: Path | None,
    scaled: bool = False,
) -> Dataset:
    arrays, _ = read_raw(source, root)
    if scaled:  # a node's features sum to 1, as in the replication
        arrays["x"] = arrays["x"] / arrays["x"].sum(dim=1, keepdim=True)
    names = ("x", "edge_index", "y", "train_mask", "test_mask")
    return Dataset(
        Data(**{name: arrays[name] for name in names}),
        provenance="the instance published with PGExplainer, its features, labels and split",
        sha256=sha256,
        ground_truth=arrays["edge_mask"],
        explainable=arrays["node_mask"],
        class_names=class_names,
    )


def _read(name: str, folder: Path) -> dict[str, Tensor]:
    path = folder / name
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: torch.from_numpy(file[key]) for key in ARRAYS}
    except (ValueError, OSError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is not readable as an npz file with the plain arrays {', '.join(ARRAYS)} "
            f"({error}); replace it"
        ) from error
