"""The method and the metric of CONTRIBUTING.md: one file, in the library or in another package."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from torch_geometric.datasets import KarateClub
from torch_geometric.nn import GCN

import explainers
from benchmarks.report.data.comparison import compare
from benchmarks.store.codec import spread
from benchmarks.store.folder import load_all, write
from explainers import metrics

ROOT = Path(__file__).parents[1]
METHODS = ("gradient", "saliency", "degree", "occlusion")
SHOWN, METRIC = (
    re.search(
        rf"This is all of\s+`explainers/{package}/(\w+)\.py`.*?```python\n(.*?)```",
        (ROOT / "CONTRIBUTING.md").read_text(),
        flags=re.DOTALL,
    )
    for package in ("methods", "metrics")
)
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "another-package"
version = "1.0"
[project.entry-points."gnn_explainer_bench.methods"]
gradient = "another_method:METHOD"
[project.entry-points."gnn_explainer_bench.metrics"]
coverage = "another_metric:METRIC"
[tool.hatch.build.targets.wheel]
only-include = ["another_method.py", "another_metric.py"]
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment in which both are in another package, built and installed by pip."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    (source / "another_method.py").write_text(SHOWN[2])
    (source / "another_metric.py").write_text(METRIC[2])
    (source / "pyproject.toml").write_text(PROJECT)
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source)], check=True)
    return {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}


def python(*arguments, env):
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False
    )


def test_it_is_short():
    assert SHOWN[1] == "gradient"
    assert len(SHOWN[2].splitlines()) <= 50
    assert METRIC[1] == "coverage"
    assert len(METRIC[2].splitlines()) <= 50


def test_the_contract_finds_it(installed):
    done = python(
        "tests/explainers/methods/test_every_method.py",
        "tests/explainers/engines/test_engines.py",
        "-k",
        "gradient and not gradients and not x_gradient and not gradient_shap",
        env=installed,
    )
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 15


@pytest.fixture(scope="module")
def results(installed, tmp_path_factory):
    """The results of a small run with both."""
    folder = tmp_path_factory.mktemp("run") / "results"
    methods = [f"--method={name}" for name in METHODS]
    done = python(
        "benchmarks/test_quality.py",
        "benchmarks/test_runtime.py",
        "--benchmark-only",
        *("--task", "karate", "--nodes", "3", *methods, "--no-baselines"),
        *("--results", str(folder)),
        env=installed,
    )
    assert done.returncode == 0, done.stdout
    return folder


def test_the_benchmarks_and_the_report_have_it(results):
    for table in ("quality.csv.gz", "runtime.csv"):
        rows = pd.read_csv(results / table)
        rows = rows[rows["method"] == "gradient"]
        assert set(rows["status"]) == {"ok"}
        assert len(rows) > 5
    text = (results / "report.md").read_text()
    assert re.search(r"\| gradient \| \*?\*?-?\d\.\d+", text)


def test_the_report_gives_the_metric_its_direction_best_and_rank(results):
    text = (results / "report.md").read_text()
    shown = "coverage ↑, 20 % of the edges, by absolute score"
    (table,) = (part for part in text.split("\n\n") if part.startswith("|") and shown in part)
    heading, _, *rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    values = {row[0]: row[heading.index(shown)] for row in rows}
    means = {name: float(re.search(r"\d\.\d+", value)[0]) for name, value in values.items()}
    assert set(means) == set(METHODS)
    best = {name for name, value in values.items() if value.startswith("**")}
    assert best
    assert {means[name] for name in best} == {max(means.values())}
    assert "| coverage ↑ | Share of the absolute scores that the selected edges hold" in text
    ranks = pd.read_csv(results / "figures" / "ranks-karate.csv")
    ranks = ranks[ranks["metric"].str.startswith("coverage, 20 % of the edges")]
    ranks = ranks.set_index("method")["mean_rank"]
    # By absolute score two are the same: they share a rank.
    assert len(ranks) == 3
    (shared,) = (name for name in ranks.index if "gradient" in name)
    assert "saliency" in shared
    assert ranks[shared] < ranks["degree"]


def test_compare_judges_by_the_metric(results, tmp_path):
    worse = tmp_path / "worse"
    shutil.copytree(results, worse)
    for cell in load_all(worse / "cells")[0]:
        cell.quality = list(spread(cell.quality))
        for row in cell.quality:
            if row["metric"] == "coverage" and cell.config["method"] == "gradient":
                row["value"] /= 2
        write(worse / "cells", cell)
    found = compare(results, worse).regressions(0.1)
    assert {one.what for one in found} == {
        f"coverage, f=20%, {selection}" for selection in ("signed", "absolute")
    }
    assert all("gradient" in one.name for one in found)
    assert compare(worse, results).regressions(0.1) == []


def test_a_metric_is_one_new_file_in_the_library(tmp_path, monkeypatch):
    """The file is found in another folder of the package, and its name is nowhere else."""
    (tmp_path / "coverage.py").write_text(METRIC[2])
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "explainers.metrics.coverage", raising=False)
    entry = next(entry for entry in metrics.describe() if entry["name"] == "coverage")
    assert (entry["metric"], entry["direction"], entry["bounds"]) == ("coverage", "up", [0, 1])
    data, model = KarateClub()[0], GCN(34, 8, num_layers=2, out_channels=4).eval()
    explanations = explainers.load("saliency").explain(model, data, [0])
    options = {"at": ["f=50%", "f=100%"], "selections": ["absolute"]}
    rows = metrics.evaluate(model, data, explanations, **options)
    half, whole = (row["value"] for row in rows if row["metric"] == "coverage")
    assert 0.5 <= half < whole == pytest.approx(1)
