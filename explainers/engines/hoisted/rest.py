"""The rest of a model, of one hop less: its computation graphs, and its gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from explainers.prepare.computation_graph import ComputationGraphs, Reach, reach
from explainers.prepare.model import PreparedModel


def inner_graphs(
    prepared: PreparedModel, nodes: Tensor, whole: Reach
) -> tuple[ComputationGraphs, Tensor]:
    """The inner nodes of computation graphs and the edges that the rest reads; of a graph, all.

    Without any hop left, the explained nodes by themselves.

    Args:
        prepared: Model and graph.
        nodes: [R], what is explained.
        whole: Their computation graphs.

    Returns:
        The graphs; and the nodes of which all incoming edges are in them, as positions.
    """
    if prepared.task_level == "graph":  # each layer reads all of a graph
        return whole.graphs, whole.inner
    if prepared.hops > 1:
        found = reach(prepared.index, prepared.roots(nodes), prepared.hops - 1)
        return found.graphs, found.inner
    number = torch.arange(len(nodes) + 1, device=nodes.device)
    nothing = nodes.new_empty(0)
    alone = type(whole.graphs)(
        n_id=whole.inner_id,
        n_ptr=torch.searchsorted(whole.inner_batch, number),
        e_id=nothing,
        e_ptr=torch.zeros_like(number),
        edge_index=nothing.expand(2, 0),
        roots=whole.own,
    )
    return alone, torch.arange(len(whole.inner_id), device=nodes.device)


@dataclass(frozen=True)
class InnerGradients:
    """Gradients summed along the path, before any edge of the widest hop is touched.

    Attributes:
        by_edges: [P, H], sums of w alpha dF/dP: what an edge into an inner node gets.
        by_features: [P, H], sums of w beta dF/dP: what features that are sent get.
        plain: [P, H], sums of w dF/dP.
        mask: [i], by the mask of the inner graph's edges, in later layers.
        x: [P, F], by the features where the rest of the model reads them, or None.
        change: [R], F at the inputs minus F at the beginning of the path, or None.
    """

    by_edges: Tensor
    by_features: Tensor
    plain: Tensor
    mask: Tensor
    x: Tensor | None
    change: Tensor | None
