"""Mean ranks and critical differences, against Demsar's published example and by hand."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.report.stats.ranks import Ranks, mean_ranks

# Demsar (2006), JMLR 7, table 6: areas under the ROC curve of four classifiers on 14 data sets.
# One is 975 there, as is another classifier's, but the ranks distinguish them.
DEMSAR = pd.DataFrame(
    {
        "C4.5": [763, 599, 954, 628, 882, 936, 661, 583, 775, 1000, 940, 619, 972, 957],
        "C4.5+m": [768, 591, 971, 661, 888, 931, 668, 583, 838, 1000, 962, 666, 981, 978],
        "C4.5+cf": [771, 590, 968, 654, 886, 916, 609, 563, 866, 1000, 965, 614, 975.1, 946],
        "C4.5+m+cf": [798, 569, 967, 657, 898, 931, 685, 625, 875, 1000, 962, 669, 975, 970],
    }
)


def test_ranks_are_those_that_demsar_publishes():
    found = mean_ranks(DEMSAR, "up")
    published = {"C4.5+m+cf": 1.964, "C4.5+m": 2.000, "C4.5+cf": 2.893, "C4.5": 3.143}
    assert found.means == pytest.approx(published, abs=5e-4)
    assert list(found.means) == list(published)
    assert found.critical_difference == pytest.approx(1.25, abs=5e-3)
    assert found.n == 14
    assert found.p < 0.05  # without correction for ties he has chi^2 = 9.28, p = 0.026
    # 3.143 - 1.964 = 1.18: "the experimental data is not sufficient" to tell any two apart.
    assert found.groups == [tuple(published)]
    turned = mean_ranks(-DEMSAR, "down")
    assert turned == found


@pytest.mark.parametrize(("k", "q"), [(3, 2.343), (5, 2.728), (10, 3.164)])
def test_critical_values_are_those_of_demsars_table(k, q):
    values = pd.DataFrame(np.random.default_rng(0).random((12, k)))
    found = mean_ranks(values, "up")
    assert found.critical_difference / np.sqrt(k * (k + 1) / 72) == pytest.approx(q, abs=1e-3)


def test_groups_by_hand():
    means = {"a": 1.0, "b": 1.8, "c": 2.5, "d": 4.0, "e": 5.7}
    assert Ranks(means, 0.001, 1.0, 9).groups == [("a", "b"), ("b", "c")]
    assert Ranks(means, 0.001, 1.5, 9).groups == [("a", "b", "c"), ("c", "d")]
    assert Ranks(means, 0.001, 0.1, 9).groups == []
    assert Ranks(means, 0.5, 0.1, 9).groups == [tuple("abcde")]


def test_nothing_to_rank():
    values = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 3.0], "c": [0.0, 1.0]})
    assert mean_ranks(values, "up") is not None
    assert mean_ranks(values, "") is None
    assert mean_ranks(values[["a", "b"]], "up") is None
    assert mean_ranks(values[:1], "up") is None
    assert mean_ranks(values * 0, "up") is None
