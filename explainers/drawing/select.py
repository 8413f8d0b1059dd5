"""What a picture shows: an explanation's strongest edges, the nodes that they join, and scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.explain import Explanation

from explainers.engines.base import unit
from explainers.metrics import ranking


@dataclass(frozen=True)
class Shown:
    """What a picture shows of an explanation.

    Attributes:
        edges: Positions of the drawn edges in the explanation, the strongest first.
        nodes: Positions of the drawn nodes: the ends of these edges and the explained node, or both
            ends of the explained link; all of a graph that is explained as a whole.
        total: How many edges the explanation scores.
        share: Of the sum of all absolute edge scores, what the drawn edges have; 0 if that is 0.
    """

    edges: list[int]
    nodes: list[int]
    total: int
    share: float

    def __str__(self) -> str:
        if not self.edges:
            return f"0 of {self.total:,} edges drawn: none has a score"
        if len(self.edges) == self.total:
            return f"all {self.total:,} edges drawn"
        share = f"{self.share:.0%}".replace("%", " %")
        return (
            f"{len(self.edges)} of {self.total:,} edges drawn by absolute score, {share} of its sum"
        )


def shown(explanation: Explanation, edges: int = 20) -> Shown:
    """Chooses the ``edges`` edges with the largest absolute scores; never one that scores zero.

    Raises:
        ValueError: ``edges`` is not a whole number from 1, or some scores are NaN or infinite.
    """
    if isinstance(edges, bool) or not isinstance(edges, int) or edges < 1:
        raise ValueError(f"edges must be a whole number and at least 1, got {edges!r}")
    scores = to_numpy(explanation.edge_mask)
    top = [int(i) for i in ranking(scores)[:edges] if scores[i]]
    roots = explained_nodes(explanation)
    if not roots:
        nodes = set(range(node_count(explanation)))
    else:
        nodes = {*roots, *explanation.edge_index[:, top].flatten().tolist()}
    total = float(np.abs(scores).sum())
    share = float(np.abs(scores[top]).sum()) / total if top else 0.0
    return Shown(top, sorted(nodes), scores.size, share)


def right_edges(explanation: Explanation, truth: Tensor | None) -> list[bool]:
    """Of each edge, whether it belongs to the ground truth; none if there is no ground truth.

    Args:
        explanation: Of E edges of the graph.
        truth: Which edges of the graph are right, bool [E], or a row for each node, graph or link.

    Raises:
        ValueError: ``truth`` does not fit.
    """
    count = int(explanation.edge_index.size(1))
    if truth is None:
        return [False] * count
    ids = explanation.e_id.cpu() if "e_id" in explanation else torch.arange(count)
    largest = int(ids.max()) if count else -1
    if truth.dtype != torch.bool or truth.dim() not in (1, 2) or truth.size(-1) <= largest:
        raise ValueError(
            "truth must be torch.bool [E], one for each edge of the graph, or a row of that for "
            f"each node, got {truth.dtype} {list(truth.shape)}"
        )
    own = truth
    if truth.dim() == 2:
        index = explanation.get("index")
        known = index is None or "unit" in explanation
        own = truth[unit(explanation) if known else node_ids(explanation)[int(index)]]
    return [bool(right) for right in own.cpu()[ids]]


def node_ids(explanation: Explanation) -> Tensor:
    """The nodes' numbers in the graph, int64 [n]; an explanation by PyG itself has them all."""
    if "n_id" in explanation:
        return explanation.n_id.cpu()
    return torch.arange(node_count(explanation))


def node_count(explanation: Explanation) -> int:
    """How many nodes the explanation covers."""
    return int(explanation.num_nodes or 0)


def explained_nodes(explanation: Explanation) -> list[int]:
    """The explained node's position, or those of a link's ends; none if a graph is explained."""
    index = explanation.get("index", explanation.get("edge_label_index"))
    return [] if index is None else list(dict.fromkeys(torch.as_tensor(index).view(-1).tolist()))


def node_strengths(explanation: Explanation) -> list[float]:
    """Of each node: the absolute scores of its features, summed and scaled; 1 without any."""
    mask = explanation.get("node_mask")
    if mask is None or mask.size(0) != node_count(explanation) or not mask.size(1):
        return [1.0] * node_count(explanation)
    return strengths(mask.abs().sum(dim=1))


def strengths(scores: Tensor) -> list[float]:
    """Absolute scores, divided by the largest of them; all 0 if there is no other."""
    values = np.abs(to_numpy(scores))
    largest = float(values.max(initial=0.0))
    return [float(value) / largest if largest else 0.0 for value in values]


def to_numpy(tensor: Tensor) -> Any:
    """The values as float64."""
    return tensor.detach().double().cpu().numpy()
