"""MUTAG: which nitroaromatic compounds make bacteria mutate?"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from benchmarks.tasks._definition import Dataset, Definition
from benchmarks.tasks._molecules import RECIPE, molecules
from benchmarks.tasks._source import files_sha256, read_raw

ATOMS = ("C", "N", "O", "F", "I", "Cl", "Br")  # TUDataset's README
SOURCE = molecules("MUTAG")


def build(root: Path | None) -> Dataset:
    """188 graphs, 3,371 nodes, 7,442 directed edges, 7 kinds of atoms, two classes.

    Debnath et al. 1991, doi:10.1021/jm00106a046. Class 1 is mutagenic.
    """
    (data, _), hashes = read_raw(SOURCE, root)
    return Dataset(
        data,
        provenance="real molecules (TUDataset's files), split at random",
        sha256=files_sha256(hashes),
        feature_names=ATOMS,
        class_names=("not mutagenic", "mutagenic"),  # -1 and 1 in the file
    )


TASK = Definition(
    title="MUTAG",
    description="Graphs: 188 nitroaromatic compounds; the class is whether one is mutagenic.",
    recipe=dataclasses.replace(RECIPE, epochs=200),
    build=build,
    sources=[SOURCE],
)
