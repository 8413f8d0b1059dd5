"""KernelSHAP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from explainers.engines.base import Attribution, Problem, ReferenceProblem
from explainers.methods._linear import Linear, least_squares
from explainers.methods._perturbation import PerturbationMethod, Players
from explainers.methods._seeded import seeded, torch_generator

INFINITE = 1e6  # the weight of the full and of the empty coalition in Captum
BLOCK = 200_000  # random numbers at a time: they stay in a CPU's cache


@dataclass(kw_only=True)
class KernelShap(PerturbationMethod):
    """Shapley values of nodes and edges, by a linear fit to the outputs of random coalitions.

    Lundberg and Lee, arXiv:1705.07874, section 4.1, as Captum, with its coalitions and a fit of our
    own in place of scikit-learn's. Players and scores are those of ``shapley_sampling``; they add
    up to F(x) - F(0); explanations have ``convergence_delta``, what is missing. With fewer samples
    than players the fit is that of the smallest norm.

    Args:
        n_samples: Coalitions, the full and the empty one among them, as in Captum. Many players
            need many coalitions: compare seeds.
        seed: Of the coalitions.
    """

    adds_up: ClassVar[bool] = True
    deterministic: ClassVar[bool] = False
    citation: ClassVar[str] = "Lundberg and Lee 2017, arXiv:1705.07874"

    n_samples: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("n_samples", 3)
        self.at_least("seed", 0)

    def attribute(self, problem: Problem) -> Attribution:
        """The coefficients of the fit."""
        players = Players(problem)
        everyone = players.everyone
        if everyone.size(1) == 1:  # no coalitions to draw: the one player makes all the difference
            return players.complete(players(everyone) - players(everyone * 0))
        generator = torch_generator(self.seed, problem.owners)
        samples = coalitions(self.n_samples, everyone.size(1), generator)
        sizes = samples.sum(dim=1)
        weights = torch.ones(len(samples)).masked_fill_(
            (sizes == 0) | (sizes == everyone.size(1)), INFINITE
        )
        return players.complete(least_squares(samples, players(samples), weights))

    def reference(self, problem: ReferenceProblem) -> Attribution:
        """Captum's values."""
        from captum.attr import KernelShap as CaptumKernelShap  # not before it is needed

        players = Players(problem)
        everyone = players.everyone
        if everyone.size(1) == 1:
            return self.attribute(problem)
        captum = CaptumKernelShap(players)
        captum.interpretable_model = Linear()
        with seeded(self.seed, problem.owners):
            values = captum.attribute(everyone, n_samples=self.n_samples, return_input_shape=False)
        return players.complete(values)


def coalitions(count: int, players: int, generator: torch.Generator | None = None) -> Tensor:
    """Those that Captum's KernelShap draws from torch's generator, [count, players].

    The full and the empty one; then of a size k drawn by the Shapley kernel, (players - 1) / (k
    (players - k)), the players with the largest of as many normal numbers.
    """
    drawn = torch.zeros(count, players)
    drawn[0] = 1
    sizes = torch.arange(players, dtype=torch.float)
    shares = (players - 1) / (sizes * (players - sizes))
    shares[0] = 0
    shares /= shares.sum()
    for block in drawn[2:].split(max(1, BLOCK // players)):
        race, values = torch.empty_like(block), torch.empty_like(block)
        for one, other in zip(race.unbind(), values.unbind(), strict=True):
            one.exponential_(
                generator=generator
            )  # as torch.multinomial: the first to arrive at its rate wins
            other.normal_(generator=generator)
        size = (shares / race).argmax(dim=1, keepdim=True)
        ranked = torch.from_numpy(np.sort(values.numpy(), axis=1))  # several times torch's speed
        block.copy_(values > ranked.gather(1, players - 1 - size))
    return drawn


METHOD = KernelShap
