"""What methods share that ask whether the model's decision changes, and not by how much."""

from __future__ import annotations

from torch import Tensor

from explainers.engines.base import Problem
from explainers.prepare import PreparedModel
from explainers.prepare.outputs import is_multiclass, is_regression, to_probabilities


def decided(output: Tensor, problem: Problem) -> Tensor:
    """Whether the model decides for what is explained, bool [..., R].

    That its target has the largest output; of independent binary outputs, that the target's
    probability is above 1/2.

    Args:
        output: [..., R, C].
        problem: R nodes.
    """
    config = problem.prepared.config
    if is_multiclass(config):
        return output.argmax(dim=-1) == problem.targets
    targets = problem.targets.expand(output.shape[:-1])[..., None]
    return to_probabilities(output.gather(-1, targets).squeeze(-1), config) > 0.5


def refuse_regression(name: str, prepared: PreparedModel) -> None:
    """A real number is no decision.

    Raises:
        ValueError: The model returns one.
    """
    if is_regression(prepared.config):
        raise ValueError(
            f"{name} does not support model {prepared.name}: it asks whether the predicted class "
            "changes, and the model returns a real number; use another method, such as 'occlusion'"
        )
