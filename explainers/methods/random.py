"""The random baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from explainers.engines.base import Attribution, Problem
from explainers.methods._base import Method
from explainers.methods._seeded import generators


@dataclass(kw_only=True)
class Random(Method):
    """Uniform random scores: the baseline that a method must beat.

    Args:
        seed: Of the scores; a node's scores do not depend on the other nodes asked for.
    """

    engines: ClassVar[tuple[str, ...]] = ("batched",)
    signed: ClassVar[bool] = False
    model_dependent: ClassVar[bool] = False
    needs_gradients: ClassVar[bool] = False
    deterministic: ClassVar[bool] = False
    citation: ClassVar[str] = "the baseline of Amara et al. 2022, arXiv:2206.09677"

    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("seed", 0)

    def attribute(self, problem: Problem) -> Attribution:
        """Scores in [0, 1)."""
        graphs, x = problem.graphs, problem.x
        counts = zip(graphs.node_counts, graphs.edge_counts, strict=True)
        nodes, edges = [], []
        for generator, (n, e) in zip(generators(self.seed, problem.owners), counts, strict=True):
            nodes.append(torch.from_numpy(generator.random((n, x.size(1)))))
            edges.append(torch.from_numpy(generator.random(e)))
        return Attribution(torch.cat(nodes).to(x), torch.cat(edges).to(x))


METHOD = Random
