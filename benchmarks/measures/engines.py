"""What an engine is measured by: how equal to ``stock`` it is, and how near to the least time."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.explain import Explanation

from benchmarks.tasks import Task
from benchmarks.tasks._training import _output
from explainers.metrics import Value


def least_seconds(task: Task, rows: int, edges: int, timer: Callable[[], float]) -> float:
    """What this machine needs at least for the scores of so many nodes and edges.

    Every score is written once, at the speed of filling a buffer that stays in the caches. Every
    edge takes an inner product of H hidden gradients and a row of F added to its source's, and
    every score of a feature one product more, at the speed of a large matrix product. Nothing of
    what leads to the hidden gradients is counted, nor what it takes to find the edges.

    Args:
        task: Its model's first weight is [H, F].
        rows: The nodes of all computation graphs.
        edges: Their edges.
        timer: Gives seconds, when all that was asked of the device is done.
    """
    weight = next(p for p in task.model.parameters() if p.dim() == 2)
    (hidden, features), side = weight.shape, 1024
    answer, square = weight.new_empty(2**22), weight.new_ones(side, side)
    per_byte = _seconds(lambda: answer.fill_(1.0), timer) / (answer.numel() * answer.element_size())
    per_operation = _seconds(lambda: square @ square, timer) / (2 * side**3)
    scores = rows * features + edges
    operations = 2 * edges * (hidden + features) + rows * features
    return scores * weight.element_size() * per_byte + operations * per_operation


def output_of(task: Task, model: nn.Module | None = None) -> Tensor:
    """What the task's model, or another in its place, gives for all nodes, graphs or links."""
    asked: Any = model or task.model
    with torch.no_grad():
        return _output(asked, task.graph)


def _seconds(function: Callable[[], object], timer: Callable[[], float]) -> float:
    """Median over a few calls, after one that is not counted."""
    seconds = []
    for _ in range(10):
        start = timer()
        function()
        seconds.append(timer() - start)
    return median(seconds[1:])


def difference(one: Explanation, other: Explanation) -> float:
    """The largest difference of two explanations' scores, over the largest score of the second.

    Edges and features each by themselves; the larger of the two. What only one of them covers
    has a score of 0 in the other.
    """
    found = [0.0]
    for mask, ids in (("edge_mask", "e_id"), ("node_mask", "n_id")):
        a, b = one[mask].double(), other[mask].double()
        if not b.numel() or not bool(b.any()):
            continue
        if not torch.equal(one[ids], other[ids]):
            size = int(torch.cat([one[ids], other[ids]]).max()) + 1
            a, b = (
                values.new_zeros(size, *values.shape[1:]).index_copy_(0, some[ids], values)
                for values, some in ((a, one), (b, other))
            )
        found.append(float((a - b).abs().max() / b.abs().max()))
    return max(found)


VALUES = {
    "equality_error": Value(
        title="largest difference to stock",
        direction="down",
        bounds=(0, math.inf),
        description=(
            "Largest difference of an engine's attributions to those of the stock engine, relative "
            "to the latter; engines must be equal up to rounding."
        ),
    ),
    "over_budget": Value(
        title="peak memory over budget",
        direction="down",
        bounds=(0, math.inf),
        description=(
            "Peak memory of the first call, what is prepared for the model included, over "
            "memory_budget and what the model itself takes for all nodes, together; at most 1 "
            "where the budget is kept."
        ),
    ),
    "over_limit": Value(
        title="time over limit",
        direction="down",
        bounds=(0, math.inf),
        description=(
            "Time of many nodes' explanations over the least that this machine needs for the "
            "answer: each score written once, and for each edge an inner product of hidden "
            "gradients and a row of features added, at speeds measured in the same run; 1 or more."
        ),
    ),
}
