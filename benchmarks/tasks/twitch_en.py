"""Twitch EN: friendships of English-speaking streamers; whose stream is for a mature audience?"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.datasets import Twitch

from benchmarks.tasks._definition import Dataset, Definition, Recipe
from benchmarks.tasks._source import Source, read_raw

# EN.npz as rebuilt from the MUSAE files (SVD of the binary features), for where the published one
# cannot be had.
REBUILD_SHA256 = "44e3509565b7cc142d985cf542f2a0360d2727fdcbf29b1ab3b5c44065dbcf93"
NODES, FEATURES = 7126, 128


def read(folder: Path) -> Data:
    """The graph in ``folder/EN.npz``, without unpickling anything.

    Raises:
        ValueError: It is no npz file of the plain arrays ``edges`` [E, 2], ``features`` [N, F] and
            ``target`` [N] of Twitch EN.
    """
    path = folder / "EN.npz"
    try:
        # PyG would allow pickles here; plain arrays need none.
        with np.load(path, allow_pickle=False) as file:
            edges, features, target = (file[key] for key in ("edges", "features", "target"))
    # No zip file, a cut one, a single array, objects, an array missing.
    except (ValueError, OSError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is not readable as an npz file with the plain arrays edges, features and "
            f"target ({error}); replace it"
        ) from error
    problem = None
    if edges.ndim != 2 or edges.shape[1] != 2 or edges.dtype.kind not in "iu":
        problem = f"edges is {_kind(edges)}, not integers [E, 2]"
    elif features.shape != (NODES, FEATURES) or features.dtype.kind not in "fiu":
        problem = f"features is {_kind(features)}, not numbers [{NODES}, {FEATURES}]"
    elif target.shape != (NODES,) or target.dtype.kind not in "biu":
        problem = f"target is {_kind(target)}, not integers [{NODES}]"
    elif edges.size == 0 or edges.min() < 0 or edges.max() >= NODES:
        problem = f"edges is empty or names nodes outside 0 to {NODES - 1}"
    elif not np.isfinite(features).all():
        problem = "features has values that are not finite"
    elif np.unique(target).tolist() != [0, 1]:
        problem = f"target has the values {np.unique(target)[:5].tolist()}, not 0 and 1"
    if problem:
        raise ValueError(f"{path} is not Twitch EN: {problem}; replace it")
    return Data(
        x=torch.from_numpy(features.astype(np.float32)),
        edge_index=torch.from_numpy(edges.astype(np.int64)).t().contiguous(),
        y=torch.from_numpy(target.astype(np.int64)),
    )


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype} {list(array.shape)}"


SOURCE = Source("EN", {"EN.npz": None}, read, dataset=Twitch)


def build(root: Path | None) -> Dataset:
    """7,126 nodes, 70,648 directed edges (self loops not counted), 128 features, two classes."""
    data, hashes = read_raw(SOURCE, root)
    sha256 = hashes["EN.npz"]
    if sha256 == REBUILD_SHA256:
        # The columns of the SVD differ in mean and scale: with this recipe the GCN's accuracy is
        # 65 % on them as they are and 70 % standardised.
        x = data.x.double()
        data.x = ((x - x.mean(dim=0)) / x.std(dim=0)).float()
        provenance = (
            "real graph and labels; features rebuilt (SVD of MUSAE features, standardised), not "
            "the published embedding; the published 72.83 % accuracy is not comparable"
        )
    else:
        provenance = "real graph; features as in the file (taken as the published embedding)"
    data.train_mask = data.test_mask = torch.ones(NODES, dtype=torch.bool)
    return Dataset(
        data,
        provenance=provenance,
        sha256=sha256,
        class_names=("not mature", "mature"),  # MUSAE's column `mature`
    )


TASK = Definition(
    title="Twitch EN",
    description="Friendships of 7,126 Twitch streamers; the class is whether the stream is mature.",
    recipe=Recipe(
        hidden=(64,),
        epochs=200,
        lr=1e-3,
        weight_decay=5e-4,
        dropout=0.5,
        source="the setting of the published 72.83 %, trained and scored on all nodes",
    ),
    build=build,
    sources=[SOURCE],
)
