"""The method that CONTRIBUTING.md shows: one file, whether in the library or in another package."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
SHOWN = re.search(
    r"This is all of `explainers/methods/(\w+)\.py`.*?```python\n(.*?)```",
    (ROOT / "CONTRIBUTING.md").read_text(),
    flags=re.DOTALL,
)
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "another-package"
version = "1.0"
[project.entry-points."gnn_explainer_bench.methods"]
gradient = "another_package:METHOD"
[tool.hatch.build.targets.wheel]
only-include = ["another_package.py"]
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment in which the method is in another package, built and installed by pip."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    (source / "another_package.py").write_text(SHOWN[2])
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


def test_the_benchmarks_and_the_report_have_it(installed, tmp_path):
    folder = tmp_path / "results"
    done = python(
        "benchmarks/test_quality.py",
        "benchmarks/test_runtime.py",
        "--benchmark-only",
        *("--task", "karate", "--nodes", "2", "--method", "gradient", "--method", "saliency"),
        *("--results", str(folder)),
        env=installed,
    )
    assert done.returncode == 0, done.stdout
    for table in ("quality.csv", "runtime.csv"):
        rows = pd.read_csv(folder / table)
        rows = rows[rows["method"] == "gradient"]
        assert set(rows["status"]) == {"ok"}
        assert len(rows) > 5
    text = (folder / "report.md").read_text()
    assert re.search(r"\| gradient \| \*?\*?-?\d\.\d+", text)
