"""The section on methods that learn."""

import pytest

from benchmarks.report.data.frames import load
from benchmarks.report.data.section import split
from benchmarks.report.render.blocks import Heading, Table, Text
from benchmarks.report.sections.learning import learning

DEFAULTS, TUNED = "library defaults", "tuned"


def section(folder):
    (found,) = split(load(folder.path))
    return found


def texts(table):
    return [[entry.text for entry in row] for row in table.rows]


def rows(which, metric, values, **more):
    return [
        {"node": node, "metric": metric, "value": value, "other": which, **more}
        for node, value in enumerate(values)
    ]


def one(which, metric, value):
    return {"node": None, "metric": metric, "value": value, "other": which}


def add(folder, settings, method, defaults, tuned, *, seed=0, collapsed=(0, 0, 0, 0), sign="+"):
    quality = []
    for which, values, size in ((DEFAULTS, defaults, 0.05), (TUNED, tuned, 0.0005)):
        area = {"level": "", "semantics": "mask"}
        quality += rows(which, f"area_fidelity{sign}_prob", values, **area)
        quality += rows(which, "converged", [1, 0, 0, 0])
        quality += rows(which, "collapsed", collapsed if which == DEFAULTS else [0, 0, 0, 0])
        quality.append(one(which, "setting_edge_size", size))
        quality.append(one(which, "setting_epochs", 30))
    quality += [one(TUNED, "tuning_seconds", 90), one(TUNED, "tuning_explanations", 60)]
    folder.add("tuning", settings(method, seed=seed), quality=quality)


def test_both_settings_stand_side_by_side(folder, settings):
    add(folder, settings, "pg_explainer", [0.1] * 4, [0.3] * 4, collapsed=(1, 1, 1, 0))
    heading, rule, table, gains, collapse = learning(section(folder))
    assert isinstance(heading, Heading)
    assert "chosen on other nodes" in rule.text
    assert isinstance(table, Table)
    default, tuned = texts(table)
    assert default[:5] == [
        *("pg_explainer", "edge_size=0.05, epochs=30", "25.0 %", "75.0 %"),
        "0.100 [0.100, 0.100]",
    ]
    assert tuned[:4] == ["pg_explainer (tuned)", "edge_size=0.0005, epochs=30", "25.0 %", "0 %"]
    assert default[-2:] == ["–", "–"]
    assert tuned[-2:] == ["90 s", "60"]
    assert texts(gains)[0][2] == "0.200 [0.200, 0.200]"
    assert isinstance(collapse, Text)
    assert "pg_explainer at the library's defaults collapses in 75.0 %" in collapse.text
    assert "tuned collapses" not in collapse.text


def test_a_search_says_how_often_it_found_a_counterfactual(folder, settings):
    found = rows(DEFAULTS, "valid", [1, 1, 1, 0]) + rows(TUNED, "valid", [0, 0, 1, 0])
    folder.add("tuning", settings("cf_explainer"), quality=found)
    (table,) = (block for block in learning(section(folder)) if isinstance(block, Table))
    assert table.header[:3] == ("method", "settings", "counterfactual found")
    assert [row[2].text for row in table.rows] == ["75.0 %", "25.0 %"]


@pytest.mark.parametrize(("sign", "winner"), [("+", "tuned"), ("-", "default")])
def test_the_gain_follows_the_direction_and_pairs_the_nodes(folder, settings, sign, winner):
    nodes = [0.1 * node for node in range(12)]
    more = [value + 0.05 + 0.001 * node for node, value in enumerate(nodes)]
    add(folder, settings, "gnn_explainer", nodes, more, sign=sign)
    (line,) = texts([block for block in learning(section(folder)) if isinstance(block, Table)][1])
    # Unpaired, the nodes' spread of 1.1 would hide a gain of 0.06.
    assert line[2].startswith("0.055 [0.05" if sign == "+" else "-0.055 [-0.05")
    assert line[4] == winner


def test_intervals_are_over_models_and_nodes(folder, settings):
    add(folder, settings, "gnn_explainer", [0.0, 0.2], [0.5, 0.5], seed=0)
    add(folder, settings, "gnn_explainer", [0.2, 0.4], [0.5, 0.5], seed=1)
    (_, _, table, *_) = learning(section(folder))
    assert texts(table)[0][4] == "0.200 [-0.408, 0.808]"


def test_nothing_without_the_benchmark(folder, settings):
    folder.add("quality", settings("gnn_explainer"), quality=[])
    folder.quality("saliency", [0.1, 0.2])
    assert list(learning(section(folder))) == []
