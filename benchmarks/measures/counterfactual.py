"""Counterfactuals: which edges to delete so that the decision changes, by rankings and searches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch_geometric.explain import Explanation

import explainers.metrics
from benchmarks.measures.agreement import edge_scores
from benchmarks.tasks import Task
from explainers.metrics import Case, Metric, Value
from explainers.metrics._ranking import Bools, Floats, Integers

PREFIX, OWN = "prefix of the ranking", "own search"  # as in the column `other`
EVERY = 100  # up to so many edges prefixes of all lengths are tried ...
GROWTH = 1.02  # ... and beyond, each is longer by this factor
SMALL = 15  # edges of a computation graph of which all subsets are tried
_SOURCE = "Lucic et al., arXiv:2102.03322"


def lengths(edges: int) -> Integers:
    """The numbers of edges that are deleted in turn: all of them at last."""
    found = list(range(1, min(EVERY, edges) + 1))
    while found and found[-1] < edges:
        found.append(min(edges, math.ceil(GROWTH * found[-1])))
    return np.array(found, dtype=np.int64)


def prefixes(case: Case, generator: np.random.Generator) -> Bools:
    """What prefixes of the ranking leave, [M, e], the shortest first.

    Edges come by falling score; equal scores in a random order that is the same for all methods.
    """
    order = np.lexsort((generator.random(case.scores.size), -case.ranked_scores))
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    kept: Bools = place >= lengths(order.size)[:, None]
    return kept


def own_set(case: Case, _: np.random.Generator) -> Bools:
    """What is left without the edges that have a score above 0, [1, e]."""
    kept: Bools = (case.scores <= 0)[None]
    return kept


def subsets(case: Case, _: np.random.Generator) -> Bools:
    """What each set of edges but the empty one leaves, [2^e - 1, e]."""
    edges = case.scores.size
    if edges > SMALL:
        raise ValueError(f"{edges} edges have 2^{edges} subsets; all are tried up to {SMALL} edges")
    kept: Bools = (np.arange(1, 2**edges)[:, None] >> np.arange(edges) & 1) == 0
    return kept


def changed(case: Case) -> Bools:
    """Whether each of the M deletions changes the decision: whether the target is predicted.

    Raises:
        ValueError: Some probabilities are NaN or infinite.
    """
    assert case.drawn is not None
    for probabilities in (case.full, case.drawn):
        if not np.isfinite(probabilities).all():
            raise ValueError("the model's probabilities are NaN or infinite; no class is predicted")
    before: bool = case.full.argmax() == case.target
    found: Bools = (case.drawn.argmax(axis=1) == case.target) != before
    return found


def flip(case: Case) -> dict[str, float | Floats]:
    r"""Whether a deletion changes the predicted class, and the fewest edges of those that do.

    With ``y`` the predicted class and ``S_1``, ..., ``S_M`` the sets of edges that are deleted::

        validity = max_i 1[y(G \ S_i) != y(G)],    size = min {|S_i| : y(G \ S_i) != y(G)}

    Range: validity 0 or 1, size [1, e]. Direction: validity higher, size lower is better. The sets
    are the prefixes of a ranking, from the shortest on; or what a method found itself. Edges are
    directed, and deleted, degrees and all.

    Source: Lucic et al., "CF-GNNExplainer: Counterfactual Explanations for Graph Neural Networks",
    arXiv:2102.03322, section 5: 1 less fidelity, and explanation size. Rankings are made
    counterfactuals as for LIME-C and SHAP-C, by removing what ranks highest until the class
    changes: Ramon et al., "Counterfactual Explanation Algorithms for Behavioral and Textual Data",
    arXiv:1912.01819.

    Args:
        case: With the predictions for :func:`prefixes` or :func:`own_set`.

    Returns:
        ``flip_validity`` and, where it is 1, ``flip_size``; nothing without edges.

    Raises:
        ValueError: Some probabilities are NaN or infinite.
    """
    return _fewest(case, "flip")


def fewest(case: Case) -> dict[str, float | Floats]:
    """The same over all sets of edges: whether any deletion changes the class, and the smallest.

    Args:
        case: With the predictions for :func:`subsets`.

    Returns:
        ``fewest_validity`` and, where it is 1, ``fewest_size``; nothing without edges.

    Raises:
        ValueError: Some probabilities are NaN or infinite.
    """
    return _fewest(case, "fewest")


def _fewest(case: Case, name: str) -> dict[str, float | Floats]:
    flips = changed(case)
    if not flips.size:
        return {}
    if not flips.any():
        return {f"{name}_validity": 0.0}
    assert case.kept is not None
    sizes = (~case.kept[flips]).sum(axis=1)
    return {f"{name}_validity": 1.0, f"{name}_size": float(sizes.min())}


_FLIP = {
    "flip_validity": Value(
        title="class changes",
        direction="up",
        bounds=(0, 1),
        description=(
            "Share of nodes or graphs of which the predicted class changes when the edges of the "
            "counterfactual are deleted, in [0, 1]; higher is better. Of a ranking these are its "
            "first edges, as few as change the class."
        ),
        source=_SOURCE,
        selection="signed",
    ),
    "flip_size": Value(
        title="edges deleted",
        direction="down",
        bounds=(1, math.inf),
        description=(
            "Number of directed edges of the counterfactual, 1 or more; lower is better. Only "
            "where there is one."
        ),
        unit="edges",
        source=_SOURCE,
        selection="signed",
    ),
}
_FEWEST = {
    "fewest_validity": Value(
        title="a change of class exists",
        direction="",
        bounds=(0, 1),
        description=(
            f"Whether deleting any of the edges changes the class, by trying all sets; up to "
            f"{SMALL} edges."
        ),
        compared=False,
    ),
    "fewest_size": Value(
        title="fewest edges that change the class",
        direction="",
        bounds=(1, math.inf),
        description=f"The smallest of these sets, by trying all; up to {SMALL} edges.",
        unit="edges",
        compared=False,
    ),
}
BY_RANKING = Metric(function=flip, needs="predictions", draw=prefixes, values=_FLIP)
BY_SET = Metric(function=flip, needs="predictions", draw=own_set, values=_FLIP)
BY_ALL = Metric(function=fewest, needs="predictions", draw=subsets, values=_FEWEST)
VALUES = {
    **_FLIP,
    **_FEWEST,
    **{
        f"{name}_seconds": Value(
            title=title,
            direction="down",
            bounds=(0, math.inf),
            unit="s",
            description=f"Seconds a node or graph: {what}, all in one call after a warm-up.",
        )
        for name, title, what in (
            ("explain", "time of the explanation", "the method's explanation"),
            ("flip", "time of the search along the ranking", "the model's answers to all prefixes"),
        )
    },
}


def scored(task: Task, explanations: Sequence[Explanation], metric: Metric) -> list[dict[str, Any]]:
    """The values of one of the metrics above, by falling score."""
    return explainers.metrics.evaluate(
        task.model,
        task.data,
        explanations,
        at=["f=100%"],  # what is deleted is drawn
        semantics=["delete"],
        selections=["signed"],
        metrics=[metric],
        model_config=task.model_config,
    )


def of_sets(explanations: Sequence[Explanation]) -> list[Explanation]:
    """Those with a counterfactual of their own (``valid``), its edges scored 1 and all others 0."""
    found = []
    for one in explanations:
        if one.get("valid") is not None:
            copied = one.clone()
            for store in copied.edge_stores:  # one, or one for each edge type
                store.edge_mask = store.selected_edges.to(store.edge_mask)
            found.append(copied)
    return found


def fewest_deletions(task: Task, explanations: Sequence[Explanation]) -> list[dict[str, Any]]:
    """The values of :func:`fewest`, of those whose computation graphs have few edges."""
    small = [one for one in explanations if edge_scores(one).size <= SMALL]
    return scored(task, small, BY_ALL)
