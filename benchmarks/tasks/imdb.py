"""IMDB: which genre has a movie, by its plot's keywords, its director and its actors?"""

from __future__ import annotations

from pathlib import Path

from torch_geometric.data import HeteroData
from torch_geometric.datasets import IMDB

from benchmarks.tasks._definition import Dataset, Definition, Recipe
from benchmarks.tasks._source import Source, files_sha256, read_raw


def _read(folder: Path) -> HeteroData:
    """What PyG's class makes of the raw files, without its folders."""
    kept: list[HeteroData] = []
    whole = type(
        "FromRaw",
        (IMDB,),
        {
            "raw_dir": str(folder),
            "_download": lambda self: None,
            "_process": lambda self: self.process(),
            "save": lambda self, data_list, path: kept.extend(data_list),
            "load": lambda self, path, data_cls=None: None,
        },
    )
    try:
        whole(str(folder))
    except ValueError as error:  # NumPy's says nothing of the file, and to trust it
        raise ValueError(f"the files of IMDB in {folder} are malformed ({error})") from error
    (data,) = kept
    return data


SOURCE: Source[HeteroData] = Source(
    "IMDB",
    dict.fromkeys(
        (
            *("adjM.npz", "features_0.npz", "features_1.npz", "features_2.npz"),
            *("labels.npy", "train_val_test_idx.npz"),
        )
    ),
    _read,
    dataset=IMDB,
)


def build(root: Path | None) -> Dataset:
    """4,278 movies, 2,081 directors, 5,257 actors; three classes.

    Fu et al., "MAGNN: Metapath Aggregated Graph Neural Network for Heterogeneous Graph Embedding",
    arXiv:2002.01680; public split, accuracy on its test.
    """
    data, hashes = read_raw(SOURCE, root)
    return Dataset(
        data,
        provenance="real graph, features and labels, public split (files of MAGNN's authors)",
        sha256=files_sha256(hashes),
        class_names=("action", "comedy", "drama"),
        node_type="movie",
    )


TASK = Definition(
    title="IMDB",
    description="Movies, directors and actors; the class is the movie's genre.",
    recipe=Recipe(
        hidden=(64,),
        epochs=100,
        lr=0.005,
        weight_decay=0.001,
        dropout=0.0,
        source="width, depth and optimiser of PyG's examples/hetero/hetero_conv_dblp.py",
    ),
    build=build,
    sources=[SOURCE],
    hetero=True,
)
