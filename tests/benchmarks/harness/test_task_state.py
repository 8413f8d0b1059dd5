"""What a method does to its task reaches no other method's numbers."""

import dataclasses
import functools

import numpy as np
import pytest
import torch
from torch_geometric.explain import ModelConfig
from torch_geometric.explain.algorithm.utils import set_masks

import benchmarks.tasks
import explainers
import explainers.metrics
from benchmarks.harness.guards import Invalid
from benchmarks.harness.options import make_plan
from benchmarks.harness.run import Run
from benchmarks.harness.task_state import unchanged
from benchmarks.store.folder import load_all


def _scaled(data, model):
    data.x.mul_(2)


def _past_the_counter(data, model):
    data.x.data.mul_(2)
    data.x.numpy()[0] = 7


def _flipped(data, model):
    data.edge_index = data.edge_index.flip(1)


def _reversed_in_place(data, model):
    data.edge_index.copy_(data.edge_index.flip(0))


def _weighted(data, model):
    data.edge_weight = torch.full((data.num_edges,), 0.5)


def _without(data, model):
    del data.train_mask


def _relabelled(data, model):
    data.y = 1 - data.y


def _resized(data, model):
    data.x.resize_(3, 2)


def _cut_off(data, model):
    data.x.set_(torch.empty(0))


def _other_type(data, model):
    data.x = data.x.double()


def _nan(data, model):
    data.x[0, 0] = float("nan")


def _gradient(data, model):
    data.x.requires_grad_()


def _new_text(data, model):
    data["anything"] = "a text"


def _weights(data, model):
    with torch.no_grad():
        next(model.parameters()).mul_(2)


def _weights_past_the_counter(data, model):
    next(model.parameters()).data.numpy()[:] = 0


def _training(data, model):
    model.train()


def _hook(data, model):
    model.register_forward_hook(lambda *given: given[-1] * 2)


def _patched(data, model):
    model.forward = lambda x, edge_index, **_: torch.zeros(len(x), 2)


def _other_gradient(forward):
    """The outputs are the same."""

    @functools.wraps(forward)
    def other(*arguments, **keywords):
        output = forward(*arguments, **keywords)
        return output.detach() + 2 * (output - output.detach())

    return other


def _patched_behind_its_outputs(data, model):
    model.forward = _other_gradient(model.forward)


def _other_class(data, model):
    forward = _other_gradient(type(model).forward)
    model.__class__ = type("Other", (type(model),), {"forward": forward})


def _other_class_of_a_layer(data, model):
    layer = next(model.children())
    forward = _other_gradient(type(layer).forward)
    layer.__class__ = type("Other", (type(layer),), {"forward": forward})


def _new_layer(data, model):
    model.extra = torch.nn.Identity()


def _new_parameter(data, model):
    model.extra = torch.nn.Parameter(torch.ones(1))


def _layer_replaced(data, model):
    name = next(name for name, _ in model.named_children())
    setattr(model, name, torch.nn.Identity())


def _mask_left(data, model):
    set_masks(model, torch.zeros(data.num_edges), data.edge_index)


CHANGES = [
    _scaled,
    _past_the_counter,
    _flipped,
    _reversed_in_place,
    _weighted,
    _without,
    _relabelled,
    _resized,
    _cut_off,
    _other_type,
    _nan,
    _gradient,
    _new_text,
    _weights,
    _weights_past_the_counter,
    _training,
    _hook,
    _patched,
    _patched_behind_its_outputs,
    _other_class,
    _other_class_of_a_layer,
    _new_layer,
    _new_parameter,
    _layer_replaced,
    _mask_left,
]


@pytest.fixture
def run(tmp_path):
    """A run that takes its task from the cache once, and the rows of an honest method on it."""
    plan = make_plan(tasks=("karate",), methods=("saliency",), nodes=4)
    with_folder = Run(plan, tmp_path / "results")
    with_folder.open()
    yield with_folder
    with_folder.close()


@pytest.fixture(scope="module")
def clean():
    return _rows(benchmarks.tasks.load("karate"))


def _rows(task):
    nodes = task.nodes[:4].tolist()
    found = []
    for name in ("saliency", "integrated_gradients"):
        method = explainers.load(name)
        explanations = method.explain(task.model, task.data, nodes)
        found += explainers.metrics.evaluate(task.model, task.data, explanations, at=["f=20%"])
    return found


@pytest.mark.parametrize("raises", [False, True], ids=["returns", "raises"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__.strip("_"))
def test_a_change_is_invalid_and_put_back(run, clean, change, raises):
    task = run.load_task("karate")
    config = {"task": "karate", "method": change.__name__}
    with pytest.raises(Exception) as caught:  # noqa: PT012, SIM117
        with run.cell("quality", config, task=task, nodes=[0]):
            change(task.data, task.model)
            if raises:
                raise RuntimeError("no such luck")
    ((status, message),) = [(one.status, one.message) for one in load_all(run.cells)[0]]
    if raises:
        assert (status, message) == ("error", "RuntimeError: no such luck")
    else:
        assert status == "invalid"
        assert message.startswith("Invalid: the method has changed ")
        assert str(caught.value) in message
    # Both whoever holds the task and whoever loads it anew sees it as it was.
    for seen in (task, run.load_task("karate")):
        assert _rows(seen) == clean
    assert run.load_task("karate") is not task


@pytest.mark.parametrize("change", [_scaled, _hook], ids=["data", "model"])
def test_a_change_after_the_cell_is_not_the_next_one_s(run, clean, change):
    """By what is called when explanations are freed, say."""
    task = run.load_task("karate")
    for number in range(2):
        config = {"task": "karate", "method": f"honest {number}"}
        with run.cell("quality", config, task=task, nodes=[0]):
            assert _rows(task) == clean
        change(task.data, task.model)
    assert [one.status for one in load_all(run.cells)[0]] == ["ok", "ok"]


def test_what_the_outputs_mean_is_put_back():
    config = ModelConfig("multiclass_classification", "node", "log_probs")
    task = dataclasses.replace(benchmarks.tasks.load("karate"), model_config=config)
    before = dict(vars(config))
    with pytest.raises(Invalid, match="changed the task's model_config"), unchanged(task):
        config.return_type = "raw"
    assert vars(config) == before


def test_an_honest_cell_keeps_its_task(run, clean):
    task = run.load_task("karate")
    before = {key: (id(value), value.clone()) for key, value in task.data.to_dict().items()}
    for number in range(2):
        config = {"task": "karate", "method": f"honest {number}"}
        with run.cell("quality", config, task=task, nodes=[0]):
            assert _rows(task) == clean
    assert run.load_task("karate") is task
    for key, (identity, value) in before.items():
        assert id(task.data[key]) == identity
        assert np.array_equal(task.data[key].numpy(), value.numpy(), equal_nan=True)
