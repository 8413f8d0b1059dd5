"""The trained models: their accuracy, and the checkpoints that stand for them."""

from __future__ import annotations

import hashlib
import os
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv

from benchmarks.tasks import Recipe, _training, karate
from benchmarks.tasks._models import GNN, ConcatGNN, GraphGNN
from benchmarks.tasks._source import tensors_sha256

RECIPE = Recipe(hidden=(8, 4), epochs=5, lr=0.01, weight_decay=5e-4, dropout=0.5, source="here")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("GNN_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def train(seed: int = 0, recipe: Recipe = RECIPE, scale: float = 1.0, kind: str = "gcn") -> GNN:
    data = karate.build(None).data
    data.x = scale * data.x
    return _training.trained(data, recipe, seed, "club", kind)


def no_training(*_: object, **__: object) -> None:
    raise AssertionError("this trains")


def test_training_a_gcn_is_what_it_always_was() -> None:
    """By hand, with PyG's layers and nothing of the harness: the weights are equal bit by bit."""
    data, model = karate.build(None).data, train(seed=3)
    torch.manual_seed(3)
    convs = torch.nn.ModuleList(GCNConv(a, b) for a, b in ((34, 8), (8, 4), (4, 4)))
    optimizer = torch.optim.Adam(convs.parameters(), lr=0.01, weight_decay=5e-4)
    for _ in range(5):
        optimizer.zero_grad()
        x = data.x
        for i, conv in enumerate(convs):
            x = conv(torch.dropout(x.relu(), 0.5, train=True) if i else x, data.edge_index)
        out = x.log_softmax(dim=-1)[data.train_mask]
        torch.nn.functional.nll_loss(out, data.y[data.train_mask]).backward()
        optimizer.step()
    for ours, theirs in zip(model.convs.parameters(), convs.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_recipe_can_ask_for_concatenation() -> None:
    assert isinstance(train(recipe=replace(RECIPE, concatenate=True)), ConcatGNN)


def test_mini_batches_of_graphs_are_those_of_the_whole() -> None:
    torch.manual_seed(0)
    batch = torch.tensor([0, 0, 1, 2, 2, 2, 3])
    data = Data(
        x=torch.randn(7, 3),
        edge_index=torch.tensor([[0, 1, 3, 4, 5], [1, 0, 4, 5, 3]]),
        batch=batch,
        y=torch.tensor([0, 1, 0, 1]),
        train_mask=torch.tensor([True, False, True, True]),
    )
    model = GraphGNN([3, 5, 2]).eval()
    whole = model(data.x, data.edge_index, batch=batch)
    parts = list(_training._parts(data, 2))
    assert [len(part.y) for part in parts] == [2, 1]
    outputs = torch.cat([model(part.x, part.edge_index, batch=part.batch) for part in parts])
    order = outputs[:, 0].argsort()
    expected = whole[data.train_mask]
    torch.testing.assert_close(outputs[order], expected[expected[:, 0].argsort()])


# ----------------------------------------------------------------------------------- checkpoints


def weights(model: GNN) -> str:
    state: dict[str, Tensor] = model.state_dict()
    return tensors_sha256(state)


def test_one_seed_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, other = weights(train(seed=3)), weights(train(seed=4))
    monkeypatch.setenv("GNN_BENCH_CACHE", str(tmp_path / "another"))
    assert weights(train(seed=3)) == first != other


def test_training_learns() -> None:
    long = replace(RECIPE, epochs=100, dropout=0.0)
    model, data = train(recipe=long), karate.build(None).data
    right = model(data.x, data.edge_index).argmax(dim=1) == data.y
    assert right[data.train_mask].all()
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())


def test_training_works_where_gradients_are_off() -> None:
    expected = weights(train(seed=1))
    with torch.no_grad():
        assert weights(train(seed=1)) == expected


def test_no_name_leads_out_of_the_cache(cache: Path) -> None:
    _training.trained(karate.build(None).data, RECIPE, 0, "../../over/there")
    (kept,) = cache.rglob("*.pt")
    assert kept.parent == cache / "checkpoints"
    assert "over-there" in kept.name


def test_a_checkpoint_is_used_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = weights(train())
    assert [path.suffix for path in (cache / "checkpoints").iterdir()] == [".pt"]
    monkeypatch.setattr(torch.optim, "Adam", no_training)
    model = train()
    assert weights(model) == expected
    assert not model.training


def test_what_determines_the_weights_determines_the_checkpoint(cache: Path) -> None:
    train()
    train(seed=1)
    train(scale=2.0)
    for change in (
        {"epochs": 6},
        {"lr": 0.02},
        {"weight_decay": 0.0},
        {"dropout": 0.1},
        {"hidden": (8, 5)},
        {"normalize": False},
        {"concatenate": True},
    ):
        train(recipe=replace(RECIPE, **change))  # type: ignore[arg-type]
    train(kind="sage")
    assert len(list((cache / "checkpoints").iterdir())) == 11
    train(recipe=replace(RECIPE, source="somewhere else"))
    assert len(list((cache / "checkpoints").iterdir())) == 11


@pytest.mark.parametrize("damage", ["cut", "empty", "bit", "text", "of another model"])
def test_a_damaged_checkpoint_is_trained_again(damage: str, cache: Path) -> None:
    expected = weights(train())
    (path,) = (cache / "checkpoints").iterdir()
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("no checkpoint")
    elif damage == "bit":  # in a weight: torch.load takes it as it is
        value = train().convs[0].lin.weight.detach().numpy().tobytes()
        place = content.index(value)
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        torch.load(path, weights_only=True)
    else:
        train(recipe=replace(RECIPE, hidden=(8, 5)))
        (other,) = set((cache / "checkpoints").iterdir()) - {path}
        other.replace(path)
    with pytest.warns(UserWarning, match=r"checkpoint .*club-gcn-\w+\.pt is damaged"):
        assert weights(train()) == expected
    with warnings.catch_warnings():  # repaired
        warnings.simplefilter("error")
        assert weights(train()) == expected
    assert len(list((cache / "checkpoints").iterdir())) == 1


@pytest.mark.parametrize("signed", ["by nobody", "in another cache", "for another training"])
def test_a_planted_checkpoint_is_trained_again(
    signed: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of the right shapes with whatever checksum: they are not what was trained here."""
    expected = weights(train())
    (path,) = (cache / "checkpoints").iterdir()
    kept = torch.load(path, weights_only=True)
    zeros = {name: torch.zeros_like(tensor) for name, tensor in kept["weights"].items()}
    signature = hashlib.sha256(tensors_sha256(zeros).encode()).hexdigest()
    if signed == "in another cache":
        with monkeypatch.context() as patch:
            patch.setenv("GNN_BENCH_CACHE", str(tmp_path / "theirs"))
            key = _training._key(karate.build(None).data, RECIPE, 0, [34, 8, 4, 4], "gcn")
            assert key.startswith(path.stem.rpartition("-")[2])
            signature = _training._signature(zeros, key)
    elif signed == "for another training":
        zeros = train(seed=1).state_dict()
        (other,) = set((cache / "checkpoints").iterdir()) - {path}
        signature = torch.load(other, weights_only=True)["signature"]
        other.unlink()
    torch.save({"weights": zeros, "signature": signature}, path)
    with pytest.warns(UserWarning, match="is damaged"):
        assert weights(train()) == expected


def test_the_key_of_the_cache_is_its_owners(cache: Path) -> None:
    train()
    assert (cache / "secret").stat().st_mode & 0o777 == 0o600
    assert len((cache / "secret").read_bytes()) == 32


def test_a_checkpoint_cannot_run_code(cache: Path, tmp_path: Path) -> None:
    train()
    (path,) = (cache / "checkpoints").iterdir()

    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "unpickled"),)

    torch.save({"weights": Bomb(), "sha256": ""}, path)
    with pytest.warns(UserWarning, match="is damaged"):
        train()
    assert not (tmp_path / "unpickled").exists()


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = weights(train())
    (tmp_path / "file").touch()
    monkeypatch.setenv("GNN_BENCH_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="cannot be kept"):
        assert weights(train()) == expected


def test_a_write_that_breaks_off_leaves_no_checkpoint(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(_: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.warns(UserWarning, match="no space left"):
        train()
    assert list((cache / "checkpoints").iterdir()) == []


def test_training_says_what_it_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "club: training gcn 34-8-4-4, seed 0, 5 epochs"
    assert len(lines) == 2
    train()  # from the checkpoint
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("TQDM_DISABLE", "1")
    train(seed=1)
    assert capsys.readouterr().err == ""
