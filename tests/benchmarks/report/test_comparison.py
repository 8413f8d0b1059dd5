"""Two runs compared: silent on the same code, on a busy machine, too; not on what became worse."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import benchmarks.__main__ as command_line
from benchmarks.report.data.comparison import compare
from benchmarks.store.cell import Cell
from benchmarks.store.codec import spread
from benchmarks.store.folder import load_all, write

RECORDED = Path(__file__).parent / "recorded"
LIMIT = 0.1
BOTH_WAYS = [("before", "after"), ("after", "before")]


def changed(source, target, change):
    """A copy of a folder with its cells altered, under the keys that they would have."""
    shutil.copytree(source, target)
    for cell in load_all(target / "cells")[0]:
        cell.quality = list(spread(cell.quality))
        change(cell)
        (target / "cells" / f"{cell.key}.json").unlink()
        write(target / "cells", Cell(cell.benchmark, cell.config, cell.inputs, **content(cell)))
    return target


def content(cell):
    names = ("status", "message", "runtime", "quality")
    return {name: getattr(cell, name) for name in names}


def slower(factor, **where):
    def change(cell):
        if all(cell.config[name] == value for name, value in where.items()):
            for row in cell.runtime:
                row["seconds"] *= factor

    return change


def with_inputs(**inputs):
    return lambda cell: cell.inputs.update(inputs)


def timed(folder, settings, method, engine, seconds):
    for repeat, value in enumerate(seconds):
        row = {"repeat": repeat, "node": repeat, "nodes": 1, "seconds": value}
        folder.add("runtime", settings(method, engine), part={"repeat": repeat}, runtime=[row])


# ---------------------------------------------------------------------------------- the same code


@pytest.mark.parametrize("kind", ["steady", "busy"])
@pytest.mark.parametrize(("first", "second"), BOTH_WAYS)
def test_two_runs_of_the_same_code_are_silent(kind, first, second):
    found = compare(RECORDED / kind / first, RECORDED / kind / second)
    assert len(found.times) >= 5
    assert all(change.judged for change in found.times)
    assert found.regressions(LIMIT) == []
    assert [change for change in found.times if change.better(LIMIT)] == []
    assert found.notes == []
    assert found.only == ([], [])


def test_a_seeded_metric_is_the_same_in_both_runs():
    found = compare(RECORDED / "busy" / "before", RECORDED / "busy" / "after")
    assert len(found.quality) > 30
    # Batches of another size add in another order.
    assert all(abs(change.change.value) < 1e-3 for change in found.quality)


# ------------------------------------------------------------------------------- what became worse


@pytest.mark.parametrize(("first", "second"), BOTH_WAYS)
@pytest.mark.parametrize("method", ["gnn_explainer", "integrated_gradients", "saliency"])
def test_a_method_that_became_a_fifth_slower_is_found(tmp_path, method, first, second):
    steady = RECORDED / "steady"
    after = changed(steady / second, tmp_path / "after", slower(1.2, method=method))
    found = compare(steady / first, after)
    (regression,) = found.regressions(LIMIT)
    assert method in regression.name
    assert regression.change.low < 0.2 < regression.change.high
    assert compare(after, steady / first).regressions(LIMIT) == []


def test_a_slowdown_within_the_limit_is_none(tmp_path):
    steady = RECORDED / "steady"
    after = changed(steady / "after", tmp_path / "after", slower(1.05, method="saliency"))
    assert compare(steady / "before", after).regressions(LIMIT) == []


def test_a_slowdown_of_everything_is_told_by_itself(tmp_path, capsys):
    steady = RECORDED / "steady"
    after = changed(steady / "after", tmp_path / "after", slower(1.5))
    plain = compare(steady / "before", steady / "after")
    found = compare(steady / "before", after)
    assert found.drift.value == pytest.approx(1.5 * plain.drift.value)
    assert found.regressions(LIMIT) == []
    assert command_line.main(["compare", str(steady / "before"), str(after)]) == 0
    told = capsys.readouterr().out
    assert "everything is slower, 1.4" in told
    assert "the machine, or code that all share" in told


def test_the_engines_are_measured_against_stock(folder, tmp_path, settings):
    # All that this project's own engines do became slower; stock, which is not its code, did not.
    rng = np.random.default_rng(0)
    for run, factor in (("before", 1.0), ("after", 1.3)):
        other = type(folder)(tmp_path / run)
        for method in "abcd":
            for engine, own in (("stock", 1.0), ("batched", factor)):
                timed(other, settings, method, engine, own * rng.lognormal(0, 0.01, 6))
    found = compare(tmp_path / "before", tmp_path / "after")
    assert found.drift.value == pytest.approx(1, abs=0.02)
    worse = [change.name for change in found.regressions(LIMIT)]
    assert sorted(worse) == [f"karate {method} batched" for method in "abcd"]


def test_too_few_methods_do_not_tell_machine_from_code(folder, tmp_path, settings):
    for run, factor in (("before", 1.0), ("after", 2.0)):
        other = type(folder)(tmp_path / run)
        timed(other, settings, "a", "stock", [factor] * 5)
    found = compare(tmp_path / "before", tmp_path / "after")
    assert [change.judged for change in found.times] == [False]
    assert found.drift.value == pytest.approx(2)
    assert found.regressions(LIMIT) == []


def test_a_quality_loss_is_found(tmp_path):
    def lose(cell):
        for row in cell.quality:
            if cell.config["method"] == "saliency" and row["metric"] == "fidelity+_prob":
                row["value"] -= 0.1

    busy = RECORDED / "busy"
    after = changed(busy / "after", tmp_path / "after", lose)
    found = compare(busy / "before", after).regressions(LIMIT)
    assert {change.what for change in found} == {
        "fidelity+_prob, k=10, mask, absolute",
        "fidelity+_prob, k=10, delete, absolute",
    }
    assert all("saliency" in change.name for change in found)
    assert compare(after, busy / "before").regressions(LIMIT) == []


@pytest.mark.parametrize(("metric", "worse"), [("gini", "before"), ("entropy", "after")])
def test_the_direction_of_a_metric_counts(folder, tmp_path, settings, metric, worse):
    for run, value in (("before", 0.4), ("after", 0.6)):
        other = type(folder)(tmp_path / run)
        other.quality("a", [value, value + 0.01, value], metric=metric, level="", semantics="")
    runs = {"after": ("before", "after"), "before": ("after", "before")}[worse]
    (found,) = compare(tmp_path / runs[0], tmp_path / runs[1]).regressions(LIMIT)
    assert found.what == metric
    assert compare(tmp_path / runs[1], tmp_path / runs[0]).regressions(LIMIT) == []


def test_rounding_is_no_loss(folder, tmp_path):
    for run, value in (("before", 1e-7), ("after", 5e-7)):
        other = type(folder)(tmp_path / run)
        other.quality("a", [value] * 3, metric="completeness", level="", semantics="")
    assert compare(tmp_path / "before", tmp_path / "after").regressions(LIMIT) == []


# ------------------------------------------------------------------------- what cannot be compared


@pytest.mark.parametrize(
    "inputs",
    [
        {"machine": {"cpu": "another", "threads": 2, "gpu": None}},
        {"versions": {"torch": "1.0"}},
    ],
)
def test_times_of_another_machine_or_version_judge_nothing(tmp_path, inputs):
    def change(cell):
        slower(3.0, method="saliency")(cell)
        with_inputs(**inputs)(cell)

    steady = RECORDED / "steady"
    after = changed(steady / "after", tmp_path / "after", change)
    found = compare(steady / "before", after)
    assert any(next(iter(inputs)) in note for note in found.notes)
    assert len(found.times) == 5
    assert found.regressions(LIMIT) == []


@pytest.mark.parametrize("name", ["dataset_sha256", "checkpoint_sha256"])
def test_other_data_or_weights_are_left_out(tmp_path, name):
    busy = RECORDED / "busy"
    after = changed(busy / "after", tmp_path / "after", with_inputs(**{name: "0" * 64}))
    found = compare(busy / "before", after)
    assert any("karate, model seed 0: other" in note for note in found.notes)
    assert (found.times, found.quality) == ([], [])


def test_what_is_in_one_run_only_is_named(tmp_path, capsys):
    def rename(cell):
        if cell.config["method"] == "saliency":
            cell.config["method"] = "new"

    steady = RECORDED / "steady"
    after = changed(steady / "after", tmp_path / "after", rename)
    assert compare(steady / "before", after).only == (
        ["runtime: ba-shapes saliency batched"],
        ["runtime: ba-shapes new batched"],
    )
    command_line.main(["compare", str(steady / "before"), str(after)])
    assert "only in B: runtime: ba-shapes new batched\n" in capsys.readouterr().out


# ------------------------------------------------------------------------------------ the command


def test_the_status_and_the_output_for_programs(tmp_path, capsys):
    steady = RECORDED / "steady"
    after = changed(steady / "after", tmp_path / "after", slower(1.2, method="saliency"))
    runs = [str(steady / "before"), str(after)]
    assert command_line.main(["compare", *runs]) == 1
    assert "WORSE: ba-shapes saliency batched, time (runtime): +2" in capsys.readouterr().out
    assert command_line.main(["compare", *runs, "--fail-on", "50%"]) == 0
    capsys.readouterr()
    assert command_line.main(["compare", *runs, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in found["regressions"]] == ["ba-shapes saliency batched"]
    assert found["limit"] == 0.1


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("-1%", "--fail-on -1%: must be a share of 0 or more"),
        ("much", "--fail-on much: must be a share of 0 or more"),
        ("nan", "--fail-on nan: must be a share of 0 or more"),
        ("10", "--fail-on 10: is 1000%; write 10%, or 1000% if that is meant"),
    ],
)
def test_a_limit_that_is_none(limit, message, capsys):
    steady = RECORDED / "steady"
    runs = [str(steady / "before"), str(steady / "after")]
    assert command_line.main(["compare", *runs, f"--fail-on={limit}"]) == 2
    assert message in capsys.readouterr().err


def test_runs_that_share_nothing_end_in_one_line(tmp_path, capsys):
    def move(cell):
        cell.config["task"] = "elsewhere"

    before = RECORDED / "steady" / "before"
    after = changed(RECORDED / "steady" / "after", tmp_path / "after", move)
    assert command_line.main(["compare", str(before), str(after)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "have no configuration in common" in printed.err


def test_no_results_folder(tmp_path, capsys):
    (tmp_path / "empty" / "cells").mkdir(parents=True)
    good = RECORDED / "steady" / "before"
    for wrong, message in (("none", "no results folder"), ("empty", "there is no cell in it")):
        assert command_line.main(["compare", str(good), str(tmp_path / wrong)]) == 2
        assert f"{tmp_path / wrong}: {message}" in capsys.readouterr().err
