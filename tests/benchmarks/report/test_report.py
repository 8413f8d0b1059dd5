"""The whole report: what it says, that it is the same every time, and what it copes with."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

import benchmarks.report
from benchmarks.report import outline
from benchmarks.report.data.frames import load

ROOT = Path(__file__).parents[3]
EVIL = "<script>alert(1)</script>"
PAGES = ("report.md", "report.html")
FILES = (*PAGES, "report.tex", "manifest.json", "quality.csv.gz", "runtime.csv")
VOID = {"meta", "link", "br", "img", "hr", "input", "wbr"}


@pytest.fixture(scope="module")
def written(full):
    """The full folder with its report."""
    benchmarks.report.write(full.path)
    return full


def contents(path):
    return {
        file.relative_to(path).as_posix(): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def pages(folder):
    benchmarks.report.write(folder.path)
    return [folder.read(name) for name in PAGES]


class Page(HTMLParser):
    """What a browser would make of a page: its tags, ids, references and visible text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.references, self.text, self.open = [], [], [], "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "xlink:href", "src"):
                self.references.append(value)
            self.references += re.findall(r"url\((#[^)]*)\)", value or "")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


# ------------------------------------------------------------------------------------- the files


def test_all_files_are_written(written):
    names = set(contents(written.path)) - {f"cells/{p.name}" for p in written.path.glob("cells/*")}
    kinds = ("forest", "fidelity", "quality-cost", "ranks", "runtime", "sweep", "scaling")
    ends = ("svg", "png", "csv")
    drawn = {f"figures/{kind}-twitch-sim.{end}" for kind in kinds for end in ends}
    assert names == {*FILES} | drawn


def test_the_same_cells_give_the_same_bytes(written):
    before = contents(written.path)
    benchmarks.report.write(written.path)
    after = contents(written.path)
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == []


@pytest.mark.parametrize("seed", ["1", "2"])  # the order of sets must not matter
def test_another_process_gives_the_same_bytes_without_torch(written, seed):
    before = contents(written.path)
    program = f"""
import importlib.abc, pathlib, sys
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torch_geometric", "captum"):
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Refuse())
import benchmarks.report
benchmarks.report.write(pathlib.Path({str(written.path)!r}))
assert "torch" not in sys.modules
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    after = contents(written.path)
    assert [name for name in before if before[name] != after.get(name)] == []


def test_cells_are_only_read(written):
    cells = {name: data for name, data in contents(written.path).items() if "cells/" in name}
    benchmarks.report.write(written.path)
    after = {name: data for name, data in contents(written.path).items() if "cells/" in name}
    assert cells == after


def test_figures_that_are_no_longer_in_the_report_go(folder, settings):
    folder.quality("a", [0.1, 0.2], level="f=10%")
    (folder.path / "figures").mkdir()
    for end in ("svg", "csv"):
        (folder.path / "figures" / f"runtime-gone.{end}").write_text("old")
    (folder.path / "figures" / "notes.txt").write_text("not ours")
    benchmarks.report.write(folder.path)
    names = {path.name for path in (folder.path / "figures").iterdir()}
    drawn = {f"fidelity-karate.{end}" for end in ("svg", "png", "csv")}
    assert names == {"notes.txt"} | drawn


# -------------------------------------------------------------------------------------- the page


def test_the_page_is_whole_and_needs_nothing_else(written):
    page = Page(written.read("report.html"))
    assert page.open == []
    assert not {"link", "img", "iframe"} & set(page.tags)
    assert page.tags.count("script") == 1
    assert page.tags.count("svg") == 7
    assert len(page.ids) == len(set(page.ids))
    inside = [link for link in page.references if link.startswith("#")]
    assert {link[1:] for link in inside} <= set(page.ids)
    outside = {link for link in page.references if not link.startswith("#")}
    allowed = ("https://arxiv.org/abs/", "data:text/csv;")
    assert all(link.startswith(allowed) for link in outside)
    assert "@import" not in written.read("report.html")


def test_every_figure_of_the_markdown_exists(written):
    names = re.findall(r"\]\((figures/[^)]*)\)", written.read("report.md"))
    drawn = [name for name in names if name.endswith(".svg")]
    assert len(drawn) == 7
    for name in drawn:
        ElementTree.parse(written.path / name)
        data = name.removesuffix(".svg") + ".csv"
        assert f"Its data: `{data}`." in written.read("report.md")
        assert len(pd.read_csv(written.path / data)) > 1


def test_tables_have_as_many_cells_in_every_row(written):
    for table in re.findall(r"(?:^\|.*\|\n)+", written.read("report.md"), flags=re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1


@pytest.mark.parametrize("page", PAGES)
def test_what_the_report_says(written, page):
    text = written.read(page)
    if page == "report.html":
        text = " ".join(Page(text).text.split())
    for expected in (
        "GNN explainers on twitch-sim: quality, cost, 2026-01-02",
        "0123456789abcdef0123456789abcdef01234567",
        "no GPU",
        "Example CPU, 2 threads",
        "twitch-sim is a stand-in",
        "twitch-en is unavailable: twitch-en: put EN.npz into data/",
        "71.0 % [70.0 %, 72.0 %]",
        "d" * 64,
        "integrated_gradients has the best fidelity+ (probability, mask) at 20 % of the edges, by "
        "absolute score: 0.4",
        "random baseline: 0.0",
        "speed-up over its own stock",
        "1× (reference)",
        "the cheapest setting with a median relative error",
        "n_steps = 50, internal_batch_size = 50",
        "OutOfMemoryError: out of memory",
        "largest difference to stock",
        "arXiv:2012.15445",
        "python -m benchmarks report FOLDER",
    ):
        assert expected in text
    assert "uncommitted changes" not in text


def test_the_manifest_says_when_not_the_clock(written):
    created = re.findall(r"\b20\d\d-\d\d-\d\d\b", written.read("report.md"))
    assert set(created) == {"2026-01-02"}


@pytest.mark.parametrize(("dirty", "said"), [(True, "uncommitted changes"), (None, "not known")])
def test_a_changed_tree_is_said_first(folder, dirty, said):
    folder.manifest(dirty=dirty)
    for page in pages(folder):
        assert "not for publication" in page
        assert said in page
        assert page.index("not for publication") < page.index("Example CPU")


def test_every_command_that_made_the_folder_is_named(folder):
    earlier = {"command": "pytest one --resume", "commit": "a" * 40, "dirty": False}
    folder.manifest(command="pytest two --resume", commit="b" * 40, earlier=[earlier, earlier])
    appendix = pages(folder)[0].partition("How to reproduce")[2]
    lines = [line for line in appendix.splitlines() if line.startswith(("git", "pytest"))]
    one = [f"git checkout {'a' * 40}", "pytest one", "pytest one --resume"]
    assert lines == [*one, f"git checkout {'b' * 40}", "pytest two --resume"]
    folder.manifest(earlier=[earlier | {"dirty": True}])
    assert "not for publication" in pages(folder)[0]


def test_the_gpu_is_named(folder, settings):
    gpu = {"name": "Example GPU", "driver": "570", "cuda": "12.8", "memory_bytes": 80_000_000_000}
    folder.manifest(gpu=gpu)
    folder.add("runtime", settings(device="cuda"), runtime=[{"node": 1, "seconds": 1.0}])
    markdown_page, _ = pages(folder)
    assert "Example GPU, 80 GB, driver 570, CUDA 12.8" in markdown_page
    assert "medians on this machine (Example GPU)" in markdown_page


def test_best_and_tied_are_marked(folder):
    folder.quality("best", [0.5, 0.6, 0.5, 0.6, 0.5, 0.6])
    folder.quality("tied", [0.4, 0.7, 0.4, 0.7, 0.4, 0.68])
    folder.quality("worse", [0.1, 0.11, 0.12, 0.13, 0.14, 0.15])
    text, page = pages(folder)
    assert re.search(r"\| best \| \*\*0\.550 \[0\.4\d\d, 0\.6\d\d\]\*\* \|", text)
    assert re.search(r"\| tied \| 0\.547 \[0\.3\d\d, 0\.7\d\d\] † \|", text)
    assert re.search(r"\| worse \| 0\.125 \[0\.1\d\d, 0\.1\d\d\] \|", text)
    assert page.count('class="best') == 1
    assert page.count("<abbr") == 1


def test_unknown_metrics_are_shown_without_a_best(folder):
    folder.quality("a", [0.7, 0.8], metric="another", level="", semantics="")
    folder.quality("b", [0.5, 0.6], metric="another", level="", semantics="")
    text, _ = pages(folder)
    assert "| a | 0.75 [0.11, 1.4] |" in text
    assert "| b | 0.55 [-0.085, 1.2] |" in text
    assert "Not described here" in text


# -------------------------------------------------------------------------------------- escaping


def test_names_from_data_are_text(folder, settings):
    task = "a|b</main>"
    row = {"node": 1, "repeat": 0, "seconds": 1.0}
    for method in (EVIL, "x-->y", "$\\alpha_$", "[click](javascript:alert)"):
        rows = [
            {"node": node, "metric": name, "level": "f=10%", "semantics": "mask", "value": 0.1}
            for node in (1, 2)
            for name in ("fidelity+_prob", EVIL)
        ]
        folder.add("quality", settings(method, EVIL, task), quality=rows)
        folder.add("runtime", settings(method, EVIL, task), runtime=[row])
        folder.add("error", settings(method, EVIL, task), status="error", message=f"{EVIL}\n| x")
    folder.manifest(command=f"pytest ```{EVIL}", commit=EVIL)
    text, page = pages(folder)
    parsed = Page(page)
    assert parsed.tags.count("script") == 1
    assert parsed.open == []
    assert parsed.tags.count("main") == 1
    assert EVIL in parsed.text
    assert page.count("<script") == 1
    outside_code = re.sub(r"(`{3,})sh\n.*?\n\1", "", text, flags=re.DOTALL)
    assert "<script" not in outside_code
    assert "](javascript" not in text
    assert r"a\|b&lt;/main&gt;" in text
    for table in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


# --------------------------------------------------------------------------------- partial folders


def test_an_empty_folder_has_a_report(folder):
    for page in pages(folder):
        assert "Nothing was measured." in page
        assert "There are no rows." in page


def test_a_folder_without_manifest_has_a_report(folder):
    (folder.path / "manifest.json").unlink()
    folder.quality("a", [0.1])
    for page in pages(folder):
        assert "manifest.json could not be read: there is none" in page
        assert "GNN explainers on karate: quality" in page


def test_only_an_unavailable_task(folder, settings):
    folder.manifest(tasks=[], unavailable=[])
    missing = settings("", "", "mutag")
    folder.add("task", missing, status="unavailable", message="mutag: put MUTAG.zip into data/")
    for page in pages(folder):
        assert "mutag is unavailable: mutag: put MUTAG.zip into data/" in page
    assert folder.read("runtime.csv").count("unavailable") == 1


def test_one_node_has_no_interval_and_no_comparison(folder):
    folder.quality("a", [0.123])
    folder.quality("b", [0.1])
    text, _ = pages(folder)
    assert "| a | 0.123 |" in text
    assert "too few nodes to compare fidelity+" in text
    assert not re.search(r"\bnan\b", text)


@pytest.mark.parametrize("kind", ["quality", "runtime", "ig_sweep", "engines", "scaling"])
def test_one_benchmark_alone_is_enough(full, folder, kind):
    for cell in full.path.glob("cells/*.json"):
        text = cell.read_text()
        if f'"benchmark": "{kind}"' in text:
            (folder.path / "cells" / cell.name).write_text(text)
    text, page = pages(folder)
    assert ("## Engines" if kind == "engines" else "## twitch-sim") in text
    assert page.count("<svg") == {"quality": 3, "runtime": 2, "engines": 0}.get(kind, 1)
    assert "nan" not in re.sub(r"[0-9a-z]{4,}", "", text)


@pytest.mark.parametrize("kind", ["quality", "runtime", "ig_sweep", "engines", "scaling"])
def test_failures_alone_are_reported(folder, settings, kind):
    options = {"n_steps": 10, "internal_batch_size": 1} if kind == "ig_sweep" else {}
    folder.add(kind, settings(**options), status="oom", message="out of memory")
    for page in pages(folder):
        assert "oom: 1" in page
        assert "out of memory" in page


def test_split_batches_are_counted(folder, settings):
    row = {"repeat": 0, "node": 0, "nodes": 1, "seconds": 0.5}
    for part, method, splits in ((0, "b", 2), (1, "b", 1), (2, "a", 7), (3, "a", 0)):
        cell = {"part": {"repeat": part}, "runtime": [row], "splits": splits}
        folder.add("runtime", settings(method), **cell)
    for page in pages(folder):
        assert "In 3 cells a batch was split because memory ran out (a: 1, b: 2)." in page


def test_without_split_batches_none_are_reported(full):
    for page in pages(full):
        assert "memory ran out" not in page


def test_equal_methods_have_no_best(folder):
    for method in ("a", "b"):
        folder.quality(method, [0.2, 0.2])
    text, _ = pages(folder)
    said = "all methods have the same fidelity+ (probability, mask) at 10 edges, by absolute score"
    assert f"{said}: 0.200" in text
    assert "**0.200" not in text


def test_the_title_says_what_was_asked_and_when(folder, settings):
    assert outline.title(load(folder.path)) == "GNN explainer benchmark, 2026-01-02"
    folder.quality("a", [0.2, 0.3])
    row = {"repeat": 0, "node": 1, "nodes": 1, "seconds": 1.0}
    folder.add("runtime", settings("a", task="cora"), runtime=[row])
    assert outline.title(load(folder.path)) == (
        "GNN explainers on cora, karate: quality, cost, 2026-01-02"
    )
