"""CF-GNNExplainer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from explainers.engines.base import Attribution, Problem
from explainers.methods._base import Method
from explainers.methods._decisions import decided, refuse_regression
from explainers.methods._learning import likelihood_losses
from explainers.prepare import PreparedModel
from explainers.prepare.outputs import is_multiclass

LARGEST_STEP = 2.0  # the authors' code clips the norm of the gradient


@dataclass(kw_only=True)
class CFExplainer(Method):
    """Searches for few edges whose deletion changes the predicted class: a counterfactual.

    Lucic et al., arXiv:2102.03322, algorithm 1. Each edge has a logit, 1 at first; messages are
    multiplied by its sigmoid, and gradient descent lowers the log-probability of the class until
    the edges below 1/2, deleted from the graph, degrees and all, change it; while they do, only the
    number of deleted edges counts. The smallest set met is the counterfactual. As in the authors'
    code, the gradient of each node is clipped to norm 2, and none goes through the degrees. Here
    edges are directed and deleted one by one; there both directions go together.

    An edge's score, in [0, 1], is how far it was deleted when the counterfactual was met, 1 less
    its mask; without one, at the end. The set are the edges above 1/2. Edges that speak for the
    class at every mask rank above those that have no effect (white-box-count; a head that
    saturates, as in white-box-or, has no gradient to descend). Features are not scored. Where the
    target is not what the model predicts, the sets searched for make it so. Regressions are
    refused: they have no classes.

    Args:
        epochs: Steps of gradient descent, each a pass forwards and backwards, and one more wherever
            the set below 1/2 is another. The authors take 500.
        lr: Its learning rate. The authors take 0.01 or 0.1, with which sure predictions, whose
            log-probability is flat, hardly move.
        momentum: Nesterov's; 0 or 0.9 there.
        edge_size: Weight of the number of deleted edges, measured by the mask: edges come back once
            the class has changed. In the authors' code this term, weighted 0.5, has no gradient.

    Explanations have ``valid``: whether a counterfactual was met; ``selected_edges`` [e], which
    edges it deletes, none if there is none; and ``set_size``, their number.
    """

    granularity: ClassVar[tuple[str, ...]] = ("edges",)
    signed: ClassVar[bool] = False
    citation: ClassVar[str] = "Lucic et al. 2022, arXiv:2102.03322"

    epochs: int = 500
    lr: float = 1.0
    momentum: float = 0.9
    edge_size: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("epochs", 1)
        if not self.lr > 0:
            raise ValueError(f"lr must be above 0, got {self.lr!r}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be 0 or more and below 1, got {self.momentum!r}")
        if not self.edge_size >= 0:
            raise ValueError(f"edge_size must be 0 or more, got {self.edge_size!r}")

    def attribute(self, problem: Problem) -> Attribution:
        """How far each edge is deleted, in [0, 1]; zeros for the features."""
        logits = torch.ones_like(problem.edge_mask)
        optimizer = torch.optim.SGD(
            [logits], lr=self.lr, momentum=self.momentum, nesterov=self.momentum > 0
        )
        search = _Search(problem)
        for _ in range(self.epochs):
            mask = logits.sigmoid().requires_grad_()
            search.look(mask.detach())
            output = problem.predict(problem.x[None], mask[None])[0]
            losses = likelihood_losses(output, problem) * search.direction * ~search.flipped
            (slope,) = torch.autograd.grad(losses.sum(), [mask], materialize_grads=True)
            counts = search.flipped[problem.edge_batch]
            slope = slope - self.edge_size * counts
            mask = mask.detach()
            logits.grad = search.clipped(slope * mask * (1 - mask))
            optimizer.step()
        search.look(logits.sigmoid())
        return search.attribution()

    def refuse(self, prepared: PreparedModel) -> None:
        """Refuses regressions."""
        refuse_regression("cf_explainer", prepared)


class _Search:
    """The smallest counterfactuals of R nodes that were met.

    Attributes:
        direction: [R], by what the likelihood of the outcome is multiplied to be a loss.
        flipped: bool [R], whether the edges below 1/2, deleted, change the decision now.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._batch = problem.graphs.edge_batch
        self._before = decided(problem.prepared.output[problem.nodes], problem)
        # Of one that is not predicted the likelihood is to rise; of a binary output the losses are
        # those of the outcome that the model predicts, whichever it is.
        rises = ~self._before & is_multiclass(problem.prepared.config)
        self.direction = 2.0 * rises.to(problem.edge_mask) - 1
        self.flipped = torch.zeros_like(self._before)
        self._kept: Tensor | None = None
        self._best = torch.zeros_like(self._batch, dtype=torch.bool)
        self._size = torch.zeros_like(problem.nodes)
        self._valid = torch.zeros_like(self._before)
        self._mask = problem.edge_mask.new_empty(0)

    def look(self, mask: Tensor) -> None:
        """Whether a mask [e'] is a counterfactual, and the smallest so far."""
        problem = self.problem
        kept = mask[problem.edge_rows] >= 0.5
        if self._kept is None or not torch.equal(kept, self._kept):
            self._kept = kept
            with torch.no_grad():
                output = problem.deleted_outputs(kept[None], alone=False)[0]
            self.flipped = decided(output, problem) != self._before
        assert self._kept is not None
        size = torch.zeros_like(self._size).index_add_(0, self._batch, (~kept).long())
        better = self.flipped & (~self._valid | (size < self._size))
        self._size = torch.where(better, size, self._size)
        self._valid |= better
        taken = better[self._batch]
        self._best = torch.where(taken, ~kept, self._best)
        # Nodes without a counterfactual yet keep their latest mask.
        latest = taken | ~self._valid[self._batch]
        now = mask[problem.edge_rows]
        self._mask = torch.where(latest, now, self._mask) if len(self._mask) else now

    def clipped(self, slope: Tensor) -> Tensor:
        """The gradient [e'] of each node by itself, of a norm of 2 at most."""
        batch = self.problem.edge_batch
        square = slope.new_zeros(len(self.problem.graphs)).index_add_(0, batch, slope.square())
        scale = LARGEST_STEP / square.sqrt().clamp(min=LARGEST_STEP)
        return slope * scale[batch]

    def attribution(self) -> Attribution:
        """The scores, and what was found."""
        edge_mask = torch.zeros_like(self.problem.edge_mask)
        edge_mask[self.problem.edge_rows] = 1 - self._mask
        edges = self._best.split(self.problem.graphs.edge_counts)
        found = {"valid": self._valid, "set_size": self._size, "selected_edges": edges}
        return Attribution(self.problem.no_features(), edge_mask, found)


METHOD = CFExplainer
