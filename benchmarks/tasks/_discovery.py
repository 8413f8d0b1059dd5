"""Which tasks there are: the files of this folder, and the entry points of installed packages."""

from __future__ import annotations

import contextlib
import pkgutil
from importlib.metadata import EntryPoint, entry_points

import benchmarks.tasks as package
from benchmarks.tasks._definition import Definition
from benchmarks.tasks._user_task import registered
from explainers._names import did_you_mean

ENTRY_POINT_GROUP = "gnn_explainer_bench.tasks"


def available() -> list[str]:
    """The names of all tasks and their variants, sorted.

    A task that cannot be imported is listed, too: :func:`definition` says what is wrong with it.

    Raises:
        ValueError: Two tasks have the same name.
    """
    names = []
    for name, point in _discover().items():
        names.append(name)
        with contextlib.suppress(ImportError, AttributeError):
            names += [f"{name}:{variant}" for variant in point.load().variants]
    return sorted(names)


def definition(name: str) -> Definition:
    """The declaration of the task ``name``: title, description, recipe; no data is read.

    Raises:
        ValueError: There is no such task, its name is taken twice, or it cannot be imported.
    """
    own = registered(name)
    if isinstance(own, Definition):
        return own
    known = available()
    if name not in known:
        raise ValueError(
            f"unknown task {name!r}; available: {', '.join(known)}{did_you_mean(name, known)}"
        )
    base, _, variant = name.partition(":")
    point = _discover()[base]
    try:
        task = point.load()
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"the task {base!r} cannot be imported from {point.value!r}: {error}"
        ) from error
    if not isinstance(task, Definition):
        raise ValueError(
            f"the task {base!r} must be a Definition, but {point.value!r} is a "
            f"{type(task).__name__}"
        )
    return task.variants[variant] if variant else task


def _discover() -> dict[str, EntryPoint]:
    """Every task's name and where its definition is."""
    # The task files of this folder get entry points too: one way to load them all.
    points = [
        EntryPoint(module.name, f"{package.__name__}.{module.name}:TASK", ENTRY_POINT_GROUP)
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_")
    ]
    found: dict[str, EntryPoint] = {}
    for point in [*points, *entry_points(group=ENTRY_POINT_GROUP)]:
        name = point.name.replace("_", "-")
        if name in found:
            raise ValueError(
                f"two tasks are called {name!r}: {found[name].value} and {point.value}; "
                "rename one of them"
            )
        found[name] = point
    return found
