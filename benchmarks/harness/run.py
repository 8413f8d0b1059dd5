"""One run: a results folder that fills with cells while the benchmarks go on."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.harness import environment, supervisor
from benchmarks.harness.lock import locked
from benchmarks.harness.options import ALWAYS, PREFERRED, STAND_IN, Plan
from benchmarks.store.cell import (
    Cell,
    UnreadableCell,
    load_all,
    move_aside,
    read,
    write,
    write_atomically,
)

if TYPE_CHECKING:
    from benchmarks.tasks import Task

# What counts as done when a run is resumed; an error is tried again.
DONE = ("ok", "oom")


class Run:
    """The results folder of one run, and the tasks that it has loaded.

    Args:
        plan: What was asked for.
        folder: The results folder; made by :meth:`open`.
        command: The command line, for the manifest.

    Attributes:
        messages: One sentence for each file that was set aside.
    """

    def __init__(self, plan: Plan, folder: Path, command: str = "") -> None:
        self.plan = plan
        self.folder = folder
        self.command = command
        # Taken now: what the run writes into the checkout is no change of the code.
        self.git = environment.commit()
        self.messages: list[str] = []
        self._tasks: dict[tuple[str, str, int], Task] = {}
        self._missing: dict[str, str] = {}
        self._described: dict[tuple[str, str, int], dict[str, Any]] = {}
        self._written: dict[str, str] = {}  # identity -> key
        self._resources = ExitStack()
        self._elsewhere = False
        self._workers: list[dict[str, Any]] = []
        self._earlier: list[dict[str, Any]] = []
        self._described_methods: dict[str, dict[str, Any]] = {}
        self._described_metrics: dict[str, dict[str, Any]] = {}

    def open(self) -> None:
        """Makes the folder and locks it; if the plan says so, takes over the cells that are there.

        Raises:
            Locked: Another run is writing there.
        """
        if problem := self._resources.enter_context(locked(self.folder)):
            self.messages.append(problem)
        if self.plan.resume:
            self._take_over()

    def close(self) -> None:
        """Lets others write into the folder."""
        self._resources.close()

    @property
    def cells(self) -> Path:
        """The folder of the cell files."""
        return self.folder / "cells"

    @property
    def unavailable(self) -> dict[str, str]:
        """The tasks that could not be had, with the reason."""
        return dict(self._missing)

    @property
    def loaded(self) -> bool:
        """Whether any task could be had."""
        return bool(self._tasks) or self._elsewhere

    # ---------------------------------------------------------------------------------- tasks

    def choose_tasks(self) -> tuple[str, ...]:
        """The tasks asked for; if none were, the real data or their stand-in, and ``ba-shapes``."""
        import benchmarks.tasks

        if self.plan.tasks:
            return self.plan.tasks
        try:
            self.load_task(PREFERRED, 0, self.plan.models[0])
        except benchmarks.tasks.Unavailable:
            return (STAND_IN, *ALWAYS)
        return (PREFERRED, *ALWAYS)

    def load_task(self, name: str, model_seed: int = 0, model: str = "gcn") -> Task:
        """The task, loaded once.

        Raises:
            Unavailable: Its dataset cannot be had or cannot be used; the run has a cell that says
                so.
        """
        import benchmarks.tasks

        if name in self._missing:
            raise benchmarks.tasks.Unavailable(self._missing[name])
        key = (name, model, model_seed)
        if key not in self._tasks:
            try:
                task = benchmarks.tasks.load(
                    name,
                    root=self.plan.data_root,
                    device=self.plan.device,
                    seed=model_seed,
                    model=model,
                )
            except (benchmarks.tasks.Unavailable, ValueError) as error:  # or malformed
                self._missing[name] = str(error)
                self.record(self._unavailable_cell(name, str(error)))
                with self._writing():
                    self.write_manifest()
                raise benchmarks.tasks.Unavailable(str(error)) from error
            print(
                f"{name}, {task.architecture}, model seed {model_seed}: accuracy "
                f"{task.accuracy:.2%}; {task.provenance}"
            )
            self._tasks[key] = task
            self._described[key] = environment.describe(task, model_seed)
            self._supersede(self._unavailable_cell(name, ""), everything=True)
            with self._writing():
                self.write_manifest()
        return self._tasks[key]

    # ---------------------------------------------------------------------------------- cells

    def config(self, task: Task, model_seed: int, method: Any) -> dict[str, Any]:
        """A cell's ``config``, of a task and a method made by ``explainers.load``."""
        return {
            "task": task.name,
            "model": task.architecture,
            "model_seed": model_seed,
            "method": method.name,
            "engine": method.engine,
            "options": dict(method.options),
            "device": self.plan.device,
        }

    @contextmanager
    def cell(
        self,
        benchmark: str,
        config: Mapping[str, Any],
        *,
        task: Task,
        nodes: Sequence[int],
        part: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> Iterator[Cell]:
        """A cell to fill with rows; it is written when the body ends, however it ends.

        A body that raises makes a cell with the rows so far and the status ``error``, or
        ``invalid`` if :mod:`benchmarks.harness.guards` raised, and the exception goes on, so that
        the test fails. A body that leaves the task's model changed makes an ``invalid`` cell, too;
        the model is put right for those that follow. Running out of memory is a result: the cell's
        status is ``oom``, and pytest counts the test as an expected failure. An interrupt writes
        nothing. How often a pass was taken in smaller parts for lack of memory is counted. If the
        run is resumed and the cell is there, the test is skipped as ``resumed``.

        Args:
            benchmark: The benchmark's name.
            config: See :meth:`config`.
            task: What is explained.
            nodes: The nodes whose numbers go into the cell.
            part: If one configuration's rows are spread over several cells, what tells this one
                from the others, for example ``{"repeat": 0}``.
            **inputs: Whatever else determines the numbers: rounds, budgets, seeds; plain values.
        """
        from benchmarks.harness.guards import unchanged
        from benchmarks.harness.measure import attempt, memory_limit
        from explainers.engines.memory import counted_splits

        cell = Cell(
            benchmark,
            dict(config),
            {
                "nodes": list(nodes),
                "dataset_sha256": task.dataset_sha256,
                "checkpoint_sha256": task.checkpoint_sha256,
                **self._surroundings,
                **inputs,
                **({"part": dict(part)} if part else {}),
            },
        )
        if self.done(cell):
            pytest.skip(f"resumed: cell {cell.key} is there")
        self._supersede(cell)
        supervisor.started(cell)
        limit = memory_limit(self.plan.device)
        with counted_splits() as splits, attempt() as outcome, unchanged(task), limit:
            yield cell
        cell.splits = splits.count
        if outcome.error is not None:
            cell.status, cell.message = outcome.status, outcome.message
        self.record(cell)
        supervisor.finished()
        if outcome.status == "invalid":  # what else was changed cannot be known
            self._tasks = {key: kept for key, kept in self._tasks.items() if kept is not task}
        if outcome.status == "oom":
            pytest.xfail(f"recorded as oom: {outcome.message}")
        if outcome.error is not None:
            raise outcome.error

    def done(self, cell: Cell) -> bool:
        """Whether a resumed run has this cell already, whole and with a result."""
        if not self.plan.resume or self._written.get(cell.identity) != cell.key:
            return False
        try:
            return read(self.cells / f"{cell.key}.json").status in DONE
        except UnreadableCell:
            return False

    def record(self, cell: Cell) -> Path:
        """Writes a cell; one that says the same with other versions, nodes, code is set aside.

        A folder that cannot be written, as on a full disk, ends the run.
        """
        with self._writing():
            self._supersede(cell)
            path = write(self.cells, cell)
        self._written[cell.identity] = cell.key
        return path

    def stand_in(self, test: str, parameters: Mapping[str, Any]) -> Cell:
        """What stands for a test that died before its cell began: all that its name tells.

        Such a cell of an earlier try is set aside, since the test is tried again.

        Args:
            test: pytest's name of it, ``benchmarks/test_x.py::test_x[...]``.
            parameters: Those of :func:`benchmarks.harness.options.parametrize`.
        """
        variant = parameters.get("variant")
        if not isinstance(variant, Mapping):  # none is left for this method: to be skipped
            variant = {}
        config = self._empty_config(parameters.get("task_name", ""))
        config |= {
            "model": parameters.get("architecture", config["model"]),
            "model_seed": parameters.get("model_seed", 0),
            "method": variant.get("method", ""),
            "engine": variant.get("engine") or "",
            "options": dict(variant.get("options", {})),
        }
        name = test.partition("::")[2].partition("[")[0].removeprefix("test_")
        part = {key: parameters[key] for key in ("repeat",) if key in parameters}
        cell = Cell(name, config, {"test": test, "part": part})
        if cell.key in self._written.values():
            self._supersede(cell, everything=True)
        return cell

    def statuses(self) -> Counter[str]:
        """How many cells of the folder have which status."""
        return Counter(cell.status for cell in load_all(self.cells)[0])

    # ------------------------------------------------------------------------------- manifest

    def merge(self, manifest: Mapping[str, Any]) -> None:
        """Takes over what a worker's manifest knows of tasks, and on what the worker runs."""
        for entry in manifest.get("tasks", ()):
            self._described[entry["name"], entry["model"], entry["model_seed"]] = entry
            self._elsewhere = True
        for entry in manifest.get("unavailable", ()):
            self._missing.setdefault(entry["task"], entry["message"])
        machine = {name: manifest.get(name) for name in ("platform", "cpu", "gpu")}
        if manifest and machine not in self._workers:
            self._workers.append(machine)

    def write_manifest(self) -> Path:
        """Writes ``manifest.json`` with what is known so far."""
        content = environment.manifest(
            command=self.command,
            profile=self.plan.profile,
            tasks=[self._described[key] for key in sorted(self._described)],
            methods=[self._methods[name] for name in sorted(self._methods)],
            metrics=list((self._described_metrics | _metrics()).values()),
            unavailable=[
                {"task": name, "message": message} for name, message in self._missing.items()
            ],
            git=self.git,
        )
        if self._workers:
            content["workers"] = self._workers
        if self._earlier:
            content["earlier"] = self._earlier
        path = self.folder / "manifest.json"
        write_atomically(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
        return path

    # ---------------------------------------------------------------------------------- inside

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Ends the run if its body cannot write: what cannot be kept is not worth measuring."""
        try:
            yield
        except OSError as error:
            pytest.exit(
                f"--results {self.folder}: cannot be written ({error.strerror or error}); the "
                "finished cells are kept: free some space, then go on with --resume",
                returncode=pytest.ExitCode.TESTS_FAILED,
            )

    @cached_property
    def _methods(self) -> dict[str, dict[str, Any]]:
        import explainers

        own = {
            name: {"name": name, **explainers.load(name).describe()} for name in self.plan.methods
        }
        return self._described_methods | own

    @cached_property
    def _surroundings(self) -> dict[str, Any]:
        return {
            "source_sha256": environment.source_sha256(),
            "versions": environment.versions(),
            "machine": environment.machine(self.plan.device),
        }

    def _take_over(self) -> None:
        found, self.messages = load_all(self.cells, set_aside=True)
        self._written = {cell.identity: cell.key for cell in found}
        try:
            manifest = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
            described = {
                (entry["name"], entry.get("model", "gcn"), entry["model_seed"]): entry
                for entry in manifest["tasks"]
            }
            methods = {entry["name"]: entry for entry in manifest.get("methods", ())}
            metrics = {entry["name"]: entry for entry in manifest.get("metrics", ())}
            run = {name: manifest[name] for name in ("created", "command", "commit", "dirty")}
            earlier = [*manifest.get("earlier", ()), run]
        except (OSError, ValueError, KeyError, TypeError):
            return  # none, or a torn one: it is written anew
        self._described, self._described_methods = described, methods
        self._described_metrics = metrics
        # A run that was interrupted and is gone on with is one, whatever it took.
        own = _asked(self.command)
        self._earlier = [one for one in earlier if _asked(one["command"]) != own]

    def _supersede(self, cell: Cell, *, everything: bool = False) -> None:
        key = self._written.get(cell.identity)
        if key is None or (key == cell.key and not everything):
            return
        path = self.cells / f"{key}.json"
        if path.exists():
            move_aside(path)
            self.messages.append(f"cell {key} is out of date; set aside")
        del self._written[cell.identity]

    def _unavailable_cell(self, name: str, message: str) -> Cell:
        return Cell("task", self._empty_config(name), status="unavailable", message=message)

    def _empty_config(self, task: str) -> dict[str, Any]:
        return {
            "task": task,
            "model": self.plan.models[0],
            "model_seed": 0,
            "method": "",
            "engine": "",
            "options": {},
            "device": self.plan.device,
        }


RUN = pytest.StashKey[Run]()


def _metrics() -> dict[str, dict[str, Any]]:
    """What the metrics, and the measures of the benchmarks, say of their values."""
    import benchmarks.measures
    import explainers.metrics

    described = [*explainers.metrics.describe(), *benchmarks.measures.describe()]
    return {entry["name"]: entry for entry in described}


def _asked(command: str) -> list[str]:
    """What a command asked for: the same whether it began a run or went on with it."""
    return [part for part in shlex.split(command) if part != "--resume"]


def default_folder(root: Path) -> Path:
    """``results/local/<UTC time>-<commit>`` under ``root``."""
    revision, _ = environment.commit()
    time = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return root / "results" / "local" / f"{time}-{(revision or 'nogit')[:8]}"
