"""How far a method of another package and ours give the same scores, and in what time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from torch_geometric.explain import Explanation

from explainers.metrics import Value

THEIRS, OURS = "theirs", "ours"  # in the column `other` of values, and `varied` of times
TRAINING = "training"  # before it in `varied`, of methods that are trained once
ROUNDS = 3  # in which a node's explanation is timed; one where that takes long
LONG = 1.0  # seconds


def agreement(
    theirs: Explanation, ours: Explanation, which: str, *, signed: bool
) -> dict[str, float]:
    """Whether the scores are the same, and whether their order is.

    ``peer_difference`` is the largest difference of two scores over the largest of ours, by size:
    0 for the same scores, about 1 or more for others or for another scale. ``peer_spearman`` is
    Spearman's rank correlation, which no scale changes; it has no value where either scoring has
    one value only.

    Args:
        theirs: Of the same computation graph as ours.
        ours: The other.
        which: The scores of the ``edges``, or of the ``nodes``: sums over their features.
        signed: Whether signs are compared; else sizes are.
    """
    one, other = (_scores(explanation, which) for explanation in (theirs, ours))
    if not signed:
        one, other = np.abs(one), np.abs(other)
    found = {}
    if other.size and (largest := float(np.abs(other).max())) > 0:
        found["peer_difference"] = float(np.abs(one - other).max()) / largest
    if one.size > 1 and np.ptp(one) > 0 and np.ptp(other) > 0:
        found["peer_spearman"] = float(spearmanr(one, other).statistic)
    return found


def _scores(explanation: Explanation, which: str) -> Any:
    if which == "edges":
        return explanation.edge_mask.double().cpu().numpy()
    return explanation.node_mask.double().sum(dim=1).cpu().numpy()


def in_turn(
    explain: Mapping[str, Callable[[], tuple[Explanation, float]]],
) -> tuple[dict[str, Explanation], dict[str, list[float]]]:
    """Explains by each in turn, several times over; of those that are quick the first round is off.

    What takes longer than ``LONG`` in the first round has that round alone.

    Args:
        explain: By name, what gives an explanation and the seconds that it took.

    Returns:
        By name, the last explanation, and the seconds of all rounds that count.
    """
    explanations: dict[str, Explanation] = {}
    first: dict[str, float] = {}
    for name, function in explain.items():
        explanations[name], first[name] = function()
    times: dict[str, list[float]] = {name: [] for name in explain}
    for _ in range(ROUNDS):
        for name, function in explain.items():
            if first[name] <= LONG:
                explanations[name], seconds = function()
                times[name].append(seconds)
    return explanations, {name: some or [first[name]] for name, some in times.items()}


VALUES = {
    "peer_spearman": Value(
        title="rank correlation with ours",
        direction="",
        bounds=(-1, 1),
        description=(
            "Spearman's rank correlation of another package's scores with those of this library's "
            "method, in [-1, 1]; by size where one of them gives no sign."
        ),
        compared=False,
    ),
    "peer_difference": Value(
        title="largest difference to ours",
        direction="",
        bounds=(0, math.inf),
        description=(
            "Largest difference of another package's scores to those of this library's method, "
            "over the largest of these; by size where one of them gives no sign."
        ),
        compared=False,
    ),
}
