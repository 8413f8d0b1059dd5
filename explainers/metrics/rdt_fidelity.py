"""RDT-fidelity: whether the prediction survives if all other features are noise."""

from __future__ import annotations

import numpy as np

from explainers.metrics._base import Metric, Value
from explainers.metrics._case import Case
from explainers.metrics._ranking import Bools, Floats
from explainers.metrics.robust_fidelity import selected_in_turn

DRAWS = 20


def draw(case: Case, generator: np.random.Generator) -> Bools:
    """The nodes that keep their features in each draw, [K DRAWS, n]: the ends of selected edges.

    The explained node keeps its own: an explanation by edges says nothing against it. Where the
    order of equal scores matters, each draw has another.
    """
    selected = selected_in_turn(case, DRAWS).reshape(case.sizes.size * DRAWS, case.scores.size)
    kept = np.zeros((len(selected), len(case.node_scores)), dtype=np.bool_)
    for ends in case.edge_index:
        row, edge = selected.nonzero()
        kept[row, ends[edge]] = True
    if case.index is not None:
        kept[:, case.index] = True
    return kept


def rdt_fidelity(case: Case) -> dict[str, Floats]:
    """The probability that the predicted class stays when unselected features are noise.

    With V(S) the ends of the selected edges and the explained node, ``X_S`` the features in which
    those of V(S) are kept and any other is drawn from its distribution, and y the predicted class::

        rdt_fidelity = P(y(X_S, A) = y(X, A))

    A feature's distribution is that of its column over all nodes of the graph, independent of all
    others. Range: [0, 1]. Direction: higher is better; a class that is predicted whatever the
    features has 1. The probability is a mean of 20 draws, the same for all methods. All edges stay,
    so the semantics would agree, and there is a value under ``mask`` only.

    Source: Funke et al., "Zorro: Valid, Sparse, and Stable Explanations in Graph Neural Networks",
    arXiv:2105.08621, definition of RDT-fidelity, after rate-distortion theory; Rathee et al.,
    "BAGEL", arXiv:2206.13983. There an explanation is a set of nodes and a set of features; here
    all features of the ends of selected edges, since methods are compared by edges.

    Args:
        case: With the predictions for :func:`draw`.

    Returns:
        Array [K]: ``rdt_fidelity``; nothing of a regression, which has no classes.

    Raises:
        ValueError: Some probabilities are NaN or infinite.
    """
    assert case.drawn is not None
    if case.numbers:
        return {}
    if not np.isfinite(case.drawn).all() or not np.isfinite(case.full).all():
        raise ValueError("the model's probabilities are NaN or infinite; RDT-fidelity needs them")
    stays = case.drawn.argmax(axis=1) == case.full.argmax()
    return {"rdt_fidelity": stays.reshape(case.sizes.size, DRAWS).mean(axis=1)}


METRIC = Metric(
    function=rdt_fidelity,
    needs="predictions",
    draw=draw,
    perturbs="features",
    values={
        "rdt_fidelity": Value(
            title="RDT-fidelity",
            direction="up",
            bounds=(0, 1),
            description=(
                "Probability that the predicted class stays when all nodes but the ends of the "
                "selected edges have features of random nodes, in [0, 1]; higher is better."
            ),
            source="Funke et al., arXiv:2105.08621",
            selection="signed",
        ),
    },
)
