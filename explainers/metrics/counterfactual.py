"""Counterfactuals: whether taking edges away flips the prediction, and how many that takes."""

from __future__ import annotations

import math

import numpy as np

from explainers.metrics._base import Metric, Value
from explainers.metrics._case import Case


def counterfactual(case: Case) -> dict[str, float]:
    r"""Whether taking a selection away flips the predicted class, and the smallest that does.

    With ``y`` the predicted class and ``S_1``, ..., ``S_K`` the selections of the edge budgets::

        counterfactual_validity = max_i 1[y(G \ S_i) != y(G)]
        counterfactual_size     = min {|S_i| : y(G \ S_i) != y(G)}

    Range: validity 0 or 1, size [1, |E|]. Direction: validity higher, size lower is better; sizes
    are compared on nodes that have one under all methods: where no selection flips the class there
    is none. The selections are prefixes of the ranking, so a size is exact up to the next smaller
    budget; with more budgets validity can only rise and the size only fall. Of equal scores at a
    cut, validity is the share of random orders that flip the class, and the size the mean over
    those.

    Source: Lucic et al., "CF-GNNExplainer: Counterfactual Explanations for Graph Neural Networks",
    arXiv:2102.03322, section 5: fidelity (the share of predictions that do *not* flip, so validity
    is 1 less it) and explanation size. Their method searches for the set that flips; here the sets
    are those of a ranking, of any method. There edges are undirected and deleted, here directed
    edges are masked or deleted, as the semantics say. PyG has no such metric.

    Args:
        case: With predictions.

    Returns:
        ``counterfactual_validity`` and, where it is 1, ``counterfactual_size``; nothing of a
        regression, which has no classes, and nothing without edges or budgets.

    Raises:
        ValueError: Some probabilities are NaN or infinite.
    """
    if case.numbers or not case.scores.size or not case.sizes.size:
        return {}
    for probabilities in (case.full, case.without):
        # The arg max would hide it: to NumPy, NaN is the largest number.
        if not np.isfinite(probabilities).all():
            raise ValueError(
                "the model's probabilities are NaN or infinite; counterfactuals need them"
            )
    flips = case.without.argmax(axis=1) != case.full.argmax()
    if not flips.any():
        return {"counterfactual_validity": 0.0}
    smallest = float(case.sizes[flips].min())
    return {"counterfactual_validity": 1.0, "counterfactual_size": smallest}


_SOURCE = "Lucic et al., arXiv:2102.03322"

METRIC = Metric(
    function=counterfactual,
    needs="predictions",
    values={
        "counterfactual_validity": Value(
            title="counterfactual validity",
            direction="up",
            bounds=(0, 1),
            description=(
                "Share of nodes whose predicted class changes at some edge budget when the "
                "selected edges are taken away, in [0, 1]; higher is better."
            ),
            source=_SOURCE,
            selection="signed",
        ),
        "counterfactual_size": Value(
            title="counterfactual size",
            direction="down",
            bounds=(1, math.inf),
            description=(
                "Number of edges at the smallest budget whose selection, taken away, changes the "
                "predicted class, 1 or more; lower is better. Only where there is one."
            ),
            unit="edges",
            source=_SOURCE,
            selection="signed",
        ),
    },
)
