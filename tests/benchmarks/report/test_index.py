"""The page about all results folders: its leaderboard is that of the folders' own cells."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import benchmarks.__main__ as command_line
from benchmarks.report import index
from benchmarks.report.data import frames, published, quality
from benchmarks.report.data.section import split
from benchmarks.report.render.blocks import Caution, Items, Table
from benchmarks.report.sections.guide import PARTS
from benchmarks.report.sections.leaderboard import leaderboard
from benchmarks.report.sections.verdict import HEADLINES
from benchmarks.store.cell import Cell
from benchmarks.store.folder import write

RECORDED = Path(__file__).parent / "recorded" / "busy" / "after"
GAIN = {"ig": 0.30, "occlusion": 0.295, "saliency": 0.1, "random": 0.0}
METHODS = [
    {"name": "ig", "needs_gradients": True, "needs_fit": False},
    {"name": "occlusion", "needs_gradients": False, "needs_fit": False},
    {"name": "pyg_ig", "needs_gradients": False, "needs_fit": False, "beside": "ig"},
    {"name": "random", "needs_gradients": False, "model_dependent": False},
    {"name": "saliency", "needs_gradients": True, "needs_fit": True},
]


@pytest.fixture
def publish(tmp_path):
    """The function that adds a results folder, with quality or times, to ``results``."""

    def publish(name, tasks=(), *, nodes=24, seeds=1, signed=True, gains=GAIN, **changes):
        folder = tmp_path / "results" / name
        (folder / "cells").mkdir(parents=True)
        known = json.loads((RECORDED / "manifest.json").read_text())
        described = [
            {"name": key, "title": word, "direction": "up" if word == "fidelity+" else "down"}
            | {"bounds": [-1, 1], "selection": "signed" if signed else None}
            for key, word in HEADLINES.items()
        ]
        levels = {"karate": "node", "molecules": "graph", "mutag": None}  # older ones do not say
        named = [
            {"name": task, "model": model}
            | ({"task_level": level} if (level := levels.get(task, "node")) else {})
            for task, model in tasks
        ]
        manifest = known | {"created": name[:10], "dirty": False, "tasks": named}
        manifest |= {"methods": METHODS, "metrics": described}
        (folder / "manifest.json").write_text(json.dumps(manifest | changes))
        rng = np.random.default_rng(0)
        for task, model in tasks:
            for seed in range(seeds):
                base = rng.uniform(0.1, 0.5, nodes)
                for method, gain in gains.items():
                    values = base + gain + rng.normal(0, 0.02, nodes)
                    config = {"task": task, "model": model, "model_seed": seed, "method": method}
                    rows = [
                        {"node": node, "metric": metric, "level": "f=20%", "semantics": "mask"}
                        | {"value": float(value if metric == "fidelity+_prob" else 1 - value)}
                        | ({"selection": "signed"} if signed else {})
                        for metric in HEADLINES
                        for node, value in enumerate(values)
                    ]
                    config |= {"engine": "batched", "options": {}, "device": "cpu"}
                    write(folder / "cells", Cell("quality", config, {}, quality=rows))
        return folder

    return publish


def add_time(folder, method, seconds, *, engine="batched", at_once=1, benchmark="runtime"):
    config = {"task": "karate", "model": "gcn", "model_seed": 0, "method": method}
    config |= {"engine": engine, "options": {}, "device": "cpu"}
    for repeat in range(3):
        row = {"repeat": repeat, "node": repeat, "nodes": at_once, "seconds": seconds * at_once}
        part = {"part": {"repeat": repeat, "at": at_once}}
        write(folder / "cells", Cell(benchmark, config, part, runtime=[row]))


def read(root):
    """The runs and what is merged of them."""
    runs = [index._read(place, 0.01) for place in published.folders(root)]
    return runs, published.merge(runs)


def page(root):
    runs, merged = read(root)
    return list(leaderboard(runs, merged, {run.name: "sum" for run in runs}, "command"))


def part(root, name):
    runs, merged = read(root)
    found = list(PARTS[name](runs, merged, {run.name: "sum" for run in runs}))
    texts = [text for block in found if isinstance(block, Items) for text in block.texts]
    texts += [block.text for block in found if hasattr(block, "text")]
    rows = [
        [one.text for one in row] for block in found if hasattr(block, "rows") for row in block.rows
    ]
    return " ".join(texts), rows


def board(blocks, start):
    """A table of the page by its caption's start: method -> task -> entry."""
    table = next(one for one in blocks if isinstance(one, Table) and one.caption.startswith(start))
    return {
        row[0].text.partition(" (")[0]: dict(zip(table.header[1:], row[1:], strict=True))
        for row in table.rows
    }


def test_the_leaderboard_is_that_of_the_folders_own_cells(publish, tmp_path):
    """Means, marks and ‡ are those of each folder's own standings; on recorded cells, too."""
    publish("2026-02-01-quality", [("karate", "gcn"), ("cora", "gcn")], seeds=2)
    recorded = tmp_path / "old"
    shutil.copytree(RECORDED, recorded / "recorded")
    for root, known in ((tmp_path / "results", 2), (recorded, 1)):
        blocks, compared = page(root), 0
        for folder in published.folders(root):
            for section in split(frames.load(folder)):
                for name in HEADLINES:
                    start = section.metrics[name].heading
                    standings = quality.compare(section, name, "f=20%", "mask")
                    shown = board(blocks, start)
                    assert set(shown) == set(standings)
                    for method, standing in standings.items():
                        entry = shown[method][section.title]
                        assert entry.value == standing.mean.value
                        assert entry.mark == standing.mark
                        assert ("‡" in entry.text) == standing.not_better_than_random
                    compared += 1
        assert compared == 2 * known


def test_ties_are_ties_and_the_baseline_is_marked(publish, tmp_path):
    publish("2026-02-01-quality", [("karate", "gcn")])
    blocks = page(tmp_path / "results")
    shown = board(blocks, "fidelity+")
    assert {method: row["karate"].mark for method, row in shown.items()} == {
        **{"ig": "best", "occlusion": "tied"},
        **{"saliency": "", "random": ""},
    }
    assert [row["best or tied ↑"].text for row in shown.values()] == [
        "2 of 2",
        "2 of 2",
        "0 of 2",
        "–",
    ]
    table = next(one for one in blocks if isinstance(one, Table))
    assert table.rows[-1][0].text == "random (random baseline)"
    assert "there are 2 (fidelity+ and fidelity- of each task)" in table.caption
    (sentences,) = (one.texts for one in blocks if isinstance(one, Items))
    assert "several tied with the best on karate" in sentences[1]


def test_a_winner_is_named_first_and_how_many_it_was_compared_with(publish, tmp_path):
    publish("2026-02-01-quality", [("karate", "gcn")])
    alone = {"ig": 0.3, "saliency": 0.1, "occlusion": 0.05, "random": 0.0}
    publish("2026-02-02-quality", [("molecules", "gcn")], gains=alone)
    (sentences,) = (one.texts for one in page(tmp_path / "results") if isinstance(one, Items))
    assert sentences[1] == (
        "Best in fidelity+: ig on molecules, significantly better than the 2 other methods; "
        "several tied with the best on karate."
    )


def test_an_older_protocol_is_listed_and_left_out_of_the_leaderboard(publish, tmp_path):
    publish("2026-01-01-old", [("karate", "gcn"), ("mutag", "gcn")], nodes=48, signed=False)
    alone = page(tmp_path / "results")
    assert set(board(alone, "fidelity+")["ig"]) == {"best or tied ↑", "karate", "mutag"}
    assert "by absolute score only" in next(one for one in alone if isinstance(one, Caution)).text
    publish("2026-02-01-quality", [("karate", "gcn")])
    blocks = page(tmp_path / "results")
    assert set(board(blocks, "fidelity+")["ig"]) == {"best or tied ↑", "karate"}
    assert list(board(blocks, "The published reports")) == [
        "2026-02-01-quality",
        "2026-01-01-old",
    ]
    (caution,) = (one for one in blocks if isinstance(one, Caution))
    assert caution.text.startswith("2026-01-01-old: It selected edges by absolute score only")
    assert caution.text.endswith("is not in the leaderboard.")


def test_reports_of_a_day_are_in_the_order_of_their_questions(publish, tmp_path):
    day, config = "2026-02-01", {"task": "karate", "model": "gcn", "model_seed": 0, "method": "ig"}
    config |= {"engine": "batched", "options": {}, "device": "cpu"}
    add_time(publish(f"{day}-d-cost"), "ig", 0.01)
    reliability = publish(f"{day}-b-reliability").joinpath("cells")
    for benchmark, metric, nodes in (
        ("randomisation", "spearman", 2),
        ("stability", "max_sensitivity", 4),
    ):
        values = [{"node": node, "metric": metric, "value": 0.5} for node in range(nodes)]
        write(reliability, Cell(benchmark, config, {}, quality=values))
    publish(f"{day}-a-quality", [("karate", "gcn")])
    publish("2026-02-02-newer", [("karate", "gcn")])
    shown = board(page(tmp_path / "results"), "The published reports")
    assert list(shown) == [
        *("2026-02-02-newer", f"{day}-a-quality", f"{day}-b-reliability", f"{day}-d-cost"),
    ]
    told = shown[f"{day}-b-reliability"]
    assert (
        told["asks"].text == "whether scores depend on the trained weights; whether they are stable"
    )
    assert told["explained × models"].text == "4 nodes × 1 model"


def test_a_run_of_other_packages_alone_has_its_machine_and_its_nodes(publish, tmp_path):
    folder = publish("2026-01-02-peers", cpu={"model": "Example CPU", "threads": 2})
    config = {"task": "karate", "model": "gcn", "model_seed": 0, "method": "pyg_saliency"}
    config |= {"engine": "", "options": {}, "device": "cpu"}
    scores = [{"node": node, "metric": "fidelity+_prob", "value": 0.5} for node in range(3)]
    write(folder / "cells", Cell("peers", config, {}, quality=scores))
    index.write(tmp_path / "results")
    page = (tmp_path / "results" / "index.html").read_text()
    assert "Example CPU, 2 threads" in page
    assert "3 nodes × 1 model" in page


def test_quality_is_of_the_largest_run_and_time_of_the_newest(publish, tmp_path):
    publish("2026-02-01-quality", [("karate", "gcn")], nodes=30)
    publish("2026-02-02-kinds", [("karate", "gcn"), ("karate", "gat")], nodes=20)
    for day, seconds in ((3, 0.5), (4, 0.25)):
        cost = publish(f"2026-02-0{day}-cost")
        add_time(cost, "ig", seconds)
        add_time(cost, "occlusion", 2 * seconds)
    _, merged = read(tmp_path / "results")
    sources = {one.section.title: one.sources for one in merged}
    assert sources["karate (gcn)"] == {
        **{"quality": "2026-02-01-quality", "runtime": "2026-02-04-cost"},
    }
    assert sources["karate (gat)"] == {"quality": "2026-02-02-kinds"}
    assert [one.title for one in published.main_sections(merged)] == ["karate (gcn)"]
    blocks = page(tmp_path / "results")
    assert "karate (gat)" in board(blocks, "fidelity+ ↑ of other kinds of model")["ig"]
    (sentences,) = (one.texts for one in blocks if isinstance(one, Items))
    assert sentences[2] == (
        "Cost on the machines of these runs: one explanation with ig takes 250 ms on karate (gcn) "
        "(engine batched)."
    )


def test_what_the_guide_says_is_what_the_cells_say(publish, tmp_path):
    publish("2026-02-01-quality", [(task, "gcn") for task in ("karate", "molecules", "mutag")])
    root = tmp_path / "results"
    (sentences,) = (one.texts for one in page(root) if isinstance(one, Items))
    assert part(root, "in short")[0] == " ".join(sentences)
    for name in ("many nodes", "engines", "steps", "costs"):
        assert part(root, name)[0].startswith("The published results do not decide"), name
    text, rows = part(root, "evidence at a node")
    assert "Safe default: ig, best or tied with the best in 2 of the 2 comparisons" in text
    assert rows == [["karate", "ig (2-way tie)", "ig (2-way tie)"]]
    _, rows = part(root, "evidence at a graph")
    assert [row[0] for row in rows] == ["molecules", "mutag"]
    text, _ = part(root, "no gradients")
    assert text == (
        "These look at the model and need no gradients: occlusion. Of these occlusion is most "
        "often best or tied with the best: in 6 of the 6 comparisons that name a best method. The "
        "best count of a method that needs gradients is 6."
    )
    text, _ = part(root, "one mask")
    assert "saliency is trained once for a model" in text
    assert "significantly better than random in fidelity+ on each of 3 tasks" in text
    cost = publish("2026-02-03-cost")
    for engine, seconds in (("stock", 1.0), ("batched", 0.1)):
        add_time(cost, "ig", seconds, engine=engine)
        for name in ("ig", "fidelity_curve"):  # of which one is a metric
            add_time(cost, name, seconds, engine=engine, benchmark="engines")
            add_time(cost, name, 0.01, at_once=64, benchmark="engines")
    _, rows = part(root, "costs")
    assert rows == [["ig", "100 ms (batched)"]]
    _, rows = part(root, "engines")
    ten, hundred = "10× [10×, 10×]", "100× [100×, 100×]"
    assert rows == [["karate", "ig", "batched", "yes", ten, "–"]]
    _, rows = part(root, "many nodes")
    assert rows == [["karate", "ig", "batched", ten, "64", hundred]]


def test_one_command_writes_the_page_and_the_guide(publish, tmp_path, capsys):
    publish("2026-02-01-quality", [("karate", "gcn")])
    root, guide = tmp_path / "results", tmp_path / "which.md"
    guide.write_text("By hand.\n\n<!-- from results: steps -->\nold\n<!-- end -->\n\nAlso.\n")
    arguments = ["report", "--index", str(root), "--guide", str(guide)]
    assert command_line.main(arguments) == 0
    assert capsys.readouterr().out.split() == [str(root / "index.html"), str(guide)]
    html, text = (root / "index.html").read_bytes(), guide.read_text()
    assert text == (
        "By hand.\n\n<!-- from results: steps -->\n\nThe published results do not decide: none "
        "varies the number of steps.\n\n<!-- end -->\n\nAlso.\n"
    )
    assert re.search(rb'href="2026-02-01-quality/report.html"', html)
    assert published.checksum(root / "2026-02-01-quality").encode() in html
    assert command_line.main(arguments) == 0
    assert ((root / "index.html").read_bytes(), guide.read_text()) == (html, text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--index", "nowhere"], "nowhere: there is no such"),
        (["--index", "."], "no results folder"),
        (["--index", ".", "--format", "md"], "--format md"),
        ([".", "--guide", "page.md"], "goes with --index only"),
        (["--index", "results", "--guide", "page.md"], "has the part 'other'"),
    ],
)
def test_bad_input_is_one_line(publish, tmp_path, monkeypatch, capsys, words, message):
    publish("2026-02-01-quality", [("karate", "gcn")], nodes=2)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.md").write_text("<!-- from results: other -->\n<!-- end -->\n")
    assert command_line.main(["report", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "results" / "index.html").exists()
