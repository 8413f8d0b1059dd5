"""``manifest.json``: what a run knows so far of its tasks, methods and machines."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import environment
from benchmarks.harness.options import Plan
from benchmarks.store.atomic import write_atomically

if TYPE_CHECKING:
    from benchmarks.tasks import Task


class Manifest:
    """The content of one run's manifest, which grows.

    Args:
        folder: The results folder.
        plan: What was asked for.
        command: The command line.

    Attributes:
        git: The commit at the run's start, and whether the tree differed from it.
        unavailable: The tasks that could not be had, with the reason.
        loaded: Whether any task could be had, here or on a worker.
    """

    def __init__(self, folder: Path, plan: Plan, command: str) -> None:
        self.path = folder / "manifest.json"
        self.plan = plan
        self.command = command
        # Taken now: what the run writes into the checkout is no change of the code.
        self.git = environment.commit()
        self.unavailable: dict[str, str] = {}
        self.loaded = False
        self._tasks: dict[tuple[str, str, int], dict[str, Any]] = {}
        self._known_methods: dict[str, dict[str, Any]] = {}
        self._known_metrics: dict[str, dict[str, Any]] = {}
        self._workers: list[dict[str, Any]] = []
        self._earlier: list[dict[str, Any]] = []

    def add_task(self, task: Task, model_seed: int) -> None:
        """A task was loaded."""
        entry = environment.describe(task, model_seed)
        self._tasks[task.name, task.architecture, model_seed] = entry
        self.loaded = True

    def take_over(self) -> None:
        """Keeps what the manifest of an earlier part of the run says."""
        try:
            manifest = json.loads(self.path.read_text(encoding="utf-8"))
            tasks = {
                (entry["name"], entry.get("model", "gcn"), entry["model_seed"]): entry
                for entry in manifest["tasks"]
            }
            methods = {entry["name"]: entry for entry in manifest.get("methods", ())}
            metrics = {entry["name"]: entry for entry in manifest.get("metrics", ())}
            run = {name: manifest[name] for name in ("created", "command", "commit", "dirty")}
            earlier = [*manifest.get("earlier", ()), run]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return  # none, or a torn one: it is written anew
        self._tasks, self._known_methods, self._known_metrics = tasks, methods, metrics
        # A run that was interrupted and is gone on with is one, whatever it took.
        own = _asked(self.command)
        self._earlier = [one for one in earlier if _asked(one["command"]) != own]

    def merge(self, manifest: Mapping[str, Any]) -> None:
        """Takes over what a worker's manifest knows of tasks, and on what the worker runs."""
        for entry in manifest.get("tasks", ()):
            self._tasks[entry["name"], entry["model"], entry["model_seed"]] = entry
            self.loaded = True
        for entry in manifest.get("unavailable", ()):
            self.unavailable.setdefault(entry["task"], entry["message"])
        machine = {name: manifest.get(name) for name in ("platform", "cpu", "gpu")}
        if manifest and machine not in self._workers:
            self._workers.append(machine)

    def write(self) -> Path:
        """Writes ``manifest.json`` with what is known so far."""
        content = environment.manifest(
            command=self.command,
            profile=self.plan.profile,
            tasks=[self._tasks[key] for key in sorted(self._tasks)],
            methods=[self._methods[name] for name in sorted(self._methods)],
            metrics=list((self._known_metrics | _metrics()).values()),
            unavailable=[
                {"task": name, "message": message} for name, message in self.unavailable.items()
            ],
            git=self.git,
        )
        if self._workers:
            content["workers"] = self._workers
        if self._earlier:
            content["earlier"] = self._earlier
        write_atomically(self.path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
        return self.path

    @cached_property
    def _methods(self) -> dict[str, dict[str, Any]]:
        import explainers

        own = {
            name: {"name": name, **explainers.load(name).describe()} for name in self.plan.methods
        }
        return self._known_methods | own


def _metrics() -> dict[str, dict[str, Any]]:
    """What the metrics, and the measures of the benchmarks, say of their values."""
    import benchmarks.measures
    import explainers.metrics

    described = [*explainers.metrics.describe(), *benchmarks.measures.describe()]
    return {entry["name"]: entry for entry in described}


def _asked(command: str) -> list[str]:
    """What a command asked for: the same whether it began a run or went on with it."""
    return [part for part in shlex.split(command) if part != "--resume"]
