"""Infidelity: whether the scores of some edges add up to what taking them away changes."""

from __future__ import annotations

import math

import numpy as np

from explainers.metrics._base import Metric, Value
from explainers.metrics._case import Case
from explainers.metrics._ranking import Bools

DRAWS = 100


def draw(case: Case, generator: np.random.Generator) -> Bools:
    """Every edge stays with probability 1/2, [DRAWS, e]."""
    kept: Bools = generator.random((DRAWS, case.scores.size)) < 0.5
    return kept


def infidelity(case: Case) -> dict[str, float]:
    r"""``E (I . scores - (F(G) - F(G \ I)))^2``, I the edges that are taken away.

    F is the model's output for the explained class, I is uniform over all sets of edges. Range:
    [0, inf), in squared units of the output. Direction: lower is better. ``infidelity_scaled`` is
    the same for the scores times the factor that makes it smallest, so that scores which are no
    shares of the output, such as masks, can be compared. The expectations are means of 100 draws,
    the same for all methods.

    Signed scores are needed to be faithful in this sense. Methods that share the change of the
    output among edges and features, such as integrated gradients, leave to the features what the
    edges then lack. Under ``delete`` there is no value: edge scores are about messages.

    Source: Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", arXiv:1901.09392,
    definition 1, with a binary perturbation, as for attributions that are multiplied by the input.
    ``captum.metrics.infidelity`` is the same, and with ``normalize=True`` the scaled one.

    Args:
        case: With the predictions for :func:`draw`.

    Returns:
        ``infidelity`` and ``infidelity_scaled``; nothing under ``delete`` or without edges.

    Raises:
        ValueError: Some outputs are NaN or infinite.
    """
    assert case.kept is not None
    assert case.changes is not None
    if case.semantics != "mask" or not case.scores.size:
        return {}
    if not np.isfinite(case.changes).all():
        raise ValueError("the model's outputs are NaN or infinite; infidelity needs them")
    claimed = ~case.kept @ case.scores
    size = claimed @ claimed
    factor = claimed @ case.changes / size if size > 0 else 0.0
    return {
        "infidelity": float(np.mean((claimed - case.changes) ** 2)),
        "infidelity_scaled": float(np.mean((factor * claimed - case.changes) ** 2)),
    }


_SOURCE = "Yeh et al., arXiv:1901.09392"

METRIC = Metric(
    function=infidelity,
    needs="predictions",
    draw=draw,
    values={
        "infidelity": Value(
            title="infidelity",
            direction="down",
            bounds=(0, math.inf),
            description=(
                "Mean squared difference between the scores' sum over random halves of the edges "
                "and the change of the output without them, 0 or more; lower is better. Only for "
                "scores in the output's units."
            ),
            unit="output squared",
            source=_SOURCE,
        ),
        "infidelity_scaled": Value(
            title="infidelity, scaled",
            direction="down",
            bounds=(0, math.inf),
            description=(
                "Infidelity of the scores times their best factor, 0 or more; lower is better."
            ),
            unit="output squared",
            source=_SOURCE,
        ),
    },
)
