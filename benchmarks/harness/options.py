"""What a run was asked for: the options of the command line, each declared once, and checked.

A field of :class:`Plan` is annotated with its :class:`Option`: the parser of the command line, the
checks before any work, and what the workers of a cluster are called with all follow from it.
"""

# long: a declaration for each option

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from benchmarks.harness import option
from benchmarks.harness.option import DEVICES, EXECUTORS, Option
from benchmarks.harness.presets import PRESETS, WHITE_BOX, with_preset

if TYPE_CHECKING:
    from benchmarks.tasks import Task

# The variable with which tox's environments choose; `--device` has the last word.
DEVICE_VARIABLE = "GNN_BENCH_DEVICE"


@dataclass(frozen=True)
class Profile:
    """How much is measured, unless an option says otherwise.

    Args:
        nodes: Nodes explained of each task.
        seeds: Models trained of each task.
        repeats: Times that every configuration gets its turn in a timing.
        timeout: Seconds that one cell may take.
    """

    nodes: int
    seeds: int
    repeats: int
    timeout: float


PROFILES = {
    # 15 nodes: with fewer than 13 no permutation test of all methods could be significant.
    "quick": Profile(nodes=15, seeds=1, repeats=3, timeout=600),
    "full": Profile(nodes=30, seeds=2, repeats=5, timeout=1800),
}

# The real data if they can be had, else a stand-in of the same size; and tasks with ground truth.
PREFERRED, STAND_IN = "twitch-en", "twitch-sim"
# Of the white-box tasks two: one whose output saturates, and one with evidence against the class.
ALWAYS = ("ba-shapes", "white-box-or:gated", "white-box-inhibit:gated")
# What a method is compared with where no other was asked for: choice at random, the graph's
# structure, and the method that the suite is about.
COMPARED_WITH = ("random", "degree", "page_rank", "integrated_gradients")


# ----------------------------------------------------------------------------------- the defaults


def _of_profile(name: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda before: getattr(PROFILES[before["profile"]], name)


def _quick(_: Mapping[str, Any]) -> str:
    return "quick"  # not a constant: whether it was asked for shows whether a preset's holds


def _all_methods(before: Mapping[str, Any]) -> list[str]:
    import explainers
    from benchmarks.harness.supervisor import foreign_methods

    names = explainers.available()
    if before["profile"] != "quick":
        return names
    foreign = foreign_methods(())  # whose import may do anything: it is not asked for here
    return [name for name in names if name in foreign or not explainers.load(name).slow]


def _device(_: Mapping[str, Any]) -> str:
    return os.environ.get(DEVICE_VARIABLE) or "cpu"


# --------------------------------------------------------------------------------------- the plan


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run's options, all of them valid; in the order of ``--help``, which says what they are.

    ``tasks`` are empty for the default choice, which ``Run.choose_tasks`` makes before the tests
    are collected. A task that brings its model has no other, whatever ``models`` says. ``results``
    are None for a new folder, ``address`` for a Ray cluster on this machine, ``workers`` for as
    many as that has CPUs or GPUs, ``data_root`` for the usual places.
    """

    preset: Annotated[
        str | None,
        Option(
            "--preset",
            "run a published set of benchmarks, tasks and sizes; options given beside it have the "
            "last word",
            "|".join(PRESETS),
            check=option.one_of(PRESETS),
            for_workers=False,  # they are told what it comes to
        ),
    ]
    tasks: Annotated[
        tuple[str, ...],
        Option(
            "--task",
            "explain this task, or your own: path/to/file.py:function; repeatable (default: "
            "twitch-en or its stand-in, ba-shapes and the gated white-box tasks)",
            "NAME",
            repeatable=True,
            check=option.known_task,
            check_last=True,
        ),
    ]
    methods: Annotated[
        tuple[str, ...],
        Option(
            "--method",
            "measure this method; repeatable (default: all; of the quick profile all but those "
            "that take seconds a node)",
            "NAME",
            repeatable=True,
            default=_all_methods,
            check=option.known_method,
            check_last=True,
        ),
    ]
    no_baselines: Annotated[
        bool,
        Option(
            "--no-baselines",
            f"score the methods of --method alone; else {COMPARED_WITH[0]} is scored as well, and "
            f"{', '.join(COMPARED_WITH[1:])} where none of these is named",
            default=False,
        ),
    ]
    models: Annotated[
        tuple[str, ...],
        Option(
            "--model",
            "explain models of this kind: gcn, sage, gin or gat, with the task's number of layers; "
            "gcn3, sage3 or gin3 for three layers; repeatable (default: gcn)",
            "NAME",
            repeatable=True,
            default=("gcn",),
            check=option.known_model,
            check_last=True,
        ),
    ]
    device: Annotated[
        str,
        Option(
            "--device",
            f"where the models run (default: ${DEVICE_VARIABLE}, else cpu)",
            "|".join(DEVICES),
            default=_device,
            check=option.working_device,
            check_last=True,
        ),
    ]
    profile: Annotated[
        str,
        Option(
            "--profile",
            "how much is measured (default: quick)",
            "|".join(PROFILES),
            default=_quick,
            check=option.one_of(PROFILES),
        ),
    ]
    nodes: Annotated[
        int,
        Option(
            "--nodes",
            "explain N nodes, graphs or links of each task",
            "N",
            type=int,
            default=_of_profile("nodes"),
            check=option.at_least_one,
        ),
    ]
    seeds: Annotated[
        int,
        Option(
            "--seeds",
            "train N models for each task, with the seeds 0 to N - 1",
            "N",
            type=int,
            default=_of_profile("seeds"),
            check=option.at_least_one,
        ),
    ]
    results: Annotated[
        Path | None,
        Option(
            "--results",
            "results folder (default: results/local/<time>-<commit>)",
            "DIR",
            type=Path,
            check=option.folder_of_results,
            for_workers=False,
        ),
    ]
    resume: Annotated[
        bool,
        Option(
            "--resume",
            "keep the finished cells of --results DIR",
            default=False,
            check=option.resumable,
            for_workers=False,
        ),
    ]
    executor: Annotated[
        str,
        Option(
            "--executor",
            "run in this process, or on the workers of a Ray cluster (default: local)",
            "|".join(EXECUTORS),
            default="local",
            check=option.installed_executor,
            check_last=True,  # Ray may be missing; errors in other options come first
            for_workers=False,
        ),
    ]
    address: Annotated[
        str | None,
        Option(
            "--address",
            "the Ray cluster (default: one on this machine)",
            "HOST:PORT",
            check=option.for_ray,
            for_workers=False,
        ),
    ]
    workers: Annotated[
        int | None,
        Option(
            "--workers",
            "work on N things at once on the Ray cluster (default: its CPUs or GPUs)",
            "N",
            type=int,
            check=option.workers,
            for_workers=False,
        ),
    ]
    cell_timeout: Annotated[
        float,
        Option(
            "--cell-timeout",
            "what takes longer at one cell is killed and recorded as timeout; 0 is no limit "
            "(default: "
            f"{' or '.join(f'{one.timeout:g}' for one in PROFILES.values())}, by profile)",
            "SECONDS",
            type=float,
            default=_of_profile("timeout"),
            check=option.seconds,
        ),
    ]
    together: Annotated[
        bool,
        Option(
            "--together",
            "run methods of other packages in the same process as the others: timed in turn with "
            "them, and trusted to leave the process alone",
            default=False,
            for_workers=False,  # their units are processes already
        ),
    ]
    trust_data: Annotated[
        tuple[str, ...],
        Option(
            "--trust-data",
            "open this pickle of a dataset, although it is not the original; repeatable",
            "SHA256",
            repeatable=True,
            check=option.sha256,
        ),
    ]
    data_root: Annotated[
        Path | None,
        Option(
            "--data-root",
            "folder with raw files, only read (default: $GNN_BENCH_DATA, else data)",
            "DIR",
            type=Path,
            check=option.folder_of_data,
        ),
    ]

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """The benchmarks that take part, by the names of their files; empty for all."""
        return PRESETS[self.preset].benchmarks if self.preset else ()

    @property
    def repeats(self) -> int:
        """Turns of every configuration in a timing."""
        return PROFILES[self.profile].repeats

    def model_seeds(self, task: str) -> range:
        """The seeds of a task's models; a task that brings its model has one."""
        from benchmarks.tasks import brings_model

        return range(1 if brings_model(task) else self.seeds)

    def pick(self, task: Task) -> list[int]:
        """The nodes of ``task`` to explain: the first ``nodes`` of its fixed order, or all."""
        return [int(node) for node in task.nodes[: self.nodes]]

    def engines(self, name: str) -> tuple[str, ...]:
        """The engines that a method is timed on, the slowest first.

        A quick run has no time to train a method on the whole graph, nor for a pass over it for
        each node and edge of a computation graph: it leaves ``stock`` out.
        """
        import explainers

        method = explainers.load(name)
        if (method.needs_fit or method.costly) and self.profile == "quick":
            return tuple(e for e in reversed(method.engines) if e != "stock")
        return tuple(reversed(method.engines))

    @property
    def scored(self) -> tuple[str, ...]:
        """The methods of the benchmark of quality: those asked for, and what they compare with.

        The random baseline is always among the latter: without it nobody knows whether the best is
        better than random.
        """
        if self.no_baselines:
            return self.methods
        alone = set(self.methods).isdisjoint(COMPARED_WITH)
        others = COMPARED_WITH if alone else COMPARED_WITH[:1]
        return (*self.methods, *(name for name in others if name not in self.methods))

    @property
    def tasks_beyond_quality(self) -> tuple[str, ...]:
        """The tasks of all benchmarks but that of quality.

        A quick run scores the white-box tasks, which are there for their ground truth, and leaves
        them out elsewhere, unless there are no others.
        """
        others = tuple(name for name in self.tasks if name not in WHITE_BOX)
        return others if others and self.profile == "quick" else self.tasks

    @property
    def repeatable(self) -> tuple[str, ...]:
        """The methods for benchmarks that explain again and again, on other networks and seeds.

        A quick run has no time for those that train each time, or need many passes a node.
        """
        import explainers

        if self.profile != "quick":
            return self.methods
        loaded = map(explainers.load, self.methods)
        return tuple(one.name for one in loaded if not (one.needs_fit or one.costly))


def declared() -> dict[str, Option]:
    """The options, by the names of the plan's fields."""
    hints = get_type_hints(Plan, include_extras=True)
    return {field.name: hints[field.name].__metadata__[0] for field in dataclasses.fields(Plan)}


def make_plan(**given: Any) -> Plan:
    """Checks the options before any work, the cheap ones first.

    Args:
        **given: Options by the names of the plan's fields; of those that are left out, or None, or
            empty, the defaults hold.

    Raises:
        ValueError: One of them cannot be; the message is one line with the option, its value and
            what to do.
        TypeError: There is no option of that name.
    """
    options = declared()
    if strange := given.keys() - options.keys():
        raise TypeError(f"a plan has no {', '.join(sorted(strange))}")
    given = with_preset(given)
    values: dict[str, Any] = {}
    # The profile comes before all others: their defaults hang on it.
    for name in sorted(options, key=lambda one: (one != "profile", options[one].check_last)):
        values[name] = options[name].value(given.get(name), given, values)
    values["tasks"] = _resolved(values["tasks"], given.get("models"), values["seeds"])
    return Plan(**values)


def _resolved(tasks: Iterable[str], models: Iterable[str] | None, seeds: int) -> tuple[str, ...]:
    """The names of the tasks; runs the user's own files, whose models are not ours to choose."""
    import benchmarks.tasks

    chosen = {benchmarks.tasks.resolve(name): name for name in tasks}
    for name, given in chosen.items():
        # What the suite's own tasks bring has one model in a run with more for other tasks.
        if not (benchmarks.tasks.is_own(given) and benchmarks.tasks.brings_model(name)):
            continue
        if seeds > 1:
            raise ValueError(
                f"--task {given}: brings one trained model, but {seeds} were asked for; add "
                "--seeds 1, or let it give a Definition, whose models are trained here"
            )
        for model in models or ():
            raise ValueError(
                f"--model {model}: --task {given} brings a trained model; leave --model out"
            )
    return tuple(chosen)
