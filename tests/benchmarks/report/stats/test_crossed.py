"""Means over models and nodes: by hand, against statsmodels, and special cases."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import statsmodels.api
from statsmodels.stats.anova import anova_lm

from benchmarks.report.stats.crossed import mean, means


def table(values, nodes=None):
    """Values [models, nodes] or [models, nodes, k] with their index."""
    values = np.asarray(values, dtype=float)
    models, count = values.shape[:2]
    index = pd.MultiIndex.from_product([range(models), nodes or range(count)])
    return pd.DataFrame(values.reshape(models * count, -1), index=index)


def test_two_models_and_two_nodes_by_hand():
    found = means(table([[1.0, 2.0], [5.0, 8.0]]))
    assert found.value == [4.0]
    # Model means 1.5, 6.5: sample variance 12.5, over two models 6.25. Node means 3, 5: 2, over two
    # nodes 1. Left over are +-0.5: mean square 1 with one degree of freedom, over four 0.25.
    assert found.error**2 == pytest.approx([6.25 + 1 - 0.25])
    assert found.freedom == pytest.approx([49 / (6.25**2 + 1 + 0.25**2)])
    assert (found.models, found.nodes) == (2, 2)
    half = scipy.stats.t.ppf(0.975, found.freedom[0]) * 7**0.5
    (estimate,) = found.estimates()
    assert (estimate.low, estimate.high) == pytest.approx((4 - half, 4 + half))
    assert found.estimates(bounds=(0, 9))[0].low == 0
    assert found.estimates(bounds=(None, 9))[0].low == estimate.low


def test_the_variances_are_those_of_an_analysis_of_variance():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 1)) + 2 * rng.normal(size=(1, 7)) + rng.normal(size=(4, 7))
    frame = table(values)[0].rename("y").rename_axis(["model", "node"]).reset_index()
    fit = statsmodels.api.formula.ols("y ~ C(model) + C(node)", frame).fit()
    squares = anova_lm(fit)["mean_sq"]
    variance = (squares["C(model)"] + squares["C(node)"] - squares["Residual"]) / 28
    assert means(table(values)).error ** 2 == pytest.approx([variance])


def test_one_model_has_students_interval_over_its_nodes():
    sample = np.random.default_rng(1).normal(size=12)
    estimate = mean(table([sample])[0])
    low, high = scipy.stats.t.interval(0.95, 11, loc=sample.mean(), scale=scipy.stats.sem(sample))
    assert (estimate.low, estimate.high) == pytest.approx((low, high))
    assert estimate.n == 12


def test_one_node_has_the_interval_over_the_models():
    estimate = mean(table([[1.0], [2.0], [3.0]])[0])
    half = scipy.stats.t.ppf(0.975, 2) / 3**0.5
    assert (estimate.low, estimate.high) == pytest.approx((2 - half, 2 + half))


def test_nodes_that_each_have_their_own_model_are_clusters():
    # Standard errors with clusters, as statsmodels has them (for one regressor: G / (G - 1)).
    rng = np.random.default_rng(2)
    values = rng.normal(size=(5, 1)) + 0.3 * rng.normal(size=(5, 6))
    frame = table(values)
    frame.index = pd.MultiIndex.from_arrays([np.repeat(range(5), 6), range(30)])
    fit = statsmodels.api.OLS(frame[0], np.ones(30)).fit()
    groups = np.repeat(range(5), 6)
    clustered = fit.get_robustcov_results("cluster", groups=groups, use_correction=False).bse[0]
    found = means(frame)
    assert found.error == pytest.approx([clustered * np.sqrt(5 / 4)])
    assert found.freedom == pytest.approx([4])


def test_gaps_change_little():
    rng = np.random.default_rng(3)
    values = 0.2 * rng.normal(size=(5, 1)) + rng.normal(size=(1, 40)) + rng.normal(size=(5, 40))
    whole = table(values)
    part = whole.drop(index=[(1, 3), (2, 7), (4, 7)])
    assert means(part).error == pytest.approx(means(whole).error, rel=0.1)
    assert means(part).nodes == 40


def test_one_value_has_no_interval_and_equal_ones_an_empty_one():
    alone = mean(table([[3.0]])[0])
    assert (alone.value, alone.n) == (3.0, 1)
    assert np.isnan([alone.low, alone.high]).all()
    same = mean(table([[3.0, 3.0], [3.0, 3.0]])[0])
    assert (same.low, same.high) == (3.0, 3.0)


def test_p_is_below_005_exactly_where_the_interval_lies_outside_of_the_region():
    rng = np.random.default_rng(4)
    shift = np.linspace(-0.4, 0.4, 201)
    noise = 0.1 * rng.normal(size=(3, 1, 201)) + 0.3 * rng.normal(size=(3, 20, 201))
    found = means(table(shift + noise))
    outside = [one.low > 0.05 or one.high < -0.05 for one in found.estimates()]
    assert list(found.p_beyond(0.05) < 0.05) == outside
    assert 20 < sum(outside) < 180


def test_p_without_scatter_and_without_replicates():
    same = means(table(np.full((2, 3, 2), [0.02, 0.01])))
    assert list(same.p_beyond(0.01)) == [0, 1]
    assert list(means(table([[5.0]])).p_beyond(0.01)) == [1]
