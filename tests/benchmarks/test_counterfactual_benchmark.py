"""A run of the benchmark of counterfactuals, from the command line to the report."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.measures.counterfactual import OWN, PREFIX
from benchmarks.report.data.frames import load
from benchmarks.report.data.section import split

ROOT = Path(__file__).parents[2]


def test_the_cells_have_the_values(tmp_path):
    command = [
        *(sys.executable, "-m", "pytest", "benchmarks/test_counterfactual.py", "--benchmark-only"),
        *("-q", "--task", "karate", "--device", "cpu", "--seeds", "1", "--nodes", "8"),
        *("--method", "random", "--method", "cf_explainer", "--results", str(tmp_path / "run")),
    ]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (section,) = split(load(tmp_path / "run"))
    rows, _ = section.of("counterfactual")
    valid = rows[rows["metric"] == "flip_validity"]
    assert set(zip(valid["method"], valid["other"], strict=True)) == {
        ("random", PREFIX),
        ("cf_explainer", PREFIX),
        ("cf_explainer", OWN),
    }
    assert (valid.groupby(["method", "other"]).size() == 8).all()
    sizes = rows[rows["metric"] == "flip_size"]
    assert len(sizes) == valid["value"].sum() > 0
    assert set(valid["semantics"]) == {"delete"}
    fewest = rows[rows["metric"] == "fewest_validity"]
    assert len(fewest) == 2  # the only node with so few edges, in both cells
    assert set(rows.loc[rows["metric"].str.endswith("_seconds"), "method"]) == {
        *("random", "cf_explainer")
    }
    report = (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
    assert "time to follow the ranking" in report
