"""The permutation test of a mean difference: the signs of whole nodes are flipped.

If a method were as good as another, which of both scored higher at a node would be chance, and so
the sign of their difference there. All models of a node are flipped together: they explain the
same node, and their differences are no independent trials. How far models differ is not this
test's affair: :func:`benchmarks.report.stats.standings.compare` demands the interval over models
and nodes besides.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

DRAWS = 20_000  # with fewer than 16 nodes all patterns of signs are enumerated instead
_SEED = 0


def p_values(differences: pd.DataFrame) -> npt.NDArray[np.float64]:
    """P-values, two-sided, of the mean differences [T, k], [k]; 1 if all of them are zero.

    Args:
        differences: An index of (model, node). With several nodes they are what is flipped, else
            the models.
    """
    nodes = differences.index.get_level_values(1)
    level = 1 if nodes.nunique() > 1 else 0
    sums = differences.groupby(level=level).sum().to_numpy(dtype=np.float64)
    seen = np.abs(sums.sum(axis=0))
    # Equal sums in another order of addition differ in the last digits.
    limit = seen - 1e-9 * np.abs(sums).sum(axis=0)
    signs, exact = _signs(len(sums))
    reached = (np.abs(signs @ sums) >= limit).sum(axis=0)
    if not exact:  # the pattern that was seen is one of those that could have been drawn
        reached, drawn = reached + 1, len(signs) + 1
    else:
        drawn = len(signs)
    found: npt.NDArray[np.float64] = reached / drawn
    return found


def least_p(units: int) -> float:
    """The smallest p-value that so many units (nodes) can give."""
    signs, exact = _signs(units)
    return 1 / len(signs) if exact else 1 / (len(signs) + 1)


@lru_cache(maxsize=8)
def _signs(units: int) -> tuple[npt.NDArray[np.float64], bool]:
    """Patterns of signs [D, units], and whether they are all that there are.

    Turning all signs round gives the same absolute sum, so the first stays.
    """
    if 2 ** (units - 1) <= DRAWS:
        patterns = np.arange(2 ** (units - 1))
        bits = (patterns[:, None] >> np.arange(units)) & 1
        return np.asarray(1.0 - 2.0 * bits, dtype=np.float64), True
    drawn = np.random.default_rng(_SEED).integers(2, size=(DRAWS, units))
    return np.asarray(1.0 - 2.0 * drawn, dtype=np.float64), False
