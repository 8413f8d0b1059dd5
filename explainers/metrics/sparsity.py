"""Sparsity: the share of the computation graph that a selection leaves out."""

from __future__ import annotations

import numpy as np

from explainers.metrics._base import Metric, Value
from explainers.metrics._case import Case, Floats


def sparsity(case: Case) -> dict[str, Floats]:
    """The share of edges that are not selected, ``1 - |S| / |E|``.

    Range: [0, 1). Direction: at equal fidelity, higher is better; by itself it only says
    which budget was given. Without any edges, S is empty and is all of E; the value is then 0, as
    wherever S is all of E.

    Source: Yuan et al., "Explainability in Graph Neural Networks: A Taxonomic Survey",
    arXiv:2012.15445, section on evaluation metrics, Sparsity. There E is the whole input graph;
    here it is the computation graph, since no other edge can matter to the prediction.

    Args:
        case: Predictions are not needed.

    Returns:
        Array [K]: ``sparsity``.
    """
    selected = np.asarray(case.sizes, dtype=np.float64)
    if not case.scores.size:
        return {"sparsity": np.zeros_like(selected)}
    return {"sparsity": 1.0 - selected / case.scores.size}


METRIC = Metric(
    function=sparsity,
    needs="scores",
    values={
        "sparsity": Value(
            title="sparsity",
            direction="up",
            bounds=(0, 1),
            description=(
                "Share of the computation graph's edges that are not selected, in [0, 1]; given by "
                "the number of edges selected, so it is the same for every method."
            ),
            source="Yuan et al., arXiv:2012.15445",
            compared=False,
        ),
    },
)
