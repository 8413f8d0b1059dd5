"""A run on a Ray cluster: ``--executor ray``.

The driver collects the tests, deals them out in units, and writes the cells that come back into the
results folder. A unit is ``pytest`` on some of the tests in a folder of the worker's own, under a
supervisor of its own, so a fault is recorded there as everywhere. A unit whose worker dies is dealt
out again.

What is only scored runs in parallel. What is timed runs afterwards, and nothing beside it: one unit
at a time on a node or, on GPUs, on its GPU. All timings of one benchmark, task, model and repeat
are one unit: ratios are never taken across machines.

The workers need the packages of this one. The checkout is sent to them; data are looked for, and
models are trained, where a worker is.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.harness import supervisor
from benchmarks.harness.options import Plan, declared
from benchmarks.store.atomic import move_aside, write_atomically

if TYPE_CHECKING:
    from benchmarks.harness.run import Run

TRIES = 3  # of a unit whose worker dies
EXCLUDED = ["/results", "/.git", "/data", "*.pyc"]


@dataclass
class Unit:
    """Tests that run in one process, one after the other.

    Attributes:
        tests: Their names for pytest.
        timed: Whether nothing else may run beside them.
        deaths: How many workers have died at it.
    """

    tests: list[str]
    timed: bool
    deaths: int = 0


@dataclass
class Result:
    """What a worker gives back.

    Attributes:
        status: pytest's exit status.
        cells: The cell files that are new or others than before.
        gone: Names of those that were set aside.
        manifest: The worker's manifest.
        output: The end of what was printed.
    """

    status: int
    cells: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)
    output: str = ""


def units(items: Iterable[pytest.Item], workers: int) -> list[Unit]:
    """The tests in units: timed ones (they have a ``repeat``) by what is paired.

    The others in so many units that each worker gets about four: a unit costs the import of torch.
    A method of another package shares none with others.
    """
    foreign = supervisor.foreign_methods(())
    timed: dict[tuple[Any, ...], Unit] = {}
    scored: dict[tuple[Any, ...], list[str]] = {}
    for item in items:
        callspec = getattr(item, "callspec", None)
        parameters = callspec.params if callspec else {}
        names = ("task_name", "architecture", "model_seed")
        method = (parameters.get("variant") or {}).get("method")
        apart = method if method in foreign else ""
        key = (item.path, apart, *(parameters.get(name) for name in names))
        if "repeat" in parameters:
            unit = timed.setdefault((*key, parameters["repeat"]), Unit([], timed=True))
            unit.tests.append(item.nodeid)
        else:
            scored.setdefault(key, []).append(item.nodeid)
    size = max(1, math.ceil(sum(map(len, scored.values())) / (4 * workers)))
    found = [
        Unit(tests[start : start + size], timed=False)
        for tests in scored.values()
        for start in range(0, len(tests), size)
    ]
    return [*found, *timed.values()]


def run(session: pytest.Session, run: Run, plan: Plan) -> None:
    """Runs the session's tests on the cluster; the session's failures are the units'.

    Args:
        session: Of the driver, with its tests collected.
        run: Takes in the cells.
        plan: The run's, with its tasks chosen.
    """
    import ray

    own = not ray.is_initialized()
    if own:
        ray.init(
            address=plan.address,
            runtime_env={"working_dir": str(session.config.rootpath), "excludes": EXCLUDED},
            **({} if plan.address else {"include_dashboard": False, "num_cpus": plan.workers}),
            log_to_driver=False,
            logging_level="ERROR",
        )
    try:
        gpus = plan.device == "cuda"
        total = int(ray.cluster_resources().get("GPU" if gpus else "CPU", 0))
        if not total:
            raise pytest.UsageError(f"--executor ray: the cluster has no {plan.device} to run on")
        workers = min(plan.workers or total, total)
        everything = units(session.items, workers)
        known = ray.put(_cells(run.cells))
        arguments = worker_arguments(session.config, plan)
        for timed in (False, True):
            waiting = [unit for unit in everything if unit.timed == timed]
            _deal_out(session, run, waiting, workers, gpus, (arguments, known))
    finally:
        if own:
            ray.shutdown()


def _deal_out(
    session: pytest.Session,
    run: Run,
    waiting: list[Unit],
    workers: int,
    gpus: bool,
    given: tuple[list[str], Any],
) -> None:
    """Keeps the cluster busy with the units that wait, and takes in what comes back."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    work = ray.remote(_work)
    running: dict[Any, tuple[Unit, str | None]] = {}
    while waiting or running:
        nodes = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
        busy = [node for _, node in running.values()]
        while waiting and len(running) < workers:
            place: str | None = None
            options: dict[str, Any] = {"max_retries": 0, "num_cpus": 0 if gpus else 1}
            options["num_gpus"] = int(gpus)
            if waiting[0].timed:
                slots = {n: int(r.get("GPU", 0)) if gpus else 1 for n, r in nodes.items()}
                place = next((n for n in slots if busy.count(n) < slots[n]), None)
                if place is None:
                    break
                busy.append(place)
                options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(place, soft=False)
                if not gpus:
                    options["num_cpus"] = nodes[place].get("CPU", 1)
            unit = waiting.pop(0)
            running[work.options(**options).remote(unit.tests, *given)] = unit, place
        if not running:
            raise pytest.UsageError(
                "--executor ray: no node of the cluster is left; --resume goes on"
            )
        done, _ = ray.wait(list(running), timeout=5)
        for reference in done:
            unit, _ = running.pop(reference)
            try:
                _take_in(session, run, unit, ray.get(reference))
            except ray.exceptions.RayError as error:
                unit.deaths += 1
                line = str(error).strip().partition("\n")[0]
                _say(session, f"a worker died ({line}); its tests run again")
                if unit.deaths < TRIES:
                    waiting.append(unit)
                else:
                    session.testsfailed += len(unit.tests)
                    _say(session, f"given up after {TRIES} workers: {', '.join(unit.tests)}")


def _work(tests: Sequence[str], arguments: Sequence[str], known: dict[str, str]) -> Result:
    """One unit, on the worker."""
    with tempfile.TemporaryDirectory(prefix="gnn-explainer-bench-") as scratch:
        folder = Path(scratch) / "results"
        for name, text in known.items():
            write_atomically(folder / "cells" / name, text)
        folder.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *tests, *arguments, "--results", str(folder)],
            env={**os.environ, supervisor.WITH_PARENT: "1", "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        found = _cells(folder / "cells")
        manifest = folder / "manifest.json"
        return Result(
            done.returncode,
            {name: text for name, text in found.items() if known.get(name) != text},
            [name for name in known if name not in found],
            json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {},
            done.stdout[-4000:],
        )


def _take_in(session: pytest.Session, run: Run, unit: Unit, result: Result) -> None:
    for name in result.gone:
        if (run.cells / name).exists():
            move_aside(run.cells / name)
    for name, text in result.cells.items():
        write_atomically(run.cells / name, text)
    run.merge(result.manifest)
    if result.status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.testsfailed += 1
        _say(session, result.output)
    _say(session, f"{len(unit.tests)} tests, {len(result.cells)} cells")


def _cells(folder: Path) -> dict[str, str]:
    """The cell files of a folder by name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.json"))}


def worker_arguments(config: pytest.Config, plan: Plan) -> list[str]:
    """What a worker's pytest is called with, beside the tests and the results folder.

    Of this package's options what the command line says, else what the plan says: a worker's own
    defaults may be others. Of pytest's and other plugins' options what was typed.
    """
    options = declared()
    has_value = {option.flag: bool(option.metavar) for option in options.values()}
    kept: list[str] = []
    typed = iter(map(str, config.invocation_params.args))
    for word in typed:
        flag, equals, _ = word.partition("=")
        if flag in has_value:
            if has_value[flag] and not equals:
                next(typed, None)
        elif word not in config.args:
            kept.append(word)
    for name, option in options.items():
        if option.for_workers:
            # As given, if it was: others know a user's own task by its file only.
            kept += option.words(config.getoption(option.flag) or getattr(plan, name))
    return [*kept, "--together", "--resume", "--rootdir=."]


def _say(session: pytest.Session, message: str) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(f"ray: {message}")
        reporter.flush()  # what a killed driver had said is in its log
