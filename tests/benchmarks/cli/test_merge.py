"""``python -m benchmarks merge``: a method that was run alone beside those of another run."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks.__main__ as command_line
from benchmarks.store import archive, folder

ROOT = Path(__file__).parents[3]
ALONE = "saliency"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of three methods."""
    place = tmp_path_factory.mktemp("merge") / "whole"
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--benchmark-only", "--task=karate", "--nodes=2"),
            *("benchmarks/test_quality.py", "benchmarks/test_runtime.py", f"--results={place}"),
            *(f"--method={name}" for name in ("random", "degree", ALONE)),
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return place


@pytest.fixture
def runs(whole, tmp_path):
    """Two folders made of that: all methods but one, and that one beside random."""
    places = []
    for name, belongs in (
        ("published", lambda method: method != ALONE),
        ("own", lambda method: method in (ALONE, "random")),
    ):
        place = tmp_path / name
        shutil.copytree(whole, place)
        for cell in archive.load_run(place)[0]:
            if not belongs(cell.config["method"]):
                (place / "cells" / f"{cell.key}.json").unlink()
        manifest = json.loads((place / "manifest.json").read_text())
        manifest["methods"] = [one for one in manifest["methods"] if belongs(one["name"])]
        (place / "manifest.json").write_text(json.dumps(manifest | {"command": name}))
        places.append(place)
    return places


def merge(*places, out):
    return command_line.main(["merge", *map(str, places), "--out", str(out)])


def change(place, benchmark, **inputs):
    """The cells of a benchmark as if they had been measured with other inputs."""
    for cell in archive.load_run(place)[0]:
        if cell.benchmark == benchmark:
            (place / "cells" / f"{cell.key}.json").unlink()
            cell.inputs.update(inputs)
            folder.write(place / "cells", type(cell)(**{**vars(cell), "key": ""}))


def test_the_scores_are_those_of_one_run_and_the_times_are_left_out(whole, runs, tmp_path, capsys):
    out = tmp_path / "merged"
    assert merge(*runs, out=out) == 0
    said = capsys.readouterr().out
    cells = archive.load_run(whole)[0]
    expected = {
        cell.key: cell for cell in cells if not (cell.runtime and cell.config["method"] == ALONE)
    }
    assert {cell.key: cell for cell in archive.load_run(out)[0]} == expected
    left_out = len(cells) - len(expected)
    assert left_out
    assert f"{left_out} with times" in said
    manifest = json.loads((out / "manifest.json").read_text())
    names = [one["name"] for one in manifest["methods"]]
    assert sorted(names) == sorted(set(names))
    assert ALONE in names
    assert (manifest["command"], manifest["earlier"][-1]["command"]) == ("published", "own")
    assert command_line.main(["report", str(out), "--format", "md"]) == 0
    report = (out / "report.md").read_text()
    assert ALONE in report
    assert "degree" in report


def test_other_versions_are_told(runs, tmp_path, capsys):
    place = runs[1] / "manifest.json"
    manifest = json.loads(place.read_text())
    own = manifest["versions"]["torch"]
    place.write_text(json.dumps(manifest | {"versions": {**manifest["versions"], "torch": "2.0"}}))
    out = tmp_path / "merged"
    assert merge(*runs, out=out) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert len(said) == 1
    assert said[0].startswith(f"note: torch {own} and 2.0: measured with other code")
    assert command_line.main(["report", str(out), "--format", "md"]) == 0
    assert "the same, but torch 2.0 |" in (out / "report.md").read_text()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"checkpoint_sha256": "0" * 64}, "the model's weights of"),
        ({"dataset_sha256": "0" * 64}, "the data of"),
        ({"nodes": [1, 2, 3]}, "other nodes of"),
    ],
)
def test_scores_of_other_predictions_are_refused(runs, tmp_path, capsys, inputs, message):
    change(runs[1], "quality", **inputs)
    assert merge(*runs, out=tmp_path / "merged") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "merged").exists()


def test_bad_folders_are_refused(runs, tmp_path, capsys):
    assert merge(*runs, out=runs[0]) == 2
    assert "is there already" in capsys.readouterr().err
    assert merge(runs[0], tmp_path, out=tmp_path / "merged") == 2
    assert "no results folder" in capsys.readouterr().err
    assert merge(runs[0], runs[0], out=tmp_path / "merged") == 2
    assert "has no score of a task and model" in capsys.readouterr().err
    next(runs[1].glob("cells/*.json")).write_text("{")
    assert merge(*runs, out=tmp_path / "merged") == 2
    assert "by --resume first" in capsys.readouterr().err
