"""How good the methods are, on cells whose answers are known."""

import pytest
import scipy.stats

from benchmarks.report.data import quality


def test_models_and_nodes_are_replicates(folder, settings, section):
    for seed, values in enumerate(([0.1, 0.3], [0.2, 0.6])):
        rows = [
            {"node": node, "metric": "gini", "value": value} for node, value in enumerate(values)
        ]
        folder.add("quality", settings(seed=seed), quality=rows)
    standing = quality.compare(section(), "gini", "", "")["saliency"]
    assert standing.mean.value == pytest.approx((0.15 + 0.45) / 2)
    assert standing.mean.n == 2
    # Model means 0.2, 0.4; node means 0.15, 0.45; left over +-0.05.
    variance = 0.02 / 2 + 0.045 / 2 - 0.01 / 4
    freedom = variance**2 / (0.01**2 + 0.0225**2 + 0.0025**2)
    half = scipy.stats.t.ppf(0.975, freedom) * variance**0.5
    assert standing.mean.high - standing.mean.value == pytest.approx(half) or (
        standing.mean.high == 1.0  # cut where the metric ends
    )


def test_mask_and_delete_are_never_mixed(folder, section):
    folder.quality("saliency", [0.2, 0.4], semantics="mask")
    folder.quality("saliency", [0.9], semantics="delete")
    here = section()
    mask = quality.compare(here, "fidelity+_prob", "k=10", "mask")["saliency"].mean
    delete = quality.compare(here, "fidelity+_prob", "k=10", "delete")["saliency"].mean
    assert (mask.value, delete.value) == (pytest.approx(0.3), pytest.approx(0.9))


def test_rows_that_failed_are_in_no_mean(folder, settings, section):
    rows = [
        {"node": 0, "metric": "gini", "value": 0.5},
        {"node": 1, "metric": "gini", "value": 0.9, "status": "error"},
    ]
    folder.add("quality", settings(), quality=rows)
    assert quality.compare(section(), "gini", "", "")["saliency"].mean.value == 0.5


def test_ranking_is_by_fidelity_and_those_without_it_come_last(folder, section):
    folder.quality("a", [0.1, 0.1])
    folder.quality("b", [0.3, 0.2])
    folder.quality("none", [0.3, 0.2], metric="gini", level="", semantics="")
    assert quality.ranking(section()) == ["b", "a", "none"]


def test_unknown_metrics_are_found_at_the_headline_budget(folder, section):
    folder.quality("a", [0.1], metric="another", level="", semantics="")
    folder.quality("a", [0.1], metric="new", level="k=2")
    folder.quality("a", [0.2], metric="newer", level="k=10")
    folder.quality("a", [0.2], metric="newer", level="k=5")
    assert quality.other_metrics(section()) == [
        ("another", "", ""),
        ("new", "k=2", "mask"),
        ("newer", "k=10", "mask"),
    ]


def test_a_curve_takes_the_sparsity_that_was_measured(folder, section):
    folder.quality("a", [0.1, 0.3], level="f=10%")
    folder.quality("a", [0.4, 0.6], level="f=50%")
    folder.quality("a", [0.7, 0.7], level="k=10")
    folder.quality("a", [0.88, 0.9], metric="sparsity", level="f=10%", semantics="")
    curve = quality.curve(section(), "fidelity+_prob", "mask")
    assert list(curve["method"]) == ["a", "a"]
    means = dict(zip(curve["sparsity"].round(9), curve["mean"], strict=True))
    assert means == {0.5: pytest.approx(0.5), 0.89: pytest.approx(0.2)}
    assert (curve["low"] < curve["mean"]).all()
