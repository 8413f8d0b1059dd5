"""What the report takes from a manifest's description of the metrics."""

import json
from pathlib import Path

import pytest

from benchmarks.report.data.comparison import compare
from benchmarks.report.data.frames import load
from benchmarks.report.data.manifest import read_manifest
from benchmarks.report.data.metrics import Metric, described
from benchmarks.report.data.quality import other_metrics
from benchmarks.report.data.section import split
from benchmarks.report.outline import compose

RESULTS = Path(__file__).parents[3] / "results"
NEW = {
    "name": "new",
    "title": "a new one",
    "direction": "down",
    "bounds": [0, None],
    "description": "What it says.",
    "source": "Nobody et al., arXiv:1234.56789",
}


def test_a_value_as_it_is_described():
    metrics = described({"metrics": [NEW]})
    assert metrics["new"].heading == "a new one ↓"
    assert metrics["new"].url == "https://arxiv.org/abs/1234.56789"
    assert (metrics["new"].text, metrics["new"].bounded) == ("What it says.", False)
    assert metrics["other"] == Metric("other")
    assert (metrics["other"].heading, metrics["other"].url) == ("other", "")
    assert list(metrics) == ["new"]  # asking for another does not add it


@pytest.mark.parametrize(
    ("bounds", "bounded"),
    [
        *(([0, 1], True), ([-1, 1], True), ([0, 0.5], True)),
        *(([0, None], False), ([0, 2], False), ([None, 1], False), (None, False), ([], False)),
    ],
)
def test_three_decimals_are_for_values_between_minus_one_and_one(bounds, bounded):
    assert described({"metrics": [NEW | {"bounds": bounds}]})["new"].bounded is bounded


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"schema": 1, "metrics": "x"}'])
def test_a_manifest_that_cannot_be_read_is_told(folder, tmp_path, text):
    other = type(folder)(tmp_path / "other")
    for one in (folder, other):
        one.quality("a", [1, 2, 3])
    (other.path / "manifest.json").write_text(text)
    found = compare(folder.path, other.path)
    (note,) = found.notes
    assert note.startswith(f"{other.path}: manifest.json could not be read: ")
    assert found.quality  # as the other manifest describes them


def test_a_new_value_is_shown_ranked_and_compared(folder, tmp_path):
    folder.manifest(metrics=[NEW, NEW | {"name": "set", "compared": False}])
    worse = type(folder)(tmp_path / "worse")
    for name, values in (("a", [3, 4, 5]), ("b", [2, 3, 4]), ("random", [6, 8, 7])):
        for metric in ("new", "set"):
            folder.quality(name, values, metric, semantics="")
            worse.quality(name, [9 * value for value in values], metric, semantics="")
    (section,) = split(load(folder.path))
    assert other_metrics(section) == [("new", "k=10", "")]
    blocks = compose(load(folder.path))
    (picture,) = (one for one in blocks if getattr(one, "name", "") == "ranks-karate")
    assert {(row.metric, row.method): row.mean_rank for row in picture.data.itertuples()} == {
        ("a new one, 10 edges, by absolute score", "a"): 2,
        ("a new one, 10 edges, by absolute score", "b"): 1,
        ("a new one, 10 edges, by absolute score", "random"): 3,
    }
    found = compare(folder.path, worse.path)
    assert {change.what for change in found.regressions(0.1)} == {"new, k=10, absolute"}
    assert found.notes == []


def test_runs_whose_metrics_are_not_described_are_not_compared_by_them(folder, tmp_path):
    folder.manifest(metrics=[])
    other = type(folder)(tmp_path / "other")
    other.manifest(metrics=[])
    for one in (folder, other):
        one.quality("a", [1, 2, 3])
    found = compare(folder.path, other.path)
    assert found.quality == []
    (note,) = found.notes
    assert "no manifest describes the metrics" in note
    folder.manifest()  # one that does is enough
    assert [change.what for change in compare(folder.path, other.path).quality] == [
        "fidelity+_prob, k=10, mask, absolute"
    ]


@pytest.mark.parametrize(
    "path", sorted(RESULTS.glob("20*/manifest.json")), ids=lambda p: p.parent.name
)
def test_published_runs_describe_the_values_that_there_are(path, folder):
    published = described(json.loads(path.read_text()))
    now = described(read_manifest(folder.path))
    assert set(published) <= set(now)
    for name, metric in published.items():
        for attribute in ("direction", "bounded", "compared"):
            assert getattr(now[name], attribute) == getattr(metric, attribute)
    assert len(published) > 40
