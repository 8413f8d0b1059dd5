"""Best match: whether the scores find the one of several ground truths that is nearest."""

from __future__ import annotations

import numpy as np

from explainers.metrics._base import Metric, Value
from explainers.metrics._case import Case
from explainers.metrics._ranking import Floats
from explainers.metrics.ground_truth import LEAST_WRONG, auroc, average_precision


def best_match(case: Case) -> dict[str, float | Floats]:
    """How well the scores find one of the ground truths T_1, ..., T_A.

    A molecule that has a pattern twice is recognised by either; who selects one is not wrong. Each
    value is the largest over the ground truths, each by itself:

    ``best_auroc``, ``best_average_precision``: those of ``ground_truth`` with T_a in place of T.

    ``best_jaccard``: of the edges S that an edge budget selects, ``|S & T_a| / |S | T_a|``.

    Range: [0, 1] each. Direction: higher is better. The largest of several values is above that of
    one also for scores that say nothing: compare with the random baseline. Ground truths that
    are empty or have all edges of the graph separate nothing, and are left out. By absolute score
    and, under the selection ``signed``, by signed score; AUROC as ``ground_truth`` gives it, where
    there are enough wrong edges.

    Source: GEA with several ground truths: Agarwal et al., "Evaluating Explainability for Graph
    Neural Networks", arXiv:2208.09339.

    Args:
        case: With ``alternatives``; predictions are not needed.

    Returns:
        The numbers and the array [K] ``best_jaccard``, or nothing where there are no alternatives.

    Raises:
        ValueError: Some scores are NaN or infinite.
    """
    if case.alternatives is None:
        return {}
    right = [one for one in case.alternatives if one.any() and not one.all()]
    if not right:
        return {}
    scores = case.ranked_scores
    found = [np.concatenate([[0], np.cumsum(one[case.order])])[case.sizes] for one in right]
    shared = zip(found, right, strict=True)
    values: dict[str, float | Floats] = {
        "best_average_precision": max(average_precision(scores, one) for one in right),
        "best_jaccard": np.max(
            [hits / (case.sizes + one.sum() - hits) for hits, one in shared], axis=0
        ),
    }
    enough = [one for one in right if one.size - one.sum() >= LEAST_WRONG]
    if enough:
        values["best_auroc"] = max(auroc(scores, one) for one in enough)
    return values


_AGARWAL = "Agarwal et al., arXiv:2208.09339"

METRIC = Metric(
    function=best_match,
    needs="scores",
    values={
        "best_auroc": Value(
            title="AUROC, best match",
            direction="up",
            selection="absolute",
            bounds=(0, 1),
            description=(
                "AUROC with the one of several ground truths that it is largest for, in "
                "[0, 1]; higher is better. Scores that say nothing have more than 0.5."
            ),
            source=_AGARWAL,
        ),
        "best_average_precision": Value(
            title="average precision, best match",
            direction="up",
            selection="absolute",
            bounds=(0, 1),
            description=(
                "Average precision with the one of several ground truths that it is largest "
                "for, in (0, 1]; higher is better."
            ),
            source=_AGARWAL,
        ),
        "best_jaccard": Value(
            title="Jaccard (GEA), best match",
            direction="up",
            selection="absolute",
            bounds=(0, 1),
            description=(
                "Edges both selected and of a ground truth over those that are either, the "
                "largest over the ground truths, in [0, 1]; higher is better."
            ),
            source=_AGARWAL,
        ),
    },
)
