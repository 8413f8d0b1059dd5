"""The project's own files: what the wheel ships, that versions and settings agree, house rules."""

import ast
import configparser
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import explainers

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAME = re.compile(r"[A-Za-z0-9._-]+")
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
SOURCES = [
    path
    for folder in ("explainers", "benchmarks", "docs")
    for path in (ROOT / folder).rglob("*.py")
]
PROSE = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "results" / "README.md"]
NOT_OUR_WORDS = {  # of the house's own, and the field's in their place
    r"\b(is|are) to be\b": "must be",
    r'(?<![.="])floor': "random baseline",  # but `torch.floor`, `rounding_mode="floor"`
    r"right explanation": "ground truth",
    r"beyond chance": "significantly",
    r"play(s|ed|ing)? (the )?coalitions?": "perturbation",
    r"told apart": "distinguished",
    r"how to make it again": "reproduce",
}


def normalised(requirement):
    return re.sub(r"[-_.]+", "-", NAME.match(requirement).group()).lower()


def requirements():
    project = PROJECT["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    groups += PROJECT["dependency-groups"].values()
    return sorted({normalised(entry) for group in groups for entry in group if type(entry) is str})


def constraints():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_wheel_ships_the_library_only(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    folders = {name.partition("/")[0] for name in names}
    version = explainers.__version__
    assert folders == {"explainers", f"gnn_explainer_bench-{version}.dist-info"}
    assert "explainers/py.typed" in names
    assert "explainers/__init__.py" in names


@pytest.mark.parametrize("name", [name for name in requirements() if name != "tox"])
def test_every_requirement_is_pinned(name):
    pinned = {normalised(key): version for key, version in constraints().items()}
    assert re.fullmatch(r"[0-9.]+", pinned[name])


def test_the_lowest_versions_are_those_declared():
    declared = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["tests"]]
    declared += PROJECT["project"]["optional-dependencies"]["bench"]
    lowest = dict(re.match(r"([\w.-]+).*>=([\d.]+)", entry).groups() for entry in declared)
    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints-lowest.txt").read_text().splitlines()
        if not line.startswith("#")
    )
    assert pinned.keys() == lowest.keys()
    for name, version in lowest.items():
        assert f"{pinned[name]}.".startswith(f"{version}."), name


@pytest.mark.parametrize("name", ["constraints.txt", "tox.ini", "pyproject.toml", ".ci/run"])
def test_no_index_and_no_folder_of_one_machine(name):
    text = (ROOT / name).read_text()
    for word in ("index-url", "find-links", "://", "/home/", "/root/", "/opt/", "+cpu"):
        assert word not in text


def test_versions_agree():
    version = explainers.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", version)
    # Written once: the build backend reads it from there.
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "explainers/__init__.py"
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    newest = re.search(r"^## \[(\d\S*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is None or newest[1] == version


def test_tox_has_the_matrix():
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    assert "py3{11,12,13}-{cpu,cuda}" in tox["tox"]["env_list"]
    assert "bench-{cpu,cuda}" in tox["tox"]["env_list"]


def test_the_workflow_runs_ci_and_the_matrix():
    steps = re.findall(r"^ +- run: (.+)$", WORKFLOW, flags=re.MULTILINE)
    assert ".ci/run" in steps
    assert "python -m tox -e docs" in steps
    assert "python -m tox -e ${{ matrix.environment }}" in steps
    matrix = re.findall(r'\{python: "3\.(\d+)", environment: (\S+)\}', WORKFLOW)
    names = [name for _, name in matrix]
    assert names == ["py311-cpu", "py312-cpu", "py313-cpu", "py311-cpu-lowest"]
    assert all(name.startswith(f"py3{minor}-") for minor, name in matrix)


def test_the_workflow_runs_nothing_that_can_change_under_it():
    """Actions are pinned to a commit; the token reads the repository and nothing else."""
    used = re.findall(r"uses: (\S+)", WORKFLOW)
    assert used
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) for action in used), used
    assert re.findall(r"^ *permissions:\n((?: +.*\n)+)", WORKFLOW, re.M) == ["  contents: read\n"]


def test_every_engine_is_reached_through_the_registry():
    """The contract that import-linter checks names every engine that there is."""
    contracts = {entry["id"]: entry for entry in PROJECT["tool"]["importlinter"]["contracts"]}
    named = set(contracts["engines"]["protected_modules"])
    shared = {
        *("__init__", "base", "blocks", "closing", "inner", "memory", "objective", "recorded"),
        *("registry", "tape"),
    }
    found = (ROOT / "explainers" / "engines").iterdir()
    modules = {
        path.stem for path in found if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert named == {f"explainers.engines.{name}" for name in modules - shared}


def test_a_clone_is_not_mostly_results():
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    files = listed.stdout.rstrip("\0").split("\0")
    assert sum(file.startswith("results/") for file in files) < len(files) / 5


def test_what_is_long_says_why():
    """A file over 400 lines, or a function over 60 without its docstring: ``# long: <why>``."""
    found = []
    for path in SOURCES:
        text = path.read_text()
        lines = text.splitlines()
        if len(lines) > 400 and not re.search(r"^# long: \w", text, flags=re.MULTILINE):
            found.append(f"{path.relative_to(ROOT)}: {len(lines)} lines")
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            described = node.body[0] if ast.get_docstring(node) else None
            aside = described.end_lineno - described.lineno + 1 if described else 0
            length = node.end_lineno - node.lineno + 1 - aside
            own = "\n".join(lines[node.lineno - 1 : node.end_lineno])
            if length > 60 and not re.search(r"^ +# long: \w", own, flags=re.MULTILINE):
                found.append(f"{path.relative_to(ROOT)}: {node.name}, {length} lines")
    assert not found, "\n".join(found)


def test_no_method_asks_which_engine_it_is_on():
    for path in (ROOT / "explainers" / "methods").glob("*.py"):
        assert not re.search(r"isinstance\(\s*problem\b", path.read_text()), path.name


@pytest.mark.parametrize("words", NOT_OUR_WORDS, ids=NOT_OUR_WORDS.get)
def test_the_words_are_those_of_the_field(words):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in [*SOURCES, *PROSE]
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(words, line, flags=re.IGNORECASE)
    ]
    assert not found, f"say {NOT_OUR_WORDS[words]!r}:\n" + "\n".join(found)


def test_every_fault_has_its_test():
    """The tests that the table of faults names exist, with their parameters."""
    rows = [line for line in (ROOT / "docs" / "faults.md").read_text().splitlines() if "::" in line]
    assert len(rows) > 20
    for row in rows:
        (named,) = re.findall(r"`(test_\w+\.py)::(test_\w+)(?:\[(\w+)\])?`", row)
        file, test, parameter = named
        (path,) = (ROOT / "tests").rglob(file)
        text = path.read_text()
        assert re.search(rf"^def {test}\(", text, flags=re.MULTILINE), row
        assert not parameter or f'"{parameter}"' in text, row


def test_numbers_in_the_readme_come_from_a_report():
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"<!-- from (results/\S+) -->(.*?)<!-- end -->", text, flags=re.DOTALL)
    assert blocks
    for source, block in blocks:
        lines = set((ROOT / source).read_text().splitlines())
        assert all(line in lines for line in block.splitlines() if line.startswith("|"))
        for picture in re.findall(r"!\[[^]]*\]\((\S+)\)", block):
            assert (ROOT / picture).is_file()
