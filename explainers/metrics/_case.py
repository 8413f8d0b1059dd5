"""What a metric sees of one explanation, and how many edges each level selects."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# No leading zeros: a level has one name, because names are what the results are joined on.
_LEVEL = re.compile(r"k=[1-9][0-9]*|f=([1-9][0-9]?|100)%")

_EDGES = (1, 2, 5, 10, 20, 50)
_PERCENT = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)


@dataclass(frozen=True)
class Case:
    """One explained node (or graph), as the metrics see it.

    ``G`` is the whole graph, ``E`` the computation graph's edges, ``S`` the edges that a level
    selects: the first ``sizes[i]`` of ``ranking(scores)``. ``G - S`` is the graph without them, and
    ``S`` the graph with them alone; nodes and features stay.

    Attributes:
        scores: [e] Signed attributions of the computation graph's edges.
        node_scores: [n, F] Signed attributions of the nodes' features; [n, 0] where the method has
            none.
        target: The explained class.
        label: The class that counts as right in the ``acc`` variants: the true label
            ("phenomenon" explanations), or None for the model's own prediction on ``G`` ("model"
            explanations).
        full: [C] Probabilities of the explained node, given ``G``.
        levels: The names of the K levels.
        sizes: [K] Number of edges that each level selects.
        without: [K, C] Probabilities given ``G - S``.
        only: [K, C] Probabilities given ``S``.
        semantics: How an edge is taken away: ``mask`` (its messages are zero, the degrees stay) or
            ``delete`` (the degrees follow). Empty for a case without predictions; ``full``,
            ``without`` and ``only`` mean nothing then.
        output_change: ``F(input) - F(baseline)`` of the explained class as the model returns it, or
            None where the method does not claim that its attributions add up to it.
        edge_index: [2, e] The edges' ends, as positions among the computation graph's nodes.
        truth: [e] Whether a right explanation has the edge; None where that is not known.
        kept: [M, e] The edges that the metric's ``draw`` keeps; None for a metric without.
        drawn: [M, C] Probabilities given these edges; those beyond the computation graph stay.
        changes: [M] F(G) less the model's output given these edges, of the explained class.
    """

    scores: Floats
    node_scores: Floats
    target: int
    label: int | None
    full: Floats
    levels: tuple[Level, ...]
    sizes: Integers
    without: Floats
    only: Floats
    semantics: str
    output_change: float | None
    edge_index: Integers
    truth: Bools | None
    kept: Bools | None = None
    drawn: Floats | None = None
    changes: Floats | None = None


class Level(str):
    """The name of a level: ``k=10`` selects ten edges, ``f=20%`` a fifth of them, rounded up.

    Raises:
        ValueError: The name is neither; a level selects at least one edge, and at most all.
    """

    __slots__ = ()

    def __new__(cls, name: str) -> Level:
        if not _LEVEL.fullmatch(name):
            raise ValueError(
                f"level {name!r}: use k=N with N a whole number from 1, or f=N% with N a whole "
                "number from 1 to 100"
            )
        return super().__new__(cls, name)


def levels() -> tuple[Level, ...]:
    """The levels at which all methods are compared, absolute ones first."""
    return tuple(Level(f"k={k}") for k in _EDGES) + tuple(Level(f"f={f}%") for f in _PERCENT)


def size(level: str, edges: int) -> int:
    """The number of edges that ``level`` selects out of ``edges``.

    ``min(k, edges)`` for ``k=...``; ``ceil(f * edges)`` for ``f=...``, so that a fraction never
    selects nothing unless there is nothing.

    Raises:
        ValueError: There is no such level, or ``edges`` is negative.
    """
    if edges < 0:
        raise ValueError(f"{edges} edges: the number of edges cannot be negative")
    unit, number = Level(level).removesuffix("%").split("=")
    if unit == "k":
        return min(int(number), edges)
    # In integers: as floats, 7 % of 100 edges are 7.000000000000001, and their ceiling is 8.
    return -(-int(number) * edges // 100)


def magnitudes(scores: Floats) -> Floats:
    """The absolute scores.

    Raises:
        ValueError: They are not a vector, or some are NaN or infinite.
    """
    if scores.ndim != 1:
        raise ValueError(f"edge scores of shape {scores.shape}: need one score per edge")
    if bad := int(np.count_nonzero(~np.isfinite(scores))):
        raise ValueError(f"{bad} of {scores.size} edge scores are NaN or infinite")
    return np.abs(scores)


def ranking(scores: Floats) -> Integers:
    """[e] The edges' positions by falling absolute score.

    Absolute, because an edge that speaks strongly against the class matters to the prediction as
    much as one that speaks for it. Edges with equal scores stay in the order in which they come,
    so that the same scores always select the same edges.

    Raises:
        ValueError: Some scores are NaN or infinite.
    """
    return np.argsort(-magnitudes(scores), kind="stable")
