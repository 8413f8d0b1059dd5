"""A run of the benchmark of F-Fidelity, from the command line to the report."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report.data.frames import load
from benchmarks.report.data.section import split
from benchmarks.report.sections.f_fidelity import EXPLAINED, TUNED

ROOT = Path(__file__).parents[2]


def test_the_cells_have_the_values_and_tasks_without_a_training_are_skipped(tmp_path):
    command = [
        *(sys.executable, "-m", "pytest", "benchmarks/test_f_fidelity.py", "--benchmark-only"),
        *("-q", "-rs", "--task", "karate", "--task", "white-box-count"),
        *("--device", "cpu", "--seeds", "2", "--nodes", "6", "--results", str(tmp_path / "run")),
        *("--method", "degree", "--method", "random", "--method", "occlusion"),
    ]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "white-box-count brings its model" in done.stdout
    (section,) = split(load(tmp_path / "run"))
    rows, _ = section.of("f_fidelity")
    assert set(rows["method"]) == {"degree", "random", "occlusion"}
    assert set(rows["model_seed"]) == {0, 1}
    for sign in "+-":
        own = rows[rows["metric"] == f"f_fidelity{sign}_prob"]
        plain = rows[rows["metric"] == f"fidelity{sign}_prob"]
        assert set(own["semantics"]) == {"delete"}
        assert set(zip(plain["other"], plain["semantics"], strict=True)) == {
            (EXPLAINED, "mask"),
            (EXPLAINED, "delete"),
            (TUNED, "delete"),
        }
        assert len(own) == 3 * 2 * 6
        assert len(plain) == 3 * len(own)
        by_model = plain[plain["semantics"] == "delete"].groupby("other")["value"].apply(list)
        assert by_model[EXPLAINED] != pytest.approx(by_model[TUNED])  # it is another model
    accuracy = rows[rows["metric"] == "accuracy"].groupby("other")["value"].mean()
    assert accuracy[TUNED] == pytest.approx(accuracy[EXPLAINED], abs=0.1)
    report = (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
    assert "whether the order of the methods changes" in report
