"""The parameters of the tests, in the order of the work."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.harness.options import Plan


def parametrize(
    metafunc: Any,
    plan: Plan,
    *,
    models: int | None = None,
    repeats: int = 1,
    variants: Sequence[Mapping[str, Any]] = (),
    quality: bool = False,
) -> None:
    """Gives a test its parameters in the order that interleaves the methods.

    From slowest to fastest: ``task_name``, ``architecture``, ``model_seed``, ``repeat``,
    ``variant``, each if the test or one of its fixtures has an argument of that name. Runs of one
    method in a row would drift with the machine; so the method (the variant) varies fastest, within
    (task, model, repeat). pytest keeps this order as long as none of the arguments has a wider
    scope. A task that brings its model gets one architecture and seed, whatever was asked for.

    Call it from a test module's ``pytest_generate_tests(metafunc)``, once.

    Args:
        metafunc: As pytest gives it.
        plan: What was asked for: :func:`benchmarks.harness.plugin.plan_of`.
        models: How many of a task's models are explained at most; None for all.
        repeats: Turns that each variant gets.
        variants: Plain dicts with ``method``, ``engine`` and ``options``.
        quality: Whether it is the benchmark of quality, which has all tasks.
    """
    tasks = plan.tasks if quality else plan.tasks_beyond_quality
    axes: dict[str, Sequence[Any]] = {
        "architecture": plan.models,
        "model_seed": range(plan.seeds)[:models],
        "repeat": range(repeats),
        "variant": variants,
    }
    if "task_name" in metafunc.fixturenames:
        kinds, seeds = axes.pop("architecture"), axes.pop("model_seed")
        names = [name for name in _SUBJECT if name in metafunc.fixturenames]
        positions = [_SUBJECT.index(name) for name in names]
        subjects = dict.fromkeys(
            tuple(one[i] for i in positions) for one in _subjects(tasks, kinds, seeds)
        )
        ids = ["-".join(map(str, one)) for one in subjects]
        metafunc.parametrize(names, list(subjects), ids=ids)
    for name, values in axes.items():
        if name in metafunc.fixturenames:
            ids = [variant_id(value) if name == "variant" else f"{value}" for value in values]
            metafunc.parametrize(name, list(values), ids=ids)


_SUBJECT = ("task_name", "architecture", "model_seed")


def _subjects(
    tasks: Sequence[str], kinds: Sequence[str], seeds: Sequence[int]
) -> Iterator[tuple[str, str, int]]:
    """What is explained: every task with the models asked for, or with the one that it brings."""
    import benchmarks.tasks

    for task in tasks:
        if benchmarks.tasks.brings_model(task):
            yield task, benchmarks.tasks.MODELS[0], 0
        else:
            yield from itertools.product([task], kinds, seeds)


def variant_id(variant: Mapping[str, Any]) -> str:
    """``method-engine-option=value-...``, for test names."""
    options = (f"{name}={value}" for name, value in sorted(variant.get("options", {}).items()))
    return "-".join(filter(None, (variant["method"], variant.get("engine"), *options)))
