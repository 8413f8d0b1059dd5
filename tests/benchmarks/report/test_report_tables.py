"""Numbers of the tables, on cells whose answers are known."""

import math

import numpy as np
import pytest

from benchmarks.report import tables
from benchmarks.report.frames import load
from benchmarks.report.sections import split


@pytest.fixture
def section(folder):
    """The function that gives a folder's only section."""

    def make():
        (found,) = split(load(folder.path))
        return found

    return make


def timed(folder, settings, seconds, **row):
    """A runtime cell for each repeat; every repeat has another node."""
    for repeat, value in enumerate(seconds):
        rows = [{"repeat": repeat, "node": 10 + repeat, "nodes": 1, "seconds": value} | row]
        folder.add("runtime", settings, part={"repeat": repeat}, runtime=rows)


# ---------------------------------------------------------------------------------------- quality


def test_models_are_averaged_within_a_node(folder, settings, section):
    for seed, values in enumerate(([0.1, 0.3], [0.2, 0.6])):
        rows = [
            {"node": node, "metric": "gini", "value": value} for node, value in enumerate(values)
        ]
        folder.add("quality", settings(seed=seed), quality=rows)
    standing = tables.compare(section(), "gini", "", "")["saliency"]
    assert standing.mean.value == pytest.approx((0.15 + 0.45) / 2)
    assert standing.mean.n == 2


def test_mask_and_delete_are_never_mixed(folder, section):
    folder.quality("saliency", [0.2, 0.4], semantics="mask")
    folder.quality("saliency", [0.9], semantics="delete")
    here = section()
    mask = tables.compare(here, "fidelity+_prob", "k=10", "mask")["saliency"].mean
    delete = tables.compare(here, "fidelity+_prob", "k=10", "delete")["saliency"].mean
    assert (mask.value, delete.value) == (pytest.approx(0.3), pytest.approx(0.9))


def test_rows_that_failed_are_in_no_mean(folder, settings, section):
    rows = [
        {"node": 0, "metric": "gini", "value": 0.5},
        {"node": 1, "metric": "gini", "value": 0.9, "status": "error"},
    ]
    folder.add("quality", settings(), quality=rows)
    assert tables.compare(section(), "gini", "", "")["saliency"].mean.value == 0.5


def test_ranking_is_by_fidelity_and_those_without_it_come_last(folder, section):
    folder.quality("a", [0.1, 0.1])
    folder.quality("b", [0.3, 0.2])
    folder.quality("none", [0.3, 0.2], metric="gini", level="", semantics="")
    assert tables.ranking(section()) == ["b", "a", "none"]


def test_unknown_metrics_are_found_at_the_headline_level(folder, section):
    folder.quality("a", [0.1], metric="another", level="", semantics="")
    folder.quality("a", [0.1], metric="new", level="k=2")
    folder.quality("a", [0.2], metric="newer", level="k=10")
    folder.quality("a", [0.2], metric="newer", level="k=5")
    assert tables.other_metrics(section()) == [
        ("another", "", ""),
        ("new", "k=2", "mask"),
        ("newer", "k=10", "mask"),
    ]


def test_a_curve_takes_the_sparsity_that_was_measured(folder, section):
    folder.quality("a", [0.1, 0.3], level="f=10%")
    folder.quality("a", [0.4, 0.6], level="f=50%")
    folder.quality("a", [0.7, 0.7], level="k=10")
    folder.quality("a", [0.88, 0.9], metric="sparsity", level="f=10%", semantics="")
    curve = tables.curve(section(), "fidelity+_prob", "mask")
    assert list(curve["method"]) == ["a", "a"]
    means = dict(zip(curve["sparsity"].round(9), curve["mean"], strict=True))
    assert means == {0.5: pytest.approx(0.5), 0.89: pytest.approx(0.2)}
    assert (curve["low"] < curve["mean"]).all()


# ---------------------------------------------------------------------------------------- runtime


def test_speedups_are_paired_within_a_repeat(folder, settings, section):
    # The machine slows down a hundredfold; the ratio is 4 in every repeat all the same.
    pace = np.array([1.0, 10.0, 100.0])
    timed(folder, settings("integrated_gradients"), 4 * pace)
    timed(folder, settings("saliency"), pace)
    fast, slow = tables.timings(section())
    assert (fast.label, slow.label) == ("saliency", "integrated_gradients")
    assert fast.speedup.value == pytest.approx(4)
    assert (fast.speedup.low, fast.speedup.high) == (pytest.approx(4), pytest.approx(4))
    assert (fast.speedup.n, fast.nodes) == (3, 3)
    assert (fast.seconds, slow.seconds) == (10.0, 40.0)


def test_a_repeat_that_only_one_method_has_is_no_pair(folder, settings, section):
    for method, seconds in (("integrated_gradients", (4.0, 400.0)), ("saliency", (1.0,))):
        for repeat, value in enumerate(seconds):  # the same node each time
            row = {"repeat": repeat, "node": 10, "seconds": value}
            folder.add("runtime", settings(method), part={"repeat": repeat}, runtime=[row])
    fast = tables.timings(section())[0]
    assert fast.speedup.value == pytest.approx(4)


def test_rounds_count_once_by_their_median(folder, settings, section):
    timed(folder, settings("integrated_gradients"), [1.0])
    rows = [{"repeat": 0, "node": 10, "seconds": value} for value in (0.5, 0.25, 0.1)]
    folder.add("runtime", settings("saliency"), runtime=rows)
    fast = tables.timings(section())[0]
    assert (fast.seconds, fast.nodes) == (0.25, 1)
    assert fast.speedup.value == pytest.approx(4)
    assert math.isnan(fast.speedup.low)


def test_the_nodes_of_one_call_share_its_time(folder, settings, section):
    timed(folder, settings("integrated_gradients"), [8.0], nodes=4)
    assert tables.timings(section())[0].seconds == 2.0


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ([("integrated_gradients", "stock"), ("a", "stock")], ("integrated_gradients", "stock")),
        ([("integrated_gradients", "batched"), ("b", "stock")], ("b", "stock")),
        ([("b", "batched"), ("a", "batched")], ("a", "batched")),
        ([], None),
    ],
)
def test_the_reference_is_integrated_gradients_on_stock_if_it_was_timed(
    folder, settings, section, measured, expected
):
    folder.quality("a", [0.1])
    for method, engine in measured:
        timed(folder, settings(method, engine), [1.0])
    assert tables.reference(section()) == expected


def test_fitting_is_not_part_of_an_explanation(folder, settings, section):
    timed(folder, settings("pg_explainer"), [1.0])
    fit = {"repeat": 0, "node": 10, "seconds": 600.0, "varied": "fit"}
    folder.add("runtime", settings("pg_explainer"), part={"fit": 0}, runtime=[fit])
    here = section()
    assert [timing.seconds for timing in tables.timings(here)] == [1.0]
    assert tables.fits(here) == [("pg_explainer", "stock", 600.0, 1)]


def test_failed_and_impossible_times_are_left_out(folder, settings, section):
    timed(folder, settings("a"), [1.0])
    rows = [
        {"repeat": 1, "node": 11, "seconds": 5.0, "status": "oom"},
        {"repeat": 2, "node": 12, "seconds": 0.0},
        {"repeat": 3, "node": 13, "seconds": None},
    ]
    folder.add("runtime", settings("a"), part={"more": 1}, runtime=rows)
    (timing,) = tables.timings(section())
    assert (timing.seconds, timing.nodes) == (1.0, 1)


def test_the_front_holds_what_nothing_beats(folder, settings, section):
    points = [(1.0, 0.1), (2.0, 0.3), (3.0, 0.2), (4.0, 0.5), (2.0, 0.2), (5.0, 0.5)]
    for number, (seconds, fidelity) in enumerate(points):
        folder.quality(f"m{number}", [fidelity, fidelity])
        timed(folder, settings(f"m{number}"), [seconds])
    found = tables.tradeoffs(section())
    assert [one.label for one in found if one.front] == ["m0", "m1", "m3"]
    assert [one.seconds for one in found] == sorted(seconds for seconds, _ in points)


def test_what_was_scored_costs_what_its_fastest_variant_does(folder, settings, section):
    folder.quality("a", [0.1, 0.2])
    timed(folder, settings("a"), [9.0])
    for size, seconds in ((1, 4.0), (10, 2.0)):
        timed(folder, settings("a", "batched", internal_batch_size=size), [seconds])
    costs = tables.costs(section(), "a")
    assert [(one.engine, one.seconds) for one in costs] == [("batched", 2.0), ("stock", 9.0)]


# ---------------------------------------------------------------------------------------- engines


def engine_cell(folder, settings, repeat, seconds, node, nodes=1, error=None, over=None):
    folder.add(
        "engines",
        settings,
        part={"repeat": repeat},
        runtime=[{"repeat": repeat, "node": node, "nodes": nodes, "seconds": seconds}],
        quality=[
            {"node": node, "metric": metric, "value": value}
            for metric, value in (("equality_error", error), ("over_limit", over))
            if value is not None
        ],
    )


def test_engines_are_compared_with_stock_on_the_same_node(folder, settings, section):
    for repeat, (stock, batched, error) in enumerate(((8.0, 4.0, 1e-7), (80.0, 10.0, 3e-7))):
        engine_cell(folder, settings("ig", "stock", batch=1), repeat, stock, repeat)
        engine_cell(folder, settings("ig", "batched", batch=9), repeat, batched, repeat, 1, error)
        bulk = settings("ig", "batched", batch=9, bulk=True)
        engine_cell(folder, bulk, repeat, 10 * stock / 16, 99, nodes=10, over=2.0 + repeat)
    single, bulk = tables.engine_ratios(section())
    assert (single.label, single.engine, single.at_once) == ("ig", "batched", 1)
    assert single.ratio.value == pytest.approx(4)  # of 2 and 8
    assert single.median == pytest.approx(4)
    assert (single.ratio.low, single.ratio.high) == (pytest.approx(2), pytest.approx(8))
    assert single.error == 3e-7
    assert (bulk.label, bulk.at_once) == ("ig", 10)
    assert bulk.ratio.value == pytest.approx(16)
    assert bulk.error is None
    assert (single.over_limit, bulk.over_limit) == (None, 2.5)


def test_methods_are_not_compared_with_each_others_stock(folder, settings, section):
    for method, factor in (("ig", 10.0), ("fidelity_curve", 3.0)):
        engine_cell(folder, settings(method, "stock"), 0, factor, 5)
        engine_cell(folder, settings(method, "batched"), 0, 1.0, 5)
    engine_cell(folder, settings("without_stock", "batched"), 0, 1.0, 5)
    found = {one.label: one.ratio.value for one in tables.engine_ratios(section())}
    assert found == {"ig": pytest.approx(10), "fidelity_curve": pytest.approx(3)}


def test_without_stock_there_is_no_ratio(folder, settings, section):
    engine_cell(folder, settings("ig", "batched"), 0, 1.0, 5)
    assert tables.engine_ratios(section()) == []


# ------------------------------------------------------------------------------------------ sweep


def swept(folder, settings, steps, batch, seconds, error, **cell):
    folder.add(
        "ig_sweep",
        settings("integrated_gradients", "batched", n_steps=steps, internal_batch_size=batch),
        runtime=[{"repeat": 0, "node": 1, "seconds": seconds, "peak_bytes": 8}] if seconds else [],
        quality=[{"node": 1, "metric": "relative_error", "value": error}] if error else [],
        **cell,
    )


def test_the_cheapest_pair_keeps_the_error_below_one_per_cent(folder, settings, section):
    swept(folder, settings, 10, 5, 0.1, 0.05)
    swept(folder, settings, 20, 1, 0.2, 0.01)  # not below
    swept(folder, settings, 50, 1, 0.9, 0.001)
    swept(folder, settings, 50, 5, 0.5, 0.001)
    swept(folder, settings, 50, 50, 0.3, 0.001, status="oom", message="out of memory")
    ((key, pairs),) = tables.sweeps(section()).items()
    assert key == ("integrated_gradients", "batched")
    best = tables.cheapest(pairs)
    assert (best.n_steps, best.batch) == (50, 5)
    assert best.values == {"seconds": 0.5, "peak_bytes": 8.0, "relative_error": 0.001}
    assert tables.cheapest(pairs[:2]) is None


def test_the_grid_marks_what_ran_out_of_memory_and_has_a_column_for_all(folder, settings, section):
    swept(folder, settings, 10, 5, 0.1, 0.05)
    swept(folder, settings, 10, 10, 0.2, 0.05)
    swept(folder, settings, 20, 10, 0.3, 0.01)
    swept(folder, settings, 20, "all", None, None, status="oom", message="out of memory")
    (pairs,) = tables.sweeps(section()).values()
    values, statuses = tables.sweep_grid(pairs, "seconds")
    assert list(values.columns) == ["5", "10", "all"]
    # 10 of 10 steps are all of them, and 10 is a batch size for 20 steps too.
    assert list(values.loc[10]) == [0.1, 0.2, 0.2]
    assert list(statuses.loc[20]) == ["", "ok", "oom"]
    assert values.loc[20].isna().tolist() == [True, False, True]


def test_one_undefined_metric_does_not_take_the_pair_with_it(folder, settings, section):
    rows = [
        {"node": 1, "metric": "relative_error", "value": 0.001},
        {"node": 1, "metric": "rank_correlation", "value": float("nan")},
    ]
    folder.add(
        "ig_sweep",
        settings("integrated_gradients", "batched", n_steps=50, internal_batch_size=5),
        runtime=[{"repeat": 0, "node": 1, "seconds": 0.5}],
        quality=rows,
    )
    ((pair,),) = tables.sweeps(section()).values()
    assert pair.status == "ok"
    assert tables.cheapest([pair]) is pair


# ---------------------------------------------------------------------------------------- scaling


def test_scaling_takes_the_time_of_one_node(folder, settings, section):
    rows = [
        {"repeat": repeat, "node": 1, "nodes": 2, "varied": "layers", "at": at, "seconds": seconds}
        for repeat, at, seconds in ((0, 2, 1.0), (1, 2, 3.0), (2, 2, 4.0), (0, 3, 8.0))
    ]
    folder.add("scaling", settings("ig", "stock"), runtime=rows)
    found = tables.scaling(section())
    assert list(found["at"]) == [2.0, 3.0]
    assert list(found["seconds"]) == [1.5, 4.0]
