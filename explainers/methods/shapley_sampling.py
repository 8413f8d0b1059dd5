"""Shapley values, by sampled orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from explainers.engines.base import Attribution, Problem, ReferenceProblem
from explainers.methods._perturbation import PerturbationMethod, Players
from explainers.methods._seeded import seeded, torch_generator


@dataclass(kw_only=True)
class ShapleySampling(PerturbationMethod):
    """Shapley values of nodes and edges: what each adds as it joins, over random orders.

    Castro, Gomez and Tejada 2009, as Captum's ShapleyValueSampling. The players are the
    edges (their messages) and the nodes (all their features), the game the output as the model
    returns it; a node's value is shared equally by its features that are not zero. The values add
    up to F(x) - F(0); explanations have ``convergence_delta``, what is missing. On most
    engines each order takes one variant of the computation graph for each node and edge, and the
    cost grows with the square of the computation graph; on ``analytic`` with the computation graph.

    Args:
        n_samples: Orders, as in Captum; scores of few orders differ from seed to seed.
        seed: Of the orders.
    """

    adds_up: ClassVar[bool] = True
    deterministic: ClassVar[bool] = False
    citation: ClassVar[str] = "Castro et al. 2009, doi:10.1016/j.cor.2008.04.004"

    n_samples: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("n_samples", 1)
        self.at_least("seed", 0)

    def attribute(self, problem: Problem) -> Attribution:
        """The values."""
        players = Players(problem)
        # Captum's own draws, at the same place in the stream of random numbers.
        generator, count = torch_generator(self.seed, problem.owners), players.everyone.numel()
        orders = torch.stack(
            [torch.randperm(count, generator=generator) for _ in range(self.n_samples)]
        )
        return players.complete(players.marginal_contributions(orders))

    def reference(self, problem: ReferenceProblem) -> Attribution:
        """Captum's values."""
        from captum.attr import ShapleyValueSampling  # not before it is needed

        players = Players(problem)
        with seeded(self.seed, problem.owners):
            (values,) = ShapleyValueSampling(players).attribute(
                players.everyone, n_samples=self.n_samples
            )
        return players.complete(values)


METHOD = ShapleySampling
