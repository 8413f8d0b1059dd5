"""GNNExplainer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.explain import GNNExplainer as PyGGNNExplainer
from torch_geometric.explain.config import ExplainerConfig

from explainers.engines.base import Attribution, Problem, ReferenceProblem
from explainers.methods._base import Method
from explainers.methods._learning import (
    LEAST_EPOCHS,
    collapsed,
    likelihood_losses,
    moments,
    settled,
)
from explainers.methods._seeded import generators


@dataclass(kw_only=True)
class GNNExplainer(Method):
    """Learns masks over edges and node features under which the prediction stays likely.

    Ying et al., arXiv:1903.03894, eq. 5 and 6, as PyG defines it: its loss with its coefficients,
    a mask entry for each edge and each feature of each node, entries without a gradient in the
    first epoch scored 0. The initial masks have PyG's distribution and are drawn for each node by
    itself, so that an explanation depends neither on the engine nor on the other nodes.

    Args:
        epochs: Steps of Adam.
        lr: Adam's learning rate.
        edge_size: Weight of the sum of the edge mask.
        seed: Of the initial masks.

    Explanations have ``converged``: whether the last tenth of the epochs changed the loss by no
    more than 2 % of its whole change; and, where edges are scored, ``collapsed``: whether the edge
    mask tells the edges apart no more, by a range or a Gini index below 0.01.
    """

    signed: ClassVar[bool] = False
    deterministic: ClassVar[bool] = False
    citation: ClassVar[str] = "Ying et al. 2019, arXiv:1903.03894"

    epochs: int = 200
    lr: float = 0.01
    edge_size: float = 0.005
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("epochs", 1)
        self.at_least("seed", 0)
        if not self.lr > 0:
            raise ValueError(f"lr must be above 0, got {self.lr!r}")
        if not self.edge_size >= 0:
            raise ValueError(f"edge_size must be 0 or more, got {self.edge_size!r}")

    def attribute(self, problem: Problem) -> Attribution:
        """The learned masks, in [0, 1]."""
        logits = _everywhere(problem, *initial_masks(problem, self.seed))
        inputs = [problem.x.to(logits[0]), problem.edge_mask]
        # What is not attributed keeps its value: it has no mask.
        learned = [i for i, on in enumerate((problem.with_features, problem.with_edges)) if on]
        optimizer = torch.optim.Adam([logits[i] for i in learned], lr=self.lr, fused=True)
        used: list[Tensor] = [torch.zeros_like(logit) for logit in logits]
        penalties: dict[int, _Penalty] = {}
        watched: dict[int, Tensor] = dict.fromkeys(moments(self.epochs), problem.x)
        for epoch in range(self.epochs):
            masks = [logit.sigmoid() for logit in logits]
            points = [problem.x, problem.edge_mask]
            for i in learned:
                points[i] = (inputs[i] * masks[i]).requires_grad_()
            output = problem.predict(points[0][None], points[1][None])[0]
            losses = likelihood_losses(output, problem)
            slopes = torch.autograd.grad(
                losses.sum(), [points[i] for i in learned], materialize_grads=True
            )
            for i, by_point in zip(learned, slopes, strict=True):
                # The fused Adam of a CPU reads a gradient as if it were contiguous, and those of
                # models that concatenate to x are not.
                slope = by_point.contiguous()
                if i == 0:  # by the mask: the chain rule over inputs * mask; edges' inputs are 1
                    slope = slope.mul_(inputs[0])
                if epoch == 0:
                    # Features and messages that do not reach the prediction at all.
                    used[i] = torch.ne(slope, 0)
                else:
                    penalties[i].add_slope(slope, logits[i])
                logits[i].grad = slope.mul_(masks[i]).mul_(1 - masks[i])
            if epoch == 0:
                penalties = {i: self._penalty(problem, i, used[i]) for i in learned}
            if epoch in watched:
                parts = (penalties[i].values(masks[i], logits[i]) for i in learned)
                watched[epoch] = losses.detach() + sum(parts)
            optimizer.step()
        node_mask, edge_mask = (
            logit.sigmoid() * on for logit, on in zip(logits, used, strict=True)
        )
        state = self._state(problem, edge_mask, [watched[at] for at in moments(self.epochs)])
        return Attribution(node_mask, edge_mask, state)

    def reference(self, problem: ReferenceProblem) -> Attribution:
        """PyG's masks."""
        algorithm = _SeededGNNExplainer(
            problem, self.seed, epochs=self.epochs, lr=self.lr, edge_size=self.edge_size
        )
        algorithm.connect(
            ExplainerConfig(
                explanation_type="phenomenon",  # the target is given, whatever the model predicts
                node_mask_type="attributes",
                edge_mask_type="object",
            ),
            problem.prepared.config,
        )
        explanation = problem.run_pyg(algorithm)
        losses = [algorithm.losses[at].view(1) for at in moments(self.epochs)]
        state = self._state(problem, explanation.edge_mask, losses)
        return Attribution(explanation.node_mask, explanation.edge_mask, state)

    def _penalty(self, problem: Problem, i: int, used: Tensor) -> _Penalty:
        """That of the features' mask (0) or the edges' (1)."""
        groups, kinds = (problem.node_groups, problem.edge_groups)[i]
        coefficients = {**PyGGNNExplainer.default_coeffs, "edge_size": self.edge_size}
        counts = len(problem.graphs), kinds
        return _Penalty(used, groups, ("node_feat", "edge")[i], counts, coefficients)

    def _state(
        self, problem: Problem, edge_mask: Tensor, losses: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """``converged`` and ``collapsed`` [R]; the losses are those of :func:`moments`, [R] each.

        PyG's loss has no penalties in the first epoch: fewer than ten have no second to go by.
        """
        rests = settled(*losses) & (self.epochs >= LEAST_EPOCHS)
        flat = {"collapsed": collapsed(problem, edge_mask)} if problem.with_edges else {}
        return {"converged": rests, **flat}


class _SeededGNNExplainer(PyGGNNExplainer):
    """PyG's GNNExplainer with initial masks that belong to the node.

    Only those inside the computation graph matter: outside, no gradient ever moves them.
    """

    def __init__(self, problem: ReferenceProblem, seed: int, **options: Any) -> None:
        super().__init__(**options)
        self._problem, self._seed = problem, seed
        self.losses: list[Tensor] = []  # of each epoch

    def _loss(self, y_hat: Tensor, y: Tensor) -> Tensor:
        loss: Tensor = super()._loss(y_hat, y)
        self.losses.append(loss.detach())
        return loss

    # PyG takes what it is given as the outcome or the value; ours is the column to explain.
    def _loss_binary_classification(self, y_hat: Tensor, y: Tensor) -> Tensor:
        return likelihood_losses(y_hat.view(1, -1), self._problem).mean()

    def _loss_regression(self, y_hat: Tensor, y: Tensor) -> Tensor:
        return likelihood_losses(y_hat.view(1, -1), self._problem).mean()

    def _initialize_masks(self, x: Tensor, edge_index: Tensor) -> None:
        logits = _everywhere(self._problem, *initial_masks(self._problem, self._seed))
        self.node_mask, self.edge_mask = self._problem.masks_for_pyg(*logits)
        if self.is_hetero:
            self.hard_node_mask = dict.fromkeys(self.node_mask)
            self.hard_edge_mask = dict.fromkeys(self.edge_mask)

    def _collect_gradients(self) -> None:
        if self.is_hetero:
            # A type on which no output depends has no gradient, which PyG takes for a mistake.
            for mask in (*self.node_mask.values(), *self.edge_mask.values()):
                mask.grad = torch.zeros_like(mask) if mask.grad is None else mask.grad
        super()._collect_gradients()

    def _add_mask_regularization(self, loss: Tensor, mask: Tensor, hard: Tensor, *how: Any) -> Any:
        # Of a type of which nothing is in use PyG takes the mean, which is NaN.
        return super()._add_mask_regularization(loss, mask, hard, *how) if hard.any() else loss


class _Penalty:
    """The size and entropy terms of one mask, by their derivatives.

    PyG's ``GNNExplainer._add_mask_regularization``: over the entries in use, ``size`` times their
    sum (edges) or mean (features), plus ``ent`` times the mean of their binary entropies H. With
    m = sigmoid(logit), dH/dm = log((1 - m) / m) = -logit: no logarithm has to be taken, and what
    PyG adds inside of it against log(0) has no part in it.
    """

    def __init__(
        self,
        hard: Tensor,
        field: Tensor,
        kind: str,
        counts: tuple[int, int],
        coefficients: dict[str, Any],
    ) -> None:
        count = counts[0] * counts[1]  # a mask for each type of each computation graph
        used = hard.double() if hard.dim() == 1 else hard.double().sum(dim=1)
        per_field = used.new_zeros(count).index_add_(0, field, used)
        # A mask of which nothing is in use has no mean; its entries count nothing.
        mean = (1 / per_field.clamp(min=1))[field].view(-1, *[1] * (hard.dim() - 1)) * hard
        size = mean if coefficients[f"{kind}_reduction"] == "mean" else hard
        self._size = coefficients[f"{kind}_size"] * size
        self._entropy = coefficients[f"{kind}_ent"] * mean
        self._field, self._counts = field, counts

    def add_slope(self, slope: Tensor, logit: Tensor) -> None:
        """Adds the terms' derivative by the mask to ``slope``."""
        self._size, self._entropy = self._size.to(slope), self._entropy.to(slope)
        slope.add_(self._size).addcmul_(self._entropy, logit, value=-1)

    def values(self, mask: Tensor, logit: Tensor) -> Tensor:
        """The terms themselves, added up for each node, [R]."""
        # H(sigmoid(l)) = softplus(l) - m l: no logarithm of 0.
        entropy = F.softplus(logit) - mask * logit
        terms = self._size.to(mask) * mask + self._entropy.to(mask) * entropy
        by_row = terms if terms.dim() == 1 else terms.sum(dim=1)
        by_type = by_row.new_zeros(self._counts[0] * self._counts[1])
        return by_type.index_add_(0, self._field, by_row).view(self._counts).sum(dim=1)


def initial_masks(problem: Problem, seed: int) -> tuple[Tensor, Tensor]:
    """Initial logits of the masks, [n, F] and [e]; PyG's normal distributions."""
    graphs, features = problem.graphs, problem.x.size(1)
    # PyG scales by the number of nodes of the whole graph, or of its largest type.
    alone, whole = problem.prepared.task_level == "graph", problem.prepared.widest_type
    gain = torch.nn.init.calculate_gain("relu")
    nodes, edges = [], []
    counts = zip(graphs.node_counts, graphs.edge_counts, strict=True)
    for generator, (n, e) in zip(generators(seed, problem.owners), counts, strict=True):
        nodes.append(torch.from_numpy(generator.standard_normal((n, features))))
        edge_std = gain * math.sqrt(1 / (n if alone else whole))
        edges.append(torch.from_numpy(generator.standard_normal(e) * edge_std))
    return (torch.cat(nodes) * 0.1).to(problem.edge_mask), torch.cat(edges).to(problem.edge_mask)


def _everywhere(problem: Problem, nodes: Tensor, edges: Tensor) -> list[Tensor]:
    """Logits [n, F] and [e] of the computation graphs, in the rows of the problem's inputs."""
    logits = [
        torch.zeros_like(problem.x, dtype=nodes.dtype),
        torch.zeros_like(problem.edge_mask),
    ]
    logits[0][problem.node_rows], logits[1][problem.edge_rows] = nodes, edges
    return logits


METHOD = GNNExplainer
