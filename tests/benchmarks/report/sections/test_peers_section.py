"""The section on other packages."""

import pytest

from benchmarks.report.render.blocks import Table
from benchmarks.report.sections.peers import alone, answers, overall, peers, ratio

MANIFEST = {"methods": [{"name": "pyg_saliency", "beside": "saliency", "note": "has a note"}]}


def texts(table):
    return [[entry.text for entry in row] for row in table.rows]


def add(folder, settings, seconds, values, status="ok", method="pyg_saliency"):
    """Seconds and fidelity+ of theirs and ours at each node."""
    quality = [
        {"node": node, "metric": "fidelity+_prob", "level": "f=20%", "semantics": "mask"}
        | {"selection": selection, "other": which, "value": value + (selection == "absolute")}
        for node, both in enumerate(values)
        for which, value in zip(("theirs", "ours"), both, strict=True)
        for selection in ("signed", "absolute")
    ]
    quality += [
        {"node": node, "metric": "peer_spearman", "other": "saliency", "value": 0.5}
        for node in range(len(values))
    ]
    runtime = [
        {"node": node, "nodes": 1, "varied": which, "seconds": value}
        for node, both in enumerate(seconds)
        for which, some in zip(("theirs", "ours"), both, strict=True)
        for value in some
    ]
    runtime += [{"nodes": None, "varied": "training, theirs", "seconds": 7.0}] * bool(runtime)
    folder.add("peers", settings(method), quality=quality, runtime=runtime, status=status)


@pytest.fixture
def measured(folder, settings, section):
    """Theirs takes 8 and 2 times as long: 4 in the geometric mean."""
    seconds = [((0.8, 0.8, 9.0), (0.1, 0.1, 5.0)), ((0.2,), (0.1,))]
    add(folder, settings, seconds, [(0.3, 0.4), (0.1, 0.4)])
    return section()


def test_the_ratio_is_a_geometric_mean_of_medians(measured):
    found = ratio(measured, "pyg_saliency")
    assert found.value == pytest.approx(4)
    assert (found.low, found.high) == (pytest.approx(2), pytest.approx(8))


def test_one_table_for_each_question_with_a_column_for_each_task(measured):
    faster, better, agree, notes = (
        texts(one) for one in overall([measured], MANIFEST) if isinstance(one, Table)
    )
    assert faster == [["pyg_saliency", "saliency", "4× [2×, 8×]"]]
    assert better[0][2].startswith("0.200 [")  # by signed score: 0.1 and 0.3 higher
    assert agree[0][2].startswith("0.500")
    assert notes == [["pyg_saliency", "has a note"]]


def test_what_it_comes_to(folder, settings, section, measured):
    for name, (theirs, ours) in {"zorrito": (0.1, 0.2), "pyg_graph_mask": (0.4, 0.5)}.items():
        times = [((theirs,), (0.2,)), ((2 * theirs,), (0.4,))]
        add(folder, settings, times, [(ours, 0.1), (ours, 0.1)], method=name)
    found = section()
    assert alone([found])
    time, fidelity = answers([found])
    # Ratios 4, 1/2 and 2; fidelity+ 0.1 and 0.3 higher is not sure, twice 0.1 and 0.4 lower is.
    assert time.startswith("Time: this library is faster in 2 of 3 pairs of another package's ")
    assert ", slower in 1; " in time
    assert time.endswith("The other's time over ours has the median 2×.")
    assert ": ours is higher in 0 of 3 pairs, lower in 2; in the others " in fidelity
    folder.quality("saliency", [0.1, 0.2])
    assert not alone([section()])


def test_the_values_of_a_task(measured):
    quality, cost = (texts(one) for one in peers(measured, MANIFEST) if isinstance(one, Table))
    assert quality[0][:3] == ["pyg_saliency", "saliency", "2"]
    assert [entry[:5] for entry in quality[0][3:]] == ["0.200", "0.400"]
    assert cost[0][2:5] == ["500 ms", "100 ms", "4× [2×, 8×]"]
    assert cost[0][5:7] == ["7 s", "–"]


def test_a_peer_that_has_failed_says_how(folder, settings, section):
    add(folder, settings, [((0.2,), (0.1,))], [(0.3, 0.4)])
    add(folder, settings, [], [], status="timeout", method="zorrito")
    faster = texts(next(one for one in overall([section()], {}) if isinstance(one, Table)))
    assert [row[2] for row in faster] == ["2×", "timeout"]


def test_nothing_without_the_benchmark(folder, section):
    folder.quality("saliency", [0.1, 0.2])
    assert [*peers(section(), {})] == []
    assert [*overall([section()], {})] == []
