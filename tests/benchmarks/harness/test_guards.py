"""What cannot be an explanation of what was asked for is refused, and says why."""

import pytest
import torch

import benchmarks.tasks
import explainers
from benchmarks.harness.guards import Invalid, check

NODES = [3, 16, 8]


@pytest.fixture(scope="module")
def task():
    return benchmarks.tasks.load("karate")


@pytest.fixture
def found(task):
    return explainers.load("saliency").explain(*task.arguments(NODES))


def _flipped_edges(found):
    found[0].edge_index = found[0].edge_index.flip(1)


def _reversed_edges(found):
    found[0].edge_index = found[0].edge_index.flip(0)


def _flipped_numbers(found):
    found[0].e_id = found[0].e_id.flip(0)


def _other_nodes(found):
    found[0].n_id = found[0].n_id.flip(0)


def _no_such_edge(found):
    found[0].e_id = found[0].e_id + 10**6


def _an_edge_twice(found):
    found[0].e_id[1] = found[0].e_id[0]


def _target_zeroed(found):
    for one in found:
        one.target = torch.zeros_like(one.target)


def _no_prediction(found):
    del found[0].prediction


def _other_prediction(found):
    """... and the class that goes with it."""
    for one in found:
        one.prediction = -one.prediction
        one.target = one.prediction.argmax()


def _prediction_without_a_class(found):
    found[0].prediction = found[0].prediction[:-1]


def _in_reverse(found):
    found.reverse()


def _one_too_many(found):
    found.append(found[0])


def _one_too_few(found):
    found.pop()


def _no_explanation(found):
    found[0] = found[0].edge_mask


def _as(name, change):
    """The change of one entry of the first explanation."""

    def changed(found):
        found[0][name] = change(found[0].get(name))

    changed.__name__ = f"{name}_{change.__name__}"
    return changed


def fraction(value):
    return value + 0.7  # which int() cuts off


def of_float(value):
    return value.double()


def of_int32(value):
    return value.int()


def of_bool(value):
    return value.bool()


def in_python(value):
    return int(value)


def from_the_end(value):
    return value - 1 - 10**6


def twice(value):
    return value.repeat(2)


def undefined(value):
    return value.double() * float("nan")


def with_gradient(value):
    return value.clone().requires_grad_()


def complex_numbers(value):
    return value.to(torch.complex64)


def there(value):
    return torch.tensor(3)


def yes(value):
    return torch.tensor(True)


def seven(value):
    return torch.tensor(7.0)


def three(value):
    return torch.ones(3, dtype=torch.bool)


def _infinite(found):
    found[0].node_mask[0, 0] = float("inf")


def _whole_numbers(found):
    found[0].edge_mask = found[0].edge_mask.long()


def _sorted_otherwise(found):
    """Ids, edges and scores alike: only by their places are they others'."""
    order = found[0].edge_mask.argsort()
    for name in ("e_id", "edge_mask"):
        found[0][name] = found[0][name][order]
    found[0].edge_index = found[0].edge_index[:, order]


def _of_some_edges(found):
    for name in ("e_id", "edge_mask"):
        found[0][name] = found[0][name][:3]
    found[0].edge_index = found[0].edge_index[:, :3]


def _sparse(found):
    found[0].node_mask = found[0].node_mask.to_sparse()


def _of_other_features(found):
    found[0].node_mask = found[0].node_mask[:, :3]


def _no_scores(found):
    del found[0].edge_mask, found[0].node_mask


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_flipped_edges, "not of the same edges"),
        (_reversed_edges, "not of the same edges"),
        (_flipped_numbers, "not of the same edges"),
        (_other_nodes, "not of the same edges"),
        (_no_such_edge, "e_id has numbers that the graph does not have"),
        (_an_edge_twice, "e_id has a number twice"),
        (_target_zeroed, r"target is 0 where class \d was asked for"),
        (_no_prediction, "prediction is not the model's output"),
        (_other_prediction, "prediction differs from the model's output for the node by "),
        (_prediction_without_a_class, "prediction is not the model's output"),
        (_in_reverse, "an explanation is of 8 where 3 was asked for"),
        (_one_too_many, "4 explanations for 3 nodes"),
        (_one_too_few, "2 explanations for 3 nodes"),
        (_no_explanation, "an explanation is a Tensor"),
        (_infinite, r"node_mask has 1 of \d+ scores that are not finite"),
        (_whole_numbers, "edge_mask is not a tensor of real numbers"),
        (_sorted_otherwise, "e_id is not that of the computation graph"),
        (_of_some_edges, "e_id is not that of the computation graph"),
        (_sparse, "node_mask is not a dense tensor"),
        (_of_other_features, r"node_mask is \[\d+, 3\] instead of \[\d+, 34\]"),
        (_no_scores, "neither edge_mask nor node_mask"),
        *(
            (_as(name, change), f"{name} is not a tensor of one int64 number")
            for name in ("target", "index")
            for change in (fraction, of_float, of_int32, of_bool, in_python, twice, undefined)
        ),
        (_as("index", from_the_end), "index is .*, where n_id has positions 0 to"),
        (_as("graph", there), "an explanation of a node has graph, as one of a graph has"),
        *(
            (_as(name, change), f"{name} is not int64|{name} is not an int64 vector")
            for name in ("n_id", "e_id", "edge_index")
            for change in (of_float, of_int32, of_bool, undefined)
        ),
        (_as("prediction", of_int32), "prediction is not a dense tensor of real numbers"),
        (_as("prediction", complex_numbers), "prediction is not a dense tensor of real numbers"),
        (_as("prediction", undefined), "prediction is not finite"),
        (_as("prediction", with_gradient), "prediction is not detached"),
        (_as("prediction", twice), "prediction is not the model's output"),
        (_as("edge_mask", of_bool), "edge_mask is not a tensor of real numbers"),
        (_as("edge_mask", undefined), "edge_mask has .* that are not finite"),
        (_as("node_mask", complex_numbers), "node_mask is not a tensor of real numbers"),
        (_as("converged", seven), "converged is not a tensor of one bool"),
        (_as("valid", yes), "valid is there without selected_edges"),
        (_as("selected_edges", three), r"selected_edges is not \[\d+\] bool"),
    ],
    ids=lambda value: getattr(value, "__name__", "").strip("_"),
)
def test_what_is_none_is_refused(task, found, change, message):
    check(found, task, NODES)
    change(found)
    with pytest.raises(Invalid, match=message):
        check(found, task, NODES)


@pytest.mark.parametrize("change", [of_float, "half"])
def test_masks_and_predictions_may_have_another_real_type(task, found, change):
    """They are read as float64."""
    for one in found:
        one.prediction = one.prediction.double()
        one.node_mask = one.node_mask.double() if change is of_float else one.node_mask.half()
    check(found, task, NODES)


def test_what_is_no_list_is_refused(task, found):
    """It can be read once, or without end, and costs nothing before it is read."""
    with pytest.raises(Invalid, match="explain returned a list_iterator instead of a list"):
        check(iter(found), task, NODES)


def test_who_asks_keeps_its_own_nodes(task):
    nodes = [*NODES]
    task.arguments(nodes)[2].clear()
    assert nodes == NODES


def test_another_class_than_the_one_asked_for(task, found):
    wanted = [int(one.target) for one in found]
    check(found, task, NODES, wanted)
    wanted[1] = (wanted[1] + 1) % 4
    with pytest.raises(Invalid, match=f"where class {wanted[1]} was asked for"):
        check(found, task, NODES, wanted)
