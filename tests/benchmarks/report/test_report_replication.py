"""Published numbers beside ours."""

import pytest

from benchmarks.replication.published import BENCHMARK, PUBLISHED
from benchmarks.report.data.frames import load
from benchmarks.report.data.section import split
from benchmarks.report.render.blocks import Heading, Table, Text
from benchmarks.report.sections.replication import answers, front, measured, replication


def add(folder, settings, published, value, seed=0, setup=0):
    way = published.setups[setup]
    row = {"node": None, "metric": published.metric, "level": published.level, "value": value}
    row["semantics"] = way.semantics
    config = settings(published.method, "batched", way.task, seed)
    folder.add(BENCHMARK, config, part={"level": published.level}, quality=[row])


def test_ours_is_the_mean_over_the_models(folder, settings):
    first, second = PUBLISHED[:2]
    assert (first.data, first.method) == (second.data, second.method)
    for seed, value in enumerate((0.74, 0.76)):
        add(folder, settings, first, value, seed)
    add(folder, settings, second, 0.1)
    sections = split(load(folder.path))
    ours = measured(sections, first, first.setups[0])
    assert ours.value == pytest.approx(0.75)
    half = 12.7062 * 0.01  # Student's t of one degree of freedom, and the standard error
    assert (ours.low, ours.high) == pytest.approx((0.75 - half, 0.75 + half), abs=1e-5)
    assert ours.n == 2
    for seed, value in enumerate((0.6, 0.9), 2):  # with the bounds of the metric
        add(folder, settings, first, value, seed, setup=1)
    wide = measured(split(load(folder.path)), first, first.setups[1])
    assert (wide.low, wide.high) == (0, 1)
    assert measured(sections, second, second.setups[0]).value == pytest.approx(0.1)
    assert measured(sections, first, first.setups[2]) is None
    assert measured(sections, PUBLISHED[2], PUBLISHED[2].setups[0]) is None


def test_the_table_shows_what_was_measured_good_or_bad(folder, settings):
    first, last = PUBLISHED[0], PUBLISHED[-1]
    add(folder, settings, first, 0.1)
    add(folder, settings, first, 0.7, setup=2)
    add(folder, settings, last, 0.982)
    heading, table, *texts = replication(split(load(folder.path)))
    assert isinstance(heading, Heading)
    assert isinstance(table, Table)
    rows = [[entry.text for entry in row] for row in table.rows]
    assert [row[2] for row in rows] == ["ours", "edge masks alone", "ours"]
    assert [row[3] for row in rows] == ["0.100", "0.700", "0.982"]
    assert [row[4] for row in rows] == [f"{p.value:.3f}" for p in (first, first, last)]
    assert [row[5] for row in rows] == ["-0.642", "-0.042", "+0.830"]
    assert all(isinstance(text, Text) for text in texts)
    assert [PUBLISHED[0].source.differs in texts[0].text, len(texts)] == [True, 2]


def test_nothing_measured_says_nothing(folder, settings):
    folder.quality("saliency", [0.1, 0.2])
    assert list(replication(split(load(folder.path)))) == []


def test_the_first_screen_counts_the_numbers_that_come_out_again(folder, settings):
    motif, test = PUBLISHED[:2]  # published: 0.742, 0.508
    *_, last = range(len(motif.setups))
    for seed, (value, other) in enumerate(((0.70, 0.609), (0.78, 0.611))):
        add(folder, settings, motif, value, seed, last)  # 0.74 [0.23, 1]
        add(folder, settings, test, other, seed, last)  # 0.61 [0.60, 0.62]
    add(folder, settings, motif, 0.9)
    add(folder, settings, test, 0.46)
    add(folder, settings, PUBLISHED[2], 0.5)  # not measured as theirs: left out
    theirs, ours, inside = answers(split(load(folder.path)))
    assert theirs == (
        "Measured as their authors did: 1 of 2 published numbers come out within 0.05; the largest "
        "difference is 0.102 (gnn_explainer, ba-shapes, test nodes: 0.610, published 0.508)."
    )
    assert ours == (
        "As this benchmark measures: 1 of 2 published numbers come out within 0.05; the largest "
        "difference is 0.158 (gnn_explainer, ba-shapes, motif nodes: 0.900, published 0.742)."
    )
    assert inside.startswith("Of 2 that were measured as their authors did, on several models")
    assert inside.endswith("within the 95 % interval over these models in 1.")
    (shown,) = front(split(load(folder.path)))
    assert list(shown.data["theirs"]) == pytest.approx([0.74, 0.61])
