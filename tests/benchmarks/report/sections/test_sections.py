"""The sections on quality, axioms, agreement, ranks, ground truth and methods."""

import json

import numpy as np
import pytest

from benchmarks.report.data.frames import load
from benchmarks.report.data.section import split
from benchmarks.report.figures.encode import encode
from benchmarks.report.figures.palette import Palette
from benchmarks.report.render.blocks import Heading, Picture, Table, Text
from benchmarks.report.sections.agreement import agreement, matrix
from benchmarks.report.sections.axioms import axioms
from benchmarks.report.sections.explained_output import explained_output
from benchmarks.report.sections.ground_truth import ground_truth
from benchmarks.report.sections.methods import methods
from benchmarks.report.sections.provenance import tasks
from benchmarks.report.sections.quality import quality
from benchmarks.report.sections.ranks import overview, ranks


def section(folder):
    (found,) = split(load(folder.path))
    return found


def texts(table):
    return [[entry.text for entry in row] for row in table.rows]


def rows(metric, values, **more):
    return [
        {"node": node, "metric": metric, "value": value, **more}
        for node, value in enumerate(values)
    ]


def test_axioms_by_hand(folder, settings):
    for method, seed, error in (("saliency", 0, 1e-7), ("saliency", 1, 3e-7), ("lime", 0, 0.25)):
        quality = rows("sensitivity_violations", [0.0, 1.0])
        quality += rows("invariance_rescaled", [error, error / 2])
        folder.add("axioms", settings(method, seed=seed), quality=quality)
    for rule, steps, value in (("a", 10, 0.5), ("a", 50, 0.1), ("b", 10, 0.7)):
        options = settings("integrated_gradients", quadrature=rule, n_steps=steps)
        folder.add("completeness", options, quality=rows("completeness", [value, value, 9]))
    heading, table, errors = axioms(section(folder))
    assert isinstance(heading, Heading)
    assert texts(table) == [
        ["lime", "0.500 [0.000, 1.000]", "0.25"],
        # The largest of all models and nodes.
        ["saliency", "0.500 [0.000, 1.000]", "3e-07"],
    ]
    assert errors.header == ("quadrature", "10 steps ↓", "50 steps ↓")
    assert texts(errors) == [["a", "0.5", "0.1"], ["b", "0.7", "–"]]


def test_agreement_by_hand(folder, settings):
    folder.add("agreement", settings("a"))
    values = rows("kendall_tau", [0.2, 0.4], other="a") + rows("overlap", [0.5], other="a")
    folder.add("agreement", settings("b"), quality=values)
    for seed, value in ((0, 0.1), (1, 0.3)):
        values = rows("kendall_tau", [value], other="a") + rows("kendall_tau", [-1], other="b")
        folder.add("agreement", settings("c", seed=seed), quality=values)
    folder.add("stability", settings("c"), quality=rows("max_sensitivity", [0.5, 1.5]))
    found = section(folder)
    square = matrix(found.of("agreement")[0], "kendall_tau")
    assert list(square.index) == list(square.columns) == ["a", "b", "c"]
    expected = [[1, 0.3, 0.2], [0.3, 1, -1], [0.2, -1, 1]]
    np.testing.assert_allclose(square.to_numpy(dtype=float), expected)
    _, picture, table = agreement(found)
    assert isinstance(picture, Picture)
    encode(picture.figure)
    assert [line.rsplit(",", 2)[1:] for line in picture.csv.splitlines()[1:]] == [
        ["0.3", "0.5"],  # a and b, and then c: each pair once
        ["0.2", ""],
        ["-1", ""],
    ]
    assert table.header == ("method", "max-sensitivity ↓")
    # Student's t of two nodes: 0.5 times 12.7, cut at zero.
    assert texts(table) == [["c", "1 [0, 7.4]"]]


def test_ground_truth_by_hand(folder):
    folder.quality("saliency", [0.5, 0.7], "auroc", "", "")
    folder.quality("saliency", [1.0, 0.0], "recall", "k=10", "")
    # Student's t of two nodes: 0.1 and 0.5 times 12.7, cut at what the metrics can reach.
    heading, table = ground_truth(section(folder))
    assert heading.text == "Ground truth"
    assert table.header == ["method", "AUROC ↑", "recall ↑"]
    assert texts(table) == [["saliency", "0.600 [0.000, 1.000]", "0.500 [0.000, 1.000]"]]
    assert "recall and Jaccard at 10 edges, by absolute score. 2 nodes × 1 model." in table.caption


def test_ranks_of_three_methods(folder):
    rng = np.random.default_rng(0)
    for method, gain in (("a", 0.5), ("b", 0.0), ("random", -0.5)):
        folder.quality(method, gain + rng.random(20))
    found = section(folder)
    palette = Palette(["a", "b", "random"], [])
    (picture,) = ranks(found, palette)
    drawn = {text.get_text() for axis in picture.figure.axes for text in axis.texts}
    assert {"1", "2", "3"} < drawn
    ranked = {text.partition(" ")[0]: text for text in drawn}
    assert ranked["a"].startswith("a 1.")
    assert ranked["a"].endswith(" *")  # the best
    title = picture.figure.axes[0].get_title()
    assert title == "fidelity+ (prob), 10 edges, by absolute score, masked"
    encode(picture.figure)


def test_an_overview_ranks_the_methods_on_every_task(folder, settings):
    gains = {"a": {"a": 0.5, "b": 0.0, "random": 0.2}, "b": {"a": 0.5, "b": 0.9, "random": 0.2}}
    for task, of_task in gains.items():
        for method, gain in of_task.items():
            values = [gain + node / 10 for node in range(9)]
            quality = rows("fidelity+_prob", values, level="k=10", semantics="mask")
            folder.add("quality", settings(method, task=task), quality=quality)
    sections = split(load(folder.path))
    assert list(overview(sections[:1])) == []  # one task has its diagram
    (picture,) = overview(sections)
    found = picture.data.set_index(["task", "method"])
    assert found["mean_rank"].to_dict() == {
        **{("a", "a"): 1, ("a", "random"): 2, ("a", "b"): 3},
        **{("b", "b"): 1, ("b", "a"): 2, ("b", "random"): 3},
    }
    assert found.index[found["not_better_than_random"]].tolist() == [("a", "b")]
    axis, scale = picture.figure.axes
    assert scale.get_ylabel() == "mean rank"
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b", "random"]
    assert [text.get_text() for text in axis.texts] == [
        *("1.0 *", "2.0", "3.0 ‡", "1.0 *", "2.0", "3.0")
    ]


def test_masked_and_deleted_are_shown_once_where_they_are_the_same(folder, settings):
    values = {"a": [0.5, 0.25, 0.75], "random": [0.25, 0.0, 0.5]}
    for method, found in values.items():
        for semantics in ("mask", "delete"):
            folder.quality(method, found, semantics=semantics)

    def shown():
        blocks = list(quality(section(folder), Palette(["a", "random"], [])))
        said = any(isinstance(block, Text) and "no difference" in block.text for block in blocks)
        return said, sum("edges deleted" in getattr(block, "caption", "") for block in blocks)

    assert shown() == (True, 0)
    for method, found in values.items():  # on another model the same but for one value
        for semantics in ("mask", "delete"):
            moved = [found[0], found[1], found[2] + 0.01 * (semantics == "delete")]
            what = rows("fidelity+_prob", moved, level="k=10", semantics=semantics)
            part = {"what": semantics}
            folder.add("quality", settings(method, seed=1), part=part, quality=what)
    assert shown() == (False, 1)


def test_a_method_that_is_not_better_than_random_is_marked(folder):
    rng = np.random.default_rng(0)
    baseline = rng.random(20)
    for method, values in (
        ("good", baseline + 0.3),
        ("random", baseline),
        ("useless", baseline + rng.normal(0, 0.1, 20)),
    ):
        folder.quality(method, values)
    table = next(
        block for block in quality(section(folder), Palette([], [])) if isinstance(block, Table)
    )
    assert "‡: not significantly better than random." in table.caption
    assert {row[0]: "‡" in row[1] for row in texts(table)} == {
        "good": False,
        "random": False,
        "useless": True,
    }


@pytest.mark.parametrize("part", [axioms, agreement, ground_truth])
def test_what_was_not_measured_is_not_there(folder, part):
    folder.quality("saliency", [0.5, 0.7])
    assert list(part(section(folder))) == []


def test_methods_are_as_they_describe_themselves(folder):
    assert list(methods(load(folder.path))) == []  # an older run's manifest has none
    manifest = json.loads((folder.path / "manifest.json").read_text())
    described = {
        "name": "pg",
        "granularity": ["edges"],
        "engines": ["batched"],
        "signed": False,
        "needs_fit": True,
        "deterministic": False,
        "target_dependent": False,
        "citation": "Luo",
    }
    baseline = {
        "name": "degree",
        "model_dependent": False,
        "signed": True,
        "granularity": ["edges", "nodes"],
    }
    folder.manifest(**manifest, methods=[described, baseline])
    _, table = methods(load(folder.path))
    assert texts(table) == [
        ["degree", "neither: a baseline", "edges and nodes", "signed", "no", "no", "", ""],
        ["pg", "model", "edges", "unsigned", "yes", "yes", "batched", "Luo"],
    ]


def test_explained_output_by_hand(folder, settings):
    for form, low in (("raw", 0.2), ("log_probs", 0.3), ("probs", 0.4)):
        config = settings("saliency", explained_output=form)
        quality = rows("fidelity+_prob", [low, low], level="f=20%", semantics="mask")
        folder.add("explained_output", config, quality=quality + rows("auroc", [low, low]))
    quality = rows("auroc", [0.5, 0.5])
    folder.add("explained_output", settings("lime", explained_output="raw"), quality=quality)
    heading, fidelity, auroc = explained_output(section(folder))
    assert isinstance(heading, Heading)
    assert "20% of the edges selected" in fidelity.caption
    assert "selected" not in auroc.caption
    assert fidelity.header == ("method", "raw score", "log-probability", "probability")
    starts = [[text.partition(" ")[0] for text in row] for row in texts(fidelity)]
    assert starts == [["saliency", "0.200", "0.300", "0.400"]]
    starts = [[text.partition(" ")[0] for text in row] for row in texts(auroc)]
    assert starts == [["lime", "0.500", "", ""], ["saliency", "0.200", "0.300", "0.400"]]


def test_a_task_that_was_only_opened_is_not_listed(folder):
    folder.quality("saliency", [0.1, 0.2])
    opened = [{"name": "twitch-sim", "stand_in": True}, {"name": "karate"}]
    folder.manifest(tasks=opened, unavailable=[])
    _, table = tasks(load(folder.path))  # and no caution of the other's stand-in
    assert [row[0] for row in texts(table)] == ["karate"]
