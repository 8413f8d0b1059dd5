"""Occlusion: leave one out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from captum.attr import FeatureAblation

from explainers.engines.problem import Attribution, Problem
from explainers.methods._players import Game, Players


@dataclass(kw_only=True)
class Occlusion(Game):
    """What the output loses if one edge's messages, or all features of one node, are set to zero.

    Zeiler and Fergus, arXiv:1311.2901, section 4.2, computed by Captum's FeatureAblation: the score
    is F(x) - F(x without it), of the output as the model returns it. A node's score is shared
    equally by its features that are not zero. One variant of the field for each node and edge.
    """

    citation: ClassVar[str] = "Zeiler and Fergus 2014, arXiv:1311.2901"

    def attribute(self, problem: Problem) -> Attribution:
        """The losses."""
        players = Players(problem)
        (losses,) = FeatureAblation(players).attribute(
            players.everyone, perturbations_per_eval=players.at_once
        )
        return players.attribution(losses)


METHOD = Occlusion
