"""Tasks on heterogeneous graphs: their data, their networks, and the truth that must be found."""

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch_geometric.data import HeteroData
from torch_geometric.datasets import IMDB
from torch_geometric.nn import MessagePassing

import explainers
import explainers.metrics
from benchmarks import tasks
from benchmarks.tasks import Dataset, Definition, Recipe, _discovery, _source
from benchmarks.tasks._hetero import by_type, over_all_types, type_name
from benchmarks.tasks._hetero_models import RelationalGNN
from benchmarks.tasks.hetero_motif import CITES, motif
from tests.benchmarks.tasks.test_tasks import check_contract

SIZES = {"movie": 30, "director": 8, "actor": 12}
WORDS = 5


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GNN_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_raw(folder: Path) -> None:
    """Files as ``IMDB`` reads them: each genre has directors and words of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    genre = np.arange(SIZES["movie"]) % 3
    for number, (name, count) in enumerate(SIZES.items()):
        words = (rng.random((count, WORDS)) < 0.3).astype(float)
        if name == "movie":
            words[:, :3] = np.eye(3)[genre]
        sp.save_npz(folder / f"features_{number}.npz", sp.csr_matrix(words))
    total = sum(SIZES.values())
    adjacency = sp.lil_matrix((total, total))
    for movie in range(SIZES["movie"]):
        director = SIZES["movie"] + genre[movie] + 3 * rng.integers(2)
        for other in (director, SIZES["movie"] + SIZES["director"] + rng.integers(SIZES["actor"])):
            adjacency[movie, other] = adjacency[other, movie] = 1
    sp.save_npz(folder / "adjM.npz", adjacency.tocsr())
    np.save(folder / "labels.npy", genre)
    order = rng.permutation(SIZES["movie"])
    np.savez(
        folder / "train_val_test_idx.npz",
        train_idx=order[:15],
        val_idx=order[15:20],
        test_idx=order[20:],
    )


@pytest.fixture
def imdb(tmp_path):
    write_raw(tmp_path / "data" / "IMDB" / "raw")
    return tmp_path / "data"


def test_imdb_is_read_as_by_pyg(imdb, tmp_path):
    write_raw(tmp_path / "theirs" / "raw")
    theirs = IMDB(str(tmp_path / "theirs"))[0]
    before = sorted(imdb.rglob("*"))
    data = tasks.definition("imdb").build(imdb).data
    assert sorted(imdb.rglob("*")) == before  # nothing is written into the data root
    assert (data.node_types, data.edge_types) == (theirs.node_types, theirs.edge_types)
    for name in data.node_types:
        assert torch.equal(data[name].x, theirs[name].x)
    for kind in data.edge_types:
        assert torch.equal(data[kind].edge_index, theirs[kind].edge_index)
    for name in ("y", "train_mask", "test_mask"):
        assert torch.equal(data["movie"][name], theirs["movie"][name])


def test_imdb_is_trained_once_and_explained(imdb, capfd):
    task = tasks.load("imdb", root=imdb, seed=1)
    check_contract(task, "imdb")
    assert task.accuracy == 1  # a word says it
    assert (task.architecture, task.level, task.layers) == ("rgcn", "node", 2)
    capfd.readouterr()
    again = tasks.load("imdb", root=imdb, seed=1, model="rgcn")
    assert "trained" not in capfd.readouterr().err  # but taken from the cache
    assert again.checkpoint_sha256 == task.checkpoint_sha256
    other = tasks.load("imdb", root=imdb)
    assert other.checkpoint_sha256 != task.checkpoint_sha256
    assert other.dataset_sha256 == task.dataset_sha256
    nodes = task.nodes[:2].tolist()
    method = explainers.load("integrated_gradients")
    found = method.explain(*task.arguments(nodes))
    assert method.engine == "batched"
    for explanation, node in zip(found, nodes, strict=True):
        assert int(explanation["movie"].n_id[explanation.index]) == node
        assert explanation["director", "to", "movie"].edge_mask.abs().max() > 0


def test_another_graph_has_another_model(imdb):
    """Not that of the cache, whichever type of nodes is another."""
    before = tasks.load("imdb", root=imdb)
    directors = imdb / "IMDB" / "raw" / "features_1.npz"
    sp.save_npz(directors, sp.csr_matrix(1 - sp.load_npz(directors).toarray()))
    after = tasks.load("imdb", root=imdb)
    assert after.dataset_sha256 != before.dataset_sha256
    assert after.checkpoint_sha256 != before.checkpoint_sha256


def test_imdb_cannot_be_had(tmp_path, monkeypatch):
    def no_network(self):
        raise OSError("no network")

    monkeypatch.setattr(IMDB, "download", no_network)
    monkeypatch.setenv("GNN_BENCH_DATA", str(tmp_path))
    message = r"dataset IMDB is not here .*put adjM.npz, .* into the folder .*IMDB/raw"
    with pytest.raises(tasks.Unavailable, match=message):
        tasks.load("imdb")
    assert tasks.whereabouts(tasks.definition("imdb").sources, None) == "download"


def test_imdb_is_downloaded_by_pyg(tmp_path, monkeypatch, cache):
    """Of the class's constructor only the download is run."""
    monkeypatch.setattr(IMDB, "download", lambda self: write_raw(Path(self.raw_dir)))
    monkeypatch.setattr(IMDB, "url", "")
    monkeypatch.setenv("GNN_BENCH_DATA", str(tmp_path))
    _, hashes = _source.read_raw(tasks.definition("imdb").sources[0], None)
    assert len(hashes) == 6
    assert {path.name for path in (cache / "datasets" / "IMDB" / "raw").iterdir()} == set(hashes)


def test_imdb_malformed(imdb):
    np.save(imdb / "IMDB" / "raw" / "labels.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"data\['movie'\].y must be torch.int64 \[30\], but is"):
        tasks.load("imdb", root=imdb)
    (imdb / "IMDB" / "raw" / "adjM.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"files of IMDB in .*IMDB/raw are malformed"):
        tasks.load("imdb", root=imdb)


def test_the_network_by_hand():
    """One layer: a map of the node itself, and of the mean over each type's neighbours."""
    data, _ = motif(authors=4)
    torch.manual_seed(0)
    model = (
        RelationalGNN(
            {n: data[n].num_features for n in data.node_types},
            data.edge_types,
            [3, 2],
            "author",
            0.0,
        )
        .double()
        .eval()
    )
    x = {name: torch.randn(len(one), one.size(1)).double() for name, one in data.x_dict.items()}
    found = model(x, data.edge_index_dict)

    def layer(x, number, types):
        out = {}
        for name in types:
            linear = model.own[number][name]
            out[name] = x[name] @ linear.weight.T + linear.bias
            for kind, conv in model.convs[number].convs.items():
                if kind[2] != name:
                    continue
                source, target = data[kind].edge_index
                for node in range(len(x[name])):
                    own = x[kind[0]][source[target == node]]
                    if len(own):
                        out[name][node] += own.mean(dim=0) @ conv.lin_l.weight.T
        return out

    hidden = {name: one.relu() for name, one in layer(x, 0, data.node_types).items()}
    expected = layer(hidden, 1, ["author"])["author"].log_softmax(dim=1)
    torch.testing.assert_close(found, expected)
    assert sum(isinstance(part, MessagePassing) for part in model.modules()) == 4 + 1


@pytest.mark.parametrize("model", ["sage", "gcn3"])
def test_it_has_one_kind_of_network(imdb, model):
    with pytest.raises(
        ValueError, match=f"model '{model}': the task imdb is heterogeneous, .*rgcn"
    ):
        tasks.load("imdb", root=imdb, model=model)
    with pytest.raises(ValueError, match="brings its own"):
        tasks.load("hetero-motif", model=model)


# ------------------------------------------------------------------------------------ the truth

# What gives exactly 0 to an edge that changes nothing, whichever others are there, and something
# to each that alone takes the class away: all edges together but one are a coalition of each.
FINDS = {
    "integrated_gradients": {},
    "occlusion": {},
    "input_x_gradient": {},
    "saliency": {},
    "guided_backprop": {},
    "shapley_sampling": {"n_samples": 100},
    "myerson": {},
    "eig_search": {},
    "cf_explainer": {},
}


@pytest.mark.parametrize("name", FINDS)
def test_the_truth_is_found(name):
    task = tasks.load("hetero-motif")
    nodes = task.nodes[:3].tolist()
    found = explainers.load(name, **FINDS[name]).explain(*task.arguments(nodes))
    rows = explainers.metrics.evaluate(
        task.model, task.data, found, metrics=["ground_truth"], truth=task.truth
    )
    for metric in ("auroc", "average_precision"):
        values = [row["value"] for row in rows if row["metric"] == metric]
        assert values
        assert set(values) == {1.0}, metric


def test_a_method_that_halves_the_marks_finds_none():
    """Two marks of about one half are not above the threshold of 1: PyG's rule gives zeros."""
    task = tasks.load("hetero-motif")
    for engine in ("batched", "stock"):
        method = explainers.load("gnn_explainer", engine=engine, epochs=3)
        (found,) = method.explain(*task.arguments(task.nodes[:1].tolist()))
        assert not any(found[kind].edge_mask.any() for kind in task.data.edge_types)


def test_a_refusal_says_why():
    task = tasks.load("hetero-motif")
    assert task.refusal(explainers.load("saliency")) == ""
    reason = "degree does not support the model: degree does not explain heterogeneous graphs: "
    assert task.refusal(explainers.load("degree")).startswith(reason)


def test_explained_are_those_with_a_hit():
    task = tasks.load("hetero-motif")
    assert (task.labels[task.nodes] == 1).all()
    assert len(task.nodes) == task.data["author"].num_nodes // 2
    assert task.accuracy == 1
    assert int(task.ground_truth.sum()) == 3 * len(task.nodes)
    assert not task.truth[CITES].any()


# --------------------------------------------------------------------------------- declarations


def small(**changes):
    data, truth = motif(authors=4)
    for name in ("train_mask", "test_mask"):
        data["author"][name] = torch.ones(4, dtype=torch.bool)
    changes = {"data": data, "node_type": "author"} | changes
    return Dataset(provenance="made here", **changes), truth


def test_marks_by_type_and_over_all_types():
    dataset, truth = small()
    marks = over_all_types(truth, dataset.data)
    assert len(marks) == dataset.data.num_edges
    back = by_type(marks, dataset.data)
    assert list(back) == dataset.data.edge_types
    assert all(torch.equal(back[kind], truth[kind]) for kind in truth)
    rows = torch.stack([marks, ~marks])
    assert torch.equal(by_type(rows, dataset.data)[CITES][1], ~truth[CITES])
    assert type_name(CITES) == "paper, cites, paper"


def _wrong_type(data: HeteroData) -> None:
    data["paper"].x = data["paper"].x.double()


def _no_such_node(data: HeteroData) -> None:
    data["paper", "cites", "paper"].edge_index[0, 0] = 10**6


def _no_labels(data: HeteroData) -> None:
    del data["author"].train_mask


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_wrong_type, r"data\['paper'\].x must be torch.float32 \[16, 2\], but is torch.float64"),
        (_no_such_node, r"edge_index, of paper must be from 0 to 15, but is from .* to 1000000"),
        (_no_labels, r"data\['author'\].train_mask must be torch.bool \[4\], but is missing"),
    ],
)
def test_malformed_data_are_named(change, message):
    dataset, _ = small()
    change(dataset.data)
    with pytest.raises(ValueError, match=message):
        small(data=dataset.data)


def test_malformed_declarations_are_named(monkeypatch):
    dataset, _ = small()
    e = dataset.data.num_edges
    for changes, message in (
        ({"node_type": None}, "HeteroData and node_type None"),
        ({"node_type": "editor"}, "node_type must be one of author, paper, .* is 'editor'"),
        ({"ground_truth": torch.ones(3, dtype=torch.bool)}, rf"ground_truth must be .*\[{e}\]"),
        ({"alternatives": torch.ones(1, e, dtype=torch.bool)}, "and no alternatives"),
        ({"class_names": ("a",)}, "has 1 class_names; there must be 2"),
    ):
        with pytest.raises(ValueError, match=message):
            small(**changes)
    recipe = Recipe((4,), epochs=1, lr=0.01, weight_decay=0.0, dropout=0.0, source="this test")
    said = Definition(title="t", description="d", recipe=recipe, build=lambda root: small()[0])

    class Point:
        name, value = "their_task", "some_package:TASK"

        def load(self):
            return said

    monkeypatch.setattr(_discovery, "entry_points", lambda group: [Point()])
    with pytest.raises(ValueError, match="Definition must say hetero=True, as its data are a Het"):
        tasks.load("their-task")
