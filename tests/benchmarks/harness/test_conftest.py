"""The benchmarks' pytest options, from the command line to the results folder."""

import json
import sys
from importlib.metadata import version
from types import SimpleNamespace

import pytest
import torch  # pytester forgets what is imported within, and torch cannot be imported twice
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv

import benchmarks
import benchmarks.tasks
import explainers
from benchmarks.harness.lock import locked
from benchmarks.harness.measure import timer as clock

MODULE = """
from benchmarks.harness.options import parametrize, plan_of

seen = []


def pytest_generate_tests(metafunc):
    methods = [{"method": name, "engine": "stock", "options": {}}
               for name in plan_of(metafunc.config).methods]
    parametrize(metafunc, repeats=2, variants=methods)


def test_quality(run, plan, device, task, model_seed, variant, repeat, benchmark):
    seen.append((task.name, task.architecture, model_seed, repeat, variant["method"]))
    config = {"task": task.name, "model": task.architecture, "model_seed": model_seed,
              "device": device, **variant}
    nodes = plan.pick(task)
    with run.cell("quality", config, task=task, nodes=nodes, part={"repeat": repeat}) as cell:
        if variant["method"] == "broken":
            benchmark.pedantic(lambda: 1 / 0)
        cell.quality.append({"node": nodes[0], "metric": "gini", "value": 0.5})
        benchmark.pedantic(lambda: None, rounds=2, warmup_rounds=1)


def test_order(benchmark):
    benchmark.pedantic(lambda: None)
    print("ORDER", seen)
"""


@pytest.fixture
def drawn():
    """The folders for which a report was asked; ``drawn.error`` is raised if it is set."""
    return SimpleNamespace(folders=[], error=None)


@pytest.fixture
def bench(pytester, monkeypatch, drawn):
    """Calls pytest with the benchmarks' options, on tasks and methods that are made up."""
    graph = Data(
        x=torch.ones(4, 3), edge_index=torch.zeros(2, 5, dtype=torch.long), y=torch.arange(4) % 2
    )

    def load(name, root=None, device="cpu", seed=0, model="gcn"):
        if name == "twitch-en":
            raise benchmarks.tasks.Unavailable("put EN.npz into data/Twitch/EN/raw")
        return SimpleNamespace(
            name=name,
            data=graph,
            model=GCNConv(3, 2),
            nodes=torch.arange(4),
            accuracy=1.0,
            provenance="made up",
            architecture=model,
            dataset_sha256="d",
            checkpoint_sha256=f"c{seed}",
            stand_in=False,
        )

    def write(folder):
        drawn.folders.append(folder)
        if drawn.error:
            raise drawn.error
        (folder / "report.html").write_text("drawn")

    report = SimpleNamespace(write=write)
    monkeypatch.setitem(sys.modules, "benchmarks.report", report)
    monkeypatch.setattr(benchmarks, "report", report, raising=False)
    monkeypatch.setattr(benchmarks.tasks, "load", load)
    monkeypatch.setattr(explainers, "available", lambda: ["random", "saliency"], raising=False)
    monkeypatch.delenv("GNN_BENCH_DEVICE", raising=False)
    pytester.makepyfile(test_module=MODULE)

    def call(*arguments, only=True):
        options = ["--benchmark-only"] if only else []
        # -p: a conftest of its own, since this one is not in pytester's folder.
        plugins = ["-p", "no:cacheprovider", "-p", "benchmarks.conftest"]
        return pytester.runpytest_inprocess(*plugins, *options, *arguments)

    return call


def stored(folder):
    return [json.loads(path.read_text()) for path in sorted((folder / "cells").glob("*.json"))]


def test_a_run(bench, pytester, drawn):
    folder = pytester.path / "out"
    result = bench("--results", "out", "--nodes", "2", "-s")
    result.assert_outcomes(passed=2 * 2 * 2 + 1)
    assert result.ret == 0

    by_status = {}
    for cell in stored(folder):
        by_status.setdefault(cell["status"], []).append(cell)
    assert len(by_status["ok"]) == 8
    assert {cell["config"]["task"] for cell in by_status["ok"]} == {"twitch-sim", "ba-shapes"}
    assert by_status["ok"][0]["inputs"]["nodes"] == [0, 1]
    (missing,) = by_status["unavailable"]
    assert missing["message"] == "put EN.npz into data/Twitch/EN/raw"

    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["profile"] == "quick"
    assert "--nodes 2" in manifest["command"]
    assert {task["name"] for task in manifest["tasks"]} == {"twitch-sim", "ba-shapes"}
    assert manifest["unavailable"][0]["task"] == "twitch-en"

    measured = json.loads((folder / "benchmark.json").read_text())
    assert len(measured["benchmarks"]) == 9
    assert "UNSERIALIZABLE" not in (folder / "benchmark.json").read_text()
    assert "node" not in measured["machine_info"]
    assert measured["machine_info"]["torch"] == version("torch")
    timer = measured["benchmarks"][0]["options"]["timer"]
    assert timer.rpartition(".")[2] == clock.__name__  # of torch 2.11 on a CPU: perf_counter

    assert drawn.folders == [folder]
    result.stdout.fnmatch_lines(
        [
            "results: out (quick profile, cpu)",
            "twitch-en is unavailable: put EN.npz*",
            "twitch-en is unavailable: put EN.npz*",
            "report: out/report.html",
        ]
    )


def test_the_method_varies_fastest(bench):
    models = ("--model", "sage", "--model", "gcn")
    result = bench("--task", "karate", "--task", "cora", "--seeds", "2", *models, "-s")
    (line,) = [line for line in result.outlines if "ORDER" in line]
    expected = [
        (task, model, seed, repeat, method)
        for task in ("karate", "cora")
        for model in ("sage", "gcn")
        for seed in (0, 1)
        for repeat in (0, 1)
        for method in ("random", "saliency")
    ]
    assert line.partition("ORDER ")[2] == str(expected)


def test_default_folder_is_new(bench, pytester):
    assert bench("--task", "karate", "--method", "random").ret == 0
    (folder,) = (pytester.path / "results" / "local").iterdir()
    assert len(stored(folder)) == 2


def test_a_failing_benchmark_is_a_cell(bench, pytester, monkeypatch):
    monkeypatch.setattr(explainers, "available", lambda: ["broken", "random"])
    load = explainers.load
    monkeypatch.setattr(explainers, "load", lambda name: load(name.replace("broken", "random")))
    result = bench("--task", "karate", "--results", "out")
    result.assert_outcomes(passed=3, failed=2)
    assert result.ret == 1
    failed = [cell for cell in stored(pytester.path / "out") if cell["status"] == "error"]
    assert [cell["message"] for cell in failed] == ["ZeroDivisionError: division by zero"] * 2


def test_resume(bench, pytester):
    folder = pytester.path / "out"
    bench("--task", "karate", "--method", "random", "--results", "out").assert_outcomes(passed=3)
    before = stored(folder)
    result = bench("--task", "karate", "--results", "out", "--resume", "-rs")
    result.assert_outcomes(passed=3, skipped=2)
    result.stdout.fnmatch_lines(["*resumed: cell * is there"])
    after = stored(folder)
    assert len(after) == 4
    assert all(cell in after for cell in before)
    # pytest-benchmark's own file keeps what the first part has measured.
    measured = json.loads((folder / "benchmark.json").read_text())["benchmarks"]
    assert len(measured) == 5
    result = bench("--task", "karate", "--results", "out")
    result.stderr.fnmatch_lines(["*--results out: the folder is not empty; add --resume*"])
    assert result.ret == 4


def test_a_second_writer(bench, pytester):
    with locked(pytester.path / "out"):
        result = bench("--task", "karate", "--results", "out", "--resume")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--results */out: another run is writing there (process *"])


def test_a_task_asked_for_that_cannot_be_had(bench, pytester):
    result = bench("--task", "twitch-en", "--task", "karate", "--method", "random", "-rs")
    result.assert_outcomes(passed=3, skipped=2)
    result.stdout.fnmatch_lines(["*twitch-en is unavailable: put EN.npz*"])
    assert result.ret == 0
    # With nothing else to do, the run has failed.
    assert bench("--task", "twitch-en").ret == 1


def test_a_report_that_fails_leaves_the_cells(bench, pytester, drawn):
    drawn.error = RuntimeError("no ink")
    result = bench("--task", "karate", "--results", "out")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*no ink*", "*python -m benchmarks report out*"])
    assert len(stored(pytester.path / "out")) == 4
    assert (pytester.path / "out" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "nope"], "--task nope: unknown; available: *ba-shapes*"),
        (["--method", "nope"], "--method nope: unknown; available: random, saliency"),
        (["--device", "tpu"], "--device tpu: unknown; use cpu or cuda"),
        (["--nodes", "0"], "--nodes 0: is to be 1 or more"),
        (["--nodes", "two"], "*--nodes*invalid int value: 'two'"),
        (["--profile", "slow"], "--profile slow: unknown; use quick or full"),
        (["--data-root", "nowhere"], "--data-root nowhere: there is no such folder*"),
        (["--cell-timeout", "-1"], "--cell-timeout -1: is to be 0 (no limit) or more seconds"),
        (["--cell-timeout", "nan"], "--cell-timeout nan: is to be 0 (no limit) or more seconds"),
        (["--trust-data", "abc"], "--trust-data abc: is to be a file's SHA-256, 64 hexadecimal*"),
        (["--resume"], "--resume: needs --results DIR*"),
    ],
)
def test_bad_options_stop_before_any_work(bench, pytester, drawn, arguments, message):
    result = bench(*arguments)
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*{message}"])
    assert not (pytester.path / "results").exists()
    assert drawn.folders == []


def test_cuda_without_a_gpu(bench, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for arguments in (["--device", "cuda"], []):
        result = bench(*arguments)
        assert result.ret == 4
        result.stderr.fnmatch_lines(["*--device cuda: torch finds no working CUDA device; use*"])
        monkeypatch.setenv("GNN_BENCH_DEVICE", "cuda")


def test_nothing_happens_without_benchmark_only(bench, pytester, drawn):
    result = bench("--benchmark-skip", only=False)
    assert result.parseoutcomes()["skipped"] == 9
    assert not (pytester.path / "results").exists()
    assert drawn.folders == []


def test_collecting_trains_and_writes_nothing(bench, pytester, drawn):
    result = bench("--collect-only", "-q")
    assert result.ret == 0
    assert not (pytester.path / "results").exists()
    assert drawn.folders == []


def test_help_names_the_options(bench):
    result = bench("--help", only=False)
    for option in ("--task=NAME", "--results=DIR", "--resume", "--data-root=DIR"):
        result.stdout.fnmatch_lines([f"*{option}*"])
