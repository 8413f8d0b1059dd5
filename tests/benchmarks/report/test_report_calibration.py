"""Published numbers beside ours."""

import pytest

from benchmarks.report.blocks import Heading, Table, Text
from benchmarks.report.calibration import BENCHMARK, PUBLISHED, calibration, measured
from benchmarks.report.frames import load
from benchmarks.report.sections import split


def add(folder, settings, published, value, seed=0):
    row = {"node": None, "metric": published.metric, "level": published.level, "value": value}
    config = settings(published.method, "batched", published.task, seed)
    folder.add(BENCHMARK, config, part={"level": published.level}, quality=[row])


def test_ours_is_the_mean_over_the_models(folder, settings):
    first, second = PUBLISHED[:2]
    assert (first.task, first.method) == (second.task, second.method)
    for seed, value in enumerate((0.6, 0.9)):
        add(folder, settings, first, value, seed)
    add(folder, settings, second, 0.1)
    sections = split(load(folder.path))
    ours = measured(sections, first)
    assert ours.value == pytest.approx(0.75)
    assert (ours.low, ours.high, ours.n) == (pytest.approx(0.6), pytest.approx(0.9), 2)
    assert measured(sections, second).value == pytest.approx(0.1)
    assert measured(sections, PUBLISHED[2]) is None


def test_the_table_shows_what_was_measured_good_or_bad(folder, settings):
    for published, value in zip((PUBLISHED[0], PUBLISHED[-1]), (0.1, 0.982), strict=True):
        add(folder, settings, published, value)
    heading, table, *texts = calibration(split(load(folder.path)))
    assert isinstance(heading, Heading)
    assert isinstance(table, Table)
    rows = [[entry.text for entry in row] for row in table.rows]
    assert [row[2] for row in rows] == ["0.100", "0.982"]
    assert [row[3] for row in rows] == [f"{p.value:.3f}" for p in (PUBLISHED[0], PUBLISHED[-1])]
    assert [row[4] for row in rows] == ["-0.642", "+0.800"]
    assert all(isinstance(text, Text) for text in texts)
    assert [PUBLISHED[0].source.differs in texts[0].text, len(texts)] == [True, 2]


def test_nothing_measured_says_nothing(folder, settings):
    folder.quality("saliency", [0.1, 0.2])
    assert list(calibration(split(load(folder.path)))) == []
