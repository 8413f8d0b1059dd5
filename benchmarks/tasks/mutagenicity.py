"""Mutagenicity: is a molecule a mutagen? The ground truth is the bonds of NO2 and NH2 groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.tasks._definition import Dataset, Definition
from benchmarks.tasks._molecules import RECIPE, molecules
from benchmarks.tasks._source import Source, files_sha256, read_raw

MUTAGEN = 0
# TUDataset's README
ATOMS = ("C", "O", "Cl", "H", "N", "F", "Br", "S", "P", "I", "Na", "K", "Li", "Ca")
TRUTH = "Mutagenicity_edge_gt.txt"


def build(root: Path | None) -> Dataset:
    """4,337 graphs, 131,488 nodes, 266,894 directed edges, 14 kinds of atoms, two classes.

    Kazius et al. 2005, doi:10.1021/jm040835a. The ground truth are the edges inside NO2 and NH2
    groups, as published with Luo et al., "PGExplainer", arXiv:2011.04573; explained are the
    mutagens that have such a group.
    """
    (data, pairs), hashes = read_raw(MOLECULES, root)
    marks, more = read_raw(GROUPS, root)
    truth = by_ends(marks, pairs, data.edge_index, data.num_nodes)
    marked = torch.zeros(len(data.y), dtype=torch.bool)
    marked[data.batch[data.edge_index[0, truth]]] = True
    return Dataset(
        data,
        provenance="real molecules (TUDataset's files), split at random; NO2 and NH2 groups as "
        "published with PGExplainer",
        sha256=files_sha256(hashes | more),
        ground_truth=truth,
        explainable=marked & (data.y == MUTAGEN),
        feature_names=ATOMS,
        class_names=("mutagen", "nonmutagen"),  # TUDataset's label_readme
    )


def by_ends(marks: Tensor, pairs: Tensor, edge_index: Tensor, nodes: int) -> Tensor:
    """The marks of ``pairs`` [2, L], in the order of ``edge_index`` [2, E]; bool [E].

    Raises:
        ValueError: There is not one mark for each pair, or an edge is no pair.
    """
    if len(marks) != pairs.size(1):
        raise ValueError(
            f"{TRUTH} has {len(marks)} lines for {pairs.size(1)} edges; it is of other files"
        )
    keys, order = (pairs[0] * nodes + pairs[1]).sort()
    wanted = edge_index[0] * nodes + edge_index[1]
    place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    if not torch.equal(keys[place], wanted):
        raise ValueError(f"{TRUTH} is of other files: some edges are none of its")
    return marks[order[place]]


def _read_truth(folder: Path) -> Tensor:
    try:
        marks = np.loadtxt(folder / TRUTH, dtype=np.int64, ndmin=1)
    except ValueError as error:
        raise ValueError(f"{folder / TRUTH} is not one 0 or 1 a line ({error})") from error
    if not np.isin(marks, (0, 1)).all():
        raise ValueError(f"{folder / TRUTH} is not one 0 or 1 a line; replace it")
    return torch.from_numpy(marks.astype(bool))


MOLECULES = molecules("Mutagenicity")
GROUPS = Source(
    name="Mutagenicity's edge ground truth, published with PGExplainer",
    folder=Path("PGExplainer"),
    files={TRUTH: None},
    read=_read_truth,
)
TASK = Definition(
    title="Mutagenicity",
    description="Graphs: 4,337 molecules; the class is whether one is a mutagen. Known are the NO2 "
    "and NH2 groups.",
    recipe=RECIPE,
    build=build,
    sources=[MOLECULES, GROUPS],
)
