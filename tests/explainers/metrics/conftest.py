"""Cases made from the few numbers that a test is about."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from explainers.metrics._case import Case, EdgeBudget
from explainers.metrics._ranking import ranking


@pytest.fixture
def make_case() -> Callable[..., Case]:
    """Builds a case; what is not given is empty, or as if the model answered the same always."""

    def make(**given) -> Case:
        scores = np.asarray(given.pop("scores", []), dtype=np.float64)
        sizes = np.asarray(given.pop("sizes", []), dtype=np.int64)
        full = np.asarray(given.pop("full", [0.25, 0.75]), dtype=np.float64)
        same = np.tile(full, (sizes.size, 1))
        defaults = {
            "node_scores": np.zeros((1, 0)),
            "target": 1,
            "label": None,
            "without": same,
            "only": same,
            "semantics": "mask",
            "output_change": None,
            "budgets": tuple(EdgeBudget(f"k={max(1, count)}") for count in sizes.tolist()),
            "edge_index": np.stack([np.arange(scores.size), np.full(scores.size, scores.size)]),
            "truth": None,
        }
        case = {"selection": "absolute"} | defaults | given
        ranked = ranking(np.nan_to_num(scores), case["selection"])
        case = {"order": ranked, "orders": np.asarray([ranked])} | case
        for name in ("without", "only", "node_scores"):
            case[name] = np.asarray(case[name], dtype=np.float64)
        if case["truth"] is not None:
            case["truth"] = np.asarray(case["truth"], dtype=bool)
        case["edge_index"] = np.asarray(case["edge_index"], dtype=np.int64)
        return Case(scores=scores, sizes=sizes, full=full, **case)

    return make
