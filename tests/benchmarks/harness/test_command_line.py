"""``python -m benchmarks`` and the console script."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import benchmarks
import benchmarks.__main__ as command_line
from explainers import _script

ROOT = Path(__file__).parents[3]


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
    assert (lime["gives"], lime["engines"]) == (
        ["edges", "nodes"],
        ["analytic", "batched", "stock"],
    )
    assert entries["saliency"]["gives"] == ["edges", "features"]
    assert not entries["degree"]["asks_model"]
    assert all(entry["citation"] for entry in entries.values())


def test_report_is_drawn_from_the_folder(tmp_path, monkeypatch, capsys):
    drawn = []
    report = SimpleNamespace(write=drawn.append)
    monkeypatch.setitem(sys.modules, "benchmarks.report", report)
    monkeypatch.setattr(benchmarks, "report", report, raising=False)
    (tmp_path / "cells").mkdir()
    assert command_line.main(["report", str(tmp_path)]) == 0
    assert drawn == [tmp_path]
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")


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
