"""``python -m benchmarks pack``: a run in few files, from which all others are made again."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks.__main__ as command_line
import benchmarks.report
from benchmarks.harness.lock import locked
from benchmarks.store.archive import NAME

ROOT = Path(__file__).parents[3]
RECORDED = ROOT / "tests" / "benchmarks" / "report" / "recorded" / "steady"


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A results folder with its report."""
    folder = tmp_path_factory.mktemp("pack") / "drawn"
    shutil.copytree(RECORDED / "before", folder)
    benchmarks.report.write(folder)
    return folder


@pytest.fixture
def run(drawn, tmp_path):
    """A copy of it, as a run leaves it."""
    shutil.copytree(drawn, tmp_path / "run")
    (tmp_path / "run" / "benchmark.json").write_text("{}")
    return tmp_path / "run"


def test_a_packed_run_is_few_files_and_gives_the_same_report(run, drawn, capsys):
    before = contents(drawn)
    assert command_line.main(["pack", str(run)]) == 0
    assert capsys.readouterr().out == f"{run / NAME}\n"
    figures = {name for name in before if name.endswith(".svg")}
    assert figures
    packed = contents(run)
    pages = {"report.html", "report.md", "runtime.csv"}
    kept = {name for name in before if name in pages or name == "manifest.json"} | figures
    assert pages < kept
    assert packed.keys() == kept | {NAME}
    assert all(packed[name] == before[name] for name in kept)

    assert command_line.main(["pack", str(run)]) == 0
    assert contents(run) == packed
    assert command_line.main(["report", str(run)]) == 0
    again = {name: data for name, data in before.items() if not name.startswith("cells/")}
    assert contents(run) == again | {NAME: packed[NAME]}
    assert command_line.main(["pack", str(run)]) == 0
    assert contents(run) == packed


def test_figures_that_the_short_page_does_not_show_go(run):
    first, *others = sorted((run / "figures").glob("*.svg"))
    page = run / "report.md"
    page.write_text(page.read_text().replace(f"](figures/{first.name})", "](elsewhere)"))
    assert command_line.main(["pack", str(run)]) == 0
    assert sorted((run / "figures").iterdir()) == others


def test_packed_runs_are_compared(run, capsys):
    other = str(RECORDED / "after")
    first = command_line.main(["compare", str(run), other]), capsys.readouterr()
    command_line.main(["pack", str(run)])
    capsys.readouterr()
    assert (command_line.main(["compare", str(run), other]), capsys.readouterr()) == first


def test_a_run_without_a_report_is_not_packed(run, capsys):
    (run / "report.md").unlink()
    before = contents(run)
    assert command_line.main(["pack", str(run)]) == 2
    assert capsys.readouterr().err == (
        f"error: {run}: has no report.md; draw it first: python -m benchmarks report {run}\n"
    )
    assert contents(run) == before


def test_a_run_that_goes_on_is_not_packed(run, capsys):
    before = contents(run)
    with locked(run):
        assert command_line.main(["pack", str(run)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {run}: another run is writing there (")
    assert contents(run) == before


def test_no_results_folder(tmp_path, capsys):
    assert command_line.main(["pack", str(tmp_path)]) == 2
    assert "no results folder, it has no cells/" in capsys.readouterr().err


def test_a_damaged_archive_is_one_message(run, capsys):
    command_line.main(["pack", str(run)])
    (run / NAME).write_bytes(b"torn")
    capsys.readouterr()
    for command in (["pack", str(run)], ["report", str(run)], ["compare", str(run), str(run)]):
        assert command_line.main(command) == 2
        assert capsys.readouterr().err.startswith(f"error: {run / NAME} is damaged or was not")


def test_packing_imports_no_torch():
    program = (
        "import sys, benchmarks.cli.pack, benchmarks.harness.lock, benchmarks.store.archive; "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
