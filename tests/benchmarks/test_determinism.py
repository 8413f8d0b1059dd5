"""The same seed gives the same results, bit for bit, on a CPU."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.store.codec import spread
from benchmarks.store.folder import load_all

ROOT = Path(__file__).parents[2]


def quality(folder, cache):
    """The quality cells of a run that trains its model itself."""
    command = [
        *(sys.executable, "-m", "pytest", "benchmarks/test_quality.py", "--benchmark-only", "-q"),
        *("--task", "karate", "--nodes", "3", "--device", "cpu", "--results", str(folder)),
    ]
    environment = {**os.environ, "GNN_BENCH_CACHE": str(cache), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cells, problems = load_all(folder / "cells")
    assert problems == []
    # The key has the model's and the data's checksums in it.
    return {cell.key: (cell.config, cell.status, list(spread(cell.quality))) for cell in cells}


def test_two_runs_are_equal(tmp_path):
    first = quality(tmp_path / "one", tmp_path / "cache one")
    second = quality(tmp_path / "two", tmp_path / "cache two")
    assert len(first) > 5
    assert second == first
