"""Molecules with known rationales: which edges are right, by hand, and who is explained."""

from __future__ import annotations

from pathlib import Path

import networkx
import numpy as np
import pytest
import torch

from benchmarks import tasks
from benchmarks.tasks import Unavailable, _rationales
from benchmarks.tasks._source import read_raw


@pytest.fixture
def arrays():
    """A ring of three with a pattern at 0-1 and at 1-2, and two atoms without a pattern."""
    return {
        "x": torch.eye(14, dtype=torch.int64)[:5],
        "edge_index": torch.tensor([[0, 1, 1, 2, 2, 0, 0, 1], [1, 0, 2, 1, 0, 2, 1, 0]]),
        "edge_attr": torch.eye(5, dtype=torch.int64)[[0, 0, 1, 1, 3, 3, 2, 2]],
        "node_ptr": torch.tensor([0, 3, 5]),
        "edge_ptr": torch.tensor([0, 6, 8]),
        "y": torch.tensor([1, 0]),
        "motif_graph": torch.tensor([0, 0]),
        "motif_ptr": torch.tensor([0, 2, 4]),
        "motif_node": torch.tensor([0, 1, 1, 2]),
    }


def test_molecules_side_by_side(arrays):
    data = _rationales._side_by_side(arrays)
    assert data.batch.tolist() == [0, 0, 0, 1, 1]
    assert data.edge_index[:, 6:].tolist() == [[3, 4], [4, 3]]
    assert data.edge_weight.tolist() == [1, 1, 2, 2, 1.5, 1.5, 3, 3]


def test_any_union_of_occurrences_is_right(arrays):
    """In the union of 0-1 and 1-2 all three atoms are, and so is the edge between 0 and 2."""
    rows = _rationales._unions(arrays, _rationales._side_by_side(arrays)).int().tolist()
    assert rows == [
        [1, 1, 0, 0, 0, 0, 0, 0],
        [0, 0, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 0, 0],
    ]


def test_molecules_with_too_many_unions_are_left_out(arrays, monkeypatch):
    arrays |= {
        "motif_graph": torch.tensor([0, 0, 1]),
        "motif_ptr": torch.tensor([0, 2, 4, 6]),
        "motif_node": torch.tensor([0, 1, 1, 2, 0, 1]),
    }
    monkeypatch.setattr(_rationales, "MOST", 2)
    rows = _rationales._unions(arrays, _rationales._side_by_side(arrays)).int().tolist()
    assert rows == [[0, 0, 0, 0, 0, 0, 1, 1]]


def test_a_file_that_is_none(tmp_path: Path):
    (tmp_path / "benzene.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"benzene.npz is not readable .* plain arrays x, edge_"):
        _rationales._read("benzene.npz", tmp_path)
    np.savez(tmp_path / "benzene.npz", x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="is not readable"):
        _rationales._read("benzene.npz", tmp_path)


@pytest.mark.parametrize("name", ["benzene", "fluoride-carbonyl"])
def test_the_published_molecules(name):
    """Classes are balanced among the explained, all of the test set; one ring is six bonds."""
    definition = tasks.definition(name)
    try:
        dataset = definition.build(None)
    except Unavailable as error:
        pytest.skip(f"set GNN_BENCH_DATA: {error}")
    data, explained = dataset.data, dataset.explainable
    assert not (explained & data.train_mask).any()
    assert float(data.y[explained].float().mean()) == 0.5
    per_graph = torch.zeros(len(dataset.alternatives), len(data.y), dtype=torch.long)
    per_graph.index_add_(1, data.batch[data.edge_index[0]], dataset.alternatives.long())
    has = per_graph > 0
    assert torch.equal(has[0, explained], data.y[explained] == 1)
    assert (has.sum(dim=0) <= _rationales.MOST).all()
    if name == "benzene":
        assert (len(data.y), int(data.y.sum()), int((has.sum(dim=0) == 3).sum())) == (
            12_000,
            6_001,
            1_855,
        )
        assert (per_graph[0][has[0]] == 12).all()  # both directions


def test_what_fluoride_carbonyl_is_about():
    """Every occurrence of a chain of three and a carbonyl group, and nothing else, is labelled."""
    (source,) = tasks.definition("fluoride-carbonyl").sources
    try:
        arrays, _ = read_raw(source, None)
    except Unavailable as error:
        pytest.skip(f"set GNN_BENCH_DATA: {error}")
    parts = arrays["motif_node"].split(arrays["motif_ptr"].diff().tolist())
    published: dict[int, set[frozenset[int]]] = {}
    for graph, part in zip(arrays["motif_graph"].tolist(), parts, strict=True):
        published.setdefault(graph, set()).add(frozenset(part.tolist()))
    for graph, label in enumerate(arrays["y"].tolist()):
        found = chains_and_carbonyls(arrays, graph)
        assert found == published.get(graph, set())
        assert bool(found) == bool(label)


def chains_and_carbonyls(arrays, graph):
    """The pairs of an unbranched chain of three atoms and a carbonyl group, by their atoms."""
    begin, end = arrays["edge_ptr"][graph : graph + 2].tolist()
    first, last = arrays["node_ptr"][graph : graph + 2].tolist()
    atoms = [_rationales.ATOMS[kind] for kind in arrays["x"][first:last].argmax(dim=1)]
    bonds = arrays["edge_attr"][begin:end].argmax(dim=1).tolist()
    molecule = networkx.Graph()
    for (u, v), bond in zip(arrays["edge_index"][:, begin:end].t().tolist(), bonds, strict=True):
        molecule.add_edge(u, v, bond=bond)
    single, double, aromatic = 0, 1, 3
    bridges = {frozenset(edge) for edge in networkx.bridges(molecule)}
    ring = {u for edge in molecule.edges if frozenset(edge) not in bridges for u in edge}
    ends = {u for u in molecule if u not in ring and molecule.degree(u) in (1, 2)}
    chains = [
        {u, *molecule[u]}
        for u in ends
        if molecule.degree(u) == 2 and ends.issuperset(molecule[u])
        if all(edge["bond"] == single for edge in molecule[u].values())
    ]
    carbonyls = [
        {u, v}
        for u in molecule
        for v, edge in molecule[u].items()
        if (atoms[u], atoms[v], edge["bond"]) == ("C", "O", double)
        if all(other["bond"] != aromatic for other in molecule[u].values())
    ]
    return {frozenset(c | d) for c in chains for d in carbonyls if not c & d}


def test_the_atoms_have_the_bonds_of_their_names():
    """Fluorine has one neighbour, sulphur up to four: the order of the columns is right."""
    (source,) = tasks.definition("fluoride-carbonyl").sources
    try:
        arrays, _ = read_raw(source, None)
    except Unavailable as error:
        pytest.skip(f"set GNN_BENCH_DATA: {error}")
    first = torch.repeat_interleave(arrays["node_ptr"][:-1], arrays["edge_ptr"].diff())
    bonds = torch.bincount(arrays["edge_index"][0] + first)
    kinds = arrays["x"].argmax(dim=1)
    most = {
        n: int(bonds[kinds == k].max()) for k, n in enumerate(_rationales.ATOMS) if n in "NOFSC"
    }
    assert most == {"C": 4, "N": 4, "O": 2, "S": 4, "F": 1}
