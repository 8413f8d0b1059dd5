"""What methods share that ask whether the model's decision changes."""

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


def outcome_probability(output: Tensor, problem: Problem) -> Tensor:
    """The probability of what is explained, float64 [...], of a problem of one node.

    Of its target; of a binary output of which the model says no, the probability of no.

    Args:
        output: [..., C], of whichever nodes.
        problem: One node.
    """
    prepared, target = problem.prepared, int(problem.targets)
    probability = to_probabilities(output, prepared.config)[..., target]
    if is_multiclass(prepared.config) or bool(decided(prepared.output[problem.nodes], problem)):
        return probability
    return 1 - probability


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
