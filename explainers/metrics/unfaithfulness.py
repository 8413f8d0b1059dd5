"""Unfaithfulness: how far the prediction on the selected edges alone is from the full one."""

from __future__ import annotations

import numpy as np

from explainers.metrics._base import Metric, Value
from explainers.metrics._case import Case
from explainers.metrics._ranking import Floats


def unfaithfulness(case: Case) -> dict[str, Floats]:
    """Graph explanation unfaithfulness (GEF), ``1 - exp(-KL(y || y'))``.

    y are the probabilities of all classes given G, y' those given S, and
    ``KL(y || y') = sum_c y_c ln(y_c / y'_c)``. Range: [0, 1]. Direction: lower is better; 0 where S
    gives the same probabilities, 1 where it rules out a class that G does not.

    Source: Agarwal et al., "Evaluating Explainability for Graph Neural Networks", arXiv:2208.09339,
    eq. 4. There S are the top-k features of a node or edge mask; here the edges that an
    edge budget selects, hard, and all features stay.

    Convention that differs elsewhere: ``torch_geometric.explain.unfaithfulness`` states this
    formula but computes ``KL(y' || y)``, and multiplies soft masks onto the input.

    Args:
        case: With predictions.

    Returns:
        Array [K]: ``unfaithfulness``; nothing of a regression, which has no probabilities.

    Raises:
        ValueError: Some probabilities are NaN or infinite.
    """
    if case.numbers:
        return {}
    for probabilities in (case.full, case.only):
        if not np.isfinite(probabilities).all():
            raise ValueError(
                "the model's probabilities are NaN or infinite; unfaithfulness needs them"
            )
    possible = case.full > 0  # 0 ln 0 = 0
    y, other = case.full[possible], case.only[:, possible]
    with np.errstate(divide="ignore"):
        divergence = (y * (np.log(y) - np.log(other))).sum(axis=1)
    # Probabilities are rounded: their sums, and so the divergence of equal ones, are not exact.
    return {"unfaithfulness": -np.expm1(-np.maximum(divergence, 0.0))}


METRIC = Metric(
    function=unfaithfulness,
    needs="predictions",
    values={
        "unfaithfulness": Value(
            title="unfaithfulness (GEF)",
            direction="down",
            bounds=(0, 1),
            description=(
                "1 - exp(-KL(y || y')), y the probabilities of all classes given the graph, y' "
                "given the selected edges alone, in [0, 1]; lower is better."
            ),
            source="Agarwal et al., arXiv:2208.09339",
            selection="signed",
        ),
    },
)
