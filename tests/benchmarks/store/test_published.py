"""The published runs: few files, whole, and nothing that their pages refer to is missing."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.store.archive import NAME, load_run

ROOT = Path(__file__).parents[3]
RUNS = sorted(path.parent for path in ROOT.glob("results/20*/manifest.json"))
FILES = {NAME, "manifest.json", "report.html", "report.md", "runtime.csv"}
tracked = (
    subprocess.run(
        ["git", "ls-files", "results"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    if shutil.which("git")
    else []
)


@pytest.mark.skipif(not tracked, reason="this is no clone")
def test_the_published_files_are_few():
    assert len(tracked) < 120


@pytest.mark.skipif(not tracked, reason="this is no clone")
@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_a_published_run_is_packed(run):
    inside = run.relative_to(ROOT).as_posix() + "/"
    names = {name.removeprefix(inside) for name in tracked if name.startswith(inside)}
    figures = {name for name in names if re.fullmatch(r"figures/[\w-]+\.svg", name)}
    assert names == FILES | figures
    page = (run / "report.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\((figures/[^)]*)\)", page)) == figures


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_every_published_cell_is_whole(run):
    cells, problems = load_run(run)
    assert problems == []
    assert len(cells) > 100
