"""``python -m benchmarks`` and the console script."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import benchmarks
import benchmarks.__main__ as command_line
import benchmarks.tasks
from benchmarks.tasks import _source
from explainers import _script

ROOT = Path(__file__).parents[3]
RECORDED = ROOT / "tests" / "benchmarks" / "report" / "recorded" / "steady"


def test_tasks_are_listed(capsys):
    assert command_line.main(["tasks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ba-shapes ") for line in lines)
    assert all(len(line.split()) > 1 for line in lines)


@pytest.mark.parametrize(("command", "name"), [("tasks", "twitch-en"), ("methods", "saliency")])
def test_listings_for_programs(capsys, command, name):
    assert command_line.main([command, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert name in {entry["name"] for entry in entries}
    assert all(entry["description"] for entry in entries)


def test_methods_say_what_they_give_and_need(capsys):
    assert command_line.main(["methods", "--json"]) == 0
    entries = {entry.pop("name"): entry for entry in json.loads(capsys.readouterr().out)}
    lime = entries["lime"]
    assert (lime["costly"], lime["deterministic"], lime["signed"]) == (True, False, True)
    assert (lime["granularity"], lime["engines"]) == (
        ["edges", "nodes"],
        ["analytic", "hoisted", "batched", "stock"],
    )
    assert entries["saliency"]["granularity"] == ["edges", "features"]
    assert not entries["degree"]["model_dependent"]
    assert all(entry["citation"] for entry in entries.values())


def test_tasks_say_where_their_data_are(tmp_path, monkeypatch, capsys):
    """``file`` before ``cache`` before ``download``; a part of the files is none."""
    (source,) = benchmarks.tasks.definition("twitch-en").sources
    cache, root = tmp_path / "cache", tmp_path / "root"
    root.mkdir()
    monkeypatch.setenv("GNN_BENCH_CACHE", str(cache))

    def told(name):
        assert command_line.main(["tasks", "--json", "--data-root", str(root)]) == 0
        entries = json.loads(capsys.readouterr().out)
        return next(entry for entry in entries if entry["name"] == name)

    assert told("karate")["data"] == "built-in"
    assert told("twitch-en")["data"] == "download"
    assert told("twitch-en")["files"] == ["Twitch/EN/raw/EN.npz"]
    for folder, word in ((cache / "datasets", "cache"), (root, "file")):
        (folder / source.folder).mkdir(parents=True)
        (folder / source.paths[0]).write_text("")
        assert told("twitch-en")["data"] == word
    (root / "Planetoid/Cora/raw").mkdir(parents=True)
    (root / "Planetoid/Cora/raw/ind.cora.x").write_text("")
    assert told("cora")["data"] == "download"


@pytest.mark.parametrize("name", benchmarks.tasks.available())
def test_a_task_that_needs_files_says_so(name, tmp_path, monkeypatch):
    """Without ``sources`` its data are built where there are no files and no network."""
    definition = benchmarks.tasks.definition(name)
    monkeypatch.setenv("GNN_BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(_source, "_download", lambda source, folder: 1 / 0)
    if not definition.sources:
        definition.build(tmp_path)
    else:
        with pytest.raises(benchmarks.tasks.Unavailable, match="not here and cannot be downloaded"):
            definition.build(tmp_path)


def test_methods_for_programs(capsys):
    assert command_line.main(["methods", "--json"]) == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    engines = entries["integrated_gradients"]["engines"]
    assert engines == ["analytic", "hoisted", "batched", "stock"]
    assert entries["integrated_gradients"]["signed"]
    assert not entries["random"]["deterministic"]


def test_report_is_drawn_from_the_folder(tmp_path, monkeypatch, capsys):
    drawn = []

    def write(folder, formats, equivalence):
        drawn.append((folder, formats, equivalence))
        return [folder / "report.html"]

    report = SimpleNamespace(write=write, FORMATS=("html", "md"))
    monkeypatch.setitem(sys.modules, "benchmarks.report", report)
    monkeypatch.setattr(benchmarks, "report", report, raising=False)
    (tmp_path / "cells").mkdir()
    assert command_line.main(["report", str(tmp_path)]) == 0
    options = ["--format", "md", "--equivalence", "0.05"]
    assert command_line.main(["report", str(tmp_path), *options]) == 0
    assert drawn == [(tmp_path, ("html", "md"), 0.01), (tmp_path, ("md",), 0.05)]
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "report.html")] * 2


def test_report_of_no_results_folder(tmp_path, capsys):
    assert command_line.main(["report", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert message == (
        f"error: {tmp_path}: no results folder, it has no cells/; name one that a run has written\n"
    )


def test_report_imports_no_torch():
    program = "import sys, benchmarks.__main__, benchmarks.report; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a closed pipe is another error")
@pytest.mark.parametrize(
    ("unbuffered", "arguments"),
    [
        ("", ["--help"]),
        ("", ["tasks"]),
        ("1", ["tasks"]),
        ("", ["methods", "--json"]),
        ("1", ["report", "{folder}", "--format=md"]),
        ("", ["compare", f"{RECORDED}/before", f"{RECORDED}/after"]),
        ("", ["explain", "--task=karate", "--node=0", "--method=degree", "--out={folder}/a.svg"]),
    ],
)
def test_a_reader_that_has_gone_ends_a_command_quietly(tmp_path, arguments, unbuffered):
    """As in ``python -m benchmarks tasks | head -1``, whether the output is buffered or not."""
    folder = tmp_path / "run"
    shutil.copytree(RECORDED / "before", folder)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *(part.format(folder=folder) for part in arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert done.returncode == command_line.READER_GONE
    assert "BrokenPipe" not in done.stderr
    assert "Traceback" not in done.stderr
    if arguments[0] in ("report", "explain"):  # what it was called for is done
        assert (folder / ("report.md" if arguments[0] == "report" else "a.svg")).stat().st_size


def test_every_command_has_help(capsys):
    with pytest.raises(SystemExit):
        command_line.main(["--help"])
    commands = re.findall(r"^    (\w+) ", capsys.readouterr().out, flags=re.MULTILINE)
    assert {"compare", "explain", "methods", "report", "tasks"} <= set(commands)
    for command in commands:
        with pytest.raises(SystemExit) as caught:
            command_line.main([command, "--help"])
        assert caught.value.code == 0
        assert f"usage: gnn-explainer-bench {command}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["nope"], ["report"]])
def test_bad_commands(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        command_line.main(arguments)
    assert caught.value.code == 2
    assert "usage: gnn-explainer-bench" in capsys.readouterr().err


def test_the_console_script_is_the_same_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gnn-explainer-bench", "tasks"])
    assert _script.main() == 0
    assert "karate" in capsys.readouterr().out


def test_the_console_script_without_a_checkout(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert _script.main() == 2
    assert "runs from a checkout" in capsys.readouterr().err
