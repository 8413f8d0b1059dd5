"""The sweep over steps and batch sizes, on cells whose answers are known."""

from benchmarks.report.data import steps


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
