"""Characterization: necessity and sufficiency of the selected edges in one number."""

from __future__ import annotations

import numpy as np

from explainers.metrics._base import Metric, Value
from explainers.metrics._case import Case
from explainers.metrics._ranking import Floats
from explainers.metrics.fidelity import fidelity


def characterization(case: Case) -> dict[str, Floats]:
    """The harmonic mean of fidelity+ and 1 - fidelity-, in probability and in accuracy.

    ``1 / (0.5 / fidelity+ + 0.5 / (1 - fidelity-))``, see `characterization_score`. Range: [0, 1].
    Direction: higher is better; it is high only where S is both necessary and sufficient.

    Source: Amara et al., "GraphFramEx: Towards Systematic Evaluation of Explainability Methods for
    Graph Neural Networks", arXiv:2206.09677, the characterization score with equal weights.

    Of one node, the ``acc`` variant is 1 where S is necessary and sufficient, and 0 elsewhere. The
    paper's figure is the score of the *mean* fidelities; the mean of the nodes' scores is another
    number. For the paper's figure give the means to `characterization_score`.

    Args:
        case: With predictions.

    Returns:
        Arrays [K]: ``characterization_prob``, ``characterization_acc``; none of a regression.

    Raises:
        ValueError: Some probabilities are NaN or infinite.
    """
    if case.numbers:
        return {}
    found = fidelity(case)
    return {
        f"characterization_{kind}": characterization_score(
            found[f"fidelity+_{kind}"], found[f"fidelity-_{kind}"]
        )
        for kind in ("prob", "acc")
    }


def characterization_score(fidelity_plus: Floats, fidelity_minus: Floats) -> Floats:
    """The harmonic mean, with weights 0.5 each, of fidelity+ and 1 - fidelity-.

    A mean of that kind is for values in [0, 1], but signed fidelities lie in [-1, 1]: fidelity+ and
    1 - fidelity- are clipped to [0, 1] first, so edges whose removal *helps* the class are as
    unnecessary as can be, and edges that alone serve the class better than the graph does are
    sufficient, not more than that. Where either is 0, so is the score: the limit of the formula,
    which itself divides by zero there. ``torch_geometric.explain.metric.characterization_score``
    does not clip.

    Args:
        fidelity_plus: Signed fidelity+, of nodes or means over nodes.
        fidelity_minus: Signed fidelity-, of the same shape.
    """
    necessary = np.clip(fidelity_plus, 0.0, 1.0)
    sufficient = np.clip(1.0 - fidelity_minus, 0.0, 1.0)
    weighted = 0.5 * necessary + 0.5 * sufficient
    # Where both are 0, the numerator is 0 as well; any divisor but 0 will do.
    score: Floats = necessary * sufficient / np.where(weighted > 0, weighted, 1.0)
    return score


_SOURCE = "Amara et al., arXiv:2206.09677"

METRIC = Metric(
    function=characterization,
    needs="predictions",
    values={
        "characterization_prob": Value(
            title="characterization (prob)",
            direction="up",
            bounds=(0, 1),
            description=(
                "Harmonic mean of fidelity+ and 1 - fidelity-, both by probability and clipped to "
                "[0, 1]: high only if the edges are needed and suffice."
            ),
            source=_SOURCE,
            selection="signed",
        ),
        "characterization_acc": Value(
            title="characterization (acc)",
            direction="up",
            bounds=(0, 1),
            description=(
                "Harmonic mean of fidelity+ and 1 - fidelity-, both by predicted class; higher is "
                "better."
            ),
            source=_SOURCE,
            selection="signed",
        ),
    },
)
