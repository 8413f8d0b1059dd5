"""Settings of methods that learn or search, chosen on other nodes and another model of a task."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch_geometric.explain import Explanation

import explainers
import explainers.metrics
from benchmarks.measures import HEADLINE
from benchmarks.measures.agreement import edge_scores
from benchmarks.tasks import Task
from explainers.metrics import Value

# Each option's candidates; all combinations are tried. What is left out has the library's default.
GRID: dict[str, dict[str, tuple[float, ...]]] = {
    "gnn_explainer": {"edge_size": (0.0005, 0.005, 0.05, 0.5), "lr": (0.01, 0.1)},
    "pg_explainer": {"edge_size": (0.0005, 0.005, 0.05), "edge_ent": (0.0, 1.0)},
    "graph_mask": {"penalty": (1.0, 10.0), "allowance": (0.03, 0.3)},
    "cf_explainer": {"edge_size": (0.005, 0.05, 0.5), "lr": (0.1, 1.0)},
}
DEFAULTS, TUNED = "library defaults", "tuned"
GAIN, LOSS = "area_fidelity+_prob", "area_fidelity-_prob"
RULE = (
    "the highest mean of the area under fidelity+ less the area under fidelity- (probability, "
    "masked) over the tuning nodes; the library's defaults where they do as well"
)
# What is measured of the settings besides: at this budget, and against the ground truth.
SCORED = (
    *((GAIN, ""), (LOSS, ""), ("fidelity+_prob", HEADLINE), ("fidelity-_prob", HEADLINE)),
    *(("auroc", ""), ("average_precision", "")),
)


@dataclass(frozen=True)
class Chosen:
    """The settings that a method does best with on the tuning nodes.

    Attributes:
        options: Those in which they differ from the library's defaults.
        scores: What the rule compares, for each of the settings tried.
        explanations: How many explanations were made.
    """

    options: dict[str, float]
    scores: tuple[float, ...]
    explanations: int


def settings(name: str) -> list[dict[str, float]]:
    """All settings that are tried for a method, as options; the library's defaults ({}) first."""
    grid = GRID[name]
    defaults = explainers.load(name).options
    every = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    differing = [
        {option: value for option, value in one.items() if value != defaults[option]}
        for one in every
    ]
    return [{}, *(one for one in differing if one)]


def choose(task: Task, name: str, nodes: Sequence[int]) -> Chosen:
    """Tries all settings of a method on nodes of a task, by :data:`RULE`."""
    tried = settings(name)
    scores = []
    for options in tried:
        explanations = explainers.load(name, **options).explain(*task.arguments(nodes))
        rows = scored(task, explanations)
        gains, losses = (
            [value for (_, metric, _), value in rows.items() if metric == asked]
            for asked in (GAIN, LOSS)
        )
        scores.append(float(np.mean(gains) - np.mean(losses)))
    best = int(np.argmax(scores))  # the first of equals
    return Chosen(tried[best], tuple(scores), len(tried) * len(nodes))


def scored(task: Task, explanations: Sequence[Explanation]) -> dict[tuple[int, str, str], float]:
    """The values of ``SCORED``, masked, by node, metric and edge budget.

    Edges are selected as headlines select them.
    """
    headline = {one["name"]: one["selection"] for one in explainers.metrics.describe()}
    rows = explainers.metrics.evaluate(
        task.model,
        task.data,
        explanations,
        semantics=["mask"],
        metrics=["fidelity", "fidelity_curve", "ground_truth"],
        truth=task.truth,
        model_config=task.model_config,
    )
    return {
        (row["node"], row["metric"], row["level"]): row["value"]
        for row in rows
        if (row["metric"], row["level"]) in SCORED and row["selection"] == headline[row["metric"]]
    }


def learned(explanation: Explanation) -> dict[str, float]:
    """``converged``, ``collapsed`` and ``valid``, as far as it has them, and ``mask_range``."""
    mask = edge_scores(explanation)
    states: dict[str, Any] = {
        **{name: explanation.get(name) for name in ("converged", "collapsed", "valid")},
        "mask_range": mask.max() - mask.min() if len(mask) else 0.0,
    }
    return {name: float(value) for name, value in states.items() if value is not None}


VALUES = {
    "converged": Value(
        title="converged",
        direction="",
        bounds=(0, 1),
        description=(
            "Share of explanations whose training came to rest: the last tenth of its epochs "
            "changed the loss by no more than 2 % of its whole change."
        ),
        compared=False,
    ),
    "collapsed": Value(
        title="collapsed",
        direction="",
        bounds=(0, 1),
        description=(
            "Share of explanations whose edge mask tells the edges apart no more: a range or a "
            "Gini index below 0.01."
        ),
        compared=False,
    ),
    "valid": Value(
        title="counterfactual found",
        direction="",
        bounds=(0, 1),
        description="Share of explanations that found edges whose deletion changes the class.",
        compared=False,
    ),
    "mask_range": Value(
        title="range of the mask",
        direction="",
        bounds=(0, 1),
        description="Largest less smallest entry of an explanation's edge mask, in [0, 1].",
        compared=False,
    ),
    "tuning_seconds": Value(
        title="time of the tuning",
        direction="down",
        bounds=(0, math.inf),
        unit="s",
        description="Seconds that choosing the settings took: explaining and scoring.",
        compared=False,
    ),
    "tuning_explanations": Value(
        title="explanations made for the tuning",
        direction="down",
        bounds=(0, math.inf),
        description="Tuning nodes times settings tried.",
        compared=False,
    ),
    **{
        f"setting_{option}": Value(
            title=f"setting {option}",
            direction="",
            description=f"The method's option {option}, as it ran.",
            compared=False,
        )
        for option in sorted({"epochs", *itertools.chain.from_iterable(GRID.values())})
    },
}
