"""Cells to tidy frames: columns, order, failures, what is missing."""

import json

import pandas as pd
import pytest

from benchmarks.report.data.frames import QUALITY, RUNTIME, load, natural, quality_frame
from benchmarks.report.data.section import split
from benchmarks.store.cell import Cell


def test_columns_are_the_published_ones(folder):
    results = load(folder.path)
    assert list(results.quality.columns) == list(QUALITY)
    assert ",".join(QUALITY) == (
        "benchmark,task,model,model_seed,method,engine,options,device,node,metric,level,semantics,"
        "selection,other,value,status,message"
    )
    assert list(results.runtime.columns) == list(RUNTIME)
    assert ",".join(RUNTIME) == (
        "benchmark,task,model,model_seed,method,engine,options,device,n_steps,internal_batch_size,"
        "repeat,node,nodes,seconds,peak_bytes,varied,at,status,message"
    )


def test_a_cell_from_when_there_were_gcns_only_is_one(folder, settings):
    folder.quality("saliency", [0.1])
    folder.add("quality", {**settings("random"), "model": "gat"}, quality=[{"value": 0.2}])
    results = load(folder.path)
    kinds = results.quality.groupby("method")["model"].unique()
    assert [list(kinds[name]) for name in ("saliency", "random")] == [["gcn"], ["gat"]]
    titles = [section.title for section in split(results)]
    assert titles == ["karate (gat)", "karate (gcn)"]


def test_a_row_has_its_cell_and_what_is_missing_is_empty(folder, settings):
    folder.add(
        "ig_sweep",
        settings("integrated_gradients", "batched", n_steps=50, internal_batch_size=10),
        runtime=[{"repeat": 0, "node": 3, "seconds": 0.5}],
        quality=[{"node": 3, "metric": "gini", "value": 0.25}],
    )
    results = load(folder.path)
    (timing,) = results.runtime.to_dict("records")
    assert timing["options"] == '{"internal_batch_size": 10, "n_steps": 50}'
    assert (timing["n_steps"], timing["internal_batch_size"], timing["node"]) == (50, 10, 3)
    assert (timing["seconds"], timing["varied"], timing["status"]) == (0.5, "", "ok")
    assert results.runtime["peak_bytes"].isna().all()
    (score,) = results.quality.to_dict("records")
    assert (score["metric"], score["level"], score["semantics"]) == ("gini", "", "")
    assert score["value"] == 0.25


def test_older_rows_selected_by_absolute_score_where_an_order_matters(folder, settings):
    rows = [
        {"metric": "a", "level": "k=1", "value": 0.0},
        {"metric": "b", "semantics": "mask", "value": 0.0},
        {"metric": "auroc", "value": 0.0},
        {"metric": "gini", "value": 0.0},
        {"metric": "new", "level": "k=1", "selection": "signed", "value": 0.0},
        {"metric": "none", "level": "k=1", "selection": "", "value": 0.0},
    ]
    folder.add("quality", settings(), quality=rows)
    quality = load(folder.path).quality
    assert dict(zip(quality["metric"], quality["selection"], strict=True)) == {
        **{"a": "absolute", "b": "absolute", "auroc": "absolute", "gini": ""},
        **{"new": "signed", "none": ""},
    }


def test_all_at_once_is_the_number_of_steps(folder, settings):
    options = {"n_steps": 20, "internal_batch_size": "all"}
    folder.add("ig_sweep", settings(**options), runtime=[{"seconds": 1.0}])
    runtime = load(folder.path).runtime
    assert list(runtime["internal_batch_size"]) == [20]
    assert json.loads(runtime["options"][0]) == options


def test_a_list_of_values_is_as_many_rows(folder, settings):
    lists = [
        {"node": [10, 9, 9], "metric": "a", "level": "k=1", "value": [0.5, None, 1]},
        {"node": 3, "metric": "b", "value": 2.0},
    ]
    rows = [
        {"node": node, "metric": "a", "level": "k=1", "value": value}
        for node, value in ((10, 0.5), (9, None), (9, 1))
    ]
    cells = [Cell("quality", settings(), quality=quality) for quality in (lists, [*rows, lists[1]])]
    joined, single = (quality_frame([cell]) for cell in cells)
    pd.testing.assert_frame_equal(joined, single)
    assert list(joined["node"]) == [3, 9, 9, 10]
    assert joined["value"].fillna(-1).tolist() == [2, -1, 1, 0.5]


@pytest.mark.parametrize("kind", ["runtime", "quality", "ig_sweep"])
def test_a_failed_cell_without_rows_is_one_row(folder, settings, kind):
    folder.add(kind, settings(), status="oom", message="no memory left")
    results = load(folder.path)
    assert results.quality.empty
    (row,) = results.runtime.to_dict("records")
    assert (row["benchmark"], row["status"]) == (kind, "oom")
    assert row["message"] == "no memory left"


def test_a_failed_cell_marks_its_rows(folder, settings):
    rows = [{"node": 1, "metric": "gini", "value": 0.5}]
    folder.add("quality", settings(), status="error", message="broke", quality=rows)
    results = load(folder.path)
    assert list(results.quality["status"]) == ["error"]
    assert list(results.quality["message"]) == ["broke"]
    assert results.runtime.empty


def test_a_rows_own_status_wins_and_the_cells_failure_is_still_reported(folder, settings):
    rows = [{"node": 1, "seconds": 0.5, "status": "ok"}]
    folder.add("runtime", settings(), status="error", message="broke later", runtime=rows)
    runtime = load(folder.path).runtime
    assert sorted(runtime["status"]) == ["error", "ok"]
    assert list(runtime[runtime["status"] == "ok"]["message"]) == [""]
    assert list(runtime[runtime["status"] == "error"]["message"]) == ["broke later"]


def test_a_value_that_is_not_finite_is_a_failed_row(folder):
    folder.quality("saliency", [0.5, float("nan")])
    quality = load(folder.path).quality
    assert list(quality["status"]) == ["ok", "error"]
    assert list(quality["message"]) == ["", "1 value not finite, written as null"]


def test_rows_are_ordered_by_what_they_are_not_by_when_they_came(folder, settings):
    rows = [
        {"node": node, "metric": "m", "level": level, "value": 0.0}
        for node in (10, 9)
        for level in ("f=100%", "f=5%", "f=10%")
    ]
    folder.add("quality", settings("b"), quality=rows)
    folder.add("quality", settings("a"), quality=rows[::-1])
    quality = load(folder.path).quality
    found = list(zip(quality["method"], quality["node"], quality["level"], strict=True))
    levels = ("f=5%", "f=10%", "f=100%")
    assert found == [(m, node, level) for m in "ab" for node in (9, 10) for level in levels]


def test_rounds_keep_their_order(folder, settings):
    rows = [{"repeat": 0, "node": 1, "seconds": seconds} for seconds in (3.0, 1.0, 2.0)]
    folder.add("runtime", settings(), runtime=rows)
    assert list(load(folder.path).runtime["seconds"]) == [3.0, 1.0, 2.0]


def test_numbers_in_names_are_numbers():
    assert sorted(["k=10", "k=2", "f=5%", "", "10", "x"], key=natural) == [
        *("", "10", "f=5%", "k=2", "k=10", "x")
    ]


@pytest.mark.parametrize(
    ("text", "problem"), [("{", "could not be read"), ("[]", "it holds a list"), (None, "is none")]
)
def test_a_manifest_that_cannot_be_read_is_reported(folder, text, problem):
    (folder.path / "manifest.json").unlink()
    if text is not None:
        (folder.path / "manifest.json").write_text(text)
    results = load(folder.path)
    assert results.manifest == {}
    assert problem in results.problems[0]


def test_older_runs_names_of_what_a_method_says_of_itself_are_aliased(folder):
    old = {"name": "degree", "gives": ["edges"], "asks_model": False, "asks_target": False}
    folder.manifest(methods=[old])
    (entry,) = load(folder.path).manifest["methods"]
    assert entry == {
        "name": "degree",
        "granularity": ["edges"],
        "model_dependent": False,
        "target_dependent": False,
    }


def test_a_torn_cell_is_reported_and_left_where_it_is(folder):
    (folder.path / "cells" / "0123456789abcdef.json").write_text("{")
    (problem,) = load(folder.path).problems
    assert "0123456789abcdef.json" in problem
    assert (folder.path / "cells" / "0123456789abcdef.json").exists()


def test_the_selection_of_cells_from_before_there_was_one():
    rows = [
        {"node": 0, "metric": "fidelity+_prob", "level": "k=10", "semantics": "mask", "value": 1.0},
        {"node": 0, "metric": "infidelity", "level": "", "semantics": "mask", "value": 1.0},
        {"node": 0, "metric": "auroc", "level": "", "semantics": "", "value": 1.0},
        {"node": 0, "metric": "gini", "level": "", "semantics": "", "value": 1.0},
    ]
    given = [
        {**rows[0], "selection": "signed"},
        {**rows[1], "selection": ""},
    ]
    old = quality_frame([Cell("quality", {"task": "old"}, quality=rows)])
    found = old.set_index("metric")["selection"].to_dict()
    absolute = ("fidelity+_prob", "infidelity", "auroc")
    assert found == {**dict.fromkeys(absolute, "absolute"), "gini": ""}
    new = quality_frame([Cell("quality", {"task": "new"}, quality=given)])
    assert new.set_index("metric")["selection"].to_dict() == {
        "fidelity+_prob": "signed",
        "infidelity": "",
    }
