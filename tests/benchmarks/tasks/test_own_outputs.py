"""Own tasks with one logit, several labels and real numbers through the whole main job.

What the job writes is compared with numbers made here of dense matrices alone: the models of
``docs/own-model.md`` are two layers, whose weights are read from them.
"""

import json
import re
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import torch

import benchmarks.tasks
from benchmarks.report import outline
from benchmarks.report.data.frames import load
from benchmarks.report.render import markdown

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "own-model.md").read_text()
(FILE,) = re.findall(r"```python\n# own_outputs\.py\n(.*?)```", PAGE, flags=re.DOTALL)
NAMES = ("member", "friends", "density", "labels")
REGRESSIONS = ("friends", "density")
COLUMN = {"labels": 2}  # what is explained, where there are several columns
METHOD = "occlusion"


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """The results folder of one run on all four, two nodes each."""
    folder = tmp_path_factory.mktemp("own_outputs")
    (folder / "own_outputs.py").write_text(FILE)
    options = [f"--task={folder}/own_outputs.py:{name}" for name in NAMES]
    options += ["--profile", "quick", "--nodes", "2", "--seeds", "1", "--method", METHOD]
    options += ["--no-baselines"]  # what follows is of one method
    options += ["--results", str(folder / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "benchmarks/", "--benchmark-only", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return folder / "out"


class ByHand:
    """A model of the page as dense matrices, float64: A[v, u] is 1 for an edge u -> v."""

    def __init__(self, name, folder):
        self.name = name
        self.task = benchmarks.tasks.load(f"{folder.parent}/own_outputs.py:{name}")
        self.weights = {key: value.double() for key, value in self.task.model.state_dict().items()}
        data = self.task.data
        self.x, self.n, self.column = data.x.double(), len(data.x), COLUMN.get(name, 0)
        self.ends = data.edge_index.t().tolist()
        self.batch = data.get("batch")
        self.all = torch.ones(len(self.ends), dtype=torch.bool)

    def dense(self, kept):
        matrix = torch.zeros(self.n, self.n, dtype=torch.float64)
        u, v = self.task.data.edge_index[:, kept]
        matrix[v, u] = 1.0
        return matrix

    def output(self, kept, semantics="mask"):
        """What the model returns, [N or G, C], given some of the edges."""
        w, a = self.weights, self.dense(kept)
        if self.name in ("member", "friends"):  # GCN: D^-1/2 (A + I) D^-1/2
            degree = self.dense(self.all if semantics == "mask" else kept).sum(dim=1) + 1
            norm = degree.rsqrt()[:, None] * (a + torch.eye(self.n)) * degree.rsqrt()
            hidden = self.x
            for i in (0, 1):
                hidden = norm @ (hidden @ w[f"convs.{i}.lin.weight"].t()) + w[f"convs.{i}.bias"]
                hidden = hidden.relu() if i == 0 else hidden
            return hidden

        def conv(name, h):
            own = h @ w[f"{name}.lin_root.weight"].t()
            return a @ h @ w[f"{name}.lin_rel.weight"].t() + w[f"{name}.lin_rel.bias"] + own

        hidden = conv("conv", self.x)
        if self.name == "labels":
            return 1 / (1 + (-conv("out", hidden.relu())).exp())
        hidden = hidden.tanh()
        pooled = torch.stack([hidden[self.batch == g].mean(dim=0) for g in self.batch.unique()])
        return pooled @ w["linear.weight"].t() + w["linear.bias"]

    def read(self, unit, kept, semantics):
        """The probability of yes, or the number, of the explained output."""
        value = float(self.output(kept, semantics)[unit, self.column])
        return float(torch.tensor(value).double().sigmoid()) if self.name == "member" else value

    def computation_graph(self, unit):
        """The numbers of the edges that an explanation scores."""
        if self.batch is not None:
            return [i for i, (u, _) in enumerate(self.ends) if self.batch[u] == unit]
        last = {unit, *(u for u, v in self.ends if v == unit)}
        return [i for i, (_, v) in enumerate(self.ends) if v in last]

    @cache  # noqa: B019  # a test's few objects
    def scores(self, unit):
        """Occlusion: the output as returned, less that without the edge's messages."""
        found = []
        for edge in self.computation_graph(unit):
            kept = self.all.clone()
            kept[edge] = False
            change = self.output(self.all)[unit] - self.output(kept)[unit]
            found.append(float(change[self.column]))
        return torch.tensor(found, dtype=torch.float64)

    def selected(self, unit, level, selection):
        """The edges of a budget, bool [E]; None where edges that tie are on both sides."""
        edges, scores = self.computation_graph(unit), self.scores(unit)
        number = int(re.search(r"\d+", level)[0])
        count = min(number, len(edges)) if level[0] == "k" else -(-number * len(edges) // 100)
        size = scores if selection == "signed" else scores.abs()
        order = size.argsort(descending=True)
        if count < len(edges):
            gap = size[order[count - 1]] - size[order[count]]
            if gap < 1e-5 * scores.abs().max():
                return None
        chosen = torch.zeros_like(self.all)
        chosen[[edges[i] for i in order[:count]]] = True
        return chosen

    def fidelity(self, unit, row, selection):
        """One value of the quality benchmark, or None; in units of ``spread`` if it is a number."""
        chosen = self.selected(unit, row.level, selection)
        if chosen is None:
            return None
        kept = ~chosen if row.metric.startswith("fidelity+") else chosen
        full, left = (self.read(unit, k, row.semantics) for k in (self.all, kept))
        if row.metric.endswith("_acc"):
            return float((full > 0.5) != (left > 0.5))
        return (full - left) / self.spread

    @property
    def spread(self):
        """The standard deviation over the two explained nodes: half their distance."""
        if self.name not in REGRESSIONS:
            return 1.0
        one, two = self.output(self.all)[self.task.nodes[:2], 0].tolist()
        return abs(one - two) / 2

    def performance(self):
        y, out = self.task.data.y, self.output(self.all)
        if self.name in REGRESSIONS:
            y, out = y.double(), out[:, 0]
            return "R²", float(1 - ((y - out) ** 2).sum() / ((y - y.mean()) ** 2).sum())
        if self.name == "member":
            return "accuracy", float(((out[:, 0] > 0) == (y == 1)).double().mean())
        yes, right = out > 0.5, y == 1
        precision = float((yes & right).sum() / yes.sum())
        recall = float((yes & right).sum() / right.sum())
        return "micro-F1", 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("name", NAMES)
def test_every_number_is_right_by_hand(job, name):
    by_hand = ByHand(name, job)
    model, data = by_hand.task.model, by_hand.task.data
    inputs = {} if by_hand.batch is None else {"batch": by_hand.batch}
    theirs = model(data.x, data.edge_index, **inputs).view(by_hand.output(by_hand.all).shape)
    torch.testing.assert_close(theirs.double(), by_hand.output(by_hand.all), rtol=1e-4, atol=1e-4)

    rows = pd.read_csv(job / "quality.csv.gz", keep_default_na=False)
    rows = rows[(rows["task"] == by_hand.task.name) & (rows["benchmark"] == "quality")]
    assert (rows["status"] == "ok").all()
    assert sorted(rows["node"].astype(float).unique()) == sorted(by_hand.task.nodes[:2].tolist())
    classes = {"fidelity+_acc", "fidelity-_acc", "characterization_prob", "unfaithfulness"}
    assert classes.isdisjoint(rows["metric"]) == (name in REGRESSIONS)
    compared = 0
    values = rows[rows["metric"].str.match(r"fidelity[+-]_(prob|acc)")]
    for row in values.itertuples():
        selection = getattr(row, "selection", "absolute")
        expected = by_hand.fidelity(int(float(row.node)), row, selection)
        if expected is not None:
            compared += 1
            where = f"{row.metric}, {row.level}, {row.semantics}, {selection}"
            assert float(row.value) == pytest.approx(expected, abs=2e-4, rel=2e-3), where
    assert compared >= len(values) / 2

    (entry,) = (
        one
        for one in json.loads((job / "manifest.json").read_text())["tasks"]
        if one["name"] == by_hand.task.name
    )
    kind, value = by_hand.performance()
    assert entry["accuracy_kind"] == kind
    assert entry["accuracy"] == pytest.approx(value, abs=1e-4)
    page = (job / "report.md").read_text()
    shown = {"R²": f"R² {value:.3f}", "accuracy": f"{100 * value:.1f} %"}
    assert f"| {by_hand.task.name} | {shown.get(kind, f'{kind} {100 * value:.1f} %')} |" in page


@pytest.mark.parametrize("name", NAMES)
def test_the_report_says_of_what_fidelity_is_the_change(job, name):
    """Its tables have the means of the values that were compared above, under their units."""
    rows = pd.read_csv(job / "quality.csv.gz", keep_default_na=False)
    task = next(one for one in rows["task"].unique() if one.startswith(f"{name}-"))
    rows = rows[(rows["task"] == task) & (rows["benchmark"] == "quality")]
    unit, other = ("sd", "prob") if name in REGRESSIONS else ("prob", "sd")
    page = markdown.body(outline.compose(load(job)))
    section = page.partition(f"\n## {task}\n")[2].partition("\n## ")[0]
    assert f"({other})" not in section
    assert ("fidelity by output, in standard deviations" in section) == (unit == "sd")
    assert ("fidelity by probability" in section) == (unit == "prob")
    means = {
        f"{key[0]:.3f}"
        for _, group in rows.assign(number=rows["value"].astype(float)).groupby(
            ["metric", "level", "semantics", "selection"]
        )
        for key in [(group["number"].mean(),)]
    }
    found = 0
    for above, below in pairwise(section.split("\n\n")):
        lines = below.splitlines()
        if not above.startswith("*Table.*") or not lines[0].startswith("| method | fidelity"):
            continue
        for heading, cell in zip(lines[0].split(" | "), lines[2].split(" | "), strict=True):
            if f"({unit})" in heading:
                found += 1
                assert cell.split()[0] in means, heading
    assert found >= 2
    note = "in units of that output's standard deviation over the explained nodes"
    meaning = page.partition("## What the numbers mean")[2]
    assert note in meaning
    assert f"fidelity+ ({unit})" in meaning
