"""DeepLIFT, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from explainers.engines.base import Attribution, Problem
from explainers.methods._base import Method
from explainers.methods._rules import Rules, refuse_without_rule
from explainers.prepare import PreparedModel


@dataclass(kw_only=True)
class DeepLift(Method):
    """What each feature and message contributes to the change of the output from no features on.

    Shrikumar, Greenside and Kundaje, arXiv:1704.02685, section 3, with the rescale rule: a
    multiplier goes back through linear layers by their weights, and through an activation function
    by the ratio of its output's change to its input's. The reference is the graph as it is, with
    features of zero. A feature's score is its multiplier times its value, and the features' scores
    add up to the change of the class's raw score; a softmax that ends the model is passed by. A
    message changes, too, as features do: an edge's score is its messages' changes times their
    multipliers, summed over the layers. Within one layer the contributions of the messages, and of
    the nodes to themselves, add up to that change again. No product has to be shared: the messages
    are looked at on the way, and their mask is no input besides the features.

    For every model of affine layers and activation functions, in two passes back. It ranks every
    edge that matters above every other on the white-box tasks ``white-box-count``, ``-or`` and
    ``-and``; on ``-inhibit``, what carries as much for the class as against it gets 0.
    """

    homogeneous_only: ClassVar[str] = "its rules cover the layers of homogeneous models"
    citation: ClassVar[str] = "Shrikumar et al. 2017, arXiv:1704.02685"

    def attribute(self, problem: Problem) -> Attribution:
        """Contributions to the difference of the raw score from that at features of zero."""
        x, mask = problem.x[None], problem.edge_mask[None]
        nothing = torch.zeros_like(x)
        with problem.prepared.borrowed() as copy:
            reference = Rules()
            with torch.no_grad(), reference.inside(copy.model):
                problem.predict(nothing, mask)
            rules = Rules(reference.inputs)
            with rules.inside(copy.model):
                by_x, by_mask = problem.gradients(x, mask, full=True)
            if problem.with_edges:
                # By the mask, a message times its multiplier; less the reference's message times
                # the same.
                with Rules(slopes=rules.used).inside(copy.model):
                    by_mask = by_mask - problem.gradients(nothing, mask)[1]
        return Attribution(x[0] * by_x[0], by_mask[0])

    def refuse(self, prepared: PreparedModel) -> None:
        """Refuses models of which a layer has no rule."""
        refuse_without_rule(prepared, "deep_lift")


METHOD = DeepLift
