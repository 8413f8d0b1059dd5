"""What the collections of molecules have in common: TUDataset's text files as one graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.datasets import TUDataset
from torch_geometric.utils import coalesce, one_hot, remove_self_loops

from benchmarks.tasks._definition import Recipe
from benchmarks.tasks._source import Source, split

PARTS = ("A", "graph_indicator", "graph_labels", "node_labels")
RECIPE = Recipe(
    hidden=(20, 20, 20),
    epochs=100,
    lr=3e-3,
    weight_decay=0.0,
    dropout=0.0,
    source="three layers of 20, not normalised, in GNNExplainer and PGExplainer; pooling and "
    "optimiser are ours",
    batch_size=128,
    normalize=False,
)


def molecules(name: str) -> Source[tuple[Data, Tensor]]:
    """The raw files of a collection, which are plain text; see :func:`read`."""
    files = {f"{name}_{part}.txt": None for part in PARTS}
    return Source(name, files, lambda folder: read(folder, name), dataset=TUDataset)


def read(folder: Path, name: str) -> tuple[Data, Tensor]:
    """All molecules side by side, and the edges in the order of ``<name>_A.txt``, [2, lines].

    Morris et al., "TUDataset", arXiv:2007.08663. The atoms' kinds are one-hot features; bonds go
    both ways, in PyG's order. The masks are a stratified split, 80 % to train on.

    Raises:
        ValueError: The files are malformed.
    """
    try:
        columns = [
            torch.from_numpy(np.loadtxt(folder / f"{name}_{part}.txt", np.int64, delimiter=","))
            for part in PARTS  # PyG's reader takes ten seconds for Mutagenicity
        ]
        pairs, batch, labels, atoms = columns[0].t() - 1, columns[1] - 1, *columns[2:]
        if not 0 <= int(pairs.min()) <= int(pairs.max()) < len(atoms):
            raise ValueError(f"{name}_A.txt names atoms outside 1 to {len(atoms)}")
        data = Data(
            x=one_hot(atoms - atoms.min()),
            edge_index=coalesce(remove_self_loops(pairs)[0], num_nodes=len(atoms)),
            y=labels.unique(return_inverse=True)[1],
            batch=batch,
        )
        data.train_mask, data.test_mask = split(data.y)
    # Whatever breaks first on malformed numbers.
    except (ValueError, TypeError, IndexError, RuntimeError) as error:
        raise ValueError(
            f"{folder} is not readable as TUDataset's {name} ({type(error).__name__}: {error}); "
            "replace its files"
        ) from error
    return data, pairs
