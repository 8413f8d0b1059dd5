"""The command line of the benchmarks, their fixtures, and what happens before and after them.

Only ``--benchmark-only`` starts a run; pytest otherwise collects the benchmarks and skips them.
A test module parametrises its tests with :func:`benchmarks.harness.options.parametrize`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tqdm import tqdm

from benchmarks.harness import environment, progress, supervisor
from benchmarks.harness.lock import Locked
from benchmarks.harness.options import (
    ALWAYS,
    DEVICES,
    EXECUTORS,
    PLAN,
    PREFERRED,
    PROFILES,
    Plan,
    make_plan,
)
from benchmarks.harness.run import RUN, Run, default_folder
from benchmarks.store.cell import STATUSES

if TYPE_CHECKING:
    from benchmarks.tasks import Task

TIMER = "torch.utils.benchmark.utils.timer.timer"
REPORT = pytest.StashKey[str]()  # the message of the report that failed; empty if it did not


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declares the options; :func:`benchmarks.harness.options.make_plan` checks them."""
    group = parser.getgroup("gnn-explainer-bench")
    group.addoption(
        "--task",
        action="append",
        default=[],
        metavar="NAME",
        help="explain this task, or your own: path/to/file.py:function; repeatable (default: "
        "twitch-en or its stand-in, and ba-shapes)",
    )
    group.addoption(
        "--method",
        action="append",
        default=[],
        metavar="NAME",
        help="measure this method; repeatable (default: all)",
    )
    group.addoption(
        "--model",
        action="append",
        default=[],
        metavar="NAME",
        help="explain models of this kind: gcn, sage, gin or gat; repeatable (default: gcn)",
    )
    group.addoption(
        "--device",
        metavar="|".join(DEVICES),
        help="where the models run (default: $GNN_BENCH_DEVICE, else cpu)",
    )
    group.addoption("--nodes", type=int, metavar="N", help="explain N nodes of each task")
    group.addoption("--seeds", type=int, metavar="N", help="train N models for each task")
    group.addoption(
        "--profile",
        default="quick",
        metavar="|".join(PROFILES),
        help="how much is measured (default: quick)",
    )
    group.addoption(
        "--results",
        type=Path,
        metavar="DIR",
        help="results folder (default: results/local/<time>-<commit>)",
    )
    group.addoption(
        "--resume", action="store_true", help="keep the finished cells of --results DIR"
    )
    group.addoption(
        "--executor",
        default="local",
        metavar="|".join(EXECUTORS),
        help="run in this process, or on the workers of a Ray cluster (default: local)",
    )
    group.addoption(
        "--address", metavar="HOST:PORT", help="the Ray cluster (default: one on this machine)"
    )
    group.addoption(
        "--workers",
        type=int,
        metavar="N",
        help="work on N things at once on the Ray cluster (default: its CPUs or GPUs)",
    )
    group.addoption(
        "--cell-timeout",
        type=float,
        metavar="SECONDS",
        help="what takes longer at one cell is killed and recorded as timeout; 0 is no limit "
        f"(default: {' or '.join(f'{entry.timeout:g}' for entry in PROFILES.values())}, "
        "by profile)",
    )
    group.addoption(
        "--trust-data",
        action="append",
        default=[],
        metavar="SHA256",
        help="open this pickle of a dataset, although it is not the original; repeatable",
    )
    group.addoption(
        "--data-root",
        type=Path,
        metavar="DIR",
        help="folder with raw files, only read (default: $GNN_BENCH_DATA, else data)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Runs the benchmarks in a child process, which may die; see ``harness/supervisor.py``."""
    option = config.getoption
    invoked = config.invocation_params
    bystander = any(map(option, ("help", "collectonly", "version", "markers", "showfixtures")))
    # Plugins that are objects belong to a program that calls pytest: they cannot be handed over.
    at_hand = any(not isinstance(plugin, str) for plugin in invoked.plugins or ())
    if not option("benchmark_only") or bystander or at_hand or supervisor.orders():
        return None
    limit = option("cell_timeout")
    if os.name != "posix" or (limit is not None and not limit >= 0) or option("usepdb"):
        return None
    if limit is None:
        limit = PROFILES[option("profile")].timeout if option("profile") in PROFILES else 0
    folder = (option("results") or default_folder(config.rootpath)).resolve()
    return supervisor.run(invoked.args, invoked.dir, folder, limit)


def pytest_configure(config: pytest.Config) -> None:
    """Checks the options and sets up the run, before pytest-benchmark reads its own options."""
    if not config.getoption("benchmark_only") or config.getoption("help"):
        return
    option = config.getoption
    orders = supervisor.orders()
    again = orders is not None and orders.again
    try:
        plan = make_plan(
            profile=option("profile"),
            tasks=option("task"),
            methods=option("method"),
            models=option("model"),
            device=option("device"),
            nodes=option("nodes"),
            seeds=option("seeds"),
            data_root=option("data_root"),
            cell_timeout=option("cell_timeout"),
            trust_data=option("trust_data"),
            results=Path(orders.folder) if orders and again else option("results"),
            resume=again or option("resume"),
            executor=option("executor"),
            address=option("address"),
            workers=option("workers"),
        )
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    if option("trust_data"):
        from benchmarks.tasks._source import TRUST_VARIABLE

        os.environ[TRUST_VARIABLE] = " ".join(option("trust_data"))
    if option("collectonly"):
        config.stash[PLAN] = dataclasses.replace(plan, tasks=plan.tasks or (PREFERRED, *ALWAYS))
        return
    folder = (plan.results or default_folder(config.rootpath)).resolve()
    if orders is not None:
        folder = Path(orders.folder)
        config.option.deselect = [*(config.option.deselect or []), *orders.skip]
    command = environment.public_command(config.invocation_params.args, config.rootpath)
    run = Run(plan, folder, command)
    try:
        run.open()
    except (Locked, OSError) as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[PLAN] = plan
    config.stash[RUN] = run
    # A clock that does not wait for the accelerator would time the launch of the work only.
    config.option.benchmark_timer = TIMER
    config.option.benchmark_json = config.option.benchmark_json or folder / "benchmark.json"
    config.option.benchmark_columns = config.option.benchmark_columns or [
        "median",
        "iqr",
        "min",
        "rounds",
    ]


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Says where the results go, and that those of a changed tree are not for publishing."""
    run = config.stash.get(RUN, None)
    if run is None:
        return []
    lines = [f"results: {_shown(run.folder)} ({run.plan.profile} profile, {run.plan.device})"]
    if run.git[1]:
        lines.append("warning: the working tree has changes; these results cannot be published")
    return lines


def pytest_sessionstart(session: pytest.Session) -> None:
    """Shows how far the run is, from here on."""
    if RUN in session.config.stash:
        progress.install(session.config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Chooses the default tasks: whether the real data can be had decides what is collected."""
    config = session.config
    run = config.stash.get(RUN, None)
    if run is None:
        return
    with _uncaptured(config):
        for message in run.messages:
            print(message)
        tasks = run.choose_tasks()
        for name, message in run.unavailable.items():
            print(f"\n{name} is unavailable: {message}\n")
    config.stash[PLAN] = dataclasses.replace(run.plan, tasks=tasks)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Runs the tests elsewhere if the plan says so."""
    run = session.config.stash.get(RUN, None)
    if run is None or run.plan.executor != "ray" or session.testsfailed:
        return None
    from benchmarks.harness import cluster

    with _uncaptured(session.config):
        cluster.run(session, run)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Tells the supervisor which test this process is at."""
    run = item.config.stash.get(RUN, None)
    if run is None:
        return (yield)
    callspec = getattr(item, "callspec", None)
    stand_in = run.stand_in(item.nodeid, callspec.params if callspec else {})
    supervisor.at_test(item.nodeid, stand_in)
    try:
        return (yield)
    finally:
        supervisor.after_test()


@pytest.fixture(scope="session")
def run(pytestconfig: pytest.Config) -> Run:
    """The run: where the cells go."""
    run = pytestconfig.stash.get(RUN, None)
    if run is None:
        pytest.skip("benchmarks run with --benchmark-only")
    return run


@pytest.fixture(scope="session")
def plan(run: Run) -> Plan:
    """What was asked for."""
    return run.plan


@pytest.fixture(scope="session")
def device(plan: Plan) -> str:
    """``cpu`` or ``cuda``."""
    return plan.device


@pytest.fixture(scope="session")
def load_task(run: Run, pytestconfig: pytest.Config) -> Callable[[str, int, str], Task]:
    """``load_task(name, model_seed, model)``: a task with its model, loaded once a session.

    A test whose task cannot be had is skipped; the run has a cell and a message that say so.
    """
    import benchmarks.tasks

    def load(name: str, model_seed: int = 0, model: str = "gcn") -> Task:
        with _uncaptured(pytestconfig):  # training shows its progress
            try:
                return run.load_task(name, model_seed, model)
            except benchmarks.tasks.Unavailable as error:
                message = str(error)
        pytest.skip(f"{name} is unavailable: {message}")

    return load


@pytest.fixture
def task(
    load_task: Callable[[str, int, str], Task], task_name: str, architecture: str, model_seed: int
) -> Task:
    """The task of the test's parameters ``task_name``, ``architecture`` and ``model_seed``."""
    return load_task(task_name, model_seed, architecture)


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """Adds torch and the GPU to pytest-benchmark's own file, and takes out the host's name."""
    if RUN not in config.stash:
        return
    machine_info.pop("node", None)  # the file is published
    machine_info["torch"] = environment.versions().get("torch")
    machine_info["torch_threads"] = environment.cpu()["threads"]
    machine_info["gpu"] = environment.gpu()


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Keeps what an earlier part of a resumed run has measured."""
    run = config.stash.get(RUN, None)
    if run is None or not run.plan.resume:
        return
    try:
        earlier = json.loads(Path(config.option.benchmark_json).read_text())["benchmarks"]
    except (OSError, ValueError, KeyError):
        return
    measured = {entry["fullname"] for entry in output_json["benchmarks"]}
    kept = [entry for entry in earlier if entry["fullname"] not in measured]
    output_json["benchmarks"] = kept + output_json["benchmarks"]


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Writes the manifest and draws the report; one that fails leaves the cells as they are."""
    config = session.config
    run = config.stash.get(RUN, None)
    if run is None or not run.cells.is_dir():
        return (yield)
    config.stash[REPORT] = ""
    try:
        yield  # pytest-benchmark writes its file
        run.write_manifest()
        import benchmarks.report

        benchmarks.report.write(run.folder)
    except OSError as error:  # the disk is full
        config.stash[REPORT] = f"{type(error).__name__}: {error}"
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    except Exception:
        config.stash[REPORT] = traceback.format_exc()
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if not run.loaded and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED  # every task was unavailable


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Lets go of the results folder, and of the supervisor."""
    run = config.stash.get(RUN, None)
    if run is not None:
        run.close()
    supervisor.ended()


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Ends the run with what is missing from it and the report's path."""
    run = config.stash.get(RUN, None)
    if run is None or REPORT not in config.stash:
        return
    terminalreporter.section("results")
    counts = run.statuses()
    shown = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
    terminalreporter.line(f"cells: {shown or 'none'}")
    for name, message in run.unavailable.items():
        terminalreporter.line(f"{name} is unavailable: {message}", yellow=True)
    if config.stash[REPORT]:
        terminalreporter.line(config.stash[REPORT])
        again = f"python -m benchmarks report {_shown(run.folder)}"
        terminalreporter.line(
            f"the report could not be drawn; the cells are in {_shown(run.cells)}, draw it again "
            f"with: {again}",
            red=True,
        )
        return
    for name in ("report.md", "report.html"):
        terminalreporter.line(f"report: {_shown(run.folder / name)}", green=True)


@contextmanager
def _uncaptured(config: pytest.Config) -> Iterator[None]:
    """Lets what is printed inside reach the terminal, past the progress bar."""
    manager = config.pluginmanager.getplugin("capturemanager")
    shown = manager.global_and_fixture_disabled() if manager else nullcontext()
    with shown, tqdm.external_write_mode():
        yield


def _shown(path: Path) -> str:
    """``path``, relative to the working folder where it is inside."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
