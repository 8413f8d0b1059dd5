"""PageRank: a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from explainers.engines.base import Attribution, Problem
from explainers.methods._base import Method
from explainers.prepare import PreparedModel

TOLERANCE = 1e-12  # of the ranks' sum, 1
ROUNDING = 1e-14  # no step gets nearer than this


@dataclass(kw_only=True)
class PageRank(Method):
    """How central the ends of an edge are in the graph, whatever the model says: a baseline.

    Page, Brin, Motwani and Winograd, Stanford InfoLab 1999-66. An edge scores the mean PageRank
    of its two ends and each feature of a node the node's PageRank. The ranks are those of the
    whole graph, or of each graph of a batch, without edge weights, the same for every explained
    node (the baseline of Amara et al., arXiv:2206.09677, restarts the walk at the explained node
    instead).

    Args:
        damping: The share of steps that follow an edge; the others go to any node.
    """

    engines: ClassVar[tuple[str, ...]] = ("batched",)
    granularity: ClassVar[tuple[str, ...]] = ("edges", "nodes")
    signed: ClassVar[bool] = False
    model_dependent: ClassVar[bool] = False
    needs_gradients: ClassVar[bool] = False
    homogeneous_only: ClassVar[str] = (
        "a random walk over nodes of different kinds has no common meaning"
    )
    citation: ClassVar[str] = "Page et al. 1999, Stanford InfoLab 1999-66"

    damping: float = 0.85

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.damping < 1:
            raise ValueError(f"damping must be 0 or more and below 1, got {self.damping!r}")

    def attribute(self, problem: Problem) -> Attribution:
        """Scores in (0, 1]."""
        prepared, key = problem.prepared, ("PageRank", self.damping)
        ranks = prepared.memo(key, lambda: page_rank(prepared, self.damping))
        ranks = ranks[problem.graphs.n_id].to(problem.prepared.output)
        edges = ranks[problem.graphs.edge_index].mean(dim=0)
        return Attribution(ranks[:, None].expand_as(problem.x).clone(), edges)


def page_rank(prepared: PreparedModel, damping: float) -> Tensor:
    """The PageRank of every node in its graph, float64 [N], by power iteration."""
    source, target = prepared.edge_index
    degree = torch.bincount(source, minlength=prepared.num_nodes).double()
    alone = torch.zeros_like(degree, dtype=torch.long)
    graph = alone if prepared.batch is None else prepared.batch
    share = 1 / torch.bincount(graph).double()[graph]  # of any node of the graph
    ranks, nowhere = share, (degree == 0).double()
    while True:
        # Who has no edge to follow goes to any node.
        lost = torch.zeros_like(ranks).index_add_(0, graph, ranks * nowhere)[graph]
        walked = torch.zeros_like(ranks).index_add_(0, target, (ranks / degree)[source])
        following = damping * (walked + lost * share) + (1 - damping) * share
        change = torch.zeros_like(ranks).index_add_(0, graph, (following - ranks).abs()).max()
        ranks = following
        # Each step shrinks the distance to the fixed point by the damping, at least.
        if float(change) * damping <= max(TOLERANCE * (1 - damping), ROUNDING):
            return ranks


METHOD = PageRank
