"""Fidelity curve: fidelity over all sparsities in one number."""

from __future__ import annotations

import numpy as np

from explainers.metrics._base import Metric, Value
from explainers.metrics._case import Case
from explainers.metrics.fidelity import fidelity


def fidelity_curve(case: Case) -> dict[str, float]:
    """The area under fidelity+ and fidelity- (probability) against sparsity, over its width.

    By the trapezoid rule over the edge budgets that are shares (``f=...``), and divided by the
    range of sparsities that they reach, so that the area is the mean fidelity over these
    sparsities. Range: [-1, 1]. Direction: fidelity+ higher, fidelity- lower is better, as at a
    single budget.

    Source: Amara et al., "GraphFramEx: Towards Systematic Evaluation of Explainability Methods for
    Graph Neural Networks", arXiv:2206.09677, fidelity against sparsity.

    Convention that differs elsewhere: ``torch_geometric.explain.metric.fidelity_curve_auc`` is the
    area under the ratio ``fidelity+ / (1 - fidelity-)``, not divided by the width; it has no value
    if a fidelity- is 1, and means little where one is negative.

    Args:
        case: With predictions.

    Returns:
        ``area_fidelity+_prob`` and ``area_fidelity-_prob``; nothing if the shares select fewer than
        two different numbers of edges, as there is no curve then.

    Raises:
        ValueError: Some probabilities are NaN or infinite.
    """
    chosen = [i for i, budget in enumerate(case.budgets) if budget.startswith("f=")]
    if not chosen or not case.scores.size:
        return {}
    sparsity = 1.0 - case.sizes[chosen] / case.scores.size
    width = np.ptp(sparsity)
    if width == 0:
        return {}
    order = np.argsort(sparsity, kind="stable")
    steps = np.diff(sparsity[order])
    found = fidelity(case)
    areas = {}
    for name in ("fidelity+_prob", "fidelity-_prob"):
        heights = found[name][chosen][order]
        areas[f"area_{name}"] = float(steps @ (heights[1:] + heights[:-1]) / 2 / width)
    return areas


_SOURCE = "Amara et al., arXiv:2206.09677"

METRIC = Metric(
    function=fidelity_curve,
    needs="predictions",
    values={
        "area_fidelity+_prob": Value(
            title="fidelity+ (prob), mean over sparsities",
            regression="fidelity+ (sd), mean over sparsities",
            direction="up",
            bounds=(-1, 1),
            description=(
                "Area under fidelity+ (prob) against sparsity, over the width, in [-1, 1]: its "
                "mean over all shares of selected edges; higher is better."
            ),
            source=_SOURCE,
            selection="signed",
        ),
        "area_fidelity-_prob": Value(
            title="fidelity- (prob), mean over sparsities",
            regression="fidelity- (sd), mean over sparsities",
            direction="down",
            bounds=(-1, 1),
            description=(
                "Area under fidelity- (prob) against sparsity, over the width, in [-1, 1]: its "
                "mean over all shares of selected edges; lower is better."
            ),
            source=_SOURCE,
            selection="signed",
        ),
    },
)
