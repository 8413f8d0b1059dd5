"""What a metric sees of one explanation, and how many edges each edge budget selects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from explainers.metrics._ranking import Bools, Floats, Integers, ranked_scores

# No leading zeros: a budget has one name, because names are what the results are joined on.
_NAME = re.compile(r"k=[1-9][0-9]*|f=([1-9][0-9]?|100)%")

_EDGES = (1, 2, 5, 10, 20, 50)
_PERCENT = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)


@dataclass(frozen=True)
class Case:
    """One explained node (or graph), as the metrics see it.

    ``G`` is the whole graph, ``E`` the computation graph's edges, ``S`` the edges that an
    edge budget selects: the first ``sizes[i]`` of ``order``. ``G - S`` is the graph without them,
    and ``S`` the graph with them alone; nodes and features stay.

    Where equal scores lie on both sides of a cut, there is a case for each of several random orders
    of them, and the value is the mean of what the metric gives of each. A metric with ``draw`` is
    asked once instead, and spreads its draws over ``orders``.

    Attributes:
        scores: [e] Signed attributions of the computation graph's edges.
        node_scores: [n, F] Signed attributions of the nodes' features; [n, 0] where the method has
            none.
        target: The explained class.
        label: The class that counts as right in the ``acc`` variants: the true label
            ("phenomenon" explanations), or None for the model's own prediction on ``G`` ("model"
            explanations).
        full: [C] Probabilities of the explained node, given ``G``.
        budgets: The names of the K edge budgets.
        sizes: [K] Number of edges that each budget selects.
        without: [K, C] Probabilities given ``G - S``.
        only: [K, C] Probabilities given ``S``.
        semantics: How an edge is taken away: ``mask`` (its messages are zero, the degrees stay) or
            ``delete`` (the degrees follow). Empty for a case without predictions; ``full``,
            ``without`` and ``only`` mean nothing then.
        output_change: ``F(input) - F(baseline)`` of the explained class as the model returns it, or
            None where the method does not claim that its attributions add up to it.
        edge_index: [2, e] The edges' ends, as positions among the computation graph's nodes.
        truth: [e] Whether the edge is part of the ground truth; None where that is not known.
        selection: Whether edges are selected by signed or by absolute score.
        order: [e] The edges' positions in the order in which they are selected.
        orders: [D, e] All the orders over which values are averaged, this one among them.
        alternatives: [A, e] The edges of each ground truth, where there are several; a row
            without any is none. None where there is one.
        kept: [M, e] The edges that the metric's ``draw`` keeps; None for a metric without.
        drawn: [M, C] Probabilities given these edges; those beyond the computation graph stay.
        numbers: Whether the outputs are real numbers: then ``full``, ``without``, ``only`` and
            ``drawn`` have one column, in units of the outputs' standard deviation.
        index: The explained node's position among the computation graph's nodes; of a link those
            of its ends, [2]; None if a graph is explained.
        changes: [M] F(G) less the model's output given these edges, of the explained class.
    """

    scores: Floats
    node_scores: Floats
    target: int
    label: int | None
    full: Floats
    budgets: tuple[EdgeBudget, ...]
    sizes: Integers
    without: Floats
    only: Floats
    semantics: str
    output_change: float | None
    edge_index: Integers
    truth: Bools | None
    selection: Literal["signed", "absolute"]
    order: Integers
    orders: Integers
    index: int | Integers | None = None
    kept: Bools | None = None
    drawn: Floats | None = None
    changes: Floats | None = None
    numbers: bool = False
    alternatives: Bools | None = None

    @property
    def ranked_scores(self) -> Floats:
        """[e] The numbers by whose fall the edges are ordered: scores, or absolute scores.

        Raises:
            ValueError: Some scores are NaN or infinite.
        """
        return ranked_scores(self.scores, self.selection)


class EdgeBudget(str):
    """The name of a budget: ``k=10`` selects ten edges, ``f=20%`` a fifth of them, rounded up.

    Raises:
        ValueError: The name is neither; a budget selects at least one edge, and at most all.
    """

    __slots__ = ()

    def __new__(cls, name: str) -> EdgeBudget:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"edge budget {name!r}: use k=N with N a whole number from 1, or f=N% with N a "
                "whole number from 1 to 100"
            )
        return super().__new__(cls, name)


def edge_budgets() -> tuple[EdgeBudget, ...]:
    """The budgets at which all methods are compared, absolute ones first."""
    names = [*(f"k={k}" for k in _EDGES), *(f"f={f}%" for f in _PERCENT)]
    return tuple(map(EdgeBudget, names))


def size(budget: str, edges: int) -> int:
    """The number of edges that ``budget`` selects out of ``edges``.

    ``min(k, edges)`` for ``k=...``; ``ceil(f * edges)`` for ``f=...``, so that a fraction never
    selects nothing unless there is nothing.

    Raises:
        ValueError: There is no such budget, or ``edges`` is negative.
    """
    if edges < 0:
        raise ValueError(f"{edges} edges: the number of edges cannot be negative")
    unit, number = EdgeBudget(budget).removesuffix("%").split("=")
    if unit == "k":
        return min(int(number), edges)
    # In integers: as floats, 7 % of 100 edges are 7.000000000000001, and their ceiling is 8.
    return -(-int(number) * edges // 100)
