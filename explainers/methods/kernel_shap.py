"""KernelSHAP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from captum.attr import KernelShap as CaptumKernelShap

from explainers.engines.problem import Attribution, Problem
from explainers.methods._linear import Linear
from explainers.methods._players import Game, Players
from explainers.methods._seeded import seeded


@dataclass(kw_only=True)
class KernelShap(Game):
    """Shapley values of nodes and edges, by a linear fit to the outputs of random coalitions.

    Lundberg and Lee, arXiv:1705.07874, section 4.1, by Captum, with a fit of our own in place of
    scikit-learn's. Players and their scores are those of ``shapley_sampling``; the scores add up to
    F(x) - F(0); explanations have ``convergence_delta``, what is missing. With fewer samples than
    players the fit is that of the smallest norm.

    Args:
        n_samples: Coalitions, the full and the empty one among them, as in Captum. Where players
            are many, so are to be the coalitions: compare seeds.
        seed: Of the coalitions.
    """

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
        captum = CaptumKernelShap(players)
        captum.interpretable_model = Linear()
        with seeded(self.seed, problem.nodes):
            values = captum.attribute(
                everyone,
                n_samples=self.n_samples,
                perturbations_per_eval=players.at_once,
                return_input_shape=False,
            )
        return players.complete(values)


METHOD = KernelShap
