"""Robust fidelity: fidelity on graphs that differ little from the model's own."""

from __future__ import annotations

import numpy as np

from explainers.metrics._base import Metric, Value
from explainers.metrics._case import Case
from explainers.metrics._ranking import Bools, Floats

ALPHA_PLUS = 0.1
ALPHA_MINUS = 0.9
DRAWS = 20


def draw(case: Case, generator: np.random.Generator) -> Bools:
    """The graphs whose predictions are averaged, [2 K DRAWS, e], those of fidelity+ first.

    An edge has the same random number at every edge budget and for every method. Where the order of
    equal scores matters, each draw has another.
    """
    edges = case.scores.size
    selected = selected_in_turn(case, DRAWS)
    for_plus, for_minus = generator.random((2, DRAWS, edges))
    kept = ~(selected & (for_plus < ALPHA_PLUS)), selected | (for_minus < ALPHA_MINUS)
    both: Bools = np.concatenate(kept).reshape(2 * case.sizes.size * DRAWS, edges)
    return both


def selected_in_turn(case: Case, draws: int) -> Bools:
    """The edges that each budget selects in each of the draws, [K, draws, e].

    The draws take the orders of equal scores in turn, so that their mean is one over both.
    """
    place = case.orders.argsort(axis=1)  # the inverse: each edge's place in each ranking
    in_turn = place[np.arange(draws) % len(place)]
    selected: Bools = in_turn < case.sizes[:, None, None]
    return selected


def robust_fidelity(case: Case) -> dict[str, Floats]:
    r"""Fidelity+ and fidelity- in expectation over random shares of the edges, in probability.

    With ``E_a(T)`` the edges of T, each kept with probability a, independently::

        Fid_{a1,+} = p_c(G) - E p_c(G \ E_a1(S)),         a1 = 0.1
        Fid_{a2,-} = p_c(G) - E p_c(S u E_a2(G \ S)),     a2 = 0.9

    so that only a tenth of S is taken away, and only a tenth of the rest: the model is asked about
    graphs that are like those it knows. With ``a1 = 1`` and ``a2 = 0`` these are fidelity+ and
    fidelity-. Range: [-1, 1]. Direction: fidelity+ higher, fidelity- lower is better. Expectations
    are means of 20 draws, the same for all methods.

    Source: Zheng et al., "Towards Robust Fidelity for Evaluating Explainability of Graph Neural
    Networks", arXiv:2310.01820, eq. 6 and 7 with the shares of its experiments. There G is the
    whole input graph, and both directions of an edge fall together; here edges of the
    computation graph fall, each direction by itself, and those beyond it stay.

    F-Fidelity (Zheng et al., "F-Fidelity: A Robust Framework for Faithfulness Evaluation of
    Explainable AI", arXiv:2410.02970) is no metric of the library: it asks a model that was
    fine-tuned on inputs without some of their edges. The benchmarks, which know how their models
    were trained, measure it (``benchmarks/measures/f_fidelity.py``). Who has such a model can give
    it to ``evaluate`` in the explained one's place.

    Args:
        case: With the predictions for :func:`draw`.

    Returns:
        Arrays [K]: ``robust_fidelity+_prob`` and ``robust_fidelity-_prob``.

    Raises:
        ValueError: Some probabilities are NaN or infinite.
    """
    assert case.drawn is not None
    after = case.drawn[:, case.target]
    if not np.isfinite(after).all() or not np.isfinite(case.full).all():
        raise ValueError("the model's probabilities are NaN or infinite; fidelity needs them")
    plus, minus = case.full[case.target] - after.reshape(2, case.sizes.size, DRAWS).mean(axis=2)
    return {"robust_fidelity+_prob": plus, "robust_fidelity-_prob": minus}


_SOURCE = "Zheng et al., arXiv:2310.01820"

METRIC = Metric(
    function=robust_fidelity,
    needs="predictions",
    draw=draw,
    values={
        "robust_fidelity+_prob": Value(
            title="robust fidelity+ (prob)",
            regression="robust fidelity+ (sd)",
            direction="up",
            bounds=(-1, 1),
            description=(
                "Mean drop of the explained class's probability when a random tenth of the "
                "selected edges is taken away, in [-1, 1]: on graphs like those that the model "
                "knows; higher is better."
            ),
            source=_SOURCE,
            selection="signed",
        ),
        "robust_fidelity-_prob": Value(
            title="robust fidelity- (prob)",
            regression="robust fidelity- (sd)",
            direction="down",
            bounds=(-1, 1),
            description=(
                "Mean drop of the explained class's probability when a random tenth of the edges "
                "that are not selected is taken away, in [-1, 1]; lower is better."
            ),
            source=_SOURCE,
            selection="signed",
        ),
    },
)
