"""Mean ranks, against Demsar's published example, scikit-posthocs and by hand."""

import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
import scipy.stats

from benchmarks.report.stats.ranks import mean_ranks

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
    assert found == pytest.approx(published, abs=5e-4)
    assert list(found) == list(published)
    assert mean_ranks(-DEMSAR, "down") == found


def test_ranks_with_ties_are_those_of_scikit_posthocs():
    values = pd.DataFrame(np.random.default_rng(0).integers(0, 4, (30, 5)).astype(float))
    found = pd.Series(mean_ranks(values, "down"))
    found.index = found.index.astype(int)
    # Its Nemenyi test is a function of the differences of mean ranks alone.
    reference = scikit_posthocs.posthoc_nemenyi_friedman(values.to_numpy())
    distances = np.abs(found.sort_index().to_numpy()[:, None] - found.sort_index().to_numpy())
    statistic = distances / np.sqrt(5 * 6 / (6 * 30)) * np.sqrt(2)
    ours = scipy.stats.studentized_range.sf(statistic, 5, np.inf)
    off = ~np.eye(5, dtype=bool)
    np.testing.assert_allclose(ours[off], reference.to_numpy()[off], atol=1e-3)


def test_nothing_to_rank():
    values = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 3.0], "c": [0.0, 1.0]})
    assert mean_ranks(values, "up") is not None
    assert mean_ranks(values, "") is None
    assert mean_ranks(values[["a", "b"]], "up") is None
    assert mean_ranks(values[:1], "up") is None
    assert mean_ranks(values * 0, "up") is None
