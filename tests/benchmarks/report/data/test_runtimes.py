"""What the methods cost, on cells whose answers are known."""

import math

import numpy as np
import pytest

from benchmarks.report.data import runtimes


def timed(folder, settings, seconds, **row):
    """A runtime cell for each repeat; every repeat has another node."""
    for repeat, value in enumerate(seconds):
        rows = [{"repeat": repeat, "node": 10 + repeat, "nodes": 1, "seconds": value} | row]
        folder.add("runtime", settings, part={"repeat": repeat}, runtime=rows)


def test_speedups_are_paired_within_a_repeat(folder, settings, section):
    # The machine slows down a hundredfold; the ratio is 4 in every repeat all the same.
    pace = np.array([1.0, 10.0, 100.0])
    timed(folder, settings("saliency"), 4 * pace)
    timed(folder, settings("saliency", "batched"), pace)
    fast, slow = runtimes.timings(section())
    assert (fast.engine, slow.engine) == ("batched", "stock")
    assert slow.over_stock is None
    assert fast.over_stock.value == pytest.approx(4)
    assert (fast.over_stock.low, fast.over_stock.high) == (pytest.approx(4), pytest.approx(4))
    assert (fast.over_stock.n, fast.nodes) == (3, 3)
    assert (fast.seconds, slow.seconds) == (10.0, 40.0)


def test_a_repeat_that_only_one_method_has_is_no_pair(folder, settings, section):
    for engine, seconds in (("stock", (4.0, 400.0)), ("batched", (1.0,))):
        for repeat, value in enumerate(seconds):  # the same node each time
            row = {"repeat": repeat, "node": 10, "seconds": value}
            given = settings("saliency", engine)
            folder.add("runtime", given, part={"repeat": repeat}, runtime=[row])
    fast = runtimes.timings(section())[0]
    assert fast.over_stock.value == pytest.approx(4)


def test_rounds_count_once_by_their_median(folder, settings, section):
    timed(folder, settings("saliency"), [1.0])
    rows = [{"repeat": 0, "node": 10, "seconds": value} for value in (0.5, 0.25, 0.1)]
    folder.add("runtime", settings("saliency", "batched"), runtime=rows)
    fast = runtimes.timings(section())[0]
    assert (fast.seconds, fast.nodes) == (0.25, 1)
    assert fast.over_stock.value == pytest.approx(4)
    assert math.isnan(fast.over_stock.low)


def test_the_nodes_of_one_call_share_its_time(folder, settings, section):
    timed(folder, settings("integrated_gradients"), [8.0], nodes=4)
    assert runtimes.timings(section())[0].seconds == 2.0


def test_fitting_is_not_part_of_an_explanation(folder, settings, section):
    timed(folder, settings("pg_explainer"), [1.0])
    fit = {"repeat": 0, "node": 10, "seconds": 600.0, "varied": "fit"}
    folder.add("runtime", settings("pg_explainer"), part={"fit": 0}, runtime=[fit])
    here = section()
    assert [timing.seconds for timing in runtimes.timings(here)] == [1.0]
    assert runtimes.fits(here) == [("pg_explainer", "stock", 600.0, 1)]


def test_failed_and_impossible_times_are_left_out(folder, settings, section):
    timed(folder, settings("a"), [1.0])
    rows = [
        {"repeat": 1, "node": 11, "seconds": 5.0, "status": "oom"},
        {"repeat": 2, "node": 12, "seconds": 0.0},
        {"repeat": 3, "node": 13, "seconds": None},
    ]
    folder.add("runtime", settings("a"), part={"more": 1}, runtime=rows)
    (timing,) = runtimes.timings(section())
    assert (timing.seconds, timing.nodes) == (1.0, 1)


def test_the_front_holds_what_nothing_beats(folder, settings, section):
    points = [(1.0, 0.1), (2.0, 0.3), (3.0, 0.2), (4.0, 0.5), (2.0, 0.2), (5.0, 0.5)]
    for number, (seconds, fidelity) in enumerate(points):
        folder.quality(f"m{number}", [fidelity, fidelity])
        timed(folder, settings(f"m{number}"), [seconds])
    found = runtimes.tradeoffs(section())
    assert [one.label for one in found if one.front] == ["m0", "m1", "m3"]
    assert [one.seconds for one in found] == sorted(seconds for seconds, _ in points)


def test_what_was_scored_costs_what_its_fastest_variant_does(folder, settings, section):
    folder.quality("a", [0.1, 0.2])
    timed(folder, settings("a"), [9.0])
    for size, seconds in ((1, 4.0), (10, 2.0)):
        timed(folder, settings("a", "batched", internal_batch_size=size), [seconds])
    costs = runtimes.costs(section(), "a")
    assert [(one.engine, one.seconds) for one in costs] == [("batched", 2.0), ("stock", 9.0)]


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
    single, bulk = runtimes.engine_ratios(section())
    assert (single.label, single.engine, single.at_once) == ("ig", "batched", 1)
    assert single.ratio.value == pytest.approx(4)  # of 2 and 8
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
    found = {one.label: one.ratio.value for one in runtimes.engine_ratios(section())}
    assert found == {"ig": pytest.approx(10), "fidelity_curve": pytest.approx(3)}


def test_an_engine_has_a_ratio_over_each_baseline(folder, settings, section):
    for repeat in range(3):
        engine_cell(folder, settings("ig", "stock"), repeat, 60.0, repeat)
        engine_cell(folder, settings("ig", "k-hop by hand"), repeat, 6.0, repeat)
        engine_cell(folder, settings("ig", "batched"), repeat, 3.0, repeat)
        engine_cell(folder, settings("saliency", "stock"), repeat, 8.0, repeat)
        engine_cell(folder, settings("saliency", "batched"), repeat, 2.0, repeat)
    found = {(one.label, one.engine): one for one in runtimes.engine_ratios(section())}
    assert found["ig", "batched"].ratio.value == pytest.approx(20)
    assert found["ig", "batched"].over_hand.value == pytest.approx(2)
    assert found["ig", "k-hop by hand"].ratio.value == pytest.approx(10)
    assert found["ig", "k-hop by hand"].over_hand is None  # it is the baseline
    assert found["saliency", "batched"].over_hand is None  # never over another method


def test_many_at_once_against_one_by_one(folder, settings, section):
    """A mean of times, as all nodes cost what their sum is; stock explained two nodes of three."""
    for repeat, (stock, hand) in enumerate(((8.0, 1.0), (40.0, 2.0), (None, 6.0))):
        if stock:
            engine_cell(folder, settings("ig", "stock"), repeat, stock, repeat)
        engine_cell(folder, settings("ig", "k-hop by hand"), repeat, hand, repeat)
        engine_cell(folder, settings("ig", "batched"), repeat, 2.0, repeat)
        by_hand = settings("ig", "k-hop by hand", bulk=10)
        engine_cell(folder, by_hand, repeat, 5.0, repeat, nodes=10)
        engine_cell(folder, settings("ig", "batched", bulk=10), repeat, 2.5, repeat, nodes=10)
        engine_cell(folder, settings("ig", "analytic", bulk=100), repeat, 5.0, repeat, nodes=100)
    found = {(one.engine, one.at_once): one for one in runtimes.engine_ratios(section())}
    alone, some, all_ = (found[key] for key in (("batched", 1), ("batched", 10), ("analytic", 100)))
    assert (alone.ratio.value, alone.ratio.n) == (pytest.approx(80**0.5), 2)  # 4 and 20
    assert (alone.over_hand.value, alone.over_hand.n) == (pytest.approx(1.5 ** (1 / 3)), 3)
    assert (some.ratio.value, some.ratio.n) == (pytest.approx(24 / 0.25), 2)
    assert (some.over_hand.value, some.over_hand.n) == (pytest.approx(12), 3)
    assert (all_.ratio.value, all_.over_hand.value) == (pytest.approx(480), pytest.approx(60))
    assert found["k-hop by hand", 10].ratio.value == pytest.approx(24 / 0.5)
    assert found["k-hop by hand", 10].over_hand.value == pytest.approx(6)
    assert (some.seconds, found["k-hop by hand", 1].over_hand) == (0.25, None)


def test_a_method_is_timed_against_its_own_stock_alone(folder, settings, section):
    timed(folder, settings("integrated_gradients"), [90.0, 90.0])
    for size, seconds in ((1, 45.0), (10, 9.0)):
        options = {"internal_batch_size": size}
        timed(folder, settings("integrated_gradients", "batched", **options), [seconds] * 2)
    timed(folder, settings("page_rank", "batched"), [0.1, 0.1])
    found = {(one.label, one.engine): one.over_stock for one in runtimes.timings(section())}
    assert found["page_rank", "batched"] is None
    assert found["integrated_gradients", "stock"] is None
    ratio = found["integrated_gradients (internal_batch_size=10)", "batched"]
    assert ratio.value == pytest.approx(10)


def test_without_stock_there_is_no_ratio(folder, settings, section):
    engine_cell(folder, settings("ig", "batched"), 0, 1.0, 5)
    assert runtimes.engine_ratios(section()) == []


def test_scaling_takes_the_time_of_one_node(folder, settings, section):
    rows = [
        {"repeat": repeat, "node": 1, "nodes": 2, "varied": "layers", "at": at, "seconds": seconds}
        for repeat, at, seconds in ((0, 2, 1.0), (1, 2, 3.0), (2, 2, 4.0), (0, 3, 8.0))
    ]
    folder.add("scaling", settings("ig", "stock"), runtime=rows)
    found = runtimes.scaling(section())
    assert list(found["at"]) == [2.0, 3.0]
    assert list(found["seconds"]) == [1.5, 4.0]
