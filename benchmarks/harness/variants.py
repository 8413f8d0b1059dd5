"""The parameters of the tests, in the order of the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness.options import Plan


def parametrize(
    metafunc: Any,
    plan: Plan,
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

    Call it from a test module's ``pytest_generate_tests(metafunc)``, once.

    Args:
        metafunc: As pytest gives it.
        plan: What was asked for: :func:`benchmarks.harness.plugin.plan_of`.
        models: How many of a task's models are explained at most; None for all.
        repeats: Turns that each variant gets.
        variants: Plain dicts with ``method``, ``engine`` and ``options``.
    """
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
