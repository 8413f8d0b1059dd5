"""Methods that are the same on a task: equal scores, or scores that differ by rounding only."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

# Values are stored with five significant digits.
_RTOL, _ATOL = 1e-3, 1e-4


def groups(table: pd.DataFrame, apart: Iterable[str] = ()) -> list[tuple[str, ...]]:
    """The methods in groups that are equal, each group in the table's order.

    Args:
        table: Methods by units, gaps allowed; a method that lacks a value equals none that has it.
        apart: Methods that are never grouped: the random baseline is what others are compared with.
    """
    alone = set(apart)
    found: list[list[str]] = []
    for name in table.columns:
        row = table[name].to_numpy(dtype=float)
        for group in found:
            other = table[group[0]].to_numpy(dtype=float)
            same = np.allclose(row, other, _RTOL, _ATOL, equal_nan=True)
            if same and name not in alone and group[0] not in alone:
                group.append(str(name))
                break
        else:
            found.append([str(name)])
    return [tuple(group) for group in found]


def within(known: Iterable[tuple[str, ...]], table: pd.DataFrame) -> list[tuple[str, ...]]:
    """The groups cut into those that are equal in another table, too; without whom it lacks."""
    return [
        finer
        for group in known
        for finer in groups(table[[name for name in group if name in table]])
    ]
