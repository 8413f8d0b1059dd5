"""Concentration: on how few edges the attributions lie, at no particular edge budget."""

from __future__ import annotations

import math

import numpy as np

from explainers.metrics._base import Metric, Value
from explainers.metrics._case import Case
from explainers.metrics._ranking import Floats, magnitudes

_SHARE = 0.9
# The running sum of the scores is rounded; what misses the share by that much has reached it.
_ROUNDING = 1e-12


def concentration(case: Case) -> dict[str, float]:
    """Gini index, entropy, and the share of edges that holds 90 % of the mass, of ``|scores|``.

    None depends on the scores' scale, signs or order. Scores that are all zero point at nothing
    and count as equal ones. Without any edges there is no distribution, and no value.

    Args:
        case: Predictions are not needed.

    Returns:
        ``gini``, ``entropy`` and ``mass90``, or nothing where there are no edges.

    Raises:
        ValueError: Some scores are NaN or infinite.
    """
    mass = magnitudes(case.scores)
    if not mass.size:
        return {}
    largest = mass.max()
    # By the largest first, so that neither huge nor tiny scores overflow or vanish in the sums.
    with np.errstate(over="ignore"):  # which NumPy 1 reports of subnormal numbers, falsely
        mass = np.sort(mass / largest if largest > 0 else np.ones_like(mass))
    return {"gini": _gini(mass), "entropy": _entropy(mass), "mass90": _mass90(mass)}


def _gini(mass: Floats) -> float:
    """``sum_i (2 i - e - 1) m_i / (e sum_i m_i)`` over the rising masses m_1 ... m_e.

    Range: [0, 1 - 1/e]: 0 for equal masses, the maximum for one edge with all. Direction: higher is
    more concentrated.

    Source: Hurley and Rickard, arXiv:0811.4706; as a property of explanations: Chalasani et al.,
    "Concise Explanations of Neural Networks using Adversarial Training", arXiv:1810.06583;
    Quantus' ``Sparseness``, which adds 1e-7 to each normalised score first.
    """
    weights = 2.0 * np.arange(1, mass.size + 1) - mass.size - 1.0
    return float(weights @ mass / (mass.size * mass.sum()))


def _entropy(mass: Floats) -> float:
    """``-sum_i p_i ln p_i / ln e`` with ``p_i = m_i / sum_j m_j``.

    Range: [0, 1]: 1 for equal masses, 0 for one edge with all, and for a single edge, where the
    quotient is 0 / 0. Direction: lower is more concentrated.

    Source: Rathee et al., "BAGEL", arXiv:2206.13983, sparsity as the entropy H(p) of the normalised
    mask, after Funke et al., arXiv:2105.08621. There it is not divided by its upper bound, so that
    larger graphs have larger values.
    """
    if mass.size == 1:
        return 0.0
    shares = mass / mass.sum()
    shares = shares[shares > 0]  # 0 ln 0 = 0
    # No term is negative, and rounding must not make the sum exceed its bound.
    return min(1.0, float(np.abs(shares * np.log(shares)).sum()) / math.log(mass.size))


def _mass90(mass: Floats) -> float:
    """``k / e``, k the smallest number of edges that together have 90 % of the mass.

    Range: [1/e, 1]: ``ceil(0.9 e) / e`` for equal masses, 1/e if one edge has 90 %. Direction:
    lower is more concentrated.

    Source: none; it is one point of the Lorenz curve, whose area the Gini index measures.
    """
    held = np.cumsum(mass[::-1])
    needed = _SHARE * held[-1] * (1.0 - _ROUNDING)
    return float(np.searchsorted(held, needed) + 1) / mass.size


METRIC = Metric(
    function=concentration,
    needs="scores",
    values={
        "gini": Value(
            title="Gini index",
            direction="up",
            bounds=(0, 1),
            description=(
                "Inequality of the absolute scores, in [0, 1]; higher means that fewer edges hold "
                "more of the score."
            ),
            source="Chalasani et al., arXiv:1810.06583",
        ),
        "entropy": Value(
            title="entropy",
            direction="down",
            bounds=(0, 1),
            description=(
                "Entropy of the absolute scores as shares, over its largest possible value, in "
                "[0, 1]; lower means more concentrated."
            ),
            source="Rathee et al. (BAGEL), arXiv:2206.13983",
        ),
        "mass90": Value(
            title="edges with 90 % of the mass",
            direction="down",
            bounds=(0, 1),
            description=(
                "Smallest share of the edges that holds 90 % of the absolute score, in [0, 1]; "
                "lower means more concentrated."
            ),
        ),
    },
)
