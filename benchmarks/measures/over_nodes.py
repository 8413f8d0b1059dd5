"""Values of all explained nodes together, as others publish them; ours are means over nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch_geometric.explain import Explanation

import explainers.metrics
from benchmarks.tasks import Task
from explainers.metrics import Value
from explainers.metrics._ranking import Bools, Floats
from explainers.metrics.characterization import characterization_score
from explainers.metrics.ground_truth import auroc

BUDGET = "k=10"  # of GraphFramEx's leaderboard


def pooled_auroc(task: Task, explanations: Sequence[Explanation]) -> float:
    """One AUROC of the edges of all explanations; an edge counts once for each that has it."""
    assert task.ground_truth is not None
    scores = torch.cat([one.edge_mask for one in explanations]).double().abs()
    truth = torch.cat([task.ground_truth[one.e_id] for one in explanations])
    return auroc(scores.cpu().numpy(), truth.cpu().numpy())


def characterization_of_means(
    task: Task, explanations: Sequence[Explanation], semantics: str = "delete"
) -> float:
    """GraphFramEx's score: of the mean fidelities by accuracy, ten edges, the true class."""
    labels = torch.stack([one.target for one in explanations])
    rows = explainers.metrics.evaluate(
        task.model,
        task.data,
        explanations,
        at=[BUDGET],
        semantics=[semantics],
        selections=["absolute"],  # as there
        metrics=["fidelity"],
        labels=labels,
        model_config=task.model_config,
    )
    plus, minus = (
        np.mean([row["value"] for row in rows if row["metric"] == f"fidelity{sign}_acc"])
        for sign in "+-"
    )
    return float(characterization_score(plus, minus))


def pr_auc(truth: Bools, scores: Floats) -> float:
    """The area under one node's precision-recall curve by trapezoids, in [0, 1].

    Between two thresholds the line is taken for the curve, and precision is 1 at recall 0: more
    than the average precision has. Equal scores pass together.

    Args:
        truth: [e], not none.
        scores: [e], any finite numbers; signed.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), scores.size - 1)
    hits = np.cumsum(truth[order])[last]
    precision = np.concatenate([[1.0], hits / (last + 1)])
    recall = np.concatenate([[0.0], hits / hits[-1]])
    return float((np.diff(recall) * (precision[1:] + precision[:-1]) / 2).sum())


VALUES = {
    "pr_auc": Value(
        title="PR-AUC",
        direction="up",
        bounds=(0, 1),
        description=(
            "Mean over nodes of the area under the curve of precision over recall, in [0, 1]; "
            "scores that say nothing have about the share of right edges."
        ),
        source="Nerini et al., ECML PKDD 2025",
    ),
    "pooled_auroc": Value(
        title="AUROC, pooled",
        direction="up",
        bounds=(0, 1),
        description=(
            "One AUROC of the edges of all explained nodes, an edge counting once for each node "
            "that it explains, in [0, 1]; 0.5 for scores that say nothing."
        ),
        selection="absolute",
        source="Luo et al., arXiv:2011.04573",
    ),
    "characterization_of_means": Value(
        title="characterization (of means)",
        direction="up",
        bounds=(0, 1),
        description=(
            "Harmonic mean of the mean fidelity+ and 1 - the mean fidelity-, both by accuracy on "
            "the true class, in [0, 1]."
        ),
        selection="absolute",
        source="Amara et al., arXiv:2206.09677",
    ),
}
