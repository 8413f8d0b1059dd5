"""``python -m benchmarks isolation``: what is run in turn, and what is made of the times."""

import csv
import importlib.metadata
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.__main__ import main
from benchmarks.cli import isolation

ROOT = Path(__file__).parents[3]


@pytest.fixture
def runs(monkeypatch):
    """The runs that were asked for, in place of runs: those apart take 4 s more a method."""
    found = []

    def run(command, *, env, **_):
        [*distributions] = importlib.metadata.distributions(path=[env["PYTHONPATH"]])
        points = {point.name: point.load() for one in distributions for point in one.entry_points}
        methods = [word.removeprefix("--method=") for word in command if "--method=" in word]
        assert {*methods} == {"saliency", *points}
        assert all(method.__name__ == "Saliency" for method in points.values())
        found.append("together" if "--together" in command else "apart")
        return SimpleNamespace(returncode=0)

    clock = iter(range(10**6))

    def now():
        """Two calls a run: what lies between them is its time."""
        number = next(clock)
        if number % 2 == 0:
            return 100.0 * number
        apart = found[-1] == "apart"
        return 100.0 * (number - 1) + 10 + (4 * 3 + number // 4 % 2 if apart else 0)

    monkeypatch.setattr(isolation, "subprocess", SimpleNamespace(run=run))
    monkeypatch.setattr(isolation, "time", SimpleNamespace(perf_counter=now))
    return found


def test_the_kinds_take_turns_and_the_difference_is_told(runs, tmp_path, capsys):
    out = tmp_path / "isolation"
    assert main(["isolation", "--out", str(out), "--methods", "3", "--repeats", "3"]) == 0
    assert runs == ["together", "apart", "apart", "together"] * 2  # the first two: warm-up
    rows = list(csv.DictReader((out / "isolation.csv").open()))
    assert [row["repeat"] for row in rows] == ["0", "0", "1", "1", "2", "2"]
    found = json.loads((out / "isolation.json").read_text())
    assert found["seconds_per_method"] == {"median": 4.333, "min": 4.0, "max": 4.333}
    assert "seconds a method: 4.33 [4.00, 4.33]" in capsys.readouterr().out
    assert str(tmp_path) not in (out / "isolation.json").read_text()


def test_bad_numbers(tmp_path, capsys):
    assert main(["isolation", "--out", str(tmp_path), "--methods", "0"]) == 2
    assert "--methods 0: must be at least 1" in capsys.readouterr().err


def test_a_run_that_fails_is_told(monkeypatch, tmp_path, capsys):
    done = SimpleNamespace(returncode=1, stdout="no such luck", stderr="")
    monkeypatch.setattr(isolation, "subprocess", SimpleNamespace(run=lambda *_, **__: done))
    assert main(["isolation", "--out", str(tmp_path)]) == 2
    assert "no such luck" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_figures_of_the_documentation_are_those_of_the_file():
    found = json.loads((ROOT / "results" / "2026-11-30-isolation" / "isolation.json").read_text())
    cost = found["cpu_seconds_per_method"]
    text = " ".join((ROOT / "docs" / "running.md").read_text().split())
    told = "{median:.1f} s of CPU time a method ({min:.1f} to {max:.1f} in three turns;"
    assert told.format(**cost) in text
    assert found["repeats"] == 3


def test_the_folder_is_made_before_the_work(runs, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["isolation", "--out", str(tmp_path / "file" / "out")]) == 2
    assert runs == []
    assert f"error: {tmp_path}/file/out: Not a directory; check" in capsys.readouterr().err
