"""Tapes against the functions that they hold, and models by tape against models by autograd."""

import itertools

import pytest
import torch
from torch_geometric.nn import GCNConv

import explainers
import explainers.engines.tape.sums as sums
from explainers.engines import registry
from explainers.engines.objective import Objective
from explainers.engines.recorded import RecordedObjective
from explainers.engines.tape import NotRecorded, Tape
from explainers.methods._learning import likelihood_losses
from explainers.prepare import prepare

from ..conftest import (
    CONVS,
    NONLINEAR,
    Stack,
    difference,
    random_batch,
    random_graph,
    random_graph_model,
    random_model,
)

KEPT = torch.arange(6.0)
PLACE = torch.tensor([2, 0, 1, 2])


def _gradient(x, y):
    out = torch.nn.functional.normalize(x.relu() @ x.t(), dim=1).log_softmax(-1)[PLACE] * y.sum()
    return torch.autograd.grad(out.sum() + (x[PLACE] * x[PLACE]).sum(), (x, y))


def _in_place(x, y):
    fresh, kept = torch.zeros(3, 2), KEPT.clone()
    fresh.index_add_(0, PLACE[:3], x)  # writes to a constant
    kept[1:4:2] += 1
    kept.mul_(y)
    double = x * 2
    double.add_(1).clamp_(min=0)
    return fresh, kept, double * fresh


def _views(x, y):
    halves = x.t().split(1)
    again = x.detach().t().t()  # shows the same as x
    return halves[1] * y[:3], again + 1, torch.zeros_like(x), y.view(2, 3).max(dim=0).values


def _twice(x, y):
    one, other = torch.zeros(6), torch.zeros(6)  # equal constants, which are written to
    one.add_(y)
    other.sub_(y)
    more, less = x * 2, x * 2  # so are these
    return one, other, (x * 3) + (x * 3), more.add_(1), less.sub_(1)


@pytest.mark.parametrize("function", [_gradient, _in_place, _views, _twice])
def test_a_tape_does_what_the_function_does(function):
    generator = torch.Generator().manual_seed(0)

    def inputs():
        return (
            torch.randn(3, 2, generator=generator, requires_grad=function is _gradient),
            torch.randn(6, generator=generator, requires_grad=function is _gradient),
        )

    first = inputs()
    tape = Tape(function, first)
    for given in (first, inputs(), inputs()):
        expected = tape.results if given is first else function(*given)
        with torch.no_grad():
            played = tape(*given)
        for one, other in zip(played, expected, strict=True):
            torch.testing.assert_close(one, other.detach())


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda x, y: (x * float(y.sum()),), "_local_scalar_dense"),
        (lambda x, y: (x[x > 0],), "result of"),
        (lambda x, y: (y[y.nonzero()],), "nonzero"),
        (lambda x, y: (torch.nn.functional.dropout(x),), "random"),
        (lambda x, y: (x.mul_(2),), "writes to an input"),
        (lambda x, y: (x.t().mul_(2),), "writes to an input"),
    ],
)
def test_what_need_not_be_the_same_again_is_not_recorded(function, why):
    with pytest.raises(NotRecorded, match=why):
        Tape(function, (torch.randn(3, 2), torch.randn(6)))


def test_what_was_written_to_elsewhere_is_not_read():
    def function(x):
        double = x * 2
        part = double[:1]
        double.add_(1)
        return (part * 3,)

    with pytest.raises(NotRecorded, match="reads another part"):
        Tape(function, (torch.randn(3, 2),))


def _objectives(problem):
    """By tape, and by autograd."""
    losses = lambda output: likelihood_losses(output, problem)  # noqa: E731
    return RecordedObjective(problem, losses), Objective(problem, losses)


@pytest.mark.parametrize("dense", [0, sums.DENSE])
@pytest.mark.parametrize(
    ("level", "conv", "depth"),
    [("node", conv, depth) for conv, depth in zip(CONVS, itertools.cycle((1, 2, 3, 4)))]
    + [(level, conv, 4) for conv in ("gcn", "sage", "gin", "graph") for level in ("node", "graph")],
)
def test_losses_and_gradients_by_tape(level, conv, depth, dense, monkeypatch):
    monkeypatch.setattr(sums, "DENSE", dense)
    node = level == "node"
    data = random_graph(depth, loops="some") if node else random_batch(depth)
    model = random_model(depth, conv, depth) if node else random_graph_model(depth, conv, depth)
    prepared = prepare(model, data)
    generator = torch.Generator().manual_seed(0)
    for name in ("hoisted", "batched"):
        if registry.get(name).refusal(prepared):
            assert (name, conv in NONLINEAR) == ("hoisted", True)
            continue
        nodes, targets = torch.tensor([3, 0]), torch.tensor([1, 2])
        (problem,) = registry.get(name).problems(prepared, nodes, targets, 2**28)
        by_tape, by_model = _objectives(problem)
        for _ in range(4):
            masks = [
                torch.rand(one.shape, generator=generator, dtype=one.dtype)
                for one in (problem.x, problem.edge_mask)
            ]
            given = problem.x * masks[0], masks[1]
            for one, other in zip(by_tape(*given), by_model(*given), strict=True):
                torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
        assert by_tape._tape is not None
        if conv not in NONLINEAR:  # weighted sums are products of matrices
            assert not {step.name for step in by_tape._tape.steps} & {"scatter_add_", "gather"}


class _Branching(torch.nn.Module):
    """Does something else where the first feature is small, which no operation tells."""

    def __init__(self):
        super().__init__()
        self.conv = GCNConv(5, 3)

    def forward(self, x, edge_index):
        large = max(x.detach()[:, 0].abs().tolist()) > 0.7
        return self.conv(x if large else x * 3, edge_index)


def test_a_model_that_does_something_else_each_time_is_run_each_time():
    torch.manual_seed(0)
    model, data = _Branching().double(), random_graph(2)
    data.x[:, 0] = data.x[:, 0].clamp(-1, 1)
    prepared = prepare(model, data)
    (problem,) = registry.get("batched").problems(
        prepared, torch.tensor([0]), torch.tensor([1]), 2**28
    )
    by_tape, by_model = _objectives(problem)
    for size in (1.0, 0.5, 1.0, 0.5):
        given = problem.x * size, problem.edge_mask
        for one, other in zip(by_tape(*given), by_model(*given), strict=True):
            torch.testing.assert_close(one, other)
    assert by_tape._tape is None


def test_a_model_that_cannot_be_recorded_is_explained(graph):
    class Looking(Stack):
        def forward(self, x, edge_index):
            return super().forward(x, edge_index) * (2 if float(x.detach().sum()) > 1e9 else 1)

    model = Looking(random_model(0).layers)
    found = [
        explainers.load("gnn_explainer", engine=engine, epochs=12, lr=0.1).explain(model, graph, 0)
        for engine in ("batched", "stock")
    ]
    assert difference(found[0][0], found[1][0]) < 1e-6
