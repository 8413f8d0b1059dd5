"""How far Integrated Gradients with few steps are from the integral."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.stats import spearmanr
from torch_geometric.explain import Explanation

from explainers.metrics import Value


def errors(explanation: Explanation, reference: Explanation) -> dict[str, float]:
    """How far an explanation is from a more exact one of the same node.

    ``convergence_delta``: absolute difference between the sum of the scores and the change of the
    output. ``relative_error``: Euclidean norm of the difference to the reference, edges and
    features together, over that of the reference. ``rank_correlation``: Spearman's, of the edges'
    absolute scores; 1 if there is nothing to rank.
    """
    scores, exact = (
        torch.cat([e.edge_mask, e.node_mask.flatten()]).double().cpu().numpy()
        for e in (explanation, reference)
    )
    size = float(np.linalg.norm(exact))
    edges = explanation.edge_mask.numel()
    ranked = [np.abs(values[:edges]) for values in (scores, exact)]
    alike = 1.0
    if all(np.ptp(values) > 0 for values in ranked if len(values)) and edges > 1:
        alike = float(spearmanr(*ranked).statistic)
    return {
        "convergence_delta": abs(float(explanation.convergence_delta)),
        "relative_error": float(np.linalg.norm(scores - exact)) / size if size else 0.0,
        "rank_correlation": alike,
    }


VALUES = {
    "convergence_delta": Value(
        title="convergence delta",
        direction="down",
        bounds=(0, math.inf),
        description=(
            "Absolute completeness error that is left by a finite number of integration steps, in "
            "the output's units; lower is better."
        ),
        unit="output",
        source="Sundararajan et al., arXiv:1703.01365",
    ),
    "relative_error": Value(
        title="relative error",
        direction="down",
        bounds=(0, math.inf),
        description=(
            "Distance of the attributions to those made with 1,000 steps, relative to the latter; "
            "lower is better."
        ),
    ),
    "rank_correlation": Value(
        title="rank correlation",
        direction="up",
        bounds=(-1, 1),
        description=(
            "Spearman's correlation of the edge scores with those made with 1,000 steps, in "
            "[-1, 1]; higher is better."
        ),
    ),
}
