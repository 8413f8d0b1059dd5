"""The measures on the typed motif, by hand: what counts is one edge of each of three types."""

import math

import pytest

import benchmarks.tasks
import explainers
from benchmarks.measures import randomisation
from benchmarks.measures.counterfactual import BY_SET, of_sets, scored
from benchmarks.measures.edge_types import by_edge_type, shares
from benchmarks.measures.engines import output_of
from benchmarks.tasks._hetero import type_name
from benchmarks.tasks.hetero_motif import CITES, ON, PUBLISHES, WRITTEN

NODES = [18, 170, 98]


@pytest.fixture(scope="module")
def task():
    return benchmarks.tasks.load("hetero-motif")


def test_each_type_is_scored_by_itself(task):
    found = explainers.load("occlusion").explain(*task.arguments(NODES))
    without = found[0].clone()  # as if its papers cited nothing
    for name in ("e_id", "edge_mask"):
        without[CITES][name] = without[CITES][name][:0]
    without[CITES].edge_index = without[CITES].edge_index[:, :0]
    rows = by_edge_type(task, [without, *found[1:]], NODES)

    def values(metric, kind):
        return [
            row["value"]
            for row in rows
            if row["metric"] == metric and row["other"] == type_name(kind)
        ]

    # Scores are (-1/2, 1/2) with the hit and (1/2, -1/2) without; a fifth of four edges is one.
    gap = 1 / (1 + math.exp(-1)) - 1 / (1 + math.exp(1))
    for kind in (PUBLISHES, ON, WRITTEN):
        assert values("fidelity+_prob", kind) == pytest.approx([gap] * 3)
        assert values("fidelity-_prob", kind) == pytest.approx([0] * 3)
        assert values("computation_graph_edges", kind) == [4] * 3
        assert values("average_precision", kind) == [1] * 3
        assert values("type_share", kind) == pytest.approx([1 / 3] * 3)
    assert values("fidelity+_prob", CITES) == pytest.approx([0] * 2)  # of the two that have any
    assert values("type_share", CITES) == [0] * 3
    assert not values("average_precision", CITES)
    for kind in task.data.edge_types:
        found[0][kind].edge_mask = found[0][kind].edge_mask * 0
    assert set(shares(found[0]).values()) == {None}


def test_layers_are_those_of_each_type(task):
    names = randomisation.layers(task.model, task.data)
    assert len(names) == 4
    assert [name.split(".")[0] for name in names] == ["first"] * 3 + ["second"]
    fresh = randomisation.untrained(task.model, names, 0)
    assert not output_of(task, fresh).equal(output_of(task))


def test_one_edge_of_the_three_changes_the_class(task):
    found = explainers.load("cf_explainer").explain(*task.arguments(NODES))
    rows = scored(task, of_sets(found), BY_SET)
    valid = {row["node"]: row["value"] for row in rows if row["metric"] == "flip_validity"}
    sizes = {row["node"]: row["value"] for row in rows if row["metric"] == "flip_size"}
    expected = {
        node: sum(int(one[kind].selected_edges.sum()) for kind in task.data.edge_types)
        for node, one in zip(NODES, found, strict=True)
    }
    assert valid == dict.fromkeys(NODES, 1)
    assert sizes == expected
    assert all(1 <= size <= 3 for size in sizes.values())
