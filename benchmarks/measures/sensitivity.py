"""Axiom (a), sensitivity, of Sundararajan et al., arXiv:1703.01365, edge by edge."""

from __future__ import annotations

import numpy as np

from benchmarks.measures.agreement import Floats
from explainers.metrics import Value

# Float32 leaves a network's outputs equal up to about 1e-6; what moves less has not moved.
CHANGE = 1e-5
ZERO = 1e-6


def violations(change: Floats, scores: Floats) -> float | None:
    """Axiom (a): the share, among the edges that change the output, of those without a score.

    An edge has none if it is not above a millionth of the largest; None if no edge matters.
    """
    matters = np.abs(change) > CHANGE
    if not matters.any():
        return None
    size = np.abs(scores)
    return float((size[matters] <= ZERO * size.max()).mean())


VALUES = {
    "sensitivity_violations": Value(
        title="sensitivity: edges that matter without a score",
        direction="down",
        bounds=(0, 1),
        description=(
            "Axiom (a): share, among the edges whose removal changes the output, of those whose "
            "score is 0 (a millionth of the largest), in [0, 1]; 0 keeps the axiom."
        ),
        source="Sundararajan et al., arXiv:1703.01365",
    ),
}
