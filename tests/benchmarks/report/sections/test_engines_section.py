"""The table of the engines: all tasks, networks and depths in one."""

from __future__ import annotations

import json

from benchmarks.report.data.frames import load
from benchmarks.report.data.section import split
from benchmarks.report.sections import engines


def cell(folder, model, method, engine, seconds, *, nodes=1, peak=None, error=None, **options):
    """One node after the other, each a repeat; or the same many in each repeat."""
    for repeat, one in enumerate(seconds):
        config = {
            **{"task": "twitch-en", "model": model, "model_seed": 0, "device": "cpu"},
            **{"method": method, "engine": engine, "options": options},
        }
        row = {"repeat": repeat, "node": repeat, "nodes": nodes, "seconds": one, "peak_bytes": peak}
        values = {} if error is None else {"equality_error": error, "over_budget": 0.5}
        quality = [{"node": repeat, "metric": k, "value": v} for k, v in values.items()]
        folder.add("engines", config, part={"repeat": repeat}, runtime=[row], quality=quality)


def test_each_engine_has_both_ratios_by_network_and_depth(folder):
    for model, slower in (("gcn", 1), ("gcn3", 10)):
        cell(folder, model, "saliency", "stock", [8.0 * slower, 2.0 * slower])
        cell(folder, model, "saliency", "k-hop by hand", [2.0, 2.0, 2.0])
        cell(folder, model, "saliency", "batched", [1.0, 1.0, 1.0], peak=2e6, error=1e-7)
    cell(folder, "gcn", "saliency", "batched", [10.0], nodes=100, bulk=100)
    cell(folder, "gcn", "attention", "stock", [1.0])
    cell(folder, "gcn", "attention", "batched", [0.5])
    entries = [
        {"name": "twitch-en", "model": model, "layers": layers}
        for model, layers in (("gcn", 2), ("gcn3", 3))
    ]
    manifest = json.loads((folder.path / "manifest.json").read_text())
    folder.manifest(**{**manifest, "tasks": entries})
    results = load(folder.path)
    sections = split(results)
    assert engines.alone(sections)
    heading, table = engines.engines(sections, results.manifest)
    (best,) = engines.fastest(sections, results.manifest)
    assert engines.answers(sections) == [
        "saliency, one explanation a call on the fastest engine: 4× to 40× as fast as Captum and "
        "PyG as published (stock) and 2× as fast as k-hop by hand; 2 pairs of a task and a network."
    ]
    assert (heading.text, len(table.header)) == ("Engines", 14)
    assert "is no method" not in best.caption
    for engine, seconds in (("stock", [4.0]), ("batched", [1.0])):
        cell(folder, "gcn", "fidelity_curve", engine, seconds)
    (with_curves,) = engines.fastest(split(load(folder.path)), results.manifest)
    assert " fidelity_curve is no method: it is both fidelities of a " in with_curves.caption
    hand, dash = "k-hop by hand", "–"
    batched = ["1 s", "2 MB", "0.5", "1e-07", dash]
    nothing = [dash] * 4
    assert [[entry.text for entry in row] for row in table.rows] == [
        [*("twitch-en", "gcn", "2", "attention", "batched", "1", "2×"),
         *(dash, "1 / –", "500 ms", *nothing)],
        [*("twitch-en", "gcn", "2", "saliency", hand, "1", "2× [1×, 4×]"),
         *("1× (reference)", "2 / –", "2 s", *nothing)],
        [*("twitch-en", "gcn", "2", "saliency", "batched", "1", "4× [2×, 8×]"),
         *("2× [2×, 2×]", "2 / 3", *batched)],
        [*("twitch-en", "gcn", "2", "saliency", "batched", "100", "50× [20×, 80×]"),
         *("20× [20×, 20×]", "2 / 3", "100 ms", *nothing)],
        [*("twitch-en", "gcn", "3", "saliency", hand, "1", "20× [10×, 40×]"),
         *("1× (reference)", "2 / –", "2 s", *nothing)],
        [*("twitch-en", "gcn", "3", "saliency", "batched", "1", "40× [20×, 80×]"),
         *("2× [2×, 2×]", "2 / 3", *batched)],
    ]  # fmt: skip
    by_hand = [row for row in table.rows if row[4].text == hand]
    assert best.rows == [row[:9] for row in table.rows if row not in by_hand]


def test_the_fastest_engine_stands_first(folder):
    for engine, seconds in (("stock", 8.0), ("k-hop by hand", 0.5), ("batched", 2.0)):
        cell(folder, "gcn", "saliency", engine, [seconds] * 3)
    cell(folder, "gcn", "saliency", "hoisted", [1.0] * 3)
    results = load(folder.path)
    (best,) = engines.fastest(split(results), results.manifest)
    assert [(row[4].text, row[6].text[:2]) for row in best.rows] == [("hoisted", "8×")]


def test_nothing_is_said_where_no_engine_was_compared(folder):
    folder.quality("saliency", [0.5, 0.7])
    results = load(folder.path)
    assert list(engines.engines(split(results), results.manifest)) == []
