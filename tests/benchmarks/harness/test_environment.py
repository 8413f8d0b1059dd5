"""The manifest, with and without git."""

import json
import shutil
import subprocess

import pytest

from benchmarks.harness import environment

FIELDS = {
    "schema",
    "created",
    "command",
    "commit",
    "dirty",
    "profile",
    "python",
    "versions",
    "platform",
    "cpu",
    "gpu",
    "determinism",
    "tasks",
    "methods",
    "metrics",
    "unavailable",
}
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")


def git(folder, *arguments):
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init")
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path


def test_manifest_has_every_field():
    content = environment.manifest(
        command="pytest", profile="quick", unavailable=[{"task": "cora", "message": "no file"}]
    )
    assert set(content) == FIELDS
    assert content["schema"] == 1
    assert content["versions"]["torch"]
    assert set(content["cpu"]) == {"model", "cores", "threads"}
    assert content["cpu"]["cores"] >= 1
    assert content["cpu"]["threads"] >= 1
    assert content["gpu"] is None or set(content["gpu"]) == {
        "name",
        "driver",
        "cuda",
        "memory_bytes",
    }
    assert isinstance(content["determinism"]["tf32"], bool)
    assert content["unavailable"] == [{"task": "cora", "message": "no file"}]
    json.dumps(content, allow_nan=False)


@needs_git
def test_commit_and_changes(repository):
    commit, dirty = environment.commit(repository)
    assert len(commit) == 40
    assert dirty is False
    (repository / "results").mkdir()
    (repository / "results" / "report.md").write_text("drawn")
    assert environment.commit(repository) == (commit, False)
    (repository / "code.py").write_text("2")
    assert environment.commit(repository) == (commit, True)


@needs_git
def test_an_archive_inside_a_repository_has_no_commit(repository):
    (repository / "unpacked").mkdir()
    assert environment.commit(repository / "unpacked") == (None, None)


@needs_git
def test_before_the_first_commit(tmp_path):
    git(tmp_path, "init")
    assert environment.commit(tmp_path) == (None, False)


def test_without_git(tmp_path, monkeypatch):
    assert environment.commit(tmp_path) == (None, None)
    monkeypatch.setenv("PATH", "")
    assert environment.commit() == (None, None)
    content = environment.manifest(command="pytest", profile="full")
    assert content["commit"] is None
    assert content["dirty"] is None


@pytest.fixture
def checksum(tmp_path):
    """The checksum of a source tree in ``tmp_path`` after a file there was written."""

    def of(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        environment.source_sha256.cache_clear()
        return environment.source_sha256(tmp_path)

    yield of
    environment.source_sha256.cache_clear()


def test_source_checksum_follows_the_code_that_makes_numbers(checksum):
    names = (
        "explainers/engines/batched.py",
        "explainers/engines/analytic/path.py",
        "explainers/methods/saliency.py",
        "explainers/metrics/fidelity.py",
        "benchmarks/test_runtime.py",
        "benchmarks/measures/agreement.py",
        "benchmarks/replication/protocols.py",
        "benchmarks/harness/measure.py",
        "benchmarks/harness/guards.py",
        "benchmarks/harness/options.py",
        "benchmarks/harness/run.py",
        "benchmarks/harness/new.py",
    )
    seen = {checksum("README.md", "")}
    seen |= {checksum(name, content) for name in names for content in ("1", "2")}
    assert len(seen) == 1 + 2 * len(names)


@pytest.mark.parametrize(
    "name",
    [
        "explainers/drawing/draw.py",
        "explainers/_script.py",
        "benchmarks/__main__.py",
        "benchmarks/conftest.py",
        "benchmarks/cli/compare.py",
        "benchmarks/cli/listing.py",
        "benchmarks/harness/cluster.py",
        "benchmarks/harness/lock.py",
        "benchmarks/harness/plugin.py",
        "benchmarks/harness/progress.py",
        "benchmarks/harness/supervisor.py",
        "benchmarks/replication/published.py",
        "benchmarks/report/figures/draw.py",
        "benchmarks/store/archive.py",
        "tests/test_project.py",
    ],
)
def test_source_checksum_leaves_out_what_makes_no_number(checksum, name):
    before = checksum("explainers/engines/batched.py", "1")
    assert checksum(name, "1") == checksum(name, "2") == before


def test_source_checksum_names_no_file_that_is_gone():
    """A file that was renamed would count again, or not any more; ``plugin`` is to come."""
    for pattern in (*environment.MAKE_NUMBERS, *environment.MAKE_NO_NUMBERS):
        if not pattern.endswith("/plugin.py"):
            assert list(environment.ROOT.glob(pattern)), pattern


def test_published_command_names_no_folder_of_this_machine(tmp_path):
    arguments = [
        "benchmarks/",
        "--benchmark-only",
        "--data-root",
        "/home/someone/data",
        f"--results={tmp_path}/results/new",
    ]
    command = environment.public_command(arguments, tmp_path)
    assert command == (
        "pytest benchmarks/ --benchmark-only --data-root .../data --results=results/new"
    )
