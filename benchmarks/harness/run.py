"""One run: a results folder that fills with cells while the benchmarks go on."""

# long: the whole way of a cell, from its test to its file
from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import environment, supervisor
from benchmarks.harness.cell_files import DONE, CellFiles
from benchmarks.harness.errors import CannotWrite, FailedBefore, OutOfMemory, Resumed
from benchmarks.harness.lock import locked
from benchmarks.harness.manifest import Manifest
from benchmarks.harness.options import ALWAYS, PREFERRED, STAND_IN, Plan
from benchmarks.store.archive import CELLS, unpack
from benchmarks.store.cell import STATUSES, Cell

if TYPE_CHECKING:
    from benchmarks.tasks import Task

# The benchmarks that published cells know by another name than their test's.
STORED_NAMES = {"replication": "calibration"}


class Run:
    """The results folder of one run, and the tasks that it has loaded.

    Args:
        plan: What was asked for.
        folder: The results folder; made by :meth:`open`.
        command: The command line, for the manifest.
        since: When the run began (seconds of the epoch): what failed after that stays as it is.
    """

    def __init__(self, plan: Plan, folder: Path, command: str = "", since: float = inf) -> None:
        self.plan = plan
        self.folder = folder
        self.command = command
        self._files = CellFiles(folder / CELLS, since)
        self._manifest = Manifest(folder, plan, command)
        self._tasks: dict[tuple[str, str, int], Task] = {}
        self._resources = ExitStack()
        self._lock_problem: str | None = None
        self._process = os.getpid()
        #: The cell of a test that fails before one of its own begins; None once it has begun.
        self.stands: Cell | None = None
        #: Whether a cell has begun that is not written.
        self.owes = False

    def open(self, *, locked_before: bool = False) -> None:
        """Makes the folder and locks it; if the plan says so, takes over the cells that are there.

        Args:
            locked_before: Whether the supervisor holds the lock.

        Raises:
            Locked: Another run is writing there.
        """
        if not locked_before:
            self._lock_problem = self._resources.enter_context(locked(self.folder))
        if self.plan.resume:
            unpack(self.folder)
            self._files.take_over()
            self._manifest.take_over()

    def close(self) -> None:
        """Lets others write into the folder."""
        self._resources.close()

    @property
    def cells(self) -> Path:
        """The folder of the cell files."""
        return self._files.folder

    @property
    def messages(self) -> list[str]:
        """A sentence for each file that was set aside, and one for a lock that cannot be had."""
        return [*([self._lock_problem] if self._lock_problem else []), *self._files.messages]

    @property
    def unavailable(self) -> dict[str, str]:
        """The tasks that could not be had, with the reason."""
        return dict(self._manifest.unavailable)

    @property
    def loaded(self) -> bool:
        """Whether any task could be had."""
        return self._manifest.loaded

    @property
    def changed_tree(self) -> bool:
        """Whether the checkout had changes at the run's start."""
        return bool(self._manifest.git[1])

    # ---------------------------------------------------------------------------------- tasks

    def choose_tasks(self) -> tuple[str, ...]:
        """The tasks asked for; if none were, the real data or their stand-in, and generated ones.

        Raises:
            CannotWrite: The results folder cannot be written.
        """
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
            CannotWrite: The results folder cannot be written.
        """
        import benchmarks.tasks

        if name in self._manifest.unavailable:
            raise benchmarks.tasks.Unavailable(self._manifest.unavailable[name])
        key = (name, model, model_seed)
        if key in self._tasks:
            return self._tasks[key]
        from benchmarks.harness.measure import memory_limit

        try:
            # A file may claim to hold more than there is memory.
            with memory_limit(self.plan.device):
                task = benchmarks.tasks.load(
                    name,
                    root=self.plan.data_root,
                    device=self.plan.device,
                    seed=model_seed,
                    model=model,
                )
        except (benchmarks.tasks.Unavailable, ValueError, MemoryError) as error:  # or malformed
            told = environment.without_paths(str(error))
            self._manifest.unavailable[name] = told
            self.record(self._unavailable_cell(name, told))
            with self._writing():
                self._manifest.write()
            raise benchmarks.tasks.Unavailable(str(error)) from error
        print(
            f"{name}, {task.architecture}, model seed {model_seed}: {task.performance}; "
            f"{task.provenance}"
        )
        self._tasks[key] = task
        self._manifest.add_task(task, model_seed)
        with self._writing():
            self._files.discard(self._unavailable_cell(name, ""))
            self._manifest.write()
        return task

    # ---------------------------------------------------------------------------------- cells

    def config(self, task: Task, model_seed: int, method: Any) -> dict[str, Any]:
        """A cell's ``config``, of a task and a method made by ``explainers.load``."""
        return {
            "task": task.name,
            "model": task.architecture,
            "model_seed": model_seed,
            "method": method.name,
            "engine": method.chosen_engine(*task.subject),
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
        ``invalid`` if :mod:`benchmarks.harness.guards` raised or model or data were changed, and
        the exception goes on, so that the test fails. After any status but ``ok`` the task is put
        back as it was and is loaded anew for the cells that follow. Running out of memory is a
        result, the status ``oom``. An interrupt writes nothing.

        Args:
            benchmark: The benchmark's name.
            config: See :meth:`config`.
            task: What is explained.
            nodes: The nodes whose numbers go into the cell.
            part: If one configuration's rows are spread over several cells, what distinguishes
                this one from the others, for example ``{"repeat": 0}``.
            **inputs: Whatever else determines the numbers: rounds, budgets, seeds; plain values.

        Raises:
            Resumed: The run is resumed and the cell is there; before the body.
            FailedBefore: It has failed in an earlier process of this run; before the body.
            OutOfMemory: The body ran out of memory; the cell is written.
            CannotWrite: The results folder cannot be written.
            ValueError: The method has another name than the test was made for.
        """
        cell = Cell(
            benchmark,
            dict(config),
            self._inputs(task, str(config.get("method")), nodes, part, inputs),
        )
        named = self.stands.config["method"] if self.stands is not None else ""
        if named not in ("", cell.config["method"]):
            raise ValueError(f"the method {named} calls itself {cell.config['method']!r}")
        self._end_if_done(cell)
        self._files.supersede(cell)
        supervisor.started(cell)
        self.stands, self.owes = None, True
        yield from self._measured(cell, task)

    def record(self, cell: Cell) -> Path:
        """Writes a cell; one that says the same with other versions, nodes, code is set aside.

        Raises:
            CannotWrite: The results folder cannot be written, as on a full disk.
        """
        cell.message = environment.without_paths(cell.message)
        with self._writing():
            return self._files.write(cell)

    def stand_in(self, test: str, parameters: Mapping[str, Any]) -> Cell:
        """What stands for a test that died before its cell began: all that its name says.

        Such a cell of an earlier try is set aside, since the test is tried again.

        Args:
            test: pytest's name of it, ``benchmarks/test_x.py::test_x[...]``.
            parameters: Those of :func:`benchmarks.harness.variants.parametrize`.
        """
        # Where no task or variant is left, pytest has a mark in its place, and skips the test.
        parameters = {k: v for k, v in parameters.items() if isinstance(v, str | int | Mapping)}
        variant = parameters.get("variant", {})
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
        cell = Cell(STORED_NAMES.get(name, name), config, {"test": test, "part": part})
        if self._files.has(cell.key) and not self._files.done(cell):
            self._files.discard(cell)
        return cell

    def skip_failed(self) -> None:
        """Ends the present test if it has failed in this run, before its cell.

        Raises:
            FailedBefore: It has.
        """
        if self.stands is not None:
            self._end_if_done(self.stands)

    def failed_before_its_cell(self, error: BaseException) -> None:
        """Records the present test by what stands for it, if its cell has not begun.

        Raises:
            CannotWrite: The results folder cannot be written.
        """
        from benchmarks.harness.measure import one_line

        if self.stands is not None:
            self.stands.status, self.stands.message = "error", one_line(error)
            self.record(self.stands)
            self.stands = None

    def statuses(self) -> str:
        """How many cells of the folder have which status, in words."""
        counts = self._files.statuses()
        return ", ".join(f"{counts[name]} {name}" for name in STATUSES if counts[name]) or "none"

    # ------------------------------------------------------------------------------- manifest

    def merge(self, manifest: Mapping[str, Any]) -> None:
        """Takes over what a worker's manifest knows of tasks, and on what the worker runs."""
        self._manifest.merge(manifest)

    def write_manifest(self) -> Path:
        """Writes ``manifest.json`` with what is known so far.

        Raises:
            OSError: It cannot be written.
        """
        return self._manifest.write()

    # ---------------------------------------------------------------------------------- inside

    def _end_if_done(self, cell: Cell) -> None:
        status = self._files.done(cell) if self.plan.resume else None
        if status in DONE:
            raise Resumed(f"resumed: cell {cell.key} is there")
        if status is not None:
            self.stands = None  # it has a row
            raise FailedBefore(f"recorded as {status} by an earlier process of this run")

    def _inputs(
        self,
        task: Task,
        method: str,
        nodes: Sequence[int],
        part: Mapping[str, Any] | None,
        others: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Everything that determines a cell's numbers, besides its configuration."""
        foreign = environment.method_sha256(method) if method else None
        return {
            "nodes": list(nodes),
            "dataset_sha256": task.dataset_sha256,
            "checkpoint_sha256": task.checkpoint_sha256,
            **_explained(task, nodes),
            **self._surroundings,
            **others,
            **({"method_sha256": foreign} if foreign else {}),
            **({"part": dict(part)} if part else {}),
        }

    def _measured(self, cell: Cell, task: Task) -> Iterator[Cell]:
        """Gives the cell to the body of :meth:`cell`, and writes what came out."""
        from benchmarks.harness.measure import attempt, memory_limit, own_streams
        from benchmarks.harness.task_state import unchanged
        from explainers.engines.memory import counted_splits

        limit = memory_limit(self.plan.device)
        with (
            counted_splits() as splits,
            attempt() as outcome,
            unchanged(task),
            own_streams(),
            limit,
        ):
            yield cell
        if os.getpid() != self._process:
            os._exit(1)  # a copy that the method has forked: it must not go on with the run
        cell.splits = splits.count
        if outcome.error is not None:
            cell.status, cell.message = outcome.status, outcome.message
        self.record(cell)
        self.owes = False
        supervisor.finished()
        if outcome.status != "ok":  # what else was changed cannot be known
            self._tasks = {key: kept for key, kept in self._tasks.items() if kept is not task}
        if outcome.status == "oom":
            raise OutOfMemory(f"recorded as oom: {outcome.message}")
        if outcome.error is not None:
            raise outcome.error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Ends the run if its body cannot write: what cannot be kept is not worth measuring."""
        try:
            yield
        except OSError as error:
            raise CannotWrite(
                f"--results {self.folder}: cannot be written ({error.strerror or error}); the "
                "finished cells are kept: free some space, then go on with --resume"
            ) from error

    @cached_property
    def _surroundings(self) -> dict[str, Any]:
        return {
            "source_sha256": environment.source_sha256(),
            "versions": environment.versions(),
            "machine": environment.machine(self.plan.device),
        }

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


def _explained(task: Task, nodes: Sequence[int]) -> dict[str, Any]:
    """What the model's outputs mean and which is explained, where a task says so."""
    found: dict[str, Any] = {}
    if task.model_config is not None:
        found["model_config"] = {
            name: value.value for name, value in vars(task.model_config).items()
        }
    if task.target is not None:
        found["targets"] = task.targets(nodes)
    if task.node_type is not None:
        found["node_type"] = task.node_type
    return found


def default_folder(root: Path) -> Path:
    """``results/local/<UTC time>-<commit>`` under ``root``."""
    revision, _ = environment.commit()
    time = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return root / "results" / "local" / f"{time}-{(revision or 'nogit')[:8]}"
