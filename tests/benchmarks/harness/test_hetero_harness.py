"""The harness on heterogeneous tasks: what is checked, what is put back, what is measured."""

import dataclasses

import pytest
import torch

import benchmarks.tasks
import explainers
from benchmarks.harness.environment import describe
from benchmarks.harness.guards import Invalid, check
from benchmarks.harness.task_state import unchanged
from benchmarks.measures.agreement import edge_scores, max_sensitivity, moves
from benchmarks.tasks.hetero_motif import CITES, ON, WRITTEN

NODES = [18, 170, 98]


@pytest.fixture
def task():
    return benchmarks.tasks.load("hetero-motif")


@pytest.fixture
def found(task):
    return explainers.load("saliency").explain(*task.arguments(NODES))


def _numbers_of_another_type(found):
    found[0][ON].e_id = found[0][ON].e_id.flip(0)


def _no_such_edge(found):
    found[0][WRITTEN].e_id = found[0][WRITTEN].e_id + 10**6


def _infinite(found):
    found[0]["paper"].node_mask[0, 0] = float("inf")


def _of_other_features(found):
    """What the union would cut to the width of the widest type."""
    found[0]["term"].node_mask = found[0]["term"].node_mask.repeat(1, 4)


def _without_a_type(found):
    del found[0][CITES]


def _of_one_type(found):
    found[0] = found[0]["paper"]


def _of_some_edges(found):
    for name in ("e_id", "edge_mask"):
        found[0][CITES][name] = found[0][CITES][name][:1]
    found[0][CITES].edge_index = found[0][CITES].edge_index[:, :1]


def _other_prediction(found):
    found[0].prediction = -found[0].prediction
    found[0].target = found[0].prediction.argmax()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_numbers_of_another_type, "not of the same edges"),
        (_no_such_edge, "e_id has numbers that the graph does not have"),
        (_infinite, r"node_mask has 1 of \d+ scores that are not finite"),
        (_of_other_features, r"node_mask of type 'term' is \[\d+, 4\] instead of \[\d+, 1\]"),
        (_without_a_type, "not one of the types of the data"),
        (_of_one_type, "not one of the types of the data"),
        (_of_some_edges, "e_id is not that of the computation graph"),
        (_other_prediction, "prediction differs from the model's output for the node by "),
        (list.reverse, "an explanation is of 98 where 18 was asked for"),
    ],
)
def test_what_cannot_be_an_explanation_is_refused(task, found, change, message):
    check(found, task, NODES)
    change(found)
    with pytest.raises(Invalid, match=message):
        check(found, task, NODES)


def test_explanations_of_another_class_are_taken_as_asked(task):
    targets = [0, 1, 0]
    found = explainers.load("saliency").explain(*task.arguments(NODES, targets=targets))
    check(found, task, NODES, targets)
    with pytest.raises(Invalid, match="target is 0 where class 1 was asked for"):
        check(found, task, NODES)


# -------------------------------------------------------------------------- what is put back


def _scaled(data, model):
    data["venue"].x.mul_(2)


def _fewer_edges(data, model):
    data[CITES].edge_index = data[CITES].edge_index[:, 1:]


def _new_type(data, model):
    data["editor"].x = torch.ones(2, 1)


def _no_citations(data, model):
    del data[CITES]


def _later(data, model):
    """The same entries; but the order of types is that of the union's numbers."""
    venue = dict(data["venue"].items())
    del data["venue"]
    for name, value in venue.items():
        data["venue"][name] = value


def _other_weights(data, model):
    model.first.convs[ON].lin_rel.bias.fill_(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_scaled, r"data\['venue'\].x"),
        (_fewer_edges, r"data\[\('paper', 'cites', 'paper'\)\].edge_index: another object"),
        (_new_type, r"a new data\['editor'\].x"),
        (_no_citations, r"no longer a data\[\('paper', 'cites', 'paper'\)\].edge_index"),
        (_later, "its types, or their order"),
        (_other_weights, "the model's parameter first"),
    ],
)
def test_what_a_method_changes_is_put_back(task, change, message):
    types = task.data.node_types, task.data.edge_types
    before = {kind: index.clone() for kind, index in task.data.edge_index_dict.items()}
    clean = [
        edge_scores(one) for one in explainers.load("saliency").explain(*task.arguments(NODES))
    ]
    with pytest.raises(Invalid, match=f"changed .*{message}"), unchanged(task):
        change(task.data, task.model)
    assert (task.data.node_types, task.data.edge_types) == types
    assert all(torch.equal(task.data.edge_index_dict[kind], before[kind]) for kind in before)
    with unchanged(task):
        again = explainers.load("saliency").explain(*task.arguments(NODES))
    assert all((edge_scores(one) == other).all() for one, other in zip(again, clean, strict=True))


# ---------------------------------------------------------------------------- what is measured


def test_scores_are_those_of_all_types_in_order(task, found):
    for explanation in found:
        expected = torch.cat([explanation[kind].edge_mask for kind in task.data.edge_types])
        assert edge_scores(explanation).tolist() == expected.tolist()
        whole = task.as_one(explanation)
        assert whole.edge_mask.tolist() == expected.tolist()
        assert whole.node_mask.size(1) == task.num_features == 2


def test_features_of_each_type_move_on_their_own_scale(task):
    """Marks have a deviation, what all have does not: by hand, the largest change is the radius."""
    assert moves(task.data)
    seen = []

    def explain(data):
        seen.append(data)
        return explainers.load("saliency").explain(*task.arguments([18], data=data))

    max_sensitivity(explain, task.data, draws=3)
    for data in seen[1:]:
        for name in ("author", "paper"):
            assert torch.equal(data[name].x, task.data[name].x)
        for name in ("venue", "term"):
            change = (data[name].x - task.data[name].x).abs().max()
            assert 0 < change <= 0.02 * task.data[name].x.std() * (1 + 1e-5)
    constant = task.data.clone()
    for name in ("venue", "term"):
        constant[name].x = torch.ones(8, 1)
    assert not moves(constant)


def test_the_manifest_says_what_is_explained(task):
    entry = describe(task, 0)
    assert {name: entry[name] for name in ("nodes", "edges", "features", "layers", "classes")} == {
        "nodes": 200 + 800 + 8 + 8,
        "edges": 3 * 800 + 1600,
        "features": 2,
        "layers": 2,
        "classes": 2,
    }
    assert entry["node_type"] == "author"
    assert "node_type" not in describe(benchmarks.tasks.load("karate"), 0)


def test_the_task_answers_for_another_model(task):
    raw = dataclasses.replace(task, name="other")
    assert raw.arguments(3)[2] == ("author", 3)
    assert raw.arguments([3], model=task.model, targets=[1])[3] == [1]
    assert raw.subject[3] == "author"
