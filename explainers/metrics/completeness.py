"""Completeness: whether the attributions add up to what they claim to explain."""

from __future__ import annotations

import math

from explainers.metrics._base import Metric, Value
from explainers.metrics._case import Case


def completeness(case: Case) -> dict[str, float]:
    """The error of the attributions' sum, ``|sum of all scores - (F(x) - F(x'))|``.

    F is the model's output for the explained class, x the input (features and edges), x' the
    baseline; the sum is over the edges' and the features' scores. Range: [0, inf), in units of the
    model's output. Direction: lower is better; 0 but for rounding and, with integrated gradients,
    for the quadrature of the path integral.

    Source: Sundararajan et al., "Axiomatic Attribution for Deep Networks", arXiv:1703.01365,
    Proposition 1. Captum's convergence delta is the same difference, signed.

    Args:
        case: Predictions are not needed.

    Returns:
        ``completeness``, or nothing where the method makes no such claim.
    """
    if case.output_change is None:
        return {}
    total = float(case.scores.sum()) + float(case.node_scores.sum())
    return {"completeness": abs(total - case.output_change)}


METRIC = Metric(
    function=completeness,
    needs="scores",
    values={
        "completeness": Value(
            title="completeness error",
            direction="down",
            bounds=(0, math.inf),
            description=(
                "Distance between the sum of all attributions and the change of the output that "
                "they explain, in the output's units, 0 or more; only for methods that promise "
                "equality."
            ),
            unit="output",
            source="Sundararajan et al., arXiv:1703.01365",
        ),
    },
)
