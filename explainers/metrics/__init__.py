"""Metrics, one a module: pure functions of what :class:`Case` holds; and their evaluation.

A module ``<name>.py`` has a function, and ``METRIC``, a :class:`Metric` that says what the function
needs and what each of its values means. Other packages add theirs by the entry points
``gnn_explainer_bench.metrics``. A name that starts with ``_`` is no metric's.
"""

from explainers.metrics._base import Metric, Value
from explainers.metrics._case import Case, EdgeBudget, edge_budgets, size
from explainers.metrics._evaluate import SEMANTICS, evaluate
from explainers.metrics._ranking import SELECTIONS, inclusion, ranking
from explainers.metrics._registry import available, describe, load

__all__ = [
    "SELECTIONS",
    "SEMANTICS",
    "Case",
    "EdgeBudget",
    "Metric",
    "Value",
    "available",
    "describe",
    "edge_budgets",
    "evaluate",
    "inclusion",
    "load",
    "ranking",
    "size",
]
