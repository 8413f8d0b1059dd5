"""What a run was asked for: the options of the command line, checked, and the order of its work."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from benchmarks.tasks import Task

DEVICES = ("cpu", "cuda")
EXECUTORS = ("local", "ray")
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
    "quick": Profile(nodes=10, seeds=1, repeats=3, timeout=600),
    "full": Profile(nodes=30, seeds=2, repeats=5, timeout=1800),
}

# The real data if they can be had, else a stand-in of the same size; and a task with ground truth.
PREFERRED, STAND_IN = "twitch-en", "twitch-sim"
ALWAYS = ("ba-shapes",)


@dataclass(frozen=True)
class Plan:
    """A run's options, all of them valid.

    Attributes:
        profile: ``quick`` or ``full``.
        tasks: The tasks asked for. Empty means the default choice, which ``Run.choose_tasks``
            makes before the tests are collected.
        methods: The methods asked for, or all.
        device: ``cpu`` or ``cuda``.
        nodes: Nodes to explain of each task.
        seeds: Models of each task; their seeds are 0 to ``seeds - 1``.
        repeats: Turns of every configuration in a timing.
        data_root: Folder with raw files, or None for the usual places.
        results: The results folder asked for, or None for a new one.
        resume: Whether cells that are in the results folder already are kept.
        executor: ``local`` or ``ray``.
        address: Of the Ray cluster; None for one on this machine.
        workers: How many tests the cluster may be at, or None for as many as it has CPUs or GPUs.
        models: The kinds of models asked for; a task that brings its model has no other.
    """

    profile: str
    tasks: tuple[str, ...]
    methods: tuple[str, ...]
    device: str
    nodes: int
    seeds: int
    repeats: int
    data_root: Path | None = None
    results: Path | None = None
    resume: bool = False
    executor: str = "local"
    address: str | None = None
    workers: int | None = None
    models: tuple[str, ...] = ("gcn",)

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
    def repeatable(self) -> tuple[str, ...]:
        """The methods for benchmarks that explain again and again, on other networks and seeds.

        A quick run has no time for those that train each time.
        """
        import explainers

        if self.profile != "quick":
            return self.methods
        return tuple(name for name in self.methods if not explainers.load(name).needs_fit)


PLAN = pytest.StashKey[Plan]()


def make_plan(
    *,
    profile: str = "quick",
    tasks: Sequence[str] = (),
    methods: Sequence[str] = (),
    models: Sequence[str] = (),
    device: str | None = None,
    nodes: int | None = None,
    seeds: int | None = None,
    cell_timeout: float | None = None,
    trust_data: Sequence[str] = (),
    data_root: Path | None = None,
    results: Path | None = None,
    resume: bool = False,
    executor: str = "local",
    address: str | None = None,
    workers: int | None = None,
) -> Plan:
    """Checks the options before any work, the cheap ones first.

    Raises:
        ValueError: One of them cannot be; the message is one line with the option, its value and
            what to do.
    """
    if profile not in PROFILES:
        raise ValueError(f"--profile {profile}: unknown; use {' or '.join(PROFILES)}")
    for option, number in (("--nodes", nodes), ("--seeds", seeds), ("--workers", workers)):
        if number is not None and number < 1:
            raise ValueError(f"{option} {number}: is to be 1 or more")
    if cell_timeout is not None and not cell_timeout >= 0:
        raise ValueError(f"--cell-timeout {cell_timeout:g}: is to be 0 (no limit) or more seconds")
    for sha256 in trust_data:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
            raise ValueError(
                f"--trust-data {sha256}: is to be a file's SHA-256, 64 hexadecimal digits"
            )
    if data_root is not None and not data_root.is_dir():
        raise ValueError(
            f"--data-root {data_root}: there is no such folder; create it and put the raw files "
            "there, or leave the option out"
        )
    _check_results(results, resume)
    _check_executor(executor, address, workers)

    import benchmarks.tasks
    import explainers

    known = benchmarks.tasks.available()
    _check_names("--task", [name for name in tasks if not benchmarks.tasks.is_own(name)], known)
    _check_names("--model", models, benchmarks.tasks.MODELS)
    known = explainers.available()
    _check_names("--method", methods, known)
    methods = methods or known
    device = device or os.environ.get(DEVICE_VARIABLE) or "cpu"
    _check_device(device)
    defaults = PROFILES[profile]
    seeds = seeds or defaults.seeds
    chosen = {benchmarks.tasks.resolve(name): name for name in tasks}  # runs the user's own files
    for name, given in chosen.items():
        if seeds > 1 and benchmarks.tasks.brings_model(name):
            raise ValueError(
                f"--task {given}: brings one trained model, but {seeds} were asked for; add "
                "--seeds 1, or let it give a Definition, whose models are trained here"
            )
        if models and benchmarks.tasks.brings_model(name):
            raise ValueError(
                f"--model {models[0]}: --task {given} brings a trained model; leave --model out"
            )
    return Plan(
        profile=profile,
        tasks=tuple(chosen),
        methods=tuple(dict.fromkeys(methods)),
        device=device,
        nodes=nodes or defaults.nodes,
        seeds=seeds,
        repeats=defaults.repeats,
        data_root=data_root,
        results=results,
        resume=resume,
        executor=executor,
        address=address,
        workers=workers,
        models=tuple(dict.fromkeys(models)) or ("gcn",),
    )


def plan_of(config: pytest.Config) -> Plan:
    """The plan of this pytest session; outside of ``--benchmark-only`` a default one.

    While the tests are collected, its tasks are chosen already.
    """
    plan = config.stash.get(PLAN, None)
    if plan is None:  # collected, but not to be run
        config.stash[PLAN] = plan = make_plan(tasks=(PREFERRED, *ALWAYS))
    return plan


def parametrize(
    metafunc: pytest.Metafunc,
    *,
    models: int | None = None,
    repeats: int = 1,
    variants: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Gives a test its parameters in the order that interleaves the methods.

    From slowest to fastest: ``task_name``, ``architecture``, ``model_seed``, ``repeat``,
    ``variant``, each if the test or one of its fixtures has an argument of that name. Runs of one
    method in a row would drift with the machine; so the method (the variant) varies fastest, within
    (task, model, repeat). pytest keeps this order as long as none of the arguments has a wider
    scope.

    To be called from a test module's ``pytest_generate_tests(metafunc)``, once.

    Args:
        metafunc: As pytest gives it.
        models: How many of a task's models are explained at most; None for all.
        repeats: Turns that each variant gets.
        variants: Plain dicts with ``method``, ``engine`` and ``options``.
    """
    plan = plan_of(metafunc.config)
    axes: dict[str, Sequence[Any]] = {
        "task_name": plan.tasks,
        "architecture": plan.models,
        "model_seed": range(plan.seeds)[:models],
        "repeat": range(repeats),
        "variant": variants,
    }
    for name, values in axes.items():
        if name in metafunc.fixturenames:
            ids = [variant_id(value) if name == "variant" else f"{value}" for value in values]
            metafunc.parametrize(name, list(values), ids=ids)


def variant_id(variant: Mapping[str, Any]) -> str:
    """``method-engine-option=value-...``, for test names."""
    options = (f"{name}={value}" for name, value in sorted(variant.get("options", {}).items()))
    return "-".join(filter(None, (variant["method"], variant.get("engine"), *options)))


def _check_results(results: Path | None, resume: bool) -> None:
    if resume and results is None:
        raise ValueError("--resume: needs --results DIR, the folder of the run to go on with")
    if results is None:
        return
    if results.exists() and not results.is_dir():
        raise ValueError(f"--results {results}: is a file; name a folder")
    if resume and not results.is_dir():
        raise ValueError(
            f"--results {results}: nothing to resume there; check the path, or leave --resume out"
        )
    if not resume and results.is_dir() and any(results.iterdir()):
        raise ValueError(
            f"--results {results}: the folder is not empty; add --resume to go on with its run, or "
            "name another folder"
        )


def _check_executor(executor: str, address: str | None, workers: int | None) -> None:
    if executor not in EXECUTORS:
        raise ValueError(f"--executor {executor}: unknown; use {' or '.join(EXECUTORS)}")
    for option, value in (("--address", address), ("--workers", workers)):
        if value is not None and executor != "ray":
            raise ValueError(f"{option} {value}: is for --executor ray only; add it")
    if executor == "ray" and importlib.util.find_spec("ray") is None:
        raise ValueError(
            "--executor ray: Ray is not installed; install the extra: pip install -e '.[bench,ray]'"
        )


def _check_names(option: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{option} {name}: unknown; available: {', '.join(known)}")


def _check_device(device: str) -> None:
    if device not in DEVICES:
        raise ValueError(f"--device {device}: unknown; use {' or '.join(DEVICES)}")
    if device != "cuda":
        return
    import torch

    if not torch.cuda.is_available():
        raise ValueError(
            "--device cuda: torch finds no working CUDA device; use --device cpu, or check the "
            "driver, CUDA_VISIBLE_DEVICES and that this torch is a CUDA build"
        )
    try:
        torch.ones(1, device="cuda").add_(1).cpu()
    except RuntimeError as error:
        line = " ".join(str(error).split())
        raise ValueError(
            f"--device cuda: the GPU does not work ({line}); use --device cpu"
        ) from error
