"""GNNExplainer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.explain import GNNExplainer as PyGGNNExplainer
from torch_geometric.explain.config import ExplainerConfig

from explainers import _compat
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

KEPT = 2  # what is kept in an epoch, in passes


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

    engines: ClassVar[tuple[str, ...]] = ("hoisted", "batched", "stock")
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

    @property
    def planned_budget(self) -> int:
        """A part: beside a pass there are masks, moments and what the first pass has recorded."""
        return max(1, self.memory_budget // KEPT)

    @torch.no_grad()
    def attribute(self, problem: Problem) -> Attribution:
        """The learned masks, in [0, 1]."""
        x, edge_mask = problem.x, problem.edge_mask  # an engine may gather them at each request
        start = _everywhere(problem, *initial_masks(problem, self.seed))
        # What is not attributed keeps its value: it has no mask.
        learned = [i for i, on in enumerate((problem.with_features, problem.with_edges)) if on]
        shapes = [start[i].shape for i in learned]
        # Both masks are one vector: each of its operations is done once for all.
        logits = _joined(start[i] for i in learned)
        inputs = _joined((x, edge_mask)[i].to(logits) for i in learned)
        mask, point, slope = (torch.empty_like(logits) for _ in range(3))
        points = [x, edge_mask]
        for i, at in zip(learned, _parts(point, shapes), strict=True):
            points[i] = at
        given, parts = _parts(inputs, shapes), _parts(slope, shapes)
        own = _parts(logits, shapes)
        sizes = [logits.new_zeros(())] * len(learned)
        moved = torch.zeros_like(logits), torch.zeros_like(logits)
        steps = torch.zeros((), dtype=torch.float32, device=logits.device)
        objective = problem.objective(lambda out: likelihood_losses(out, problem), self.epochs)
        watched: dict[int, Tensor] = dict.fromkeys(moments(self.epochs), steps)
        for epoch in range(self.epochs):
            torch.sigmoid(logits, out=mask)
            torch.mul(inputs, mask, out=point)
            losses, *slopes = objective(*points)
            # By the mask: the chain rule. PyG has no penalties in the first epoch.
            for size, by_point, at, part in zip(sizes, slopes, given, parts, strict=True):
                torch.addcmul(size, by_point, at, out=part)
            if epoch == 0:
                # Features and messages that do not reach the prediction at all are not in use.
                used = slope != 0
                penalty = self._penalty(problem, learned, _parts(used, shapes), logits)
                sizes = penalty.size
            else:
                for part, entropy, logit in zip(parts, penalty.entropy, own, strict=True):
                    part.addcmul_(entropy, logit, value=-1)
            if epoch in watched:
                watched[epoch] = losses + penalty.values(mask, logits)
            _compat.sigmoid_backward(slope, mask)
            _compat.adam_step(logits, slope, moved, steps, self.lr)
        torch.sigmoid(logits, out=mask).mul_(used)
        found = dict(zip(learned, _parts(mask, shapes), strict=True))
        masks = [found[i].clone() if i in found else torch.zeros_like(start[i]) for i in (0, 1)]
        state = self._state(problem, masks[1], [watched[at] for at in moments(self.epochs)])
        return Attribution(masks[0], masks[1], state)

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

    def _penalty(
        self, problem: Problem, learned: Sequence[int], used: list[Tensor], logits: Tensor
    ) -> _Penalty:
        """Those of the features' mask (0) and the edges' (1), as far as they are learned."""
        groups = [(problem.node_groups, problem.edge_groups)[i] for i in learned]
        coefficients = {**PyGGNNExplainer.default_coeffs, "edge_size": self.edge_size}
        kinds = [("node_feat", "edge")[i] for i in learned]
        return _Penalty(used, groups, kinds, len(problem.graphs), coefficients, logits)

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
    """The size and entropy terms of the masks, by their derivatives.

    PyG's ``GNNExplainer._add_mask_regularization``: over the entries in use, ``size`` times their
    sum (edges) or mean (features), plus ``ent`` times the mean of their binary entropies H. With
    m = sigmoid(logit), dH/dm = log((1 - m) / m) = -logit: no logarithm has to be taken, and what
    PyG adds inside of it against log(0) has no part in it.

    Args:
        hard: Of each mask, the entries in use, bool [n, F] or [e].
        groups: Of each mask, the group of each row, [n] or [e], and how many groups each node has:
            one, or one for each type of its nodes or edges.
        kinds: The names of the masks in the coefficients.
        count: How many nodes, R.
        coefficients: PyG's.
        logits: Of whose type the terms are.

    Attributes:
        size: Of each mask the derivative of the size terms by m, [n, F] or [e]; [n, 1] where all
            entries are in use, as a row's are alike then.
        entropy: As ``size``, that of the entropies, times -1 over the logit.
    """

    def __init__(
        self,
        hard: Sequence[Tensor],
        groups: Sequence[tuple[Tensor, int]],
        kinds: Sequence[str],
        count: int,
        coefficients: dict[str, Any],
        logits: Tensor,
    ) -> None:
        self._groups, self._count, self._shapes = groups, count, [used.shape for used in hard]
        self.size: list[Tensor] = []
        self.entropy: list[Tensor] = []
        for used, (group, types), kind in zip(hard, groups, kinds, strict=True):
            by_row = (used if used.dim() == 1 else used.sum(dim=1)).double()
            by_group = by_row.new_zeros(count * types).index_add_(0, group, by_row)
            # A mask of which nothing is in use has no mean; its entries count nothing.
            mean = (1 / by_group.clamp(min=1))[group].view(-1, *[1] * (used.dim() - 1))
            each = mean if coefficients[f"{kind}_reduction"] == "mean" else torch.ones_like(mean)
            # Rounded by the row: nothing of the features' size is made in float64.
            size = (coefficients[f"{kind}_size"] * each).to(logits)
            entropy = (coefficients[f"{kind}_ent"] * mean).to(logits)
            # A number for each row is read faster, as often as there are epochs.
            by_entry = used.device.type != "cpu" or not bool(used.all())  # a GPU's host would wait
            self.size.append(size * used if by_entry else size)
            self.entropy.append(entropy * used if by_entry else entropy)

    def values(self, mask: Tensor, logits: Tensor) -> Tensor:
        """The terms themselves, added up for each node, [R]."""
        # H(sigmoid(l)) = softplus(l) - m l: no logarithm of 0.
        entropies = F.softplus(logits).addcmul_(mask, logits, value=-1)
        total = mask.new_zeros(self._count)
        for terms, m, size, entropy, (group, types) in zip(
            *(_parts(one, self._shapes) for one in (entropies, mask)),
            *(self.size, self.entropy, self._groups),
            strict=True,
        ):
            part = terms.mul_(entropy).addcmul_(size, m)
            # A group is a type of nodes or edges of one computation graph, types in a row.
            total.index_add_(0, group // types, part if part.dim() == 1 else part.sum(dim=1))
        return total


def _joined(parts: Iterable[Tensor]) -> Tensor:
    """Tensors as one vector, one after the other."""
    return torch.cat([part.flatten() for part in parts])


def _parts(vector: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """A vector as the tensors, of these shapes, that were joined."""
    sizes = [shape.numel() for shape in shapes]
    parts = zip(vector.split(sizes), shapes, strict=True)
    return [part.view(shape) for part, shape in parts]


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
