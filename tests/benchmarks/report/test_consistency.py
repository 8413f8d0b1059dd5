"""No two statements of a report contradict each other: verdict, tables, marks, diagrams."""

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.report import outline
from benchmarks.report.data.frames import load
from benchmarks.report.render.blocks import Heading, Items, Picture, Table, Text, seconds

RECORDED = Path(__file__).parent / "recorded"
SIGNS = ("fidelity+", "fidelity-")
BASELINES = {"random", "degree", "page_rank"}
# Gains in fidelity+ over the random baseline; the same are taken from fidelity-.
TASKS = {
    "winner": {"integrated_gradients": 0.4, "gnn_explainer": 0.2, "saliency": 0.1},
    "tie": {"integrated_gradients": 0.3, "gnn_explainer": 0.298, "saliency": 0.1},
    "chance": {"integrated_gradients": 0.004, "gnn_explainer": -0.1, "saliency": 0.0},
    "few": {"integrated_gradients": 0.4, "gnn_explainer": 0.2, "saliency": 0.1},
    "equal": {"integrated_gradients": 0.3, "gnn_explainer": 0.1, "saliency": 0.3},
    "noisy": {"integrated_gradients": 0.2, "gnn_explainer": 0.15, "saliency": 0.05},
}


def fill(folder, settings):
    """The tasks, three models each; saliency is the same as integrated_gradients on ``equal``."""
    for task, gains in TASKS.items():
        nodes = 4 if task == "few" else 24
        rng = np.random.default_rng(7)
        base = rng.uniform(0.2, 0.4, nodes)
        for seed in range(3):
            here = base + rng.normal(0, 0.02, nodes)
            noise = {
                name: rng.normal(0, 0.005, nodes)
                + (rng.normal(0, 0.12) + rng.normal(0, 0.1, nodes) if task == "noisy" else 0)
                for name in gains
            }
            if task == "equal":
                noise["saliency"] = noise["integrated_gradients"]
            for method, gain in (gains | {"random": 0.0}).items():
                shift = gain + noise.get(method, 0.0)
                rows = list(quality(here, shift))
                folder.add("quality", settings(method, task=task, seed=seed), quality=rows)


def quality(base, shift):
    for node, value in enumerate(base):
        of_node = shift[node] if np.ndim(shift) else shift
        yield {"node": node, "metric": "computation_graph_edges", "selection": "", "value": 50}
        for selection, part in (("signed", 1.0), ("absolute", 0.5)):
            for sign, direction in (("+", 1), ("-", -1)):
                for name, level in (
                    (f"fidelity{sign}_prob", "f=20%"),
                    (f"area_fidelity{sign}_prob", ""),
                ):
                    yield {
                        "node": node,
                        "metric": name,
                        "level": level,
                        "semantics": "mask",
                        "selection": selection,
                        "value": value + direction * part * of_node,
                    }


class Said:
    """What the blocks of a report say of each task."""

    def __init__(self, blocks):
        self.summary, self.sentences, self.tables, self.differences = {}, {}, {}, {}
        self.ranks, self.overview, self.captions = {}, {}, {}
        self.first = next(block.texts for block in blocks if isinstance(block, Items))
        self.forests = {
            block.caption.partition(": ")[0]: block.data
            for block in blocks
            if isinstance(block, Picture) and block.name.startswith("forest-")
        }
        task = ""
        several = any(block.kind == "heading" and block.level == 3 for block in blocks)
        for block in blocks:
            match block:
                case Heading(text, anchor, _) if anchor.startswith(("verdict-", "task-")):
                    task = text
                case Table(caption, header, rows) if caption.startswith("Summary"):
                    self.summary = {
                        row[0].text: dict(zip(header, row, strict=True)) for row in rows
                    }
                    task = next(iter(self.summary)) if several else task
                case Items(texts):
                    self.sentences.setdefault(task, []).extend(texts)
                case Table(caption, header, rows) if "differences from the method" in caption:
                    self.differences[task] = rows
                case Table(caption, header, rows) if ": fidelity by probability" in caption:
                    if task not in self.tables:
                        self.tables[task] = dict(self._columns(header, rows))
                        self.captions[task] = caption
                case Picture(name, _, _, data) if name == "overview":
                    self.overview = dict(list(data.groupby("task")))
                case Picture(name, _, _, data) if name.startswith("ranks-"):
                    self.ranks[task] = data

    @staticmethod
    def _columns(header, rows):
        for position, name in enumerate(header):
            sign = name.partition(" ")[0]
            if sign in SIGNS and "mean over" not in name:
                yield (
                    sign,
                    {
                        row[0].text: (row[position].mark, "‡" in row[position].text)
                        for row in rows
                        if row[position].text != "–"
                    },
                )


def marks(data, sign):
    rows = data[data["metric"].str.startswith(f"{sign} (prob)")]
    return {row.method: (row.mark, bool(row.not_better_than_random)) for row in rows.itertuples()}


def apart(title):
    """The methods that share a row."""
    return title.split(" = ")


@pytest.fixture(params=["made up", "full", "recorded"])
def said(request, full, folder, settings):
    """What the reports say: on tasks that end in every way, on one task, on recorded cells."""
    if request.param == "made up":
        fill(folder, settings)
    path = {"made up": folder.path, "full": full.path, "recorded": RECORDED / "busy" / "before"}
    return Said(outline.compose(load(path[request.param])))


def test_diagrams_and_tables_have_the_same_marks(said):
    assert said.tables
    for task, table in said.tables.items():
        for sign in SIGNS:
            assert marks(said.ranks[task], sign) == table[sign]
            if said.overview:
                alone = {name: mark for title, mark in table[sign].items() for name in apart(title)}
                assert marks(said.overview[task], sign) == alone


def test_the_summary_says_what_the_table_marks(said):
    for task, table in said.tables.items():
        row = next(one for name, one in said.summary.items() if name == task)
        for sign in SIGNS:
            text = next(one.text for name, one in row.items() if name.startswith(f"best {sign}"))
            best = [name for name, (mark, _) in table[sign].items() if mark == "best"]
            tied = [name for name, (mark, _) in table[sign].items() if mark == "tied"]
            assert len(best) <= 1
            if best:
                assert text == best[0] + (f" ({1 + len(tied)}-way tie)" if tied else "")
                assert not table[sign][best[0]][1]  # better than random
                assert table[sign].get("random", ("", False))[0] == ""
            else:
                assert not tied
                known = {
                    "no winner (tied with random)": "No winner, the best mean is tied with",
                    "too few nodes": "Too few nodes for a comparison",
                }
                assert known[text] in said.captions[task]
                assert f"{sign} (prob)" in said.captions[task].partition(known[text])[2]


def test_the_forest_plots_show_what_the_table_marks(said):
    assert set(said.forests) == set(said.tables)
    for task, data in said.forests.items():
        plus = data[data["metric"].str.startswith("fidelity+")]
        assert plus["mean"].is_monotonic_decreasing
        for sign in SIGNS:
            assert marks(data, sign) == said.tables[task][sign]


def test_the_first_sentence_names_a_method_with_the_most_marks(said):
    counts, decided = {}, 0
    for table in said.tables.values():
        for sign in SIGNS:
            decided += any(mark == "best" for mark, _ in table[sign].values())
            for row, (mark, _) in table[sign].items():
                for method in row.split(" = "):
                    counts[method] = counts.get(method, 0) + bool(mark)
    text = said.first[0]
    if not decided:
        assert text.startswith("Safe default: none can be named, ")
        return
    named = re.match(r"Safe default: (\w+), best or tied with the best in (.*?) comparison", text)
    most = max(counts.values())
    assert counts[named[1]] == most
    assert named[2] == (f"{most} of the {decided}" if decided > 1 else "the only")
    others = re.search(r"so (?:is|are) ([\w, ]+?)(?: and \d+ more)?[,;.]", text)
    same = {name for name, count in counts.items() if count == most} - {named[1]}
    assert bool(others) == bool(same)
    assert not others or set(others[1].split(", ")[:1]) <= same


def test_the_second_sentence_says_of_each_task_what_its_table_and_plot_say(said):
    text = said.first[1]
    for task, table in said.tables.items():
        best = [name for name, (mark, _) in table["fidelity+"].items() if mark == "best"]
        tied = [name for name, (mark, _) in table["fidelity+"].items() if mark == "tied"]
        if not best:
            assert re.search(
                rf"(no winner \(tied with random\)|too few nodes) on [^;]*{re.escape(task)}", text
            )
            continue
        row = said.forests[task].set_index("method").loc[best[0]]
        row = row[row["metric"].str.startswith("fidelity+")].iloc[0]
        ways = f" ({1 + len(tied)}-way tie)" if tied else ""
        value = f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        aside = BASELINES | {"random"}
        others = [name for name in table["fidelity+"] if name not in {best[0], *aside}]
        count = f"{len(others)} other method{'s' * (len(others) > 1)}"
        sure = f", significantly better than the {count}" if others and not tied else ""
        assert f"on {task} {best[0]}{ways}, {value}{sure}" in text


def test_the_third_sentence_gives_the_time_that_the_plot_shows(full):
    blocks = outline.compose(load(full.path))
    said = Said(blocks)
    method, time, engine = re.match(
        r"Cost on this machine: one explanation with (\w+) takes (.*?) on twitch-sim "
        r"\(engine (\w+)\)\.$",
        said.first[2],
    ).groups()
    assert said.first[0].startswith(f"Safe default: {method},")
    rows = said.forests["twitch-sim"].set_index("method").loc[method]
    assert set(rows["engine"]) == {engine}
    assert {seconds(value) for value in rows["seconds"]} == {time}
    table = next(
        b for b in blocks if isinstance(b, Table) and "time of one explanation" in b.caption
    )
    at = table.header.index("median, this machine")
    (row,) = (row for row in table.rows if [one.text for one in row[:2]] == [method, engine])
    assert row[at].text == time


def test_the_sentences_say_what_the_table_marks(said):
    for task, table in said.tables.items():
        texts = [text for text in said.sentences[task] if text.startswith(f"On {task}, ")]
        for sign in SIGNS:
            _winner(next(text for text in texts if f"{sign} (probability" in text), table[sign])
        for text in texts:
            if beats := re.match(rf"On {re.escape(task)}, (.*?) beats (.*?) at ", text):
                for sign in re.findall(r"in (fidelity[+-]) by", text):
                    first, second = (_row(table[sign], name) for name in beats.groups())
                    assert second[0] != "best"
                    assert not (first[0] == "best" and second[0] == "tied")
            if "significantly better than random" in text:
                better, _, rest = text.partition("these are not")
                listed = set(re.split(", |: ", rest.rstrip(".")))
                for name, (_, not_better) in table["fidelity+"].items():
                    if not BASELINES.issuperset(name.split(" = ")):
                        assert (name in listed) == not_better
                        assert not_better or name in better


def _row(table, method):
    return next(one for name, one in table.items() if method in name.split(" = "))


def _winner(text, table):
    best = [name for name, (mark, _) in table.items() if mark == "best"]
    tied = {name for name, (mark, _) in table.items() if mark == "tied"}
    if best:
        assert re.search(rf", {re.escape(best[0])} (has|have) the best ", text)
        named = re.search(r"; tied with (.*?) \(\d+-way tie\)", text)
        assert set(named[1].split(", ") if named else []) == tied
        assert ("all others are significantly worse" in text) == (not tied)
    else:
        assert "no winner" in text or "too few nodes" in text
        if "is tied with the random" in text:
            assert (
                float(re.search(r"\(better by .*?, p = (\S+) after correction\)", text)[1]) >= 0.05
            )
        assert "has the best" not in text.partition("the random baseline")[0]


def test_the_table_of_differences_says_what_is_tied(said):
    for task, table in said.tables.items():
        for metric, pair, _, p in said.differences.get(task, []):
            sign, (other, top) = metric.text.partition(" ")[0], pair.text.split(" - ")
            mark = table[sign][other][0]
            if table[sign][top][0] == "best":
                assert (mark == "tied") == (p.value >= 0.05)
            else:
                assert mark == ""


def test_the_made_up_tasks_end_in_every_way(folder, settings):
    fill(folder, settings)
    blocks = outline.compose(load(folder.path))
    said = Said(blocks)
    texts = {
        task: row["best fidelity+, 20 % of the edges, by signed score"].text
        for task, row in said.summary.items()
    }
    same = "integrated_gradients = saliency"
    assert texts == {
        "winner": "integrated_gradients",
        "tie": "integrated_gradients (2-way tie)",
        "chance": "no winner (tied with random)",
        "few": "too few nodes",
        "equal": same,
        "noisy": texts["noisy"],
    }
    assert set(said.tables["equal"]["fidelity+"]) == {same, "gnn_explainer", "random"}
    sample = {block.rows[0][0].text: block for block in blocks if isinstance(block, Table)}
    explained = next(b for b in sample.values() if b.caption.startswith("What was explained"))
    shown = {row[0].text: [entry.text for entry in row[1:]] for row in explained.rows}
    assert shown["few"] == ["4 × 3", "50", "50 to 50", "0 %", ""]
    assert shown["chance"][3:] == ["0 %", ""]
    variants = [b.caption for b in blocks if isinstance(b, Table) and "second variant" in b.caption]
    assert len(variants) == len(TASKS)
    assert all("by absolute score" in caption for caption in variants)


def test_a_table_where_methods_tie_says_that_it_is_saturated(folder):
    values = np.full(20, 0.4)
    for method, gain in (("a", 0.0), ("b", 0.004), ("random", -0.004)):
        values = values.copy()
        values[:5] += gain * 50
        folder.quality(method, values + gain, level="f=20%")
    blocks = outline.compose(load(folder.path))
    (said,) = (b.text for b in blocks if isinstance(b, Text) and "is saturated" in b.text)
    assert "at 75.0 % of the nodes all methods" in said
    (table,) = (b for b in blocks if isinstance(b, Table) and "What was explained" in b.caption)
    assert [entry.text for entry in table.rows[0]][-2:] == ["75.0 %", "saturated"]
