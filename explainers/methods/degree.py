"""The degree: a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from explainers.engines.base import Attribution, Problem
from explainers.methods._base import Method


@dataclass(kw_only=True)
class Degree(Method):
    """The weight that a graph convolution gives an edge by degrees alone: a baseline.

    Kipf and Welling, arXiv:1609.02907, eq. 2. An edge w -> u scores 1 / sqrt(d_w d_u), and each
    feature of a node w what the node's own loop weighs, 1 / d_w; d is 1 plus the number of edges
    into the node, in the whole graph. Self loops and edge weights are left aside, and neither the
    model nor the features are asked: every model gets the same scores, of whatever layers.
    """

    engines: ClassVar[tuple[str, ...]] = ("batched",)
    granularity: ClassVar[tuple[str, ...]] = ("edges", "nodes")
    signed: ClassVar[bool] = False
    model_dependent: ClassVar[bool] = False
    needs_gradients: ClassVar[bool] = False
    homogeneous_only: ClassVar[str] = (
        "the weights of a graph convolution by degrees are of one type of edges"
    )
    citation: ClassVar[str] = "Kipf and Welling 2017, arXiv:1609.02907, eq. 2"

    def attribute(self, problem: Problem) -> Attribution:
        """Scores in (0, 1]."""
        graphs, prepared, x = problem.graphs, problem.prepared, problem.x
        edge_index = prepared.edge_index
        proper = (edge_index[0] != edge_index[1]).to(x)
        degree = x.new_ones(prepared.num_nodes).index_add_(0, edge_index[1], proper)
        scale = degree[graphs.n_id].rsqrt()
        source, target = graphs.edge_index
        return Attribution(
            scale.square()[:, None].expand_as(x).clone(), scale[source] * scale[target]
        )


METHOD = Degree
