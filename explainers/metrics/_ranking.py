"""In which order edges are selected: by signed or by absolute score, equal scores at random."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from explainers._names import did_you_mean

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SELECTIONS = ("signed", "absolute")
ORDERS = 20  # over so many orders of equal scores a value is averaged


def magnitudes(scores: Floats) -> Floats:
    """The absolute scores.

    Raises:
        ValueError: They are not a vector, or some are NaN or infinite.
    """
    if scores.ndim != 1:
        raise ValueError(f"edge scores of shape {scores.shape}: need one score per edge")
    if bad := int(np.count_nonzero(~np.isfinite(scores))):
        raise ValueError(f"{bad} of {scores.size} edge scores are NaN or infinite")
    return np.abs(scores)


def ranked_scores(scores: Floats, selection: str) -> Floats:
    """[e] The numbers by whose fall edges are selected: the scores, or their absolute values.

    ``"signed"``: evidence for the explained class first, as fidelity asks, which is signed itself.
    ``"absolute"``: an edge that speaks strongly against the class matters to the prediction as
    much as one that speaks for it.

    Raises:
        ValueError: There is no such selection, or some scores are NaN or infinite.
    """
    if selection not in SELECTIONS:
        raise ValueError(
            f"unknown selection {selection!r}; use {' or '.join(SELECTIONS)}"
            f"{did_you_mean(selection, SELECTIONS)}"
        )
    absolute = magnitudes(scores)
    return scores if selection == "signed" else absolute


def ranking(scores: Floats, selection: str = "absolute") -> Integers:
    """[e] The edges' positions by falling score; see :func:`ranked_scores`.

    Edges with equal scores stay in the order in which they come, for pictures and wherever else one
    order has to do. Metrics average over :func:`orders`.

    Raises:
        ValueError: There is no such selection, or some scores are NaN or infinite.
    """
    return np.argsort(-ranked_scores(scores, selection), kind="stable")


def orders(
    scores: Floats, cuts: Integers, selection: str, generator: np.random.Generator
) -> Integers:
    """[D, e] Rankings over which values are averaged: equal scores in D random orders.

    D is ``ORDERS`` if edges on both sides of a cut have equal scores, else 1: no order of equal
    scores changes then what is selected.

    Args:
        scores: [e].
        cuts: [K] After how many edges of the ranking selections end.
        selection: ``"signed"`` or ``"absolute"``.
        generator: Of the orders.

    Raises:
        ValueError: There is no such selection, or some scores are NaN or infinite.
    """
    ranked = ranked_scores(scores, selection)
    order = np.argsort(-ranked, kind="stable")
    if not straddled(ranked[order], cuts).any():
        return order[None]
    tiebreak = generator.random((ORDERS, scores.size))
    # The last key is the first to decide.
    return np.lexsort((tiebreak, np.broadcast_to(-ranked, tiebreak.shape)), axis=-1)


def straddled(falling: Floats, cuts: Integers) -> Bools:
    """[K] Whether the scores [e], sorted to fall, are equal on both sides of each cut."""
    inside = (cuts > 0) & (cuts < falling.size)
    before, after = np.where(inside, cuts - 1, 0), np.where(inside, cuts, 0)
    return inside & (falling[before] == falling[after]) if falling.size else inside


def inclusion(scores: Floats, count: int, selection: str = "absolute") -> Floats:
    """[e] The probability that an edge is among the first ``count``, equal scores in random order.

    Args:
        scores: [e].
        count: From 0 to e.
        selection: ``"signed"`` or ``"absolute"``.

    Raises:
        ValueError: There is no such selection, or some scores are NaN or infinite.
    """
    ranked = ranked_scores(scores, selection)
    if not 0 < count < ranked.size:
        return np.full(ranked.size, float(count > 0))
    last = np.sort(ranked)[-count]
    above, level = ranked > last, ranked == last
    return above + level * ((count - above.sum()) / level.sum())
