"""Methods that are the same."""

import numpy as np
import pandas as pd

from benchmarks.report.stats.equal import groups, within

VALUES = pd.DataFrame(
    {
        "a": [0.1, 0.2, np.nan],
        "b": [0.1, 0.20001, np.nan],
        "c": [0.1, 0.2, 0.3],
        "d": [0.1, 0.25, np.nan],
        "random": [0.1, 0.2, np.nan],
    }
)


def test_equal_within_rounding_and_with_the_same_gaps():
    assert groups(VALUES) == [("a", "b", "random"), ("c",), ("d",)]
    assert groups(VALUES, apart=["random"]) == [("a", "b"), ("c",), ("d",), ("random",)]
    assert groups(VALUES[["random", "a"]], apart=["random"]) == [("random",), ("a",)]


def test_groups_are_cut_by_another_table():
    other = pd.DataFrame({"a": [1.0], "b": [2.0], "c": [1.0]})
    assert within([("a", "b"), ("c", "d")], other) == [("a",), ("b",), ("c",)]
