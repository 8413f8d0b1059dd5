"""How alike two scorings of the same edges are, and how much a scoring moves with its input."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import kendalltau
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.explain import Explanation, HeteroExplanation

from explainers.metrics import Value, inclusion

Floats = npt.NDArray[np.float64]
TOP = 10


def edge_scores(explanation: Explanation | HeteroExplanation) -> Floats:
    """The scores of an explanation's edges, [e]; of all types, one after the other."""
    if isinstance(explanation, HeteroExplanation):
        masks = [explanation[edge_type].edge_mask for edge_type in explanation.edge_types]
    else:
        masks = [explanation.edge_mask]
    return torch.cat(masks).double().cpu().numpy()


def agreement(one: Floats, other: Floats) -> dict[str, float]:
    """Whether two methods, seeds or models order the edges alike, by absolute score.

    ``kendall_tau``: Kendall's tau-b, in [-1, 1], 0 for unrelated orders; it discounts ties, and has
    no value if either scoring has but one value. ``overlap``: the share that the ten edges with the
    highest scores have in common, in [0, 1], in expectation over random orders of equal scores; no
    value if the computation graph has no more than ten.
    """
    found = {}
    sizes = np.abs(one), np.abs(other)
    if all(size.size and np.ptp(size) > 0 for size in sizes):
        found["kendall_tau"] = float(kendalltau(*sizes).statistic)
    if one.size > TOP:
        # Equal scores of the two are ordered independently of each other.
        found["overlap"] = float(inclusion(one, TOP) @ inclusion(other, TOP)) / TOP
    return found


def relative_error(scores: Floats, reference: Floats) -> float:
    """Euclidean distance over the norm of the reference; 0 if both are 0, 1 if only the latter."""
    size = float(np.linalg.norm(reference))
    distance = float(np.linalg.norm(scores - reference))
    return distance / size if size else float(distance > 0)


def moves(data: Data | HeteroData) -> bool:
    """Whether features have a scale to move on; not if all of a type are equal, for all types."""
    return any(_deviation(store.x) > 0 for store in data.node_stores if "x" in store)


def _deviation(x: Tensor) -> float:
    """The standard deviation of all features; a single number has none."""
    return float(x.std()) if x.numel() > 1 else 0.0


def max_sensitivity(
    explain: Callable[[Any], Sequence[Explanation]],
    data: Data | HeteroData,
    *,
    radius: float = 0.02,
    draws: int = 10,
    seed: int = 0,
) -> list[float]:
    """Max-sensitivity: how far, at most, the scores move if the features move a little.

    ``max over y of |scores(y) - scores(x)| / |scores(x)|`` (Euclidean norms, of the edges' scores),
    with y drawn uniformly from the box of ``radius`` times the features' standard deviation around
    x. Range: [0, inf). Direction: lower is better, though a constant is the most stable of all.

    Source: Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", arXiv:1901.09392,
    definition 2, divided by the norm as in ``captum.metrics.sensitivity_max``, whose radius (0.02)
    and number of draws (10) these are. The radius is absolute there; features have no common scale
    here: of heterogeneous data each node type has its own deviation. There the scores are those of
    the features that move; here they are the edges'.

    Args:
        explain: Explains always the same nodes and classes, on a graph with other features.
        data: The graph.
        radius: Of the box, in standard deviations.
        draws: Points in it.
        seed: Of the draws.

    Returns:
        One number for each explanation.
    """
    generator = torch.Generator().manual_seed(seed)
    reference = [edge_scores(one) for one in explain(data)]
    worst = [0.0] * len(reference)
    for _ in range(draws):
        moved = data.clone()
        for store in moved.node_stores:
            if "x" in store:
                shift = 2 * torch.rand(store.x.shape, generator=generator) - 1
                store.x = store.x + (radius * _deviation(store.x) * shift).to(store.x)
        errors = (
            relative_error(edge_scores(one), exact)
            for one, exact in zip(explain(moved), reference, strict=True)
        )
        worst = [max(pair) for pair in zip(worst, errors, strict=True)]
    return worst


VALUES = {
    "kendall_tau": Value(
        title="Kendall's tau between methods",
        direction="",
        bounds=(-1, 1),
        description=(
            "Whether two methods order a computation graph's edges alike by absolute score, tau-b, "
            "in [-1, 1]; 0 for unrelated orders."
        ),
        selection="absolute",
    ),
    "overlap": Value(
        title="overlap of the ten highest edges",
        direction="",
        bounds=(0, 1),
        description=(
            "Share of the ten edges with the highest absolute scores that two methods have in "
            "common, in [0, 1]."
        ),
        selection="absolute",
    ),
    "kendall_tau_seeds": Value(
        title="Kendall's tau, explainer's seeds",
        direction="up",
        bounds=(-1, 1),
        description=(
            "tau-b between the scores under two seeds of the method, mean over the pairs, in "
            "[-1, 1]; higher is more stable."
        ),
        selection="absolute",
    ),
    "overlap_seeds": Value(
        title="overlap, explainer's seeds",
        direction="up",
        bounds=(0, 1),
        description=(
            "Share of the ten highest edges in common under two seeds of the method, in [0, 1]."
        ),
        selection="absolute",
    ),
    "kendall_tau_models": Value(
        title="Kendall's tau, models' seeds",
        direction="",
        bounds=(-1, 1),
        description=(
            "tau-b between the scores on two models of the task for the same classes, in [-1, 1]. "
            "Models differ, so high is not better; a baseline that does not look at the model has "
            "1."
        ),
        selection="absolute",
    ),
    "overlap_models": Value(
        title="overlap, models' seeds",
        direction="",
        bounds=(0, 1),
        description=(
            "Share of the ten highest edges in common on two models of the task, in [0, 1]."
        ),
        selection="absolute",
    ),
    "max_sensitivity": Value(
        title="max-sensitivity",
        direction="down",
        bounds=(0, math.inf),
        description=(
            "Largest relative change of the edges' scores if the features move by up to 2 % of "
            "their standard deviation, 0 or more; lower is more stable."
        ),
        source="Yeh et al., arXiv:1901.09392",
    ),
}
