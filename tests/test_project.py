"""The project's own files: what the wheel ships, and that versions and settings agree."""

import configparser
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAME = re.compile(r"[A-Za-z0-9._-]+")


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
    assert folders == {"explainers", "gnn_explainer_bench-0.1.0.dist-info"}
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
    version = PROJECT["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_tox_has_the_matrix():
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    assert "py3{11,12,13}-{cpu,cuda}" in tox["tox"]["env_list"]
    assert "bench-{cpu,cuda}" in tox["tox"]["env_list"]


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
