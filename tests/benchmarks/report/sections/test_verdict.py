"""The verdict: a method beats another only if test and interval agree; and by how much."""

import numpy as np
import pytest

from benchmarks.report.data import quality
from benchmarks.report.data.frames import load
from benchmarks.report.data.section import split
from benchmarks.report.render.blocks import Items, Table
from benchmarks.report.sections.verdict import verdict

BASE = np.linspace(0.1, 0.5, 12)


@pytest.fixture
def told(folder):
    """The sentences of the verdict on a folder with one task."""

    def tell():
        blocks = list(verdict(split(load(folder.path))))
        return [text for block in blocks if isinstance(block, Items) for text in block.texts]

    return tell


def timed(folder, config, seconds):
    for repeat in range(5):
        row = {"repeat": repeat, "node": repeat, "nodes": 1, "seconds": seconds * (1 + repeat)}
        folder.add("runtime", config, part={"repeat": repeat}, runtime=[row])


def test_a_method_beats_another_by_an_amount_at_a_price(folder, settings, told):
    folder.quality("integrated_gradients", BASE + 0.12 + 0.01 * np.sin(np.arange(12)))
    folder.quality("gnn_explainer", BASE)
    timed(folder, settings("integrated_gradients"), 0.1)
    timed(folder, settings("integrated_gradients", "batched"), 0.01)
    timed(folder, settings("gnn_explainer"), 0.6)
    (sentence,) = (text for text in told() if "beats" in text)
    assert sentence.startswith(
        "On karate, integrated_gradients beats gnn_explainer at 10 edges, by absolute score, in "
        "fidelity+ by 0.12"
    )
    assert "(p < 0.001), and is 60× faster." in sentence


def test_less_is_more_where_the_metric_says_so(folder, told):
    for name, values in (("integrated_gradients", BASE + 0.2), ("gnn_explainer", BASE)):
        folder.quality(name, values, metric="fidelity-_prob")
    assert any("gnn_explainer beats integrated_gradients" in text for text in told())


def test_a_difference_of_no_consequence_is_a_tie(folder, told):
    folder.quality("integrated_gradients", BASE + 0.002 + 1e-5 * np.sin(np.arange(12)))
    folder.quality("gnn_explainer", BASE)
    sentences = told()
    assert not any("beats" in text for text in sentences)
    (sentence,) = (text for text in sentences if "are tied in" in text)
    assert "integrated_gradients and gnn_explainer are tied in fidelity+ at 10 edges" in sentence


def test_noise_beats_no_method(folder, told):
    rng = np.random.default_rng(0)
    folder.quality("integrated_gradients", BASE + rng.normal(0, 0.1, 12))
    folder.quality("gnn_explainer", BASE + rng.normal(0, 0.1, 12))
    sentences = told()
    assert not any("beats" in text for text in sentences)
    assert any("are tied in fidelity+ at 10 edges" in text for text in sentences)


def test_ranks_do_not_decide(folder):
    # One node pulls the mean, and its interval, across zero; the ranks do not see how far.
    gains = np.full(12, 0.01) + np.linspace(0, 0.001, 12)
    gains[0] = -0.5
    folder.quality("a", BASE + gains)
    folder.quality("b", BASE)
    (section,) = split(load(folder.path))
    (found,) = quality.compare_pairs(section, [("a", "b")], "fidelity+_prob")
    assert found.gain.low < 0 < found.gain.high
    assert found.winner == ""


def test_against_the_best_the_verdict_says_what_the_table_says(folder):
    rng = np.random.default_rng(3)
    for i in range(6):
        folder.quality(f"m{i}", BASE - 0.01 * i + rng.normal(0, 0.01, 12))
    (section,) = split(load(folder.path))
    standings = quality.compare(section, "fidelity+_prob", "k=10", "mask")
    best = next(name for name, one in standings.items() if one.mark == "best")
    others = [name for name in standings if name != best]
    pairs = [(best, name) for name in others]
    found = quality.compare_pairs(section, pairs, "fidelity+_prob")
    assert {one.winner == best for one in found} == {True, False}
    for one in found:
        assert one.p == standings[one.second].p
        assert (one.winner == best) == (standings[one.second].mark == "")


def test_those_better_than_random_are_named(folder, told):
    folder.quality("good", BASE + 0.3)
    folder.quality("bad", BASE)
    folder.quality("random", BASE)
    (sentence,) = (text for text in told() if "these are" in text)
    assert sentence == (
        "On karate, these are significantly better than random in fidelity+ at 10 edges, by "
        "absolute score: good; these are not: bad."
    )


def test_the_summary_has_a_row_for_each_task_that_says_something(folder, settings):
    folder.quality("a", BASE)
    folder.quality("b", BASE - 0.1)
    row = {"repeat": 0, "node": 1, "nodes": 1, "varied": "degree", "at": 2, "seconds": 1.0}
    folder.add("scaling", settings("a", task="generated"), runtime=[row])
    summary = next(block for block in verdict(split(load(folder.path))) if isinstance(block, Table))
    assert [[entry.text for entry in row][:2] for row in summary.rows] == [["karate", "a"]]
