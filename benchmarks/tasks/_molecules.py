"""What the collections of molecules have in common: TUDataset's text files as one graph."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.datasets import TUDataset
from torch_geometric.io import read_tu_data

from benchmarks.tasks._data import Source, split
from benchmarks.tasks._task import Recipe

RECIPE = Recipe(
    hidden=(20, 20, 20),
    epochs=100,
    lr=1e-2,
    weight_decay=0.0,
    dropout=0.0,
    source="three layers of 20 in GNNExplainer and PGExplainer, mini-batches; other optimiser",
    batch_size=128,
)


def molecules(name: str) -> Source[tuple[Data, Tensor]]:
    """The raw files of a collection, which are plain text; see :func:`read`."""
    parts = ("A", "graph_indicator", "graph_labels", "node_labels")
    files = {f"{name}_{part}.txt": None for part in parts}
    return Source(name, files, lambda folder: read(folder, name), dataset=TUDataset)


def read(folder: Path, name: str) -> tuple[Data, Tensor]:
    """All molecules side by side, and the edges in the order of ``<name>_A.txt``, [2, lines].

    Morris et al., "TUDataset", arXiv:2007.08663. The atoms' kinds are one-hot features; bonds go
    both ways, in PyG's order. The masks are a stratified split, 80 % to train on.

    Raises:
        ValueError: The files are malformed.
    """
    try:
        raw, slices, _ = read_tu_data(str(folder), name)
        lines = [
            [int(end) for end in line.split(",")]
            for line in (folder / f"{name}_A.txt").read_text().splitlines()
        ]
        pairs = torch.tensor(lines).t() - 1
        size = slices["x"].diff()
        # PyG counts a molecule's nodes from 0.
        shift = slices["x"][:-1].repeat_interleave(slices["edge_index"].diff())
        data = Data(x=raw.x, edge_index=raw.edge_index + shift, y=raw.y)
        data.batch = torch.repeat_interleave(size)
        data.train_mask, data.test_mask = split(data.y)
    # A reader of PyG's meets a malformed file with whatever breaks first.
    except Exception as error:
        raise ValueError(
            f"{folder} is not readable as TUDataset's {name} ({type(error).__name__}: {error}); "
            "replace its files"
        ) from error
    return data, pairs
