"""Ground truth: whether the scores find the edges of the ground truth."""

from __future__ import annotations

import numpy as np

from explainers.metrics._base import Metric, Value
from explainers.metrics._case import Case
from explainers.metrics._ranking import Bools, Floats

# With n wrong edges, the AUROC of random scores has a standard deviation of at least
# 1 / sqrt(12 n): 0.13 for five.
LEAST_WRONG = 5


def ground_truth(case: Case) -> dict[str, float | Floats]:
    """How well the scores separate the edges T of the ground truth from the others.

    By absolute score, since an edge that inhibits belongs to the truth as well; under the selection
    ``signed`` the same by signed score.

    ``auroc``: the probability that an edge of T has a higher score than another one, half of it for
    equal scores. Range: [0, 1], 0.5 for scores that say nothing. No value if fewer than
    ``LEAST_WRONG`` edges of the computation graph are not in T: then it takes a few values only,
    each far from the others, and one edge decides.

    ``auroc_undirected``: the same over undirected edges, whose score is the sum over the directions
    that the computation graph has, and which are in T if a direction is. No value if fewer than
    ``LEAST_WRONG`` are not in T.

    ``average_precision``: ``sum_n (R_n - R_{n-1}) P_n`` over the thresholds, equal scores together.
    Range: (0, 1]; scores that say nothing have about ``|T| / |E|``.

    ``r_precision``: precision, and recall, of the ``|T|`` edges with the highest scores.
    Range: [0, 1].

    ``recall`` and ``jaccard``: of the edges S that an edge budget selects, ``|S & T| / |T|`` and
    ``|S & T| / |S | T|``, the graph explanation accuracy GEA. Range: [0, 1].

    Of equal scores at a cut, a random one is selected: the last three are expectations over it.

    Direction: higher is better, for all. Where T is empty or has all edges of the computation
    graph, there is nothing to separate, and no value.

    Source: AUROC: Ying et al., "GNNExplainer", arXiv:1903.03894; Luo et al., arXiv:2011.04573.
    GEA: Agarwal et al., "Evaluating Explainability for Graph Neural Networks", arXiv:2208.09339.

    Conventions that differ elsewhere: these papers' code pools the edges of all explained nodes and
    takes one AUROC of them; here it is one for each node, and reports average over the nodes. That
    code symmetrises the scores first, as ``auroc_undirected`` does, but lets every edge count
    twice. ``torch_geometric.explain.groundtruth_metrics`` thresholds the scores at 0.5 for all but
    the AUROC, and does not take the absolute value. GEA is defined on masks thresholded at more
    than 0; here an edge budget decides, since most methods leave no score at 0.

    Args:
        case: With ``truth``; predictions are not needed.

    Returns:
        The numbers ``auroc``, ``auroc_undirected``, ``average_precision`` and ``r_precision`` and
        the arrays [K] ``recall`` and ``jaccard``, or nothing where the ground truth is not known,
        empty or everything.

    Raises:
        ValueError: Some scores are NaN or infinite.
    """
    truth = case.truth
    if truth is None or truth.all() or not truth.any():
        return {}
    scores = case.ranked_scores
    right = int(truth.sum())
    hits = np.concatenate([[0], np.cumsum(truth[case.order])])
    found = hits[case.sizes]
    values: dict[str, float | Floats] = {
        "average_precision": average_precision(scores, truth),
        "r_precision": float(hits[right] / right),
        "recall": found / right,
        "jaccard": found / (case.sizes + right - found),
    }
    if truth.size - right >= LEAST_WRONG:
        values["auroc"] = auroc(scores, truth)
    pairs, pair_truth = _undirected(case, scores, truth)
    if pair_truth.size - pair_truth.sum() >= LEAST_WRONG:
        values["auroc_undirected"] = auroc(pairs, pair_truth)
    return values


def auroc(scores: Floats, truth: Bools) -> float:
    """The area under the ROC curve, by ranks: Mann and Whitney's U over the number of pairs.

    Args:
        scores: [e], any finite numbers.
        truth: [e], neither all nor none.
    """
    _, group, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[group]  # equal scores share their mean rank
    right = int(truth.sum())
    u = ranks[truth].sum() - right * (right + 1) / 2
    return float(u / (right * (truth.size - right)))


def average_precision(scores: Floats, truth: Bools) -> float:
    """The sum over the thresholds of precision times gain in recall; equal scores pass together.

    Args:
        scores: [e], any finite numbers.
        truth: [e], not none.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), scores.size - 1)
    hits = np.cumsum(truth[order])[last]
    return float((np.diff(hits, prepend=0) * hits / (last + 1)).sum() / hits[-1])


def _undirected(case: Case, scores: Floats, truth: Bools) -> tuple[Floats, Bools]:
    """Sum of the scores, and whether any is in T, of each pair of nodes with an edge."""
    low, high = case.edge_index.min(axis=0), case.edge_index.max(axis=0)
    _, pair = np.unique(low * (high.max() + 1) + high, return_inverse=True)
    sums = np.bincount(pair, weights=scores).astype(np.float64)
    return sums, np.bincount(pair, weights=truth) > 0


_YING = "Ying et al., arXiv:1903.03894"
_LUO = "Luo et al., arXiv:2011.04573"
_AGARWAL = "Agarwal et al., arXiv:2208.09339"

METRIC = Metric(
    function=ground_truth,
    needs="scores",
    values={
        "auroc": Value(
            title="AUROC",
            direction="up",
            bounds=(0, 1),
            description=(
                "Probability that a ground-truth edge of the computation graph has a higher "
                "absolute score than another one, equal scores counted half, in [0, 1]; 0.5 for "
                "scores that say nothing. Only of computation graphs with at least five edges that "
                "are not in the ground truth. One for each node; the literature often pools the "
                "edges of all nodes."
            ),
            source=_YING,
            selection="absolute",
        ),
        "auroc_undirected": Value(
            title="AUROC, undirected",
            direction="up",
            bounds=(0, 1),
            description=(
                "AUROC over undirected edges: both directions' scores are added, as the literature "
                "does."
            ),
            source=_LUO,
            selection="absolute",
        ),
        "average_precision": Value(
            title="average precision",
            direction="up",
            bounds=(0, 1),
            description=(
                "Precision at each threshold, weighted by the gain in recall, in (0, 1]; scores "
                "that say nothing have about the share of ground-truth edges."
            ),
            selection="absolute",
        ),
        "r_precision": Value(
            title="R-precision",
            direction="up",
            bounds=(0, 1),
            description=(
                "Share of ground-truth edges among the highest scored, as many as there are "
                "ground-truth edges, in [0, 1]; recall and precision are the same there."
            ),
            selection="absolute",
        ),
        "recall": Value(
            title="recall",
            direction="up",
            bounds=(0, 1),
            description=(
                "Share of the ground-truth edges that are among the selected ones, in [0, 1]; "
                "higher is better."
            ),
            selection="absolute",
        ),
        "jaccard": Value(
            title="Jaccard (GEA)",
            direction="up",
            bounds=(0, 1),
            description=(
                "Edges both of the ground truth and selected over those that are either, in "
                "[0, 1]: graph explanation accuracy; higher is better."
            ),
            source=_AGARWAL,
            selection="absolute",
        ),
    },
)
