"""Where raw files are found, how they get here, and what is refused."""

from __future__ import annotations

import dataclasses
import os
import pickle
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.datasets import Planetoid, Twitch

from benchmarks import tasks
from benchmarks.tasks import (
    Unavailable,
    _planetoid,
    _source,
    twitch_en,
    twitch_sim,
)

Arrays = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, no data root, and no network."""
    monkeypatch.setenv("GNN_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GNN_BENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)

    def no_network(self: object) -> None:
        raise OSError("no network\nin the tests")

    monkeypatch.setattr(Twitch, "download", no_network)
    monkeypatch.setattr(Planetoid, "download", no_network)
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with an EN.npz of the right kind, a self loop at every node."""
    root = tmp_path_factory.mktemp("root")
    data = twitch_sim.build(None).data
    loops = np.arange(twitch_sim.NODES).repeat(2).reshape(-1, 2)
    write(
        root,
        edges=np.concatenate([data.edge_index.numpy().T, loops]),
        features=3 * data.x.numpy() + 1,
        target=data.y.numpy(),
    )
    return root


def write(root: Path, **arrays: np.ndarray) -> Path:
    path = root / "Twitch" / "EN" / "raw" / "EN.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every path under ``folder`` with its size and time of change."""
    found = [folder, *folder.rglob("*")]
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in found}


def whole_files(cache: Path) -> list[str]:
    return sorted(p.name for p in (cache / "datasets").rglob("*") if p.is_file())


# --------------------------------------------------------------------------------- where to look


def test_the_data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _source.data_root(None) == Path("data")
    monkeypatch.setenv("GNN_BENCH_DATA", "/somewhere")
    assert _source.data_root(None) == Path("/somewhere")
    assert _source.data_root(str(tmp_path)) == tmp_path
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is not a folder"):
        _source.data_root(tmp_path / "file")


def test_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _source.cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("GNN_BENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert _source.cache_dir() == tmp_path / "xdg" / "gnn-explainer-bench"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _source.cache_dir() == tmp_path / ".cache" / "gnn-explainer-bench"


@pytest.mark.parametrize("how", ["argument", "environment", "default", "cache"])
def test_the_file_is_found_and_its_folder_only_read(
    how: str, published: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = dataclasses.replace(twitch_en.TASK.recipe, epochs=1)
    monkeypatch.setattr(twitch_en, "TASK", dataclasses.replace(twitch_en.TASK, recipe=recipe))
    root, folder = None, published
    if how == "argument":
        root = published
    elif how == "environment":
        monkeypatch.setenv("GNN_BENCH_DATA", str(published))
    else:
        folder = tmp_path / "data" if how == "default" else cache / "datasets"
        shutil.copytree(published, folder)
    before = listing(folder)
    task = tasks.load("twitch-en", root=root)
    assert listing(folder) == before
    assert (task.data.num_nodes, task.data.num_edges) == (7126, 70_648)  # self loops are gone
    assert task.stand_in is False
    assert task.dataset_sha256 == _source.file_sha256(published / "Twitch/EN/raw/EN.npz")


def test_content_hashes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert _source.file_sha256(tmp_path / "file").startswith("ba7816bf8f01cfea414140de5dae2223")
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([[1.0], [2.0]])
    assert _source.tensors_sha256({"a": a, "b": b}) == _source.tensors_sha256({"b": b, "a": a})
    different = [{"a": a}, {"a": b}, {"b": a}, {"a": a.double()}, {"a": a + 1}]
    assert len({_source.tensors_sha256(tensors) for tensors in different}) == 5


# -------------------------------------------------------------------------------------- download


def test_no_file_and_no_network(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(Unavailable) as caught:
        tasks.load("twitch-en", root=tmp_path / "mine")
    message = str(caught.value)
    assert "Twitch EN" in message
    assert f"put EN.npz into the folder {tmp_path / 'mine' / 'Twitch/EN/raw'}" in message
    assert "OSError: no network in the tests" in message  # on one line
    assert "\n" not in message
    assert whole_files(cache) == []
    assert list((tmp_path / "mine").iterdir()) == []


def test_the_default_folder_is_named_as_the_user_would_write_it() -> None:
    with pytest.raises(Unavailable, match="into the folder data/Planetoid/Cora/raw,"):
        tasks.load("cora")


def test_only_the_missing_files_are_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "Planetoid" / "Cora" / "raw"
    folder.mkdir(parents=True)
    for end in ("x", "y", "tx", "ty", "allx", "ally", "test.index"):
        (folder / f"ind.cora.{end}").touch()
    with pytest.raises(Unavailable, match=r"put ind\.cora\.graph into"):
        tasks.load("cora")


def test_a_data_root_variable_without_a_folder_does_not_stop_the_other_tasks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GNN_BENCH_DATA", "/no/such/folder")
    assert tasks.load("karate").data.num_nodes == 34
    with pytest.raises(Unavailable, match="/no/such/folder/Twitch/EN/raw"):
        tasks.load("twitch-en")


def download_of(monkeypatch: pytest.MonkeyPatch, content: bytes, *, fails: bool = False) -> None:
    """Makes PyG's download write ``content``, then perhaps break off."""

    def download(self: Twitch) -> None:
        assert socket.getdefaulttimeout() == _source.DOWNLOAD_TIMEOUT
        Path(self.raw_dir, "EN.npz").write_bytes(content)
        if fails:
            raise ConnectionError("broken off")

    monkeypatch.setattr(Twitch, "download", download)


def test_a_download_is_kept_in_the_cache(
    published: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (published / "Twitch/EN/raw/EN.npz").read_bytes()
    with monkeypatch.context() as patch:
        download_of(patch, content)
        first = twitch_en.build(None)
    assert whole_files(cache) == ["EN.npz"]
    assert not list(cache.rglob("processed"))
    assert not list(cache.rglob("download-*"))
    assert socket.getdefaulttimeout() is None
    assert twitch_en.build(None).sha256 == first.sha256  # no second download


@pytest.mark.parametrize("kind", ["half", "page", "nothing"])
def test_a_broken_download_leaves_nothing(
    kind: str, published: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (published / "Twitch/EN/raw/EN.npz").read_bytes()
    if kind == "half":
        download_of(monkeypatch, content[: len(content) // 2], fails=True)
    elif kind == "page":  # a proxy's
        download_of(monkeypatch, b"<html>Please log in</html>")
    else:
        monkeypatch.setattr(Twitch, "download", lambda self: None)
    with pytest.raises(Unavailable, match=r"put EN\.npz into"):
        twitch_en.build(None)
    assert whole_files(cache) == []
    assert not list(cache.rglob("download-*"))


def test_a_downloaded_pickle_is_checked_too(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(self: Planetoid) -> None:
        for name in self.raw_file_names:
            Path(self.raw_dir, name).write_bytes(pickle.dumps([1]))

    monkeypatch.setattr(Planetoid, "download", download)
    with pytest.raises(Unavailable, match=r"SHA-256 is \w+, not the known"):
        tasks.load("cora")
    assert whole_files(cache) == []


# ------------------------------------------------------------------------------------ Twitch EN


def twitch(edit: str) -> Arrays:
    """The arrays of a small lie about Twitch EN, by the name of what is wrong with it."""
    n = twitch_en.NODES
    arrays: Arrays = {
        "edges": np.array([[0, 1], [1, 0]]),
        "features": np.zeros((n, 128), dtype=np.float32),
        "target": np.arange(n) % 2,
    }
    changes: dict[str, dict[str, object]] = {
        "nothing": {},
        "edges transposed": {"edges": np.zeros((2, 5), dtype=int)},
        "edges real": {"edges": np.array([[0.0, 1.0]])},
        "edges empty": {"edges": np.zeros((0, 2), dtype=int)},
        "edges negative": {"edges": np.array([[-1, 1]])},
        "edges too large": {"edges": np.array([[0, n]])},
        "features width": {"features": np.zeros((n, 3))},
        "features text": {"features": np.full((n, 128), "a")},
        "features nan": {"features": np.full((n, 128), np.nan)},
        "target length": {"target": np.zeros(n - 1, dtype=int)},
        "target real": {"target": np.zeros(n)},
        "target classes": {"target": np.arange(n) % 3},
    }
    return {**arrays, **changes[edit]}  # type: ignore[dict-item]


def test_a_well_formed_file_is_read(tmp_path: Path) -> None:
    assert twitch_en.read(write(tmp_path, **twitch("nothing")).parent).num_nodes == 7126


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("edges transposed", r"edges is int64 \[2, 5\], not integers \[E, 2\]"),
        ("edges real", "edges is float64"),
        ("edges empty", "edges is empty"),
        ("edges negative", "nodes outside 0 to 7125"),
        ("edges too large", "nodes outside 0 to 7125"),
        ("features width", r"features is float64 \[7126, 3\], not numbers \[7126, 128\]"),
        ("features text", "features is <U1"),
        ("features nan", "not finite"),
        ("target length", r"target is int64 \[7125\]"),
        ("target real", "target is float64"),
        ("target classes", r"values \[0, 1, 2\]"),
    ],
)
def test_a_file_that_is_not_twitch_en(edit: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, **twitch(edit))
    with pytest.raises(ValueError, match=message) as caught:
        twitch_en.build(tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "npy", "pickle", "array missing"])
def test_a_file_that_is_no_npz(kind: str, published: Path, tmp_path: Path) -> None:
    path = write(tmp_path, edges=np.zeros((1, 2), dtype=int))  # the case "array missing"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("hello")
    elif kind == "cut":
        path.write_bytes((published / "Twitch/EN/raw/EN.npz").read_bytes()[:100_000])
    elif kind == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"edges": 1}))
    with pytest.raises(ValueError, match=r"EN\.npz is not readable as an npz file"):
        twitch_en.build(tmp_path)


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_an_npz_is_never_unpickled(tmp_path: Path) -> None:
    objects = np.array([Bomb(tmp_path / "unpickled")], dtype=object)
    write(tmp_path, **{**twitch("nothing"), "features": objects})
    with pytest.raises(ValueError, match="plain arrays"):
        twitch_en.build(tmp_path)
    assert not (tmp_path / "unpickled").exists()


def test_the_known_rebuild_is_standardised_and_says_so(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_in_file = twitch_en.build(published)
    assert as_in_file.provenance.endswith("(taken as the published embedding)")
    assert float(as_in_file.data.x.mean()) == pytest.approx(1, abs=0.1)

    monkeypatch.setattr(twitch_en, "REBUILD_SHA256", as_in_file.sha256)
    rebuild = twitch_en.build(published)
    assert "not the published embedding" in rebuild.provenance
    torch.testing.assert_close(rebuild.data.x.mean(dim=0), torch.zeros(128), atol=1e-5, rtol=0)
    torch.testing.assert_close(rebuild.data.x.std(dim=0), torch.ones(128))


# ------------------------------------------------------------------------------------- pickles


def test_an_unknown_pickle_is_refused_unopened(tmp_path: Path) -> None:
    folder = tmp_path / "Planetoid" / "Cora" / "raw"
    folder.mkdir(parents=True)
    for end in ("x", "y", "tx", "ty", "allx", "ally", "graph", "test.index"):
        bomb = pickle.dumps(Bomb(tmp_path / "unpickled"))
        (folder / f"ind.cora.{end}").write_bytes(bomb)
    with pytest.raises(ValueError, match=r"ind\.cora\.\w+ is not opened: .*, not the known"):
        tasks.load("cora", root=tmp_path)
    assert not (tmp_path / "unpickled").exists()


def test_a_pickle_is_opened_if_its_hash_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.pickle").write_bytes(pickle.dumps("harmless"))
    digest = _source.file_sha256(tmp_path / "other.pickle")
    source = _source.Source(
        "Cora",
        {"other.pickle": "0" * 64},
        lambda folder: pickle.loads((folder / "other.pickle").read_bytes()),
        Planetoid,
    )
    with pytest.raises(ValueError, match=f"if you know who made it, add --trust-data {digest}"):
        _source._read(source, tmp_path)
    monkeypatch.setenv("GNN_BENCH_TRUST_DATA", f"{'1' * 64} {digest.upper()}")
    assert _source._read(source, tmp_path) == ("harmless", {"other.pickle": digest})


def test_a_file_that_is_swapped_after_its_hash_was_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is opened is what was hashed."""
    path = tmp_path / "data.pickle"
    path.write_bytes(pickle.dumps("harmless"))
    digest = _source.file_sha256(path)
    taken = _source.file_sha256

    def swapped(hashed: Path) -> str:
        found = taken(hashed)
        path.write_bytes(pickle.dumps(Bomb(tmp_path / "unpickled")))
        return found

    monkeypatch.setattr(_source, "file_sha256", swapped)
    source = _source.Source(
        "Cora",
        {"data.pickle": digest},
        lambda folder: pickle.loads((folder / "data.pickle").read_bytes()),
        Planetoid,
    )
    assert _source._read(source, tmp_path) == ("harmless", {"data.pickle": digest})
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize("name", ["cora", "citeseer"])
def test_every_planetoid_file_is_pinned(name: str) -> None:
    source = tasks.definition(name).build.args[0]  # type: ignore[attr-defined]
    assert isinstance(source, _source.Source)
    wanted = Planetoid.raw_file_names.fget(source)  # type: ignore[attr-defined]
    assert sorted(source.files) == sorted(wanted)
    assert all(pin is not None and len(pin) == 64 for pin in source.files.values())
    assert source.folder == Path("Planetoid", source.name, "raw")
    assert tasks.definition(name).build.func is _planetoid._build  # type: ignore[attr-defined]
