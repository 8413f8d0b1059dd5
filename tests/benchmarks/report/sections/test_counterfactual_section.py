"""The section on counterfactuals."""

import pytest

from benchmarks.report.render.blocks import Table
from benchmarks.report.sections.counterfactual import OWN, counterfactual

FEWEST = [1, 1, 2, None]  # of four nodes; the last keeps its class


def texts(table):
    return {row[0].text: [entry.text for entry in row[1:]] for row in table.rows}


def add(folder, settings, method, sizes, own=(), fewest=FEWEST):
    """The sizes of four nodes' counterfactuals, None where there is none."""
    rows = [
        {"node": node, "metric": f"{name}_{what}", "value": value, "other": other}
        for name, values, other in (
            ("flip", sizes, "x"),
            ("flip", own, OWN),
            ("fewest", fewest, ""),
        )
        for node, size in enumerate(values)
        for what, value in (("validity", float(size is not None)), ("size", size))
        if value is not None
    ]
    rows += [
        {"node": None, "metric": f"{what}_seconds", "value": value}
        for what, value in (("explain", 0.25), ("flip", 0.002))
    ]
    folder.add("counterfactual", settings(method), quality=rows)


@pytest.fixture
def tables(folder, settings, section):
    def make(**values):
        for method, sizes in values.items():
            add(folder, settings, method, *sizes)
        return [block for block in counterfactual(section()) if isinstance(block, Table)]

    return make


def test_by_hand(tables):
    overall, small = tables(
        occlusion=([1, 2, 6, None],),
        random=([1, 7, None, 4],),
        cf_explainer=([3, 1, 2, None], [1, None, 2, None]),
    )
    assert "1 of 4 explanations" in overall.caption  # the own search counts among all
    found = texts(overall)
    assert list(found) == ["cf_explainer", f"cf_explainer ({OWN})", "occlusion", "random"]
    share, none, mean, median, every, every_median, explain, follow = found["occlusion"]
    assert share.startswith("0.750 [")
    assert none == "25.0 %"
    assert (mean, median) == ("1", "1")  # the first node alone
    assert every.startswith("3 [")
    assert every_median == "2"
    assert (explain, follow) == ("250 ms", "2 ms")
    assert found[f"cf_explainer ({OWN})"][1] == "50.0 %"
    assert found[f"cf_explainer ({OWN})"][-2:] == ["250 ms", "–"]

    assert "4 explanations, of which 1 keep their class" in small.caption
    assert "the mean of the fewest is 1.3" in small.caption
    found = texts(small)
    share, more, same, count = found["occlusion"]
    assert share == "1.000 [1.000, 1.000]"
    assert more.startswith("1.7 [0, ")  # (0 + 1 + 4) / 3
    assert (same, count) == ("33.3 %", "3")
    share, more, same, count = found["random"]  # what it finds of the last node is not looked at
    assert share.startswith("0.667 [")
    assert (more[:3], same, count) == ("3 [", "50.0 %", "2")


def test_a_method_that_finds_few_does_not_narrow_the_comparison(tables):
    overall, _ = tables(occlusion=([1, 2, 3, 4],), random=([None, None, None, 1],))
    assert "4 of 4 explanations" in overall.caption
    assert "fewer than half as many as another: random." in overall.caption
    assert texts(overall)["occlusion"][2].startswith("2.5 [")
    assert texts(overall)["random"][2:5] == ["–", "–", "1"]


def test_without_any_counterfactual_or_small_graph(tables):
    (overall,) = tables(occlusion=([None] * 4, (), ()))
    assert texts(overall)["occlusion"][:6] == ["0.000 [0.000, 0.000]", "100.0 %", *"––––"]


def test_nothing_without_the_benchmark(folder, section):
    folder.quality("saliency", [0.1, 0.2])
    assert list(counterfactual(section())) == []
