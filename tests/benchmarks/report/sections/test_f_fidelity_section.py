"""The section on F-Fidelity."""

import pytest

from benchmarks.report.render.blocks import Table
from benchmarks.report.sections.f_fidelity import EXPLAINED, TUNED, f_fidelity


def texts(table):
    return [[entry.text for entry in row] for row in table.rows]


def add(folder, settings, method, own, masked, seed=0):
    """F-Fidelity+ and fidelity+ of four nodes, which all have the same."""
    places = [
        ("f_fidelity+_prob", "", "delete", own),
        ("fidelity+_prob", EXPLAINED, "mask", masked),
        ("fidelity+_prob", EXPLAINED, "delete", own + 0.1),
        ("fidelity+_prob", TUNED, "delete", -own),
    ]
    rows = [
        {"node": node, "metric": metric, "value": value, "level": "f=20%", "selection": "signed"}
        | {"other": other, "semantics": semantics}
        for node in range(4)
        for metric, other, semantics, value in places
    ]
    folder.add("f_fidelity", settings(method, seed=seed), quality=rows)


@pytest.fixture
def tables(folder, settings, section):
    def make(values):
        for method, own, masked in values:
            add(folder, settings, method, own, masked)
        return [block for block in f_fidelity(section()) if isinstance(block, Table)]

    return make


def test_the_orders_are_compared_by_rank(tables):
    # One pair of neighbours changes places: 1 - 6 * 2 / (4 * 15) = 0.8.
    means, orders = tables(
        [("saliency", 0.4, 0.9), ("degree", 0.3, 0.1), ("random", 0.2, 0.15), ("lime", 0.1, 0.05)]
    )
    assert texts(means)[-1][:3] == ["saliency", "0.400 [0.400, 0.400]", "0.900 [0.900, 0.900]"]
    masked, deleted, tuned, itself = texts(orders)
    assert masked[1:] == ["0.800", "0.800 to 0.800", "saliency"]
    assert deleted[1:] == ["1.000", "1.000 to 1.000", "saliency"]
    assert tuned[1:] == ["-1.000", "-1.000 to -1.000", "lime"]
    assert itself[1:] == ["–", "–", "saliency"]  # there is one model only


def test_models_are_compared_and_equal_methods_count_once(folder, settings, tables):
    values = [("saliency", 0.4, 0.9), ("degree", 0.3, 0.1), ("random", 0.2, 0.15)]
    for (method, _, masked), seed_1 in zip(values, (0.1, 0.2, 0.4), strict=True):
        add(folder, settings, method, seed_1, masked, seed=1)
    add(folder, settings, "deconvolution", 0.1, 0.9, seed=1)  # as saliency, by all values
    _, orders = tables([*values, ("deconvolution", 0.4, 0.9)])
    masked, *_, itself = texts(orders)
    # By model: 0.9, 0.1, 0.15 against 0.4, 0.3, 0.2, and against 0.1, 0.2, 0.4.
    assert masked[2] == "-0.500 to 0.500"
    assert itself[1] == "-1.000"


def test_of_two_methods_there_is_no_order(tables):
    (means,) = tables([("saliency", 0.4, 0.9), ("random", 0.2, 0.1)])
    assert len(means.rows) == 2


def test_nothing_without_the_benchmark(folder, section):
    folder.quality("saliency", [0.1, 0.2])
    assert list(f_fidelity(section())) == []
