"""A run on a heterogeneous task, from the command line to the report."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.report.data.frames import load
from benchmarks.report.data.section import split
from benchmarks.store.folder import load_all

ROOT = Path(__file__).parents[2]
TYPES = {
    *("venue, publishes, paper", "term, on, paper", "paper, written by, author"),
    "paper, cites, paper",
}


def test_the_typed_motif_is_explained_and_reported(tmp_path):
    files = ("quality", "edge_types", "axioms", "agreement")
    command = [
        *(sys.executable, "-m", "pytest", *(f"benchmarks/test_{name}.py" for name in files)),
        *("--benchmark-only", "-q", "--task", "hetero-motif", "--device", "cpu", "--nodes", "2"),
        *("--method", "input_x_gradient", "--method", "random", "--method", "degree"),
        *("--results", str(tmp_path / "run")),
    ]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cells, problems = load_all(tmp_path / "run" / "cells")
    assert problems == []
    assert {cell.status for cell in cells} == {"ok"}
    # What has no meaning there has no cell: the degree of all types together.
    assert {cell.config["method"] for cell in cells} == {"input_x_gradient", "random"}
    assert {cell.inputs["node_type"] for cell in cells} == {"author"}
    (section,) = split(load(tmp_path / "run"))
    rows, _ = section.of("quality")
    found = rows[rows["metric"].isin(["auroc", "average_precision"])]
    assert set(found.loc[found["method"] == "input_x_gradient", "value"]) == {1.0}
    rows, _ = section.of("edge_types")
    assert set(rows["other"]) == TYPES
    axioms, _ = section.of("axioms")
    violations = axioms[axioms["metric"] == "sensitivity_violations"]
    assert (violations["value"] == 0).all()
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert 'id="edge-types-hetero-motif"' in page
    assert 'id="truth-hetero-motif"' in page
