"""Of heterogeneous graphs: how scores are spread over the edge types, and how good each type's are.

The library's metrics select edges of all types together. Here those of one type are selected from
alone: budgets are shares of its edges, and the edges of other types stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch_geometric.explain import HeteroExplanation

import explainers.metrics
from benchmarks.measures import HEADLINE
from benchmarks.tasks import Task
from benchmarks.tasks._hetero import type_name
from explainers.metrics import Value

METRICS = ("fidelity", "sparsity", "ground_truth")
SCORED = (
    *("fidelity+_prob", "fidelity-_prob", "auroc", "average_precision"),
    "computation_graph_edges",
)


def by_edge_type(
    task: Task, explanations: Sequence[HeteroExplanation], nodes: Sequence[int]
) -> list[dict[str, Any]]:
    """Rows of quality, with the edge type as ``other``: ``SCORED`` and ``type_share``.

    Explanations in whose computation graph there is no edge of a type have only its share, 0.
    """
    rows = []
    headline = {one["name"]: one["selection"] for one in explainers.metrics.describe()}
    for edge_type in task.data.edge_types:
        name = type_name(edge_type)
        with_any = [one for one in explanations if one[edge_type].edge_mask.numel()]
        found = explainers.metrics.evaluate(
            task.model,
            task.data,
            with_any,
            at=[HEADLINE],
            semantics=["mask"],
            metrics=METRICS,
            truth=task.truth,
            model_config=task.model_config,
            edge_type=edge_type,
        )
        rows += [
            {**row, "other": name}
            for row in found
            if row["metric"] in SCORED and row["selection"] == headline[row["metric"]]
        ]
        for node, explanation in zip(nodes, explanations, strict=True):
            share = shares(explanation)[edge_type]
            if share is not None:
                rows.append(
                    {"node": node, "metric": "type_share", "level": "", "semantics": ""}
                    | {"selection": "", "other": name, "value": share}
                )
    return rows


def shares(explanation: HeteroExplanation) -> dict[tuple[str, str, str], float | None]:
    """Of each edge type, its share of the absolute scores, in [0, 1]; None if all scores are 0."""
    sizes = {
        edge_type: float(explanation[edge_type].edge_mask.double().abs().sum())
        for edge_type in explanation.edge_types
    }
    total = sum(sizes.values())
    return {edge_type: size / total if total else None for edge_type, size in sizes.items()}


VALUES = {
    "type_share": Value(
        title="share of the scores",
        direction="",
        bounds=(0, 1),
        description="Share of all absolute edge scores that the edges of a type have, in [0, 1].",
        compared=False,
    ),
}
