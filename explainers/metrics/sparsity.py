"""Sparsity: the share of the computation graph that a selection leaves out."""

from __future__ import annotations

import math

import numpy as np

from explainers.metrics._base import Metric, Value
from explainers.metrics._case import Case
from explainers.metrics._ranking import Floats


def sparsity(case: Case) -> dict[str, float | Floats]:
    """How many edges there are, and the share of them that is not selected.

    ``computation_graph_edges`` is ``|E|``, of which the budgets are shares. Range: [0, inf). Where
    there are no more than k, the budget ``k=...`` selects all, and all methods tie.

    ``sparsity`` is ``1 - |S| / |E|``. Range: [0, 1). Direction: at equal fidelity, higher is
    better; by itself it only says which budget was given. Without any edges, S is empty and is all
    of E; the value is then 0, as wherever S is all of E.

    Source: Yuan et al., "Explainability in Graph Neural Networks: A Taxonomic Survey",
    arXiv:2012.15445, section on evaluation metrics, Sparsity. There E is the whole input graph;
    here it is the computation graph, since no other edge can matter to the prediction.

    Args:
        case: Predictions are not needed.

    Returns:
        The number ``computation_graph_edges`` and the array [K] ``sparsity``.
    """
    edges = case.scores.size
    selected = np.asarray(case.sizes, dtype=np.float64)
    share = 1.0 - selected / edges if edges else np.zeros_like(selected)
    return {"computation_graph_edges": float(edges), "sparsity": share}


METRIC = Metric(
    function=sparsity,
    needs="scores",
    values={
        "computation_graph_edges": Value(
            title="edges of the computation graph",
            direction="",
            bounds=(0, math.inf),
            description=(
                "Number of the computation graph's edges, 0 or more; the same for every method."
            ),
            unit="edges",
            compared=False,
        ),
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
