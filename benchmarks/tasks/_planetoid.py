"""What the citation networks have in common."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from pathlib import Path

from torch_geometric.data import Data
from torch_geometric.datasets import Planetoid
from torch_geometric.io import read_planetoid_data
from torch_geometric.transforms import NormalizeFeatures

from benchmarks.tasks._definition import Dataset, Definition, Recipe
from benchmarks.tasks._source import Source, files_sha256, read_raw

RECIPE = Recipe(
    hidden=(16,),
    epochs=200,
    lr=0.01,
    weight_decay=5e-4,
    dropout=0.5,
    source="PyG, Introduction by Example, after Kipf and Welling, arXiv:1609.02907",
)


def planetoid(
    name: str,
    title: str,
    description: str,
    pins: Mapping[str, str],
    class_names: tuple[str, ...] = (),
) -> Definition:
    """The task of a citation network: rows of ``x`` sum to 1, public split, accuracy on its test.

    Yang et al., "Revisiting Semi-Supervised Learning with Graph Embeddings", arXiv:1603.08861.

    Args:
        name: As PyG's ``Planetoid`` calls it.
        title: See :class:`Definition`.
        description: See :class:`Definition`.
        pins: SHA-256 of each raw file, by the end of its name (``x``, ``tx``, ...). All but
            ``test.index`` are pickles.
        class_names: See :class:`Dataset`.
    """
    files = {f"ind.{name.lower()}.{end}": sha256 for end, sha256 in pins.items()}
    source = Source(name, files, functools.partial(_read, name), dataset=Planetoid)
    return Definition(
        title=title,
        description=description,
        recipe=RECIPE,
        build=functools.partial(_build, source, class_names),
        sources=[source],
    )


def _build(source: Source[Data], class_names: tuple[str, ...], root: Path | None) -> Dataset:
    data, hashes = read_raw(source, root)
    others = [name for name in hashes if hashes[name] != source.files[name]]
    origin = f"{', '.join(others)} not the originals, trusted" if others else "original files"
    return Dataset(
        NormalizeFeatures()(data),
        provenance=f"real graph, features and labels, public split (Planetoid's {origin})",
        sha256=files_sha256(hashes),
        class_names=class_names,
    )


def _read(name: str, folder: Path) -> Data:
    with warnings.catch_warnings():  # numpy and scipy on the age of the pickles
        warnings.simplefilter("ignore")
        return read_planetoid_data(str(folder), name.lower())
