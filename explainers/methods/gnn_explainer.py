"""GNNExplainer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.explain import GNNExplainer as PyGGNNExplainer
from torch_geometric.explain.config import ExplainerConfig, ModelConfig, ModelReturnType

from explainers.engines.base import Attribution, Problem
from explainers.engines.stock import StockProblem
from explainers.methods._base import Method
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
        seed: Of the initial masks.
    """

    signed: ClassVar[bool] = False
    deterministic: ClassVar[bool] = False
    citation: ClassVar[str] = "Ying et al. 2019, arXiv:1903.03894"

    epochs: int = 200
    lr: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("epochs", 1)
        self.at_least("seed", 0)
        if not self.lr > 0:
            raise ValueError(f"lr is to be above 0, got {self.lr!r}")

    def attribute(self, problem: Problem) -> Attribution:
        """The learned masks, in [0, 1]."""
        if isinstance(problem, StockProblem):
            return self._with_pyg(problem)
        logits = initial_masks(problem, self.seed)
        optimizer = torch.optim.Adam(logits, lr=self.lr, fused=True)
        hard: list[Tensor] = []
        penalties: list[_Penalty] = []
        for _ in range(self.epochs):
            masks = [logit.sigmoid() for logit in logits]
            inputs = [(problem.x * masks[0]).requires_grad_(), masks[1].clone().requires_grad_()]
            output = problem.predict(inputs[0][None], inputs[1][None])[0]
            slopes = torch.autograd.grad(_likelihood_loss(output, problem), inputs)
            slopes[0].mul_(problem.x)
            for logit, mask, slope, penalty in zip_longest(logits, masks, slopes, penalties):
                if penalty is not None:
                    penalty.add_slope(slope, logit)
                logit.grad = slope.mul_(mask).mul_(1 - mask)
            if not hard:
                # Features and messages that do not reach the prediction at all.
                hard = [torch.ne(slope, 0) for slope in slopes]
                options = (len(problem.graphs), PyGGNNExplainer.default_coeffs)
                penalties = [
                    _Penalty(hard[0], problem.node_batch, "node_feat", *options),
                    _Penalty(hard[1], problem.edge_batch, "edge", *options),
                ]
            optimizer.step()
        node_mask, edge_mask = (
            logit.sigmoid() * used for logit, used in zip(logits, hard, strict=True)
        )
        return Attribution(node_mask, edge_mask)

    def _with_pyg(self, problem: StockProblem) -> Attribution:
        home = problem.home
        algorithm = _SeededGNNExplainer(problem, self.seed, epochs=self.epochs, lr=self.lr)
        algorithm.connect(
            ExplainerConfig(
                explanation_type="phenomenon",  # the target is given, whatever the model predicts
                node_mask_type="attributes",
                edge_mask_type="object",
            ),
            ModelConfig(
                mode="multiclass_classification",
                task_level=home.task_level,
                return_type=home.return_type,
            ),
        )
        targets = torch.zeros(home.units, dtype=torch.long, device=home.x.device)
        targets[slice(None) if problem.index is None else problem.index] = problem.targets
        explanation = algorithm(
            home.whole(),
            home.x,
            home.edge_index,
            target=targets,
            index=problem.index,
            **home.keywords,
        )
        return Attribution(explanation.node_mask, explanation.edge_mask)


class _SeededGNNExplainer(PyGGNNExplainer):
    """PyG's GNNExplainer with initial masks that belong to the node.

    Only those inside the computation graph matter: outside, no gradient ever moves them.
    """

    def __init__(self, problem: StockProblem, seed: int, **options: Any) -> None:
        super().__init__(**options)
        self._problem, self._seed = problem, seed

    def _initialize_masks(self, x: Tensor, edge_index: Tensor) -> None:
        node_mask, edge_mask = initial_masks(self._problem, self._seed)
        nodes, edges = torch.zeros_like(x), x.new_zeros(edge_index.size(1))
        nodes[self._problem.node_rows], edges[self._problem.edge_rows] = node_mask, edge_mask
        self.node_mask, self.edge_mask = torch.nn.Parameter(nodes), torch.nn.Parameter(edges)


class _Penalty:
    """The size and entropy terms of one mask, by their derivatives.

    PyG's ``GNNExplainer._add_mask_regularization``: over the entries in use, ``size`` times their
    sum (edges) or mean (features), plus ``ent`` times the mean of their binary entropies H. With
    m = sigmoid(logit), dH/dm = log((1 - m) / m) = -logit: no logarithm has to be taken, and what
    PyG adds inside of it against log(0) has no part in it.
    """

    def __init__(
        self, hard: Tensor, field: Tensor, kind: str, count: int, coefficients: dict[str, Any]
    ) -> None:
        used = hard.double() if hard.dim() == 1 else hard.double().sum(dim=1)
        per_field = used.new_zeros(count).index_add_(0, field, used)
        # A mask of which nothing is in use has no mean; its entries count nothing.
        mean = (1 / per_field.clamp(min=1))[field].view(-1, *[1] * (hard.dim() - 1)) * hard
        size = mean if coefficients[f"{kind}_reduction"] == "mean" else hard
        self._size = coefficients[f"{kind}_size"] * size
        self._entropy = coefficients[f"{kind}_ent"] * mean

    def add_slope(self, slope: Tensor, logit: Tensor) -> None:
        """Adds the terms' derivative by the mask to ``slope``."""
        self._size, self._entropy = self._size.to(slope), self._entropy.to(slope)
        slope.add_(self._size).addcmul_(self._entropy, logit, value=-1)


def initial_masks(problem: Problem, seed: int) -> tuple[Tensor, Tensor]:
    """Initial logits of the masks, [n, F] and [e]; PyG's normal distributions."""
    graphs, features = problem.graphs, problem.x.size(1)
    # PyG scales by the number of nodes of the whole graph.
    alone, whole = problem.prepared.task_level == "graph", problem.prepared.num_nodes
    gain = torch.nn.init.calculate_gain("relu")
    nodes, edges = [], []
    counts = zip(graphs.node_counts, graphs.edge_counts, strict=True)
    for generator, (n, e) in zip(generators(seed, problem.nodes), counts, strict=True):
        nodes.append(torch.from_numpy(generator.standard_normal((n, features))))
        edge_std = gain * math.sqrt(1 / (n if alone else whole))
        edges.append(torch.from_numpy(generator.standard_normal(e) * edge_std))
    return (torch.cat(nodes) * 0.1).to(problem.x), torch.cat(edges).to(problem.x)


def _likelihood_loss(output: Tensor, problem: Problem) -> Tensor:
    """PyG's ``_loss_multiclass_classification`` of each node, summed over the nodes."""
    kind = problem.prepared.return_type
    if kind == ModelReturnType.raw:
        return F.cross_entropy(output, problem.targets, reduction="sum")
    if kind == ModelReturnType.probs:
        output = output.log()
    return F.nll_loss(output, problem.targets, reduction="sum")


METHOD = GNNExplainer
