"""Discovery of the tasks, and what every one of them promises."""

from __future__ import annotations

import dataclasses
import random
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import SAGEConv

from benchmarks import tasks
from benchmarks.tasks import (
    Dataset,
    Definition,
    Recipe,
    Task,
    Unavailable,
    _discovery,
    _load,
    _source,
)

BRING_MODELS = ("white-box-", "label-propagation-", "hetero-motif")
RECIPE = Recipe(hidden=(4,), epochs=3, lr=0.01, weight_decay=0.0, dropout=0.5, source="this test")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and no network."""

    def no_network(*_: object) -> None:
        raise OSError("no network in the tests")

    monkeypatch.setenv("GNN_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_source, "_download", no_network)
    return tmp_path / "cache"


def graph() -> Data:
    """Self loops at 1 and 3; node 0 has no incoming edge, node 4 only its self loop."""
    return Data(
        x=torch.arange(10.0).view(5, 2),
        edge_index=torch.tensor([[0, 1, 1, 4, 2, 3], [1, 1, 2, 4, 3, 2]]),
        y=torch.tensor([0, 1, 2, 0, 1]),
        train_mask=torch.ones(5, dtype=torch.bool),
        test_mask=torch.ones(5, dtype=torch.bool),
    )


def add(monkeypatch: pytest.MonkeyPatch, name: str, **changes: object) -> None:
    """Installs a third-party task."""
    fields = {"title": "t", "description": "d", "recipe": RECIPE}
    task = Definition(**{**fields, "build": lambda root: Dataset(graph(), "made here"), **changes})

    class Point:
        value = "some_package:TASK"

        def load(self) -> Definition:
            return task

    point = Point()
    point.name = name  # type: ignore[attr-defined]
    monkeypatch.setattr(_discovery, "entry_points", lambda group: [point])


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens every task's training."""
    definition = tasks.definition

    def shortened(name: str) -> Definition:
        task = definition(name)
        if task.recipe is None:
            return task
        return dataclasses.replace(task, recipe=dataclasses.replace(task.recipe, epochs=2))

    monkeypatch.setattr(_load, "definition", shortened)


# ------------------------------------------------------------------------------------ discovery


def test_the_tasks_of_this_checkout() -> None:
    files = ("ba-2motif", "ba-community", "ba-shapes", "citeseer", "cora", "infection", "karate")
    more = ("mutag", "mutagenicity", "tree-cycles", "tree-grid", "twitch-en", "twitch-sim")
    more += ("benzene", "fluoride-carbonyl", "label-propagation-citeseer", "label-propagation-cora")
    more += tuple(f"white-box-{head}" for head in ("and", "count", "inhibit", "or"))
    variants = [f"{name}:published" for name in files + more if name.startswith(("ba-c", "ba-s"))]
    variants += [f"{name}:published" for name in ("tree-cycles", "tree-grid")]
    variants += [name.replace("published", "replication") for name in variants]
    variants.append("cora:graphframex")
    variants += ["cora-links", "twitch-en-links", "white-box-common-neighbours"]
    variants += ["white-box-common-neighbours:saturated", "hetero-motif", "imdb"]
    kinds = ("gated", "gated-gcn", "gated-scale-free", "gcn", "scale-free")
    variants += [f"{name}:{kind}" for name in more if name.startswith("white") for kind in kinds]
    assert {*files, *more, *variants} <= set(tasks.available())
    assert tasks.available() == sorted(tasks.available())
    assert not [name for name in tasks.available() if name.startswith(("_", "-"))]


def test_a_new_file_is_a_new_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path(tasks.__path__[0], "karate.py").read_text(encoding="utf-8")
    (tmp_path / "my_club.py").write_text(text, encoding="utf-8")
    (tmp_path / "_helper.py").write_text("raise AssertionError", encoding="utf-8")
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(tmp_path)])
    assert set(tasks.available()) >= {"my-club", "karate"}
    assert "-helper" not in tasks.available()
    assert tasks.definition("my-club").title == "Karate club"


def test_a_variant_is_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    small = Definition(
        title="small", description="d", recipe=RECIPE, build=lambda root: Dataset(graph(), "small")
    )
    add(monkeypatch, "their_task", variants={"small": small})
    assert {"their-task", "their-task:small"} <= set(tasks.available())
    assert tasks.definition("their-task:small") is small
    assert tasks.resolve("their-task:small") == "their-task:small"
    task = tasks.load("their-task:small")
    assert (task.name, task.provenance) == ("their-task:small", "small")
    with pytest.raises(ValueError, match=r"unknown task 'their-task:big'; .*their-task:small"):
        tasks.load("their-task:big")


def test_a_task_from_an_installed_package(monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, "their_task")
    assert "their-task" in tasks.available()
    assert tasks.load("their-task").provenance == "made here"


def test_two_tasks_of_one_name_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, "ba_shapes")
    with pytest.raises(ValueError, match=r"ba-shapes.*ba_shapes:TASK and some_package:TASK"):
        tasks.available()


def test_an_unknown_task_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'ba_shape'; available: .*karate.*mean 'ba-shapes'"):
        tasks.load("ba_shape")
    with pytest.raises(ValueError, match=r"unknown task 'zzz'; available: .*twitch-sim, .*$"):
        tasks.load("zzz")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no_such_package:TASK", "cannot be imported from 'no_such_package:TASK'"),
        ("benchmarks.tasks.karate:NOTHING", "cannot be imported"),
        ("benchmarks.tasks.karate:build", "must be a Definition, but .* is a function"),
    ],
)
def test_a_broken_entry_point_harms_only_its_own_task(
    value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = EntryPoint("broken", value, _discovery.ENTRY_POINT_GROUP)
    monkeypatch.setattr(_discovery, "entry_points", lambda group: [point])
    assert tasks.definition("karate").title == "Karate club"
    with pytest.raises(ValueError, match=message):
        tasks.definition("broken")


# ------------------------------------------------------------------------------------- contract


@pytest.mark.parametrize("name", tasks.available())
def test_contract(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    try:
        task = tasks.load(name)
    except Unavailable as error:
        pytest.skip(f"set GNN_BENCH_DATA: {error}")
    check_contract(task, name)


def check_contract(task: Task, name: str, *, ordered: bool = True) -> None:
    data, (n, e) = task.graph, (task.data.num_nodes, task.data.num_edges)
    assert (task.name, task.title != "", task.description != "") == (name, True, True)
    assert task.provenance
    assert "\n" not in task.provenance
    features, edges = [data.x], [data.edge_index]
    if task.node_type is not None:
        features, edges = list(data.x.values()), list(data.edge_index.values())
        n = task.data[task.node_type].num_nodes
    assert all((x.dtype, x.dim()) == (torch.float32, 2) for x in features)
    assert max(x.size(1) for x in features) == task.num_features
    assert all((one.dtype, len(one)) == (torch.int64, 2) for one in edges)
    assert sum(one.size(1) for one in edges) == e
    if name != "cora:graphframex" and task.node_type is None:
        assert not (data.edge_index[0] == data.edge_index[1]).any()
    units = int(data.batch.max()) + 1 if "batch" in data else n
    links = data.get("edge_label_index")
    if links is not None:
        units = links.size(1)
        assert (links.dtype, links.shape) == (torch.int64, (2, units))
    assert data.y.shape == data.train_mask.shape == data.test_mask.shape == (units,)
    assert torch.equal(task.labels, data.y)

    assert not task.model.training
    assert not any(p.requires_grad for p in task.model.parameters())
    weight = {"edge_weight": data.edge_weight} if "edge_weight" in data else {}
    if "batch" in data:
        assert (data.batch.dtype, data.batch.shape) == (torch.int64, (n,))
        assert torch.equal(*data.batch[data.edge_index])
        out = task.model(data.x, data.edge_index, batch=data.batch, **weight)
    elif links is not None:
        out = task.model(data.x, data.edge_index, edge_label_index=links, **weight)
    else:
        out = task.model(data.x, data.edge_index, **weight)
    assert out.shape == (units, int(data.y.max()) + 1)
    if not name.startswith(BRING_MODELS):  # theirs give raw scores and probabilities
        torch.testing.assert_close(out.exp().sum(dim=1), torch.ones(units))
    right = out.argmax(dim=1) == data.y
    assert task.accuracy == pytest.approx(float(right[data.test_mask].float().mean()))

    assert task.nodes.dtype == torch.int64
    assert len(task.nodes) == len(task.nodes.unique()) > 0
    into = edges[0][1]
    if task.node_type is not None:
        kinds = [kind for kind in data.edge_index if kind[2] == task.node_type]
        into = torch.cat([data.edge_index[kind][1] for kind in kinds])
    if links is not None:
        assert torch.isin(links[:, task.nodes], into).any(dim=0).all()
    else:
        assert torch.isin(task.nodes, data.batch[into] if "batch" in data else into).all()
    assert not ordered or task.nodes.tolist() != sorted(task.nodes.tolist())
    if task.ground_truth is not None:
        rows = (units,) if task.ground_truth.dim() == 2 else ()
        assert (task.ground_truth.dtype, task.ground_truth.shape) == (torch.bool, (*rows, e))
        assert 0 < int(task.ground_truth.sum()) < task.ground_truth.numel()
    if task.alternatives is not None:
        assert (task.alternatives.dtype, task.alternatives.size(1)) == (torch.bool, e)
        assert torch.equal(task.alternatives.any(dim=0), task.ground_truth)
    assert len(task.dataset_sha256) == len(task.checkpoint_sha256) == 64


@pytest.mark.parametrize("model", tasks.MODELS)
@pytest.mark.parametrize("graphs", [False, True])
def test_models_of_every_kind(model: str, graphs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    data = graph()
    if graphs:
        data.edge_index = data.edge_index[:, [1, 2, 4, 5]]
        data.batch = torch.tensor([0, 1, 1, 1, 2])
        data.edge_index = torch.tensor([[1, 2, 3, 4], [2, 1, 2, 4]])
        data.y, data.train_mask = torch.tensor([0, 1, 0]), torch.ones(3).bool()
        data.test_mask = data.train_mask
    recipe = dataclasses.replace(RECIPE, hidden=(4, 3), batch_size=2 if graphs else None)
    add(monkeypatch, "small", recipe=recipe, build=lambda root: Dataset(data.clone(), "made here"))
    task = tasks.load("small", model=model)
    assert task.architecture == model
    check_contract(task, "small", ordered=False)
    if graphs:
        assert task.nodes.tolist() == [1]  # the others have no edge but a self loop
    assert task.checkpoint_sha256 == tasks.load("small", model=model).checkpoint_sha256
    other = "gat" if model.startswith("gcn") else "gcn"
    assert task.checkpoint_sha256 != tasks.load("small", model=other).checkpoint_sha256


@pytest.mark.parametrize(
    ("hidden", "more", "widths"),
    [((4,), {}, [4, 4, 3]), ((6, 5, 4), {}, [6, 5, 3]), ((4,), {"concatenate": True}, [4, 4, 4])],
)
def test_a_model_of_three_layers(hidden, more, widths, monkeypatch) -> None:
    """Whatever the recipe has; the layers that it lacks are as wide as its last hidden one."""
    recipe = dataclasses.replace(RECIPE, hidden=hidden, **more)
    add(monkeypatch, "small", recipe=recipe, build=lambda root: Dataset(graph(), "made here"))
    task = tasks.load("small", model="sage3")
    assert [conv.out_channels for conv in task.model.convs] == widths
    assert {type(conv) for conv in task.model.convs} == {SAGEConv}
    add(
        monkeypatch,
        "flat",
        recipe=dataclasses.replace(RECIPE, hidden=()),
        build=lambda root: Dataset(graph(), "made here"),
    )
    with pytest.raises(ValueError, match="no hidden layer, so no width for a model of 3"):
        tasks.load("flat", model="gcn3")


def test_a_model_of_no_kind() -> None:
    with pytest.raises(ValueError, match="unknown model 'gnn'; available: gcn, sage, gin, gat"):
        tasks.load("karate", model="gnn")


@pytest.mark.cuda
def test_contract_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    gpu, cpu = tasks.load("ba-shapes", device="cuda"), tasks.load("ba-shapes")
    assert gpu.data.x.device.type == gpu.data.edge_index.device.type == "cuda"
    assert next(gpu.model.parameters()).device.type == "cuda"
    assert gpu.ground_truth is not None
    assert gpu.ground_truth.device.type == "cuda"
    assert (gpu.checkpoint_sha256, gpu.dataset_sha256) == (
        cpu.checkpoint_sha256,
        cpu.dataset_sha256,
    )
    assert gpu.nodes.tolist() == cpu.nodes.tolist()


def test_self_loops_are_dropped_and_the_ground_truth_stays_aligned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    truth = torch.tensor([True, True, False, True, False, True])
    add(
        monkeypatch,
        "loops",
        build=lambda root: Dataset(graph(), "made here", ground_truth=truth),
    )
    task = tasks.load("loops")
    assert task.data.edge_index.tolist() == [[0, 1, 2, 3], [1, 2, 3, 2]]
    assert task.ground_truth is not None
    assert task.ground_truth.tolist() == [True, False, False, True]


def test_weights_stay_with_their_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    data = graph()
    data.edge_weight = torch.arange(6.0)
    add(monkeypatch, "weighted", build=lambda root: Dataset(data.clone(), "made here"))
    task = tasks.load("weighted")
    assert task.data.edge_weight.tolist() == [0, 2, 4, 5]
    out = task.model(task.data.x, task.data.edge_index, task.data.edge_weight)
    assert task.accuracy == float((out.argmax(dim=1) == data.y).double().mean())
    data.edge_weight = torch.arange(6.0).flip(0)  # weighs in the training
    assert tasks.load("weighted").checkpoint_sha256 != task.checkpoint_sha256
    with pytest.raises(ValueError, match=r"data.edge_weight must be torch.float32 \[6\]"):
        Dataset(Data(**graph().to_dict(), edge_weight=torch.arange(5.0)), "made here")


def test_self_loops_can_be_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = torch.tensor([True, True, False, True, False, True])
    build = lambda root: Dataset(graph(), "made here", ground_truth=truth, loops=True)  # noqa: E731
    add(monkeypatch, "loops", build=build, recipe=dataclasses.replace(RECIPE, normalize=False))
    task = tasks.load("loops")
    assert torch.equal(task.data.edge_index, graph().edge_index)
    assert task.ground_truth is not None
    assert torch.equal(task.ground_truth, truth)


def test_only_nodes_with_an_incoming_edge_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, "all")
    assert sorted(tasks.load("all").nodes.tolist()) == [1, 2, 3]
    some = torch.tensor([True, True, True, False, True])
    build = lambda root: Dataset(graph(), "made here", explainable=some)  # noqa: E731
    add(monkeypatch, "some", build=build)
    assert sorted(tasks.load("some").nodes.tolist()) == [1, 2]


def test_the_model_seed_changes_the_weights_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick(monkeypatch)
    first, second = tasks.load("ba-shapes", seed=0), tasks.load("ba-shapes", seed=1)
    assert first.checkpoint_sha256 != second.checkpoint_sha256
    assert first.dataset_sha256 == second.dataset_sha256
    assert torch.equal(first.nodes, second.nodes)
    assert torch.equal(first.data.edge_index, second.data.edge_index)
    assert torch.equal(first.data.train_mask, second.data.train_mask)


@pytest.mark.parametrize(
    "name", ["ba-community", "ba-shapes", "infection", "karate", "tree-grid", "twitch-sim"]
)
def test_the_global_generators_are_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)

    def draw() -> list[float]:
        return [random.random(), float(np.random.rand()), float(torch.rand(1))]  # noqa: NPY002

    def seed() -> None:
        random.seed(7)
        np.random.seed(7)  # noqa: NPY002
        torch.manual_seed(7)

    seed()
    expected = draw()
    for _ in range(2):  # trained, then from the cache
        seed()
        task = tasks.load(name)
        assert draw() == expected
        assert task.checkpoint_sha256 == tasks.load(name).checkpoint_sha256


def test_the_state_of_the_global_generators_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    found = set()
    for seed in (1, 2):
        monkeypatch.setenv("GNN_BENCH_CACHE", str(tmp_path / f"cache{seed}"))
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        task = tasks.load("ba-shapes")
        found.add((task.dataset_sha256, task.checkpoint_sha256, *task.nodes.tolist()))
    assert len(found) == 1


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "cpu cuda"])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(ValueError, match=rf"device '{device}'"):
        tasks.load("karate", device=device)


@pytest.mark.parametrize("seed", [-1, 1.5, True, "0"])
def test_a_bad_seed(seed: object) -> None:
    with pytest.raises(ValueError, match=f"seed .* got {seed!r}"):
        tasks.load("karate", seed=seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["karate", "twitch-en"])
def test_a_data_root_that_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data root '.*typo' is not a folder"):
        tasks.load(name, root=tmp_path / "typo")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(5, 2, dtype=torch.float64)}, r"data.x .*float32 .* is torch.float64"),
        ({"y": torch.zeros(5)}, "data.y .*int64"),
        ({"test_mask": None}, "data.test_mask .* is missing"),
        ({"train_mask": torch.ones(4, dtype=torch.bool)}, r"data.train_mask .*\[5\].*\[4\]"),
        ({"edge_index": torch.zeros(2, 3, dtype=torch.int32)}, "data.edge_index .*int64"),
    ],
)
def test_a_dataset_that_is_no_dataset(change: dict[str, object], message: str) -> None:
    data = graph()
    for key, value in change.items():
        data[key] = value
    with pytest.raises(ValueError, match=message):
        Dataset(data, "made here")


class Fixed(torch.nn.Module):
    """Scores that no training made."""

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(torch.tensor([0, 1, 2, 0, 0]), 3).float()


def test_a_task_that_brings_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    build = lambda root: Dataset(graph(), "made here", model=Fixed(), architecture="fixed")  # noqa: E731
    add(monkeypatch, "set_by_hand", recipe=None, build=build)
    assert tasks.brings_model("set-by-hand")
    assert not tasks.brings_model("karate")
    task = tasks.load("set-by-hand")
    assert (task.architecture, task.accuracy, task.model.training) == ("fixed", 0.8, False)
    with pytest.raises(ValueError, match="model seed 1: the task set-by-hand brings one trained"):
        tasks.load("set-by-hand", seed=1)
    with pytest.raises(ValueError, match="model 'sage': the task set-by-hand brings its own"):
        tasks.load("set-by-hand", model="sage")


def test_a_task_with_neither_recipe_nor_model(monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, "nothing", recipe=None)
    with pytest.raises(ValueError, match="the task nothing has neither a recipe nor a model"):
        tasks.load("nothing")


def test_weights_of_edges_are_for_gcn_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    data = graph()
    data.edge_weight = torch.ones(6)
    add(monkeypatch, "weighted", build=lambda root: Dataset(data, "made here"))
    with pytest.raises(ValueError, match="'gin': the edges of weighted have weights; only gcn"):
        tasks.load("weighted", model="gin")


def test_loops_are_taken_out_of_rows_and_alternatives(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, right = torch.rand(5, 6) < 0.5, torch.rand(3, 6) < 0.5
    marks = {"ground_truth": truth, "alternatives": right}
    add(monkeypatch, "small", build=lambda root: Dataset(graph(), "made here", **marks))
    task = tasks.load("small")
    proper = [0, 2, 4, 5]  # 1 -> 1 and 4 -> 4 are loops
    assert task.ground_truth is not None
    assert task.alternatives is not None
    assert torch.equal(task.ground_truth, truth[:, proper])
    assert torch.equal(task.alternatives, right[:, proper])


def test_a_ground_truth_of_another_length() -> None:
    with pytest.raises(ValueError, match=r"ground_truth .*bool \[6\], but is torch.bool \[5\]"):
        Dataset(graph(), "made here", ground_truth=torch.ones(5, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"ground_truth .*bool \[5, 6\], but .*bool \[4, 6\]"):
        Dataset(graph(), "made here", ground_truth=torch.ones(4, 6, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"alternatives .*bool \[2, 6\], but .*bool \[2, 5\]"):
        Dataset(graph(), "made here", alternatives=torch.ones(2, 5, dtype=torch.bool))
