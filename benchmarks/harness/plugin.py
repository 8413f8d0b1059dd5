"""Where the benchmarks meet pytest: options, fixtures, what happens before and after the tests.

Only ``--benchmark-only`` starts a run; pytest otherwise collects the benchmarks and skips them.
A test module parametrises its tests with :func:`benchmarks.harness.variants.parametrize`.
"""

from __future__ import annotations

import dataclasses
import html
import itertools
import json
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

# long: all that meets pytest is here, which finds its hooks by their names in one module
import pytest
from tqdm import tqdm

from benchmarks.harness import environment, interrupts, supervisor
from benchmarks.harness.errors import CannotWrite, FailedBefore, OutOfMemory, Resumed
from benchmarks.harness.lock import Locked
from benchmarks.harness.options import (
    ALWAYS,
    PREFERRED,
    PROFILES,
    Plan,
    declared,
    make_plan,
)
from benchmarks.harness.presets import with_preset
from benchmarks.harness.progress import Progress
from benchmarks.harness.run import Run, default_folder
from benchmarks.harness.stop import STOP

if TYPE_CHECKING:
    from benchmarks.tasks import Task

COLUMNS = ["median", "iqr", "min", "rounds"]
FIRST = ("quality", "runtime")  # of the benchmarks
MOST_PRINTED = 10_000  # characters that are shown of what a failed test has printed
TIMER = "torch.utils.benchmark.utils.timer.timer"
PLAN = pytest.StashKey[Plan]()  # its tasks are chosen before the tests are collected
RUN = pytest.StashKey[Run]()
PROGRESS = pytest.StashKey[Progress]()
PROBLEMS = pytest.StashKey[list[str]]()  # what could not be written at the end, and why
REPORT = pytest.StashKey[str]()  # the message of the report that failed; empty if it did not
STATUS = pytest.StashKey[int | None]()  # the exit status; None if its end was interrupted


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declares the options of :class:`benchmarks.harness.options.Plan`."""
    group = parser.getgroup("gnn-explainer-bench")
    for option in declared().values():
        group.addoption(option.flag, **option.parser_arguments)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Runs the benchmarks in a child process, which may die; see ``harness/supervisor.py``."""
    option = config.getoption
    invoked = config.invocation_params
    if supervisor.orders() is not None:
        interrupts.watch_alone()
    bystander = any(map(option, ("help", "collectonly", "version", "markers", "showfixtures")))
    # Plugins that are objects belong to a program that calls pytest: they cannot be handed over.
    at_hand = any(not isinstance(plugin, str) for plugin in invoked.plugins or ())
    if not option("benchmark_only") or bystander or at_hand or supervisor.orders():
        return None
    given = with_preset(_given(config))
    limit = given.get("cell_timeout")
    if os.name != "posix" or (limit is not None and not limit >= 0) or option("usepdb"):
        return None
    if limit is None:
        profile = given.get("profile", "quick")
        limit = PROFILES[profile].timeout if profile in PROFILES else 0
    folder = (option("results") or default_folder(config.rootpath)).resolve()
    if not folder.is_dir():  # it is made now; of one that is there the lock comes first
        try:
            declared()["results"].value(option("results"), given, {})
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None
    # On a cluster they have units of their own.
    together = given.get("together") or given.get("executor") == "ray"
    apart = [] if together else supervisor.foreign_methods(given.get("methods") or ())
    try:
        return supervisor.run(invoked.args, invoked.dir, folder, limit, apart)
    except (Locked, OSError) as error:
        raise pytest.UsageError(str(error)) from None


def _given(config: pytest.Config) -> dict[str, Any]:
    """The options as they were given, by the names of the plan's fields."""
    return {name: config.getoption(option.flag) for name, option in declared().items()}


def pytest_configure(config: pytest.Config) -> None:
    """Checks the options and sets up the run, before pytest-benchmark reads its own options."""
    if config.getoption("help"):
        return
    if not config.getoption("benchmark_only"):
        for one in declared().values():
            if config.getoption(one.flag) != one.parser_arguments.get("default", False):
                raise pytest.UsageError(
                    f"{one.flag}: is for a run of the benchmarks, which takes "
                    "--benchmark-only; add it"
                )
        return
    if config.getoption("numprocesses", None):
        raise pytest.UsageError(
            "-n: benchmarks are timed, which takes one process; leave it out, or see --executor ray"
        )
    orders = supervisor.orders()
    given = _given(config)
    if orders is not None and orders.again:
        given |= {"results": Path(orders.folder), "resume": True}
    try:
        plan = make_plan(**given)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    if plan.trust_data:
        from benchmarks.tasks._source import TRUST_VARIABLE

        os.environ[TRUST_VARIABLE] = " ".join(plan.trust_data)
    if config.getoption("collectonly"):
        config.stash[PLAN] = dataclasses.replace(plan, tasks=plan.tasks or (PREFERRED, *ALWAYS))
        return
    folder = (plan.results or default_folder(config.rootpath)).resolve()
    if orders is not None:
        folder = Path(orders.folder)
        config.option.deselect = [*(config.option.deselect or []), *orders.skip]
    command = environment.public_command(config.invocation_params.args, config.rootpath)
    if orders is not None:
        plan = dataclasses.replace(
            plan,
            # Of those apart only this child's: not even the import of another is safe.
            methods=tuple(
                name for name in plan.methods if name not in orders.apart or name == orders.only
            ),
        )
    run = Run(plan, folder, command, orders.since if orders is not None else float("inf"))
    try:
        run.open(locked_before=orders is not None)
    except (Locked, OSError) as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[PLAN] = plan
    config.stash[RUN] = run
    interrupts.watch(signal.SIGINT if orders is None else STOP)
    # A clock that does not wait for the accelerator would time the launch of the work only.
    config.option.benchmark_timer = TIMER
    config.option.benchmark_json = config.option.benchmark_json or folder / "benchmark.json"
    config.option.benchmark_columns = config.option.benchmark_columns or COLUMNS
    # Hundreds of rows that the report has, too; the run ends with what they come to.
    config.option.benchmark_quiet = not config.option.benchmark_verbose


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Says where the results go, and that those of a changed tree are not for publishing."""
    run = config.stash.get(RUN, None)
    if run is None:
        return []
    lines = [f"results: {_shown(run.folder)} ({run.plan.profile} profile, {run.plan.device})"]
    if run.changed_tree:
        lines.append("warning: the working tree has changes; these results cannot be published")
    return lines


def pytest_sessionstart(session: pytest.Session) -> None:
    """Shows how far the run is from here on, unless ``-q`` was given."""
    config = session.config
    reporter = config.pluginmanager.getplugin("terminalreporter")
    verbosity = config.get_verbosity()
    if RUN not in config.stash or reporter is None or verbosity < 0:
        return
    # On a terminal a bar takes the place of pytest's dots, unless pytest is verbose.
    with_bar = verbosity == 0 and sys.stderr.isatty() and sys.stdout.isatty()
    config.stash[PROGRESS] = Progress(reporter, with_bar=with_bar)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Chooses the default tasks: whether the real data can be had decides what is collected."""
    config = session.config
    run = config.stash.get(RUN, None)
    if run is None:
        return
    with _uncaptured(config), _as_outcome():
        for message in run.messages:
            print(message)
        tasks = run.choose_tasks()
        for name, message in run.unavailable.items():
            print(f"\n{name} is unavailable: {message}\n")
    config.stash[PLAN] = dataclasses.replace(run.plan, tasks=tasks)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps the tests of the preset's benchmarks, and of those methods that this process is for."""
    if PLAN not in config.stash:
        return
    names = config.stash[PLAN].benchmarks
    if names and items and not any(_benchmark(item) in names for item in items):
        raise pytest.UsageError(
            f"--preset {config.stash[PLAN].preset}: is of {' and '.join(names)}, none of which is "
            "among these tests; name benchmarks/ alone, or leave the preset out"
        )
    orders = supervisor.orders()
    only = orders.only if RUN in config.stash and orders is not None else ""
    dropped = [
        item
        for item in items
        if (names and _benchmark(item) not in names) or (only and _method(item) != only)
    ]
    left_out = set(dropped)
    # What a reader asks first comes first: a run that is interrupted early has it.
    last = len(FIRST)
    items[:] = sorted(
        (item for item in items if item not in left_out),
        key=lambda item: FIRST.index(_benchmark(item)) if _benchmark(item) in FIRST else last,
    )
    if dropped:
        config.hook.pytest_deselected(items=dropped)


def _benchmark(item: pytest.Item) -> str:
    """The benchmark that a test is of, by its file's name."""
    return item.path.stem.removeprefix("test_")


def _method(item: pytest.Item) -> str | None:
    """The method that a test is about, or None."""
    callspec = getattr(item, "callspec", None)
    variant = callspec.params.get("variant") if callspec else None
    return variant.get("method") if isinstance(variant, Mapping) else None


def _kind(item: pytest.Item) -> tuple[str, str, str, str]:
    """The benchmark, method, engine and task of a test."""
    callspec = getattr(item, "callspec", None)
    parameters = callspec.params if callspec else {}
    variant = parameters.get("variant")
    engine = variant.get("engine") if isinstance(variant, Mapping) else ""
    name = item.nodeid.partition("::")[2].partition("[")[0]
    return name, _method(item) or "", engine or "", str(parameters.get("task_name", ""))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """The number of cells is known."""
    if PROGRESS in session.config.stash:
        session.config.stash[PROGRESS].begin(list(map(_kind, session.items)))


# ---- what tests are given


def plan_of(config: pytest.Config) -> Plan:
    """The plan of this pytest session; outside of ``--benchmark-only`` a default one.

    While the tests are collected, its tasks are chosen already.
    """
    plan = config.stash.get(PLAN, None)
    if plan is None:  # collected, but not run
        config.stash[PLAN] = plan = make_plan(tasks=(PREFERRED, *ALWAYS))
    return plan


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
        # Here and not in `_as_outcome`: within a cell it would be an error of the method's.
        pytest.skip(f"{name} is unavailable: {message}")

    return load


@pytest.fixture
def task(
    load_task: Callable[[str, int, str], Task], task_name: str, architecture: str, model_seed: int
) -> Task:
    """The task of the test's parameters ``task_name``, ``architecture`` and ``model_seed``."""
    return load_task(task_name, model_seed, architecture)


# ---- while they run


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Runs the tests elsewhere if the plan says so."""
    config = session.config
    run = config.stash.get(RUN, None)
    if run is None or run.plan.executor != "ray" or session.testsfailed:
        return None
    from benchmarks.harness import cluster

    with _uncaptured(config):
        cluster.run(session, run, config.stash[PLAN])
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Tells the supervisor, and who waits, which test this process is at."""
    run = item.config.stash.get(RUN, None)
    if run is None:
        return (yield)
    progress = item.config.stash.get(PROGRESS, None)
    if progress is not None:
        progress.cell_begins(item.nodeid.rpartition("::")[2].removeprefix("test_"))
    callspec = getattr(item, "callspec", None)
    stand_in = run.stand_in(item.nodeid, callspec.params if callspec else {})
    supervisor.at_test(item.nodeid, stand_in)
    run.stands = stand_in
    try:
        result = yield
        # Not if the session ends here: that is for the supervisor to judge.
        if run.owes:
            item.session.shouldstop = "a cell could not be written"
        elif interrupts.received_alone():
            item.session.shouldstop = "the process was interrupted; another one goes on"
        else:
            supervisor.after_test()
        return result
    finally:
        if progress is not None:
            progress.cell_ends()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """A fixture loads the task, which is recorded."""
    with _as_outcome():
        if RUN in item.config.stash:
            item.config.stash[RUN].skip_failed()
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """A test that was resumed is skipped, one that ran out of memory has failed as expected."""
    with _as_outcome():
        return (yield)


@contextmanager
def _as_outcome() -> Iterator[None]:
    """Makes pytest's outcomes of the run's exceptions."""
    try:
        yield
    except Resumed as error:
        pytest.skip(str(error))
    except FailedBefore as error:
        pytest.fail(str(error), pytrace=False)
    except OutOfMemory as error:
        pytest.xfail(str(error))
    except CannotWrite as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.TESTS_FAILED)
    except (KeyboardInterrupt, pytest.exit.Exception) as error:
        if interrupts.received() or interrupts.received_alone():
            raise
        from benchmarks.harness.measure import text_of

        name = type(error).__name__
        raise RuntimeError(f"a method has raised {name} {text_of(error)}") from error


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Counts what was skipped, and records what failed before its cell began."""
    run = item.config.stash.get(RUN, None)
    raised = call.excinfo
    if run is not None and raised is not None:
        call.excinfo = _short(raised)
    report = yield
    if run is not None:  # what a method prints may be without end
        report.sections = [(title, text[-MOST_PRINTED:]) for title, text in report.sections]
    if run is not None and report.failed and raised is not None:
        run.failed_before_its_cell(raised.value)
    progress = item.config.stash.get(PROGRESS, None)
    if progress is not None:
        progress.skipped += report.skipped
    return report


def _short(
    raised: pytest.ExceptionInfo[BaseException],
) -> pytest.ExceptionInfo[BaseException]:
    """What was raised, or what tells of it where a message is too long to print."""
    from benchmarks.harness.measure import Raised, is_long, one_line

    if isinstance(raised.value, pytest.skip.Exception) or not is_long(raised.value):
        return raised
    told = Raised(one_line(raised.value)).with_traceback(raised.tb)
    return pytest.ExceptionInfo.from_exception(told)


def pytest_collectstart(collector: pytest.Collector) -> None:
    """The same of what fails while tests are collected, as the import of a method."""
    if RUN in collector.config.stash:
        told = collector.repr_failure
        collector.repr_failure = lambda excinfo: told(_short(excinfo))  # type: ignore[method-assign]


@pytest.hookimpl(tryfirst=True)
def pytest_warning_recorded(warning_message: warnings.WarningMessage) -> None:
    """The same of a warning."""
    text = str(warning_message.message)
    if len(text) > MOST_PRINTED:
        warning_message.message = UserWarning(f"{text[:MOST_PRINTED]} ...")


@pytest.hookimpl(wrapper=True)
def pytest_report_teststatus(
    report: pytest.TestReport, config: pytest.Config
) -> Generator[None, tuple[str, str, str], tuple[str, str, str]]:
    """Keeps the dots away from the bar; a failure has a line of its own."""
    category, letter, word = yield
    progress = config.stash.get(PROGRESS, None)
    if progress is None or progress.bar is None:
        return category, letter, word
    if report.failed:
        progress.failed(f"{word or category}: {report.nodeid}")
    return category, "", ""


# ---- after the tests


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """Adds torch and the GPU to pytest-benchmark's own file, and takes out the host's name."""
    if RUN not in config.stash:
        return
    machine_info.pop("node", None)  # the file is published
    machine_info |= environment.torch_and_gpu()


@pytest.hookimpl(tryfirst=True)
def pytest_benchmark_generate_json(benchmarks: list[Any]) -> None:
    """Leaves out what was interrupted in its first round: there are no statistics of it."""
    benchmarks[:] = [benchmark for benchmark in benchmarks if benchmark]


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Keeps what an earlier part of a resumed run has measured."""
    run = config.stash.get(RUN, None)
    if run is None or not run.plan.resume:
        return
    try:
        earlier = json.loads(Path(config.option.benchmark_json).read_text())["benchmarks"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return
    measured = {entry["fullname"] for entry in output_json["benchmarks"]}
    kept = [entry for entry in earlier if entry["fullname"] not in measured]
    output_json["benchmarks"] = kept + output_json["benchmarks"]


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Writes the manifest and draws the report, also of a run that was interrupted.

    pytest-benchmark's file, the manifest and the report are written each for itself: one that fails
    takes no other with it, and leaves the cells as they are.
    """
    config = session.config
    if PROGRESS in config.stash:
        config.stash[PROGRESS].close()
    run = config.stash.get(RUN, None)
    status = int(session.exitstatus)
    if run is None or not run.cells.is_dir():
        config.stash[STATUS] = status
        return (yield)
    config.stash[STATUS] = None  # until all is there
    problems: list[str] = []
    try:
        yield  # pytest-benchmark writes its file
    except Exception as error:
        problems.append(f"benchmark.json was not written: {_told(error)}")
    try:
        run.write_manifest()
    except Exception as error:
        problems.append(f"the manifest was not written: {_told(error)}")
    orders = supervisor.orders()
    # In the process of another package's method nothing is as it was: it is drawn elsewhere.
    if orders is None or not orders.only:
        try:
            import benchmarks.report

            benchmarks.report.write(run.folder)
            config.stash[REPORT] = ""
        except Exception as error:
            config.stash[REPORT] = _told(error)
    config.stash[PROBLEMS] = problems
    report_failed = bool(config.stash.get(REPORT, ""))
    if problems or report_failed:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if not run.loaded and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED  # every task was unavailable
    config.stash[STATUS] = int(session.exitstatus)


def _told(error: Exception) -> str:
    """What to print of an error; of a full disk no traceback, which is no fault of the code's."""
    if isinstance(error, OSError):
        return f"{type(error).__name__}: {error}"
    return "".join(traceback.format_exception(error))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Ends the run with the report's answers, what is missing from it, and the report's path."""
    run = config.stash.get(RUN, None)
    for problem in config.stash.get(PROBLEMS, []):
        terminalreporter.line(problem, red=True)
    if run is None or REPORT not in config.stash:
        return
    terminalreporter.section("results")
    terminalreporter.line(f"cells: {run.statuses()}")
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
    for answer in _answers(run.folder / "report.md"):
        terminalreporter.line(answer)
    for line in _summary(run.folder / "report.md"):
        terminalreporter.line(line)
    for name in ("report.md", "report.html"):
        terminalreporter.line(f"report: {_shown(run.folder / name)}", green=True)
    if interrupts.received():
        terminalreporter.line(
            f"interrupted; go on with the same command and --results {_shown(run.folder)} --resume",
            yellow=True,
        )


def _answers(page: Path) -> list[str]:
    """The sentences that a report begins with; none without a page."""
    if not page.is_file():
        return []
    lines = itertools.dropwhile(
        lambda line: not line.startswith("- "), page.read_text(encoding="utf-8").splitlines()
    )
    found = itertools.takewhile(lambda line: line.startswith("- "), lines)
    return [html.unescape(re.sub(r"\\(.)", r"\1", line.removeprefix("- "))) for line in found]


def _summary(page: Path) -> list[str]:
    """The table of the verdict, its columns aligned; none without one."""
    if not page.is_file():
        return []
    text = page.read_text(encoding="utf-8").partition("\n## Verdict\n")[2].partition("\n#")[0]
    lines = itertools.dropwhile(lambda line: not line.startswith("| "), text.splitlines())
    table = itertools.takewhile(lambda line: line.startswith("| "), lines)
    texts = (html.unescape(re.sub(r"\\(.)", r"\1", line.strip("| "))) for line in table)
    rows = [row for text in texts if set(row := text.split(" | ")) != {"---"}]
    rows[:1] = [[name.partition(",")[0] for name in row] for row in rows[:1]]  # not its conditions
    widths = [max(map(len, column)) for column in zip(*rows, strict=False)]
    padded = ((cell.ljust(width) for cell, width in zip(row, widths, strict=False)) for row in rows)
    return ["", *("  ".join(row).rstrip() for row in padded), ""] if rows else []


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Lets go of the results folder, and of the supervisor, if all is done."""
    run = config.stash.get(RUN, None)
    if run is not None:
        run.close()
    status = config.stash.get(STATUS, int(pytest.ExitCode.USAGE_ERROR))
    if interrupts.received_alone():
        supervisor.interrupted()
        status = config.stash.get(STATUS, None)
    if status is not None:
        supervisor.ended(status)


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
