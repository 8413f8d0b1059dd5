"""What the molecules with known rationales have in common: GraphXAI's data as one graph."""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from benchmarks.tasks._definition import Dataset, Definition, Recipe
from benchmarks.tasks._source import Source, read_raw, split

ATOMS = ("C", "N", "O", "S", "F", "P", "Cl", "Br", "Na", "Ca", "I", "B", "H", "other")
ARRAYS = (
    *("x", "edge_index", "edge_attr", "node_ptr", "edge_ptr", "y"),
    *("motif_graph", "motif_ptr", "motif_node"),
)
# Of a single, double, triple, aromatic and other bond. Without them a ring of six carbon atoms may
# be benzene or cyclohexane, as hydrogen is left out, and C=O may be C-OH: no network could tell.
ORDERS = (1.0, 2.0, 3.0, 1.5, 1.0)
# Occurrences that share atoms have many unions: up to 1,407 in one molecule. Those of molecules
# with more than this (3 % of fluoride-carbonyl's) are not listed, nor are these explained.
MOST = 31


def rationales(
    file: str, sha256: str, pattern: str, title: str, description: str, recipe: Recipe
) -> Definition:
    """The task to tell molecules that have a pattern of atoms from those that have not.

    Sanchez-Lengeling et al., "Evaluating Attribution for Graph Neural Networks", NeurIPS 2020, as
    published with Agarwal et al., "GraphXAI", arXiv:2208.09339. A pattern may occur several times:
    any union of occurrences explains the molecule, and an edge belongs to it if both its atoms do.
    The ground truth is the union of all. Explained are molecules of the test set, as many
    without the pattern as with it.

    Args:
        file: An npz file of the plain arrays :data:`ARRAYS`, converted from GraphXAI's pickles.
        sha256: The file's.
        pattern: What is looked for, in words.
        title: See :class:`Definition`.
        description: See :class:`Definition`.
        recipe: See :class:`Definition`.
    """
    source = Source(
        name=f"{title} as published with GraphXAI",
        folder=Path("GraphXAI"),
        files={file: sha256},
        read=functools.partial(_read, file),
    )
    return Definition(
        title=title,
        description=description,
        recipe=recipe,
        build=functools.partial(_build, source, pattern),
        sources=[source],
    )


def _build(source: Source[Mapping[str, Tensor]], pattern: str, root: Path | None) -> Dataset:
    arrays, hashes = read_raw(source, root)
    data = _side_by_side(arrays)
    alternatives = _unions(arrays, data)
    listed = torch.zeros(len(data.y), dtype=torch.bool)
    listed[data.batch[data.edge_index[0, alternatives[0]]]] = True
    data.train_mask, data.test_mask = split(data.y)
    return Dataset(
        data,
        provenance=f"real molecules of ZINC, with or without {pattern}, as published with GraphXAI,"
        " split at random",
        sha256="-".join(hashes.values()),
        ground_truth=alternatives.any(dim=0),
        alternatives=alternatives,
        explainable=_balanced(data, listed),
        feature_names=ATOMS,
        class_names=(f"without {pattern}", f"with {pattern}"),
    )


def _side_by_side(arrays: Mapping[str, Tensor]) -> Data:
    """All molecules as one graph; the weights of the edges are the orders of the bonds."""
    nodes, edges = arrays["node_ptr"].diff(), arrays["edge_ptr"].diff()
    first = torch.repeat_interleave(arrays["node_ptr"][:-1], edges)
    return Data(
        x=arrays["x"].float(),
        edge_index=arrays["edge_index"] + first,
        edge_weight=arrays["edge_attr"].float() @ torch.tensor(ORDERS),
        y=arrays["y"],
        batch=torch.repeat_interleave(nodes),
    )


def _unions(arrays: Mapping[str, Tensor], data: Data) -> Tensor:
    """The ground truths, bool [A, E]: the a-th of every molecule in row a.

    A row has no edge of a molecule with fewer of them. The unions of one occurrence come first.
    """
    found: dict[int, list[frozenset[int]]] = {}
    occurrences = arrays["motif_node"].split(arrays["motif_ptr"].diff().tolist())
    for graph, atoms in zip(arrays["motif_graph"].tolist(), occurrences, strict=True):
        known = found.setdefault(graph, [])
        occurrence = frozenset(atoms.tolist())
        # With each further occurrence: itself, and its union with all that were known.
        new = [occurrence, *(occurrence | other for other in known)]
        known += [union for union in dict.fromkeys(new) if union not in known]
    found = {graph: unions for graph, unions in found.items() if len(unions) <= MOST}
    rows = torch.zeros(max(map(len, found.values())), data.num_edges, dtype=torch.bool)
    inside = arrays["edge_index"]
    for graph, unions in found.items():
        begin, end = arrays["edge_ptr"][graph : graph + 2].tolist()
        for row, union in zip(rows, unions, strict=False):
            ends = torch.isin(inside[:, begin:end], torch.tensor(sorted(union)))
            row[begin:end] = ends.all(dim=0)
    return rows


def _balanced(data: Data, listed: Tensor) -> Tensor:
    """Of the test set the molecules whose explanations are listed, and as many without, bool [G].

    The latter are drawn at random, always the same.
    """
    chosen = data.test_mask & listed
    others = (data.test_mask & (data.y == 0)).nonzero().view(-1)
    order = torch.from_numpy(np.random.RandomState(0).permutation(len(others)))
    chosen[others[order[: int(chosen.sum())]]] = True
    return chosen


def _read(name: str, folder: Path) -> Mapping[str, Tensor]:
    path = folder / name
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: torch.from_numpy(file[key].astype(np.int64)) for key in ARRAYS}
    except (ValueError, OSError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is not readable as an npz file with the plain arrays {', '.join(ARRAYS)} "
            f"({error}); replace it"
        ) from error
