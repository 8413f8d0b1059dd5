"""The documentation: its links lead somewhere, and the tutorial runs."""

import pkgutil
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from benchmarks.harness.presets import PRESETS
from benchmarks.report.data.published import checksum
from benchmarks.report.sections.guide import PARTS

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / "docs" / "tutorial.ipynb"
PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    ROOT / "results" / "README.md",
    TUTORIAL,
]
REFERENCE = "\n".join(path.read_text() for path in ROOT.glob("docs/reference/*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    for link in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        assert link.startswith("https://") or (page.parent / link).exists(), link


@pytest.mark.parametrize("name", re.findall(r"^::: (\S+)", REFERENCE, flags=re.MULTILINE))
def test_what_the_reference_describes_exists(name):
    """And has a docstring; that each docstring can be read is what ``tox -e docs`` tests."""
    assert pkgutil.resolve_name(name).__doc__


@pytest.mark.parametrize(
    "package",
    ["explainers.engines", "explainers.methods", "explainers.metrics", "benchmarks.tasks"],
)
def test_the_reference_has_every_module_of(package):
    """A new method, metric or task is in the reference without a word there."""
    (options,) = re.findall(rf"^::: {package}\n((?: +.*\n)+)", REFERENCE, flags=re.MULTILINE)
    assert "show_submodules: true" in options


def test_the_presets_are_listed_as_they_are():
    rows = re.findall(
        r"^\| `(\w+)` \| (.+) \|$", (ROOT / "docs/running.md").read_text(), re.MULTILINE
    )
    listed = {name: cells.split(" | ") for name, cells in rows if name in PRESETS}
    assert listed.keys() == PRESETS.keys()
    for name, (asks, benchmarks, tasks, sizes) in listed.items():
        preset, options = PRESETS[name], PRESETS[name].options
        assert asks == preset.asks
        assert tuple(benchmarks.split(", ")) == preset.benchmarks
        of_tasks, _, models = tasks.partition(" under ")
        assert ("tasks" not in options) or tuple(of_tasks.split(", ")) == options["tasks"]
        assert tuple(filter(None, models.split(", "))) == options.get("models", ())
        assert sizes == f"{options.get('nodes', 'the papers’')} × {options['seeds']}"


def test_the_site_has_every_page():
    site = (ROOT / "mkdocs.yml").read_text()
    named = set(re.findall(r"- (?:\w+: )?(\S+\.md)$", site, flags=re.MULTILINE))
    pages = {path.relative_to(ROOT).with_suffix(".md").as_posix() for path in PAGES}
    # Where the site has the folders' README, whose place the page about all reports takes.
    assert named == pages - {"results/README.md"} | {"results/about.md"}


def test_what_is_made_of_the_published_folders_is_made_of_these():
    """If this fails: python -m benchmarks report --index results --guide docs/which.md."""
    index = (ROOT / "results" / "index.html").read_text()
    guide = (ROOT / "docs" / "which.md").read_text()
    published = {path.parent for path in ROOT.glob("results/*/manifest.json")}
    for folder in published:
        assert checksum(folder) in index, folder.name
        assert f'href="{folder.name}/report.html"' in index
    listed = set(re.findall(r'href="([^"#/]+)/report.html"', index))
    assert listed == {folder.name for folder in published}
    named = dict(re.findall(r"^\| (\S+) \| ([0-9a-f]{64}) \|", guide, flags=re.MULTILINE))
    assert named
    assert named == {name: checksum(ROOT / "results" / name) for name in named}
    parts = re.findall(r"<!-- from results: (.+?) -->\n\n\S.*?<!-- end -->", guide, flags=re.DOTALL)
    assert parts == list(PARTS)


def test_the_site_asks_no_other_host():
    """No fonts, scripts or pictures of others: a page reads the same without a network."""
    site = (ROOT / "mkdocs.yml").read_text()
    assert re.search(r"^  font: false\b", site, flags=re.MULTILINE)
    assert "http" not in site


@pytest.fixture(scope="module")
def tutorial():
    return nbformat.read(TUTORIAL, as_version=4)


def test_the_tutorial_is_published_as_it_ran(tutorial):
    """Run once from top to bottom, without warnings, and with pictures."""
    cells = [cell for cell in tutorial.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {
        "stream",
        "display_data",
        "execute_result",
    }
    assert all(output.get("name") != "stderr" for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    assert not re.search(r"/home/|/root/|/tmp/", TUTORIAL.read_text())
    # Nor of any folder that the checkout is in.
    parents = [str(folder) for folder in ROOT.parents if folder != Path(ROOT.anchor)]
    assert not any(f"{folder}/" in TUTORIAL.read_text() for folder in [str(ROOT), *parents])


def test_the_tutorial_runs(tutorial):
    """A failing cell fails the test; what it prints may differ in the digits."""
    NotebookClient(
        tutorial.copy(), timeout=120, resources={"metadata": {"path": str(ROOT)}}
    ).execute()


def test_every_fault_names_a_test_that_is_there():
    rows = [
        line for line in (ROOT / "docs" / "faults.md").read_text().splitlines() if line[:2] == "| "
    ][2:]
    assert len(rows) > 80
    files = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    for row in rows:
        named = re.search(r"`(test_\w+\.py)::(\w+)(?:\[(.+?)\])?` \|$", row)
        assert named, row
        file, test, case = named.groups()
        assert f"def {test}(" in files[file], row
        assert case is None or case in files[file], row
