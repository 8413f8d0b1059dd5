"""Tasks with planted motifs: the ground truth is the motifs, generated and published."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch

from benchmarks import tasks
from benchmarks.tasks import Dataset, Unavailable, ba_shapes, infection

# Taken before a test changes the environment.
REAL = Path(
    os.environ.get("GNN_BENCH_DATA") or Path(tasks.__path__[0]).parents[1] / "data"
).absolute()
HOUSE = nx.Graph([(0, 1), (1, 2), (2, 3), (3, 0), (0, 4), (1, 4)])
CYCLE = nx.cycle_graph(6)
GRID = nx.grid_2d_graph(3, 3)
GENERATED = [
    ("ba-shapes", HOUSE, 80, 700),
    ("ba-community", HOUSE, 160, 1400),
    ("tree-cycles", CYCLE, 80, 991),
    ("tree-grid", GRID, 80, 1231),
]
PUBLISHED = [
    ("ba-shapes", HOUSE, 80, 700),
    ("ba-community", HOUSE, 160, 1400),
    ("tree-cycles", CYCLE, 60, 871),
    ("tree-grid", GRID, 80, 1231),
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNN_BENCH_CACHE", str(tmp_path / "cache"))


def check_motifs(dataset: Dataset, motif: nx.Graph, count: int, nodes: int) -> None:
    data, truth = dataset.data, dataset.ground_truth
    assert truth is not None
    assert dataset.explainable is not None
    assert data.num_nodes == nodes
    assert data.is_undirected()
    pairs = {tuple(pair) for pair in data.edge_index[:, truth].t().tolist()}
    assert pairs == {(v, u) for u, v in pairs}  # both directions of an edge are marked
    found = nx.Graph(list(pairs))
    parts = [found.subgraph(part) for part in nx.connected_components(found)]
    assert len(parts) == count
    assert all(nx.is_isomorphic(part, motif) for part in parts)
    assert sorted(found.nodes) == dataset.explainable.nonzero().view(-1).tolist()
    assert not (data.train_mask & data.test_mask).any()


@pytest.mark.parametrize(("name", "motif", "count", "nodes"), GENERATED)
def test_generated_motifs(name: str, motif: nx.Graph, count: int, nodes: int) -> None:
    dataset = tasks.definition(name).build(None)
    check_motifs(dataset, motif, count, nodes)
    again = tasks.definition(name).build(None)
    assert torch.equal(again.data.edge_index, dataset.data.edge_index)
    assert torch.equal(again.data.x, dataset.data.x)


@pytest.mark.parametrize(("name", "motif", "count", "nodes"), PUBLISHED)
def test_published_motifs(name: str, motif: nx.Graph, count: int, nodes: int) -> None:
    if not (REAL / "PGExplainer").is_dir():
        pytest.skip("no PGExplainer/ in $GNN_BENCH_DATA or data/")
    dataset = tasks.definition(f"{name}:published").build(REAL)
    check_motifs(dataset, motif, count, nodes)


@pytest.mark.parametrize(
    ("name", "number"), [(case[0], number) for number, case in enumerate(PUBLISHED, 1)]
)
def test_a_published_file_is_that_one_or_none(
    name: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "PGExplainer"
    folder.mkdir()
    wanted = f"put syn{number}.npz into the folder {folder}"
    with pytest.raises(Unavailable, match=rf"published with PGExplainer is not here .*{wanted}"):
        tasks.load(f"{name}:published", root=tmp_path)
    np.savez(folder / f"syn{number}.npz", x=np.ones(3))
    with pytest.raises(ValueError, match=r"syn\d\.npz is not opened: .*, not the known"):
        tasks.load(f"{name}:published", root=tmp_path)


def test_the_users_folder_is_only_read(tmp_path: Path) -> None:
    if not (REAL / "PGExplainer").is_dir():
        pytest.skip("no PGExplainer/ in $GNN_BENCH_DATA or data/")
    (tmp_path / "PGExplainer").mkdir()
    shutil.copy(REAL / "PGExplainer" / "syn3.npz", tmp_path / "PGExplainer")
    tasks.definition("tree-cycles:published").build(tmp_path)
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert left == ["syn3.npz"]


def test_communities_differ_in_two_features_and_are_joined() -> None:
    dataset = tasks.definition("ba-community").build(None)
    x, y, (source, target) = dataset.data.x, dataset.data.y, dataset.data.edge_index
    one, two = x[y < 4], x[y >= 4]
    assert len(one) == len(two) == 700
    means = torch.stack([one.mean(dim=0), two.mean(dim=0)])
    torch.testing.assert_close(means[0, :2], torch.full((2,), -1.0), atol=0.1, rtol=0)
    torch.testing.assert_close(means[1, :2], torch.full((2,), 1.0), atol=0.1, rtol=0)
    assert means[:, 2:].abs().max() < 0.15
    assert int(((source < 700) != (target < 700)).sum()) == 2 * 350


def test_infection_is_the_distance() -> None:
    dataset = tasks.definition("infection").build(None)
    data, truth = dataset.data, dataset.ground_truth
    assert truth is not None
    graph = nx.DiGraph(data.edge_index.t().tolist())
    graph.add_nodes_from(range(1000))
    infected = set((data.x[:, 1] == 1).nonzero().view(-1).tolist())
    assert len(infected) == infection.INFECTED
    distance = nx.multi_source_dijkstra_path_length(graph, infected)
    expected = [min(distance.get(node, 9), infection.FAR + 1) for node in range(1000)]
    assert data.y.tolist() == expected
    on_paths = [
        expected[u] + 1 == expected[v] <= infection.FAR for u, v in data.edge_index.t().tolist()
    ]
    assert truth.tolist() == on_paths


def test_ba_shapes_ground_truth() -> None:
    dataset = ba_shapes.build(None)
    data, truth = dataset.data, dataset.ground_truth
    assert truth is not None
    assert dataset.explainable is not None
    assert data.num_nodes == 300 + 80 * 5
    assert int(truth.sum()) == 80 * 6 * 2
    assert data.y.bincount().tolist() == [300, 160, 160, 80]
    # Ground truth stays within a house, and each house has its twelve.
    source, target = data.edge_index[:, truth]
    assert torch.equal((source - 300) // 5, (target - 300) // 5)
    assert ((source - 300) // 5).bincount().tolist() == [12] * 80
    assert dataset.explainable.tolist() == (torch.arange(700) >= 300).tolist()
    # Stratified: 80 % of each role, the rest is the test.
    assert data.y[data.train_mask].bincount().tolist() == [240, 128, 128, 64]
    assert torch.equal(data.test_mask, ~data.train_mask)
