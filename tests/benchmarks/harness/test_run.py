"""A results folder: cells as they come, resumed runs, tasks that cannot be had."""

import json
import re
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv

import benchmarks.tasks
import explainers
from benchmarks.harness import environment
from benchmarks.harness.errors import CannotWrite, FailedBefore, OutOfMemory, Resumed
from benchmarks.harness.options import ALWAYS, make_plan
from benchmarks.harness.run import Run, default_folder
from benchmarks.store.folder import load_all
from explainers.engines.batched import BatchedProblem

PLAN = make_plan(methods=["random"], device="cpu", nodes=2)


def make_task(name, model="gcn"):
    data = Data(
        x=torch.ones(4, 3), edge_index=torch.zeros(2, 5, dtype=torch.long), y=torch.arange(4) % 2
    )
    return benchmarks.tasks.Task(
        name=name,
        data=data,
        model=GCNConv(3, 2),
        nodes=torch.tensor([2, 0, 1]),
        ground_truth=None,
        accuracy=0.75,
        provenance="made up",
        architecture=model,
        dataset_sha256="d",
        checkpoint_sha256="c",
        stand_in=False,
        title="made up",
        description="made up",
    )


@pytest.fixture
def loads(monkeypatch):
    """The calls of ``tasks.load``; ``twitch-en`` cannot be had."""
    calls = []

    def load(name, root=None, device="cpu", seed=0, model="gcn"):
        calls.append((name, seed, model))
        if name in missing:
            raise benchmarks.tasks.Unavailable(f"{name}: put EN.npz into data/")
        return make_task(name, model)

    missing = {"twitch-en"}
    monkeypatch.setattr(benchmarks.tasks, "load", load)
    return SimpleNamespace(calls=calls, missing=missing)


@pytest.fixture
def run(tmp_path, loads):
    run = Run(PLAN, tmp_path / "results", "pytest benchmarks/")
    run.open()
    yield run
    run.close()


def again(run, command=None, **changes):
    run.close()  # as the end of its process does
    resumed = Run(replace(run.plan, resume=True, **changes), run.folder, command or run.command)
    resumed.open()
    return resumed


def config(method="random"):
    method = SimpleNamespace(name=method, chosen_engine=lambda *_: "stock", options={"seed": 0})
    return Run.config(SimpleNamespace(plan=PLAN), make_task("karate"), 0, method)


def fill(run, method="random", *, nodes=(2, 0), error=None, **inputs):
    task = run.load_task("karate")
    with run.cell("quality", config(method), task=task, nodes=nodes, **inputs) as cell:
        cell.quality.append({"node": 2, "metric": "gini", "value": 0.5})
        if error is not None:
            raise error
    return cell


def stored(run):
    found, problems = load_all(run.cells)
    assert problems == []
    return found


def test_a_cell_is_there_as_soon_as_it_is_filled(run):
    cell = fill(run)
    assert stored(run) == [cell]
    assert cell.config == {
        "task": "karate",
        "model": "gcn",
        "model_seed": 0,
        "method": "random",
        "engine": "stock",
        "options": {"seed": 0},
        "device": "cpu",
    }
    assert cell.inputs["nodes"] == [2, 0]
    assert cell.inputs["source_sha256"] == environment.source_sha256()


def test_an_error_is_recorded_and_goes_on(run):
    with pytest.raises(ValueError, match="shapes"):
        fill(run, error=ValueError("shapes differ"))
    (cell,) = stored(run)
    assert (cell.status, cell.message) == ("error", "ValueError: shapes differ")
    assert len(cell.quality) == 1


def test_running_out_of_memory_is_a_result(run):
    with pytest.raises(OutOfMemory, match="recorded as oom"):
        fill(run, error=MemoryError("too much"))
    (cell,) = stored(run)
    assert (cell.status, cell.message) == ("oom", "MemoryError: too much")


def test_a_batch_that_was_split_is_told(run, monkeypatch):
    """Of this cell, and not of the next one; also if the cell fails in the end."""
    monkeypatch.undo()  # a task that can be explained
    task = benchmarks.tasks.load("karate")
    method = explainers.load("saliency", engine="batched")
    assert method.supports(task.model, task.data)
    predict = BatchedProblem.predict

    def cell(repeat, most):
        """Four nodes, where more than ``most`` at once do not fit."""

        def limited(self, x, edge_mask):
            if len(self.nodes) > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return predict(self, x, edge_mask)

        monkeypatch.setattr(BatchedProblem, "predict", limited)
        part = {"repeat": repeat}
        with run.cell("quality", config(), task=task, nodes=range(4), part=part):
            assert len(method.explain(task.model, task.data, range(4))) == 4

    cell(0, most=4)
    with pytest.warns(UserWarning, match="in smaller parts"):
        cell(1, most=1)
    cell(2, most=4)
    with (
        pytest.warns(UserWarning, match="in smaller parts"),
        pytest.raises(OutOfMemory, match="recorded as oom"),
    ):
        cell(3, most=0)
    found = {cell.inputs["part"]["repeat"]: (cell.status, cell.splits) for cell in stored(run)}
    status, splits = found.pop(3)
    assert (status, splits > 0) == ("oom", True)
    assert found == {0: ("ok", 0), 1: ("ok", 3), 2: ("ok", 0)}  # four nodes, two, two


def test_an_interrupt_of_the_user_writes_nothing(run, monkeypatch):
    monkeypatch.setattr("benchmarks.harness.interrupts.received", lambda: True)
    with pytest.raises(KeyboardInterrupt):
        fill(run, error=KeyboardInterrupt())
    assert stored(run) == []


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        SystemExit(3),
        GeneratorExit(),
        StopIteration(),
        BaseException("of its own"),
        pytest.skip.Exception("not here"),
        pytest.exit.Exception("enough"),
        RuntimeError("a lone \udc80 surrogate\x1b[31m"),
    ],
)
def test_whatever_a_method_raises_is_a_row(run, error):
    with pytest.raises(Exception):  # noqa: B017
        fill(run, error=error)
    ((_, status, message),) = [(c.key, c.status, c.message) for c in load_all(run.cells)[0]]
    assert status == "error"
    assert message.startswith(type(error).__name__)
    assert message.isprintable()


def test_a_folder_that_cannot_be_written_ends_the_run(run):
    run.cells.write_text("a file where the folder is wanted")
    with pytest.raises(CannotWrite, match=r"--results .*results: cannot be written \(.*--resume"):
        fill(run)


def test_what_died_before_its_cell_has_the_name_that_is_stored(run):
    names = [
        run.stand_in(f"benchmarks/test_x.py::test_{name}[karate-0]", {}).benchmark
        for name in ("quality", "replication")
    ]
    assert names == ["quality", "calibration"]


def test_resume_skips_what_is_done_and_repeats_what_failed(run):
    fill(run, "random")
    with pytest.raises(ValueError):
        fill(run, "saliency", error=ValueError("x"))
    with pytest.raises(OutOfMemory):
        fill(run, "lime", error=MemoryError())
    resumed = again(run)
    for method in ("random", "lime"):
        with pytest.raises(Resumed, match="resumed"):
            fill(resumed, method)
    assert fill(resumed, "saliency").status == "ok"
    assert len(stored(run)) == 3


def test_what_failed_in_this_run_fails_in_its_next_process_without_being_run(run):
    """... so that its exit status is that of the whole run; its row stays as it is."""
    with pytest.raises(ValueError):
        fill(run, "saliency", error=ValueError("x"))
    before = stored(run)
    next_one = Run(replace(PLAN, resume=True), run.folder, since=0.0)
    next_one.open(locked_before=True)
    next_one.stands = next_one.stand_in("test_quality.py::test_quality[a]", {})
    with pytest.raises(FailedBefore, match="recorded as error"):
        fill(next_one, "saliency", error=AssertionError())
    next_one.failed_before_its_cell(FailedBefore())
    assert stored(run) == before


def test_without_resume_nothing_is_skipped(run):
    fill(run)
    fill(run)
    assert len(stored(run)) == 1


def test_a_torn_cell_is_measured_again(run):
    cell = fill(run)
    path = run.cells / f"{cell.key}.json"
    path.write_text(path.read_text()[:50])
    resumed = again(run)
    assert "set aside" in resumed.messages[0]
    fill(resumed)
    assert [found.key for found in stored(run)] == [cell.key]


def test_a_cell_out_of_date_is_replaced(run):
    fill(run, nodes=[2])
    resumed = again(run)
    fill(resumed, nodes=[2, 0])
    (cell,) = stored(run)
    assert cell.inputs["nodes"] == [2, 0]
    assert len(list((run.cells / "aside").iterdir())) == 1


def test_a_change_of_the_code_makes_cells_out_of_date(run, monkeypatch):
    fill(run)
    monkeypatch.setattr(environment, "source_sha256", lambda: "other")
    assert fill(again(run)).inputs["source_sha256"] == "other"
    assert len(stored(run)) == 1


def test_parts_of_one_configuration_stand_side_by_side(run):
    for repeat in range(2):
        fill(run, part={"repeat": repeat})
    assert len(stored(run)) == 2
    with pytest.raises(Resumed):
        fill(again(run), part={"repeat": 1})


def test_default_tasks_without_the_real_data(run, loads):
    assert run.choose_tasks() == ("twitch-sim", *ALWAYS)
    assert run.unavailable == {"twitch-en": "twitch-en: put EN.npz into data/"}
    (cell,) = stored(run)
    assert cell.status == "unavailable"
    assert cell.message == "twitch-en: put EN.npz into data/"
    assert (cell.config["task"], cell.config["method"], cell.config["engine"]) == (
        "twitch-en",
        "",
        "",
    )
    assert (cell.runtime, cell.quality) == ([], [])
    with pytest.raises(benchmarks.tasks.Unavailable):
        run.load_task("twitch-en", 1)
    assert loads.calls == [("twitch-en", 0, "gcn")]  # asked for once
    assert not run.loaded


def test_default_tasks_with_malformed_data(run, monkeypatch):
    load = benchmarks.tasks.load

    def broken(name, **options):
        if name == "twitch-en":
            raise ValueError("EN.npz is malformed")
        return load(name, **options)

    monkeypatch.setattr(benchmarks.tasks, "load", broken)
    assert run.choose_tasks() == ("twitch-sim", *ALWAYS)
    (cell,) = stored(run)
    assert (cell.status, cell.message) == ("unavailable", "EN.npz is malformed")


def claims_to_be_huge(root):
    """An ``EN.npz`` of some bytes whose header has 400 GB of features."""
    path = root / "Twitch" / "EN" / "raw" / "EN.npz"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("edges", "features", "target"):
            header = {"descr": "<f4", "fortran_order": False, "shape": (7126, 14 * 10**6)}
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array_header_1_0(file, header)


def names_an_atom_that_is_not_there(root):
    folder = root / "TUDataset" / "MUTAG" / "raw"
    folder.mkdir(parents=True)
    atoms = ["0"] * 5 + ["1"] * 5
    for part, lines in (
        ("A", ["1, 2", "2, 1", "6, 7", "7, 99"]),
        ("graph_indicator", ["1"] * 5 + ["2"] * 5),
        ("graph_labels", ["1", "-1"]),
        ("node_labels", atoms),
    ):
        (folder / f"MUTAG_{part}.txt").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("twitch-en", claims_to_be_huge, r"EN in .* are malformed \(.*allocate.*\)"),
        ("mutag", names_an_atom_that_is_not_there, "MUTAG_A.txt names atoms outside 1 to 10"),
    ],
)
def test_malformed_files_are_a_row(run, monkeypatch, tmp_path, name, make, message):
    """... and not an error of each test, nor the end of the run."""
    monkeypatch.undo()
    make(tmp_path / "root")
    monkeypatch.setenv("GNN_BENCH_CACHE", str(tmp_path / "cache"))
    plan = replace(PLAN, tasks=(name,), data_root=tmp_path / "root")
    run.close()
    with_data = Run(plan, run.folder)
    for _ in range(2):
        with pytest.raises(benchmarks.tasks.Unavailable, match=message):
            with_data.load_task(name)
    (cell,) = stored(run)
    assert (cell.status, cell.config["task"]) == ("unavailable", name)
    assert re.search(message, cell.message)
    assert str(tmp_path) not in cell.message  # the file is published
    (entry,) = json.loads((run.folder / "manifest.json").read_text())["unavailable"]
    assert entry == {"task": name, "message": cell.message}


def test_a_task_whose_code_fails_is_a_row(run, monkeypatch, tmp_path):
    monkeypatch.undo()

    def build(root):
        return [][0]

    failing = replace(benchmarks.tasks.definition("karate"), build=build)
    monkeypatch.setattr("benchmarks.tasks._load.definition", lambda name: failing)
    with pytest.raises(benchmarks.tasks.Unavailable, match="IndexError: list index out of range"):
        run.load_task("karate")
    assert [cell.status for cell in stored(run)] == ["unavailable"]


def test_values_beyond_float32_are_kept_when_the_run_is_resumed(run):
    task = run.load_task("karate")
    with run.cell("quality", config(), task=task, nodes=[2]) as cell:
        cell.add_value("infidelity", 6e78, node=2)
    with pytest.raises(Resumed):
        fill(again(run), nodes=[2])
    assert [row["value"] for cell in stored(run) for row in cell.quality] == [6e78]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The file of a method that another package has."""
    folder = tmp_path / "site"
    information = folder / "another_method-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: another-method\nVersion: 1\n"
    )
    (information / "entry_points.txt").write_text(
        "[gnn_explainer_bench.methods]\nanother = another_method:METHOD\n"
    )
    (information / "RECORD").write_text("another_method.py,,\nbeside_it.py,,\nweights.bin,,\n")
    monkeypatch.syspath_prepend(str(folder))
    environment.method_sha256.cache_clear()
    yield folder / "another_method.py"
    environment.method_sha256.cache_clear()


def test_the_versions_are_also_of_what_a_foreign_method_needs(installed):
    information = installed.with_name("another_method-1.0.dist-info")
    with (information / "METADATA").open("a") as file:
        file.write("Requires-Dist: pytest>=8; python_version > '3'\nRequires-Dist: no-such-one\n")
    versions = environment.versions()
    assert versions["another-method"] == "1"
    assert versions["pytest"] == pytest.__version__
    assert "no-such-one" not in versions


@pytest.mark.parametrize("changed", ["another_method.py", "beside_it.py", "weights.bin"])
def test_a_changed_method_of_another_package_is_measured_again(run, installed, changed):
    installed.write_text("METHOD = 1")
    for name in ("beside_it.py", "weights.bin"):
        installed.with_name(name).write_text("1")
    fill(run, "another")
    fill(run, "random")
    with pytest.raises(Resumed):
        fill(again(run), "another")
    installed.with_name(changed).write_text("METHOD = 2")  # no new version
    environment.method_sha256.cache_clear()  # as in a new process
    resumed = again(run)
    assert fill(resumed, "another").inputs["method_sha256"]
    with pytest.raises(Resumed):
        fill(resumed, "random")
    assert len(stored(run)) == 2


def test_default_tasks_with_the_real_data(run, loads):
    loads.missing.clear()
    assert run.choose_tasks() == ("twitch-en", *ALWAYS)
    assert run.load_task("twitch-en", 0) is run.load_task("twitch-en", 0)
    assert loads.calls == [("twitch-en", 0, "gcn")]


def test_models_of_two_kinds(run, loads):
    plan = replace(PLAN, models=("gat", "gcn"))
    several = Run(plan, run.folder)
    gat, gcn = (several.load_task("karate", 0, model) for model in plan.models)
    assert (gat.architecture, gcn.architecture) == ("gat", "gcn")
    assert several.load_task("karate", 0, "gat") is gat
    manifest = json.loads(several.write_manifest().read_text())
    assert [task["model"] for task in manifest["tasks"]] == ["gat", "gcn"]
    several.choose_tasks()  # whether there are data is asked with a model that is wanted
    assert loads.calls[-1] == ("twitch-en", 0, "gat")


def test_the_accuracy_is_told(run, capsys):
    run.load_task("karate", 1)
    run.load_task("karate", 1)
    assert capsys.readouterr().out == "karate, gcn, model seed 1: accuracy 75.00%; made up\n"


def test_tasks_asked_for_are_taken_as_they_are(run):
    chosen = Run(replace(PLAN, tasks=("twitch-en",)), run.folder)
    assert chosen.choose_tasks() == ("twitch-en",)


def test_data_that_came_later(run, loads):
    run.choose_tasks()
    loads.missing.clear()
    resumed = again(run)
    resumed.choose_tasks()
    assert [cell.status for cell in stored(run)] == []
    manifest = json.loads((run.folder / "manifest.json").read_text())
    assert manifest["unavailable"] == []
    assert [task["name"] for task in manifest["tasks"]] == ["twitch-en"]


def test_manifest_knows_the_tasks(run):
    run.choose_tasks()
    run.load_task("karate", 1)
    run.load_task("karate", 0)
    manifest = json.loads(run.write_manifest().read_text())
    assert [(task["name"], task["model_seed"]) for task in manifest["tasks"]] == [
        ("karate", 0),
        ("karate", 1),
    ]
    assert manifest["tasks"][0] == {
        "name": "karate",
        "model": "gcn",
        "layers": 1,
        "model_seed": 0,
        "accuracy": 0.75,
        "accuracy_kind": "accuracy",
        "most_frequent": 0.5,
        "mode": "multiclass_classification",
        "task_level": "node",
        "provenance": "made up",
        "dataset_sha256": "d",
        "checkpoint_sha256": "c",
        "stand_in": False,
        "motif": False,
        "nodes": 4,
        "edges": 5,
        "features": 3,
        "classes": 2,
        "columns": None,
    }
    assert manifest["unavailable"] == [
        {"task": "twitch-en", "message": "twitch-en: put EN.npz into data/"}
    ]
    assert manifest["command"] == "pytest benchmarks/"


def test_manifest_describes_the_metrics_and_keeps_those_of_before(run):
    path = run.write_manifest()
    content = json.loads(path.read_text())
    described = {entry["name"]: entry for entry in content["metrics"]}
    assert described["fidelity-_prob"]["direction"] == "down"
    assert described["max_sensitivity"]["bounds"] == [0, None]
    content["metrics"].append({"name": "of another package", "direction": "up"})
    path.write_text(json.dumps(content))
    resumed = json.loads(again(run).write_manifest().read_text())
    kept = {entry["name"] for entry in resumed["metrics"]}
    assert kept == {*described, "of another package"}


def test_a_resumed_manifest_keeps_the_tasks_of_before(run):
    run.load_task("karate")
    resumed = again(run)
    resumed.load_task("cora")
    manifest = json.loads((run.folder / "manifest.json").read_text())
    assert [task["name"] for task in manifest["tasks"]] == ["cora", "karate"]
    assert "earlier" not in manifest  # it is one run, gone on with


def test_a_folder_made_by_several_commands_names_them_all(run):
    run.load_task("karate")
    for command, method in (
        ("pytest benchmarks/ --method degree --resume", "degree"),
        ("pytest benchmarks/ --resume --method degree", "degree"),  # interrupted, and gone on with
        ("pytest benchmarks/ --resume --method saliency", "saliency"),
    ):
        run = again(run, command, methods=(method,))
        run.write_manifest()
    manifest = json.loads((run.folder / "manifest.json").read_text())
    assert [one["command"] for one in manifest["earlier"]] == [
        "pytest benchmarks/",
        "pytest benchmarks/ --resume --method degree",
    ]
    assert manifest["command"] == "pytest benchmarks/ --resume --method saliency"
    assert [one["name"] for one in manifest["methods"]] == ["degree", "random", "saliency"]
    assert [one["name"] for one in manifest["tasks"]] == ["karate"]
    run.close()


def test_nodes_come_from_the_task_in_its_order():
    assert PLAN.pick(make_task("karate")) == [2, 0]
    assert replace(PLAN, nodes=9).pick(make_task("karate")) == [2, 0, 1]


def test_default_folder(tmp_path):
    folder = default_folder(tmp_path)
    assert folder.parent == tmp_path / "results" / "local"
