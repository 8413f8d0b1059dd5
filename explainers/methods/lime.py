"""LIME."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from explainers.engines.base import Attribution, Problem, ReferenceProblem
from explainers.methods._linear import Linear, least_squares
from explainers.methods._perturbation import PerturbationMethod, Players
from explainers.methods._seeded import seeded, torch_generator


@dataclass(kw_only=True)
class Lime(PerturbationMethod):
    """A linear model of the output around the input: ridge regression on random coalitions.

    Ribeiro, Singh and Guestrin, arXiv:1602.04938, section 3.4, as Captum: each node (all its
    features) and each edge (its messages) takes part with probability 1/2, a sample weighs
    exp(-d^2 / 2) by its cosine distance d to the input, and a ridge regression, as in the authors'
    package, takes the place of Captum's lasso. A node's coefficient is shared equally by its
    features that are not zero.

    Args:
        n_samples: Coalitions, as in Captum. Many players need many coalitions: compare
            seeds.
        penalty: Of the ridge regression.
        seed: Of the coalitions.
    """

    deterministic: ClassVar[bool] = False
    citation: ClassVar[str] = "Ribeiro et al. 2016, arXiv:1602.04938"

    n_samples: int = 2000
    penalty: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("n_samples", 2)
        self.at_least("seed", 0)
        if not self.penalty > 0:
            raise ValueError(f"penalty must be above 0, got {self.penalty!r}")

    def attribute(self, problem: Problem) -> Attribution:
        """The coefficients."""
        players = Players(problem)
        generator = torch_generator(self.seed, problem.owners)
        samples = coalitions(self.n_samples, players.everyone.numel(), generator)
        cosine = samples.mean(dim=1, dtype=torch.float64).sqrt()  # of zeros and ones with all ones
        weights = (-((1 - cosine) ** 2) / 2).exp()
        outputs = players(samples)
        return players.attribution(least_squares(samples, outputs, weights, self.penalty))

    def reference(self, problem: ReferenceProblem) -> Attribution:
        """Captum's coefficients."""
        from captum.attr import Lime as CaptumLime  # not before it is needed

        players = Players(problem)
        captum = CaptumLime(players, interpretable_model=Linear(self.penalty))
        with seeded(self.seed, problem.owners):
            values = captum.attribute(
                players.everyone, n_samples=self.n_samples, return_input_shape=False
            )
        return players.attribution(values)


def coalitions(count: int, players: int, generator: torch.Generator | None = None) -> Tensor:
    """Those that Captum's Lime draws from torch's generator, one by one, [count, players]."""
    return torch.bernoulli(torch.full((count, players), 0.5), generator=generator)


METHOD = Lime
