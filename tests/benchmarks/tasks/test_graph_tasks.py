"""Tasks that classify graphs, against PyG's own datasets of the same files."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch
from torch_geometric.datasets import BA2MotifDataset, TUDataset

from benchmarks import tasks
from benchmarks.tasks import Unavailable, _source, mutagenicity

# Taken before a test changes the environment.
REAL = Path(
    os.environ.get("GNN_BENCH_DATA") or Path(tasks.__path__[0]).parents[1] / "data"
).absolute()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the test's own, and no network."""

    def no_network(*_: object) -> None:
        raise OSError("no network in the tests")

    monkeypatch.setenv("GNN_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(TUDataset, "download", no_network)


def needs(place: str) -> None:
    if not (REAL / place).is_dir():
        pytest.skip(f"no {place} in $GNN_BENCH_DATA or data/")


def test_molecules_are_pygs(tmp_path: Path) -> None:
    needs("TUDataset/MUTAG")
    shutil.copytree(REAL / "TUDataset" / "MUTAG" / "raw", tmp_path / "MUTAG" / "raw")
    wanted = Batch.from_data_list(list(TUDataset(str(tmp_path), "MUTAG")))
    data = tasks.definition("mutag").build(REAL).data
    for key in ("x", "edge_index", "batch", "y"):
        assert torch.equal(data[key], wanted[key])


@pytest.mark.parametrize("name", ["mutag", "mutagenicity"])
def test_atoms_have_no_more_neighbours_than_bonds(name: str) -> None:
    needs(f"TUDataset/{'MUTAG' if name == 'mutag' else 'Mutagenicity'}")
    dataset = tasks.definition(name).build(REAL)
    neighbours = dataset.data.edge_index[1].bincount(minlength=dataset.data.num_nodes)
    kinds = dataset.data.x.argmax(dim=1)
    bonds = {"H": 1, "C": 4, "N": 4, "O": 2, "F": 1, "Cl": 1, "Br": 1, "Na": 0, "K": 0}
    for kind, atom in enumerate(dataset.feature_names):
        here = neighbours[kinds == kind].double()
        # Mutagenicity has a few faulty atoms.
        assert here.quantile(0.99) <= bonds.get(atom, 6)
        assert here.max() >= bonds.get(atom, 0) - (atom == "N")


def test_ba_2motif_is_pygs(tmp_path: Path) -> None:
    needs("BA2Motif/raw")
    shutil.copytree(REAL / "BA2Motif" / "raw", tmp_path / "raw")
    wanted = Batch.from_data_list(list(BA2MotifDataset(str(tmp_path))))
    dataset = tasks.definition("ba-2motif").build(REAL)
    for key in ("x", "edge_index", "batch", "y"):
        assert torch.equal(dataset.data[key], wanted[key])
    source, target = dataset.data.edge_index
    truth = dataset.ground_truth
    assert truth is not None
    proper = truth & (source != target)
    edges = dataset.data.batch[source[proper]].bincount(minlength=1000)
    assert torch.equal(edges, torch.tensor([10, 12])[dataset.data.y])  # five-cycle, house
    assert ((source[truth] % 25 >= 20) & (target[truth] % 25 >= 20)).all()


def test_marks_follow_their_edges() -> None:
    pairs = torch.tensor([[2, 0, 1, 1], [1, 1, 0, 2]])
    marks = torch.tensor([True, False, False, True])
    edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    found = mutagenicity.by_ends(marks, pairs, edge_index, 3)
    assert found.tolist() == [False, False, True, True]
    with pytest.raises(ValueError, match="4 lines for 3 edges"):
        mutagenicity.by_ends(marks, pairs[:, :3], edge_index, 3)
    with pytest.raises(ValueError, match="some edges are none of its"):
        mutagenicity.by_ends(marks, pairs, torch.tensor([[0], [2]]), 3)


def test_mutagenicity_marks_groups_of_nitrogen() -> None:
    needs("TUDataset/Mutagenicity")
    needs("PGExplainer")
    dataset = tasks.definition("mutagenicity").build(REAL)
    data, truth = dataset.data, dataset.ground_truth
    assert truth is not None
    assert dataset.explainable is not None
    assert int(truth.sum()) == 7352
    # An edge of NO2 or NH2 joins a nitrogen with an oxygen or a hydrogen.
    atoms = [dataset.feature_names[kind] for kind in data.x.argmax(dim=1).tolist()]
    ends = data.edge_index[:, truth].t().tolist()
    assert {"".join(sorted(atoms[node] for node in pair)) for pair in ends} == {"NO", "HN"}
    chosen = dataset.explainable.nonzero().view(-1)
    assert (data.y[chosen] == mutagenicity.MUTAGEN).all()
    assert torch.isin(chosen, data.batch[data.edge_index[0, truth]]).all()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("mutag", "put MUTAG_A.txt, .* into the folder .*TUDataset/MUTAG/raw"),
        ("mutagenicity", "put Mutagenicity_A.txt, .* into the folder .*TUDataset/Mutagenicity/raw"),
        ("ba-2motif", "put BA-2motif.pkl into the folder .*BA2Motif/raw"),
    ],
)
def test_without_the_files(name: str, wanted: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=rf"is not here and cannot be downloaded .*{wanted}"):
        tasks.load(name, root=tmp_path)


def test_without_the_ground_truth(tmp_path: Path) -> None:
    needs("TUDataset/Mutagenicity")
    shutil.copytree(REAL / "TUDataset" / "Mutagenicity", tmp_path / "TUDataset" / "Mutagenicity")
    with pytest.raises(Unavailable, match=r"put Mutagenicity_edge_gt.txt into .*PGExplainer"):
        tasks.load("mutagenicity", root=tmp_path)


def test_malformed_molecules(tmp_path: Path) -> None:
    folder = tmp_path / "TUDataset" / "MUTAG" / "raw"
    folder.mkdir(parents=True)
    for part in ("A", "graph_indicator", "graph_labels", "node_labels"):
        (folder / f"MUTAG_{part}.txt").write_text("no numbers\n")
    with pytest.raises(ValueError, match=r"MUTAG.raw is not readable as TUDataset's MUTAG"):
        tasks.load("mutag", root=tmp_path)


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_an_unknown_pickle_is_not_opened(tmp_path: Path) -> None:
    folder = tmp_path / "BA2Motif" / "raw"
    folder.mkdir(parents=True)
    (folder / "BA-2motif.pkl").write_bytes(pickle.dumps(_Bomb(tmp_path / "opened")))
    with pytest.raises(ValueError, match=r"BA-2motif.pkl is not opened"):
        tasks.load("ba-2motif", root=tmp_path)
    assert not (tmp_path / "opened").exists()


def test_the_files_are_looked_for_in_the_cache_too(tmp_path: Path) -> None:
    needs("TUDataset/MUTAG")
    shutil.copytree(
        REAL / "TUDataset" / "MUTAG" / "raw",
        _source.cache_dir() / "datasets" / "TUDataset" / "MUTAG" / "raw",
    )
    assert len(tasks.definition("mutag").build(tmp_path).data.y) == 188
