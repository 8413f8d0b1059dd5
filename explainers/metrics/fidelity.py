"""Fidelity: what happens to the prediction without the selected edges, and with them alone."""

from __future__ import annotations

import numpy as np

from explainers.metrics._base import Metric, Value
from explainers.metrics._case import Case
from explainers.metrics._ranking import Floats


def fidelity(case: Case) -> dict[str, Floats]:
    r"""Fidelity+ and fidelity-, in probability and in accuracy, signed.

    With ``p_c`` the probability of the explained class c, ``r`` the class that is right (the
    model's prediction on G for "model" explanations, the label for "phenomenon" explanations),
    ``y`` the predicted class, ``1[.]`` the indicator, and S the selected edges::

        fidelity+_prob = p_c(G) - p_c(G \ S)          fidelity-_prob = p_c(G) - p_c(S)
        fidelity+_acc  = 1[y(G) = r] - 1[y(G \ S) = r]
        fidelity-_acc  = 1[y(G) = r] - 1[y(S) = r]

    Range: [-1, 1]; for "model" explanations the ``acc`` variants are 0 or 1. Direction: fidelity+
    (is S necessary?) higher is better, fidelity- (is S sufficient?) lower is better. Negative
    values mean that taking the edges away helped the class.

    Source: Yuan et al., "Explainability in Graph Neural Networks: A Taxonomic Survey",
    arXiv:2012.15445, section on evaluation metrics, Fidelity+/- with superscripts acc and prob.
    The survey averages over the explained nodes; these are the terms of that average.

    Convention that differs elsewhere: ``torch_geometric.explain.metric.fidelity`` is the ``acc``
    variant, averaged, and takes the absolute value of each node's difference, so that a wrong
    prediction that is put right counts as much as a right one that is lost.

    Args:
        case: With predictions.

    Returns:
        Arrays [K]: ``fidelity+_prob``, ``fidelity-_prob``, ``fidelity+_acc``, ``fidelity-_acc``;
        of a regression the first two only, as the change of the output over its standard deviation.

    Raises:
        ValueError: Some probabilities are NaN or infinite.
    """
    for probabilities in (case.full, case.without, case.only):
        # The arg max would hide it: to NumPy, NaN is the largest number.
        if not np.isfinite(probabilities).all():
            raise ValueError("the model's probabilities are NaN or infinite; fidelity needs them")

    right = int(case.full.argmax()) if case.label is None else case.label

    def drop(after: Floats) -> Floats:
        return case.full[case.target] - after[:, case.target]

    def loss(after: Floats) -> Floats:
        before = float(case.full.argmax() == right)
        return before - (after.argmax(axis=1) == right).astype(np.float64)

    if case.numbers:
        return {"fidelity+_prob": drop(case.without), "fidelity-_prob": drop(case.only)}
    return {
        "fidelity+_prob": drop(case.without),
        "fidelity-_prob": drop(case.only),
        "fidelity+_acc": loss(case.without),
        "fidelity-_acc": loss(case.only),
    }


_SOURCE = "Yuan et al., arXiv:2012.15445"

METRIC = Metric(
    function=fidelity,
    needs="predictions",
    values={
        "fidelity+_prob": Value(
            title="fidelity+ (prob)",
            regression="fidelity+ (sd)",
            direction="up",
            bounds=(-1, 1),
            description=(
                "Drop of the explained class's probability when the selected edges are taken away: "
                "p(G) - p(G without S), signed, in [-1, 1]; higher means that the edges were "
                "needed."
            ),
            source=_SOURCE,
            selection="signed",
        ),
        "fidelity-_prob": Value(
            title="fidelity- (prob)",
            regression="fidelity- (sd)",
            direction="down",
            bounds=(-1, 1),
            description=(
                "Drop of the explained class's probability when only the selected edges are kept: "
                "p(G) - p(S), signed, in [-1, 1]; lower means that the edges suffice, and a "
                "negative value that the model is surer with them alone."
            ),
            source=_SOURCE,
            selection="signed",
        ),
        "fidelity+_acc": Value(
            title="fidelity+ (acc)",
            direction="up",
            bounds=(-1, 1),
            description=(
                "Share of nodes whose predicted class changes when the selected edges are taken "
                "away; higher is better."
            ),
            source=_SOURCE,
            selection="signed",
        ),
        "fidelity-_acc": Value(
            title="fidelity- (acc)",
            direction="down",
            bounds=(-1, 1),
            description=(
                "Share of nodes whose predicted class changes when only the selected edges are "
                "kept; lower is better."
            ),
            source=_SOURCE,
            selection="signed",
        ),
    },
)
