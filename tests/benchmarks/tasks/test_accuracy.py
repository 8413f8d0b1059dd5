"""The accuracy of the tasks' models, trained here or taken out of the cache as tests share it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from benchmarks import tasks
from benchmarks.tasks import twitch_en
from benchmarks.tasks._source import file_sha256

REAL = Path(
    os.environ.get("GNN_BENCH_DATA") or Path(tasks.__path__[0]).parents[1] / "data"
).absolute()


def test_ba_shapes_model_knows_every_role() -> None:
    task = tasks.load("ba-shapes")
    assert task.accuracy > 0.95
    right = task.model(task.data.x, task.data.edge_index).argmax(dim=1) == task.data.y
    for role in range(4):  # with PyG's learning rate, the top of a house is never recognised
        assert float(right[task.data.y == role].float().mean()) > 0.9


def test_twitch_sim_model_is_about_as_good_as_twitch_en() -> None:
    assert tasks.load("twitch-sim").accuracy == pytest.approx(0.70, abs=0.03)


def test_twitch_en_accuracy_on_the_rebuild() -> None:
    path = REAL / "Twitch" / "EN" / "raw" / "EN.npz"
    if not path.is_file():
        pytest.skip("no Twitch/EN/raw/EN.npz in $GNN_BENCH_DATA or data/")
    if file_sha256(path) != twitch_en.REBUILD_SHA256:
        pytest.skip("this EN.npz is not the rebuild; its accuracy is another")
    assert tasks.load("twitch-en", root=REAL).accuracy == pytest.approx(0.704, abs=0.01)


@pytest.mark.parametrize(("name", "folder", "expected"), [("cora", "Cora", 0.81)])
def test_planetoid_accuracy(name: str, folder: str, expected: float) -> None:
    if not (REAL / "Planetoid" / folder / "raw").is_dir():
        pytest.skip(f"no Planetoid/{folder}/raw in $GNN_BENCH_DATA or data/")
    task = tasks.load(name, root=REAL)
    assert task.accuracy == pytest.approx(expected, abs=0.02)
    torch.testing.assert_close(task.data.x.sum(dim=1), torch.ones(task.data.num_nodes))


# Epochs as in the recipe: what the models reach on two cores in some seconds, with room to spare.
@pytest.mark.parametrize(
    ("name", "least"),
    [("tree-cycles", 0.95), ("tree-grid", 0.85), ("infection", 0.80), ("ba-community", 0.82)],
)
def test_generated_tasks_are_learned(name: str, least: float) -> None:
    assert tasks.load(name).accuracy > least


# PGExplainer's table has, for its networks: BA-Shapes .97, Tree-Cycles .94, Tree-Grid .90.
@pytest.mark.parametrize(
    ("name", "least"),
    [("ba-shapes", 0.93), ("tree-cycles", 0.90), ("tree-grid", 0.87), ("ba-community", 0.83)],
)
def test_published_tasks_are_learned(name: str, least: float) -> None:
    if not (REAL / "PGExplainer").is_dir():
        pytest.skip("no PGExplainer/ in $GNN_BENCH_DATA or data/")
    assert tasks.load(f"{name}:published", root=REAL).accuracy > least


# Accuracies of the replication's own models, from their checkpoints: 1.00, .94, .99.
@pytest.mark.parametrize(
    ("name", "least"), [("ba-shapes", 0.97), ("tree-cycles", 0.88), ("tree-grid", 0.88)]
)
def test_replicated_tasks_are_learned(name: str, least: float) -> None:
    if not (REAL / "PGExplainer").is_dir():
        pytest.skip("no PGExplainer/ in $GNN_BENCH_DATA or data/")
    task = tasks.load(f"{name}:replication", root=REAL)
    assert task.accuracy > least
    torch.testing.assert_close(task.data.x.sum(dim=1), torch.ones(task.data.num_nodes))


def test_cora_as_graphframex_has_it() -> None:
    if not (REAL / "Planetoid" / "Cora" / "raw").is_dir():
        pytest.skip("no Planetoid/Cora/raw in $GNN_BENCH_DATA or data/")
    task = tasks.load("cora:graphframex", root=REAL)
    data = task.data
    assert data.num_edges == 13264  # their number_of_edges
    assert int((data.edge_index[0] == data.edge_index[1]).sum()) == data.num_nodes
    sums = torch.zeros(data.num_nodes).index_add(0, data.edge_index[1], data.edge_weight)
    torch.testing.assert_close(sums, torch.ones(data.num_nodes))
    assert data.x.unique().tolist() == [0, 1]
    assert task.accuracy == pytest.approx(0.80, abs=0.02)


def test_mutag_accuracy() -> None:
    if not (REAL / "TUDataset" / "MUTAG").is_dir():
        pytest.skip("no TUDataset/MUTAG in $GNN_BENCH_DATA or data/")
    assert tasks.load("mutag", root=REAL).accuracy > 0.7


# Of two seeds each: .995 and more; .75 and more, where always saying "mutagen" is right in .55.
@pytest.mark.parametrize(
    ("name", "folders", "least"),
    [
        ("ba-2motif", ("BA2Motif",), 0.95),
        ("mutagenicity", ("TUDataset/Mutagenicity", "PGExplainer"), 0.70),
    ],
)
def test_graph_tasks_are_learned(name: str, folders: tuple[str, ...], least: float) -> None:
    for folder in folders:
        if not (REAL / folder).is_dir():
            pytest.skip(f"no {folder} in $GNN_BENCH_DATA or data/")
    assert tasks.load(name, root=REAL).accuracy > least
