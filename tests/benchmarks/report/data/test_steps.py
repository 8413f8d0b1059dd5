"""The sweep over steps and batch sizes, on cells whose answers are known."""

from benchmarks.report.data import steps
from benchmarks.report.sections.cost import cheapest_setting


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
    ((key, pairs),) = steps.sweeps(section()).items()
    assert key == ("integrated_gradients", "batched")
    best = steps.cheapest(pairs)
    assert (best.n_steps, best.batch) == (50, 5)
    assert best.values == {"seconds": 0.5, "peak_bytes": 8.0, "relative_error": 0.001}
    assert steps.cheapest(pairs[:2]) is None


def test_the_grid_marks_what_ran_out_of_memory_and_has_a_column_for_all(folder, settings, section):
    swept(folder, settings, 10, 5, 0.1, 0.05)
    swept(folder, settings, 10, 10, 0.2, 0.05)
    swept(folder, settings, 20, 10, 0.3, 0.01)
    swept(folder, settings, 20, "all", None, None, status="oom", message="out of memory")
    (pairs,) = steps.sweeps(section()).values()
    values, statuses = steps.sweep_grid(pairs, "seconds")
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
    ((pair,),) = steps.sweeps(section()).values()
    assert pair.status == "ok"
    assert steps.cheapest([pair]) is pair


def repeated(folder, settings, steps, batch, times, error=0.001):
    """One cell a repeat, each of another node, as the sweep makes them."""
    for repeat, seconds in enumerate(times):
        folder.add(
            "ig_sweep",
            settings("integrated_gradients", "batched", n_steps=steps, internal_batch_size=batch),
            part={"repeat": repeat},
            runtime=[{"repeat": repeat, "node": repeat, "seconds": seconds}],
            quality=[{"node": repeat, "metric": "relative_error", "value": error}],
        )


def test_repeats_that_scatter_recommend_nothing(folder, settings, section):
    """As in a published sweep of BA-Shapes: 0.2 to 35.8 s for one setting."""
    repeated(folder, settings, 50, 5, [0.2, 4.0, 0.3, 35.8, 0.2])
    repeated(folder, settings, 100, 5, [1.0, 1.1, 0.9, 1.0, 1.0])
    repeated(folder, settings, 200, 5, [2.0, 2.0, 2.1, 2.0, 1.9])
    (found,) = steps.sweeps(section()).values()
    assert steps.cheapest(found) is None
    sentence = cheapest_setting(found)
    assert sentence.startswith("No setting is recommended: the repeats of one setting are a factor")


def test_nodes_of_other_sizes_are_no_scatter(folder, settings, section):
    size = [1.0, 30.0, 3.0, 0.2, 9.0]
    for n_steps, cost in ((50, 1.0), (100, 1.9), (200, 3.8)):
        repeated(folder, settings, n_steps, 5, [cost * one for one in size])
    (found,) = steps.sweeps(section()).values()
    assert [one.scatter < 1.01 for one in found] == [True] * 3
    assert steps.cheapest(found).n_steps == 50


def test_a_time_that_falls_as_steps_rise_recommends_nothing(folder, settings, section):
    repeated(folder, settings, 50, 5, [1.0, 1.0])
    repeated(folder, settings, 200, 5, [0.5, 0.5])
    (found,) = steps.sweeps(section()).values()
    assert steps.cheapest(found) is None
    assert "the time falls as the steps rise, from 50 to 200 at batch size 5" in steps.caution(
        found
    )


def test_the_advice_is_for_the_engine_that_runs(folder, settings, section):
    rows = [{"node": 1, "metric": "fidelity+_prob", "value": 0.1}]
    folder.add("quality", settings("integrated_gradients", "analytic"), quality=rows)
    repeated(folder, settings, 50, 5, [1.0, 1.0])
    (found,) = steps.sweeps(section()).values()
    assert cheapest_setting(found).startswith(
        "Leave the default, engine analytic, with n_steps = 50 or more; on batched, the cheapest "
    )


def test_steps_are_enough_only_if_no_more_are_worse(folder, settings, section):
    for n_steps, error in ((10, 0.001), (20, 0.01), (50, 0.005), (100, 0.001)):
        for batch in (1, 5):
            swept(folder, settings, n_steps, batch, 1.0 * n_steps, error)
    (found,) = steps.sweeps(section()).values()
    assert steps.errors_by_steps(found) == {10: 0.001, 20: 0.01, 50: 0.005, 100: 0.001}
    assert steps.steps_needed(found) == 50
    assert steps.steps_needed(found, 0.001) is None
