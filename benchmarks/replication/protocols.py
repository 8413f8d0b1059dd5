"""How others explain, and how they measure explanations, for the replication of their results.

``[Re]`` is Holdijk et al., "[Re] Parameterized Explainer for Graph Neural Network", ML
Reproducibility Challenge 2020, ``GraphFramEx`` Amara et al., arXiv:2206.09677; what they do is
taken from their code (of June 2022, where the leaderboard's numbers are from).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from captum.attr import IntegratedGradients, Saliency
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.explain import Explanation
from torch_geometric.explain.algorithm.utils import set_masks
from torch_geometric.utils import k_hop_subgraph

from explainers.engines.base import Attribution, Engine, Problem
from explainers.methods._base import Method

TOP = 10  # edges, on GraphFramEx's leaderboard
LEAST = 1e-3  # of a mask scaled to [0, 1], below which GraphFramEx takes an entry for 0


@dataclass(frozen=True)
class Neighbourhoods:
    """The subgraphs of all nodes within some hops of R nodes, side by side as one graph.

    A computation graph is less: it has no edges into nodes that are the full number of hops away.

    Attributes:
        n_id: [n], ids of the nodes in the whole graph.
        e_id: [e], ids of the edges.
        edge_index: [2, e], positions in ``n_id``.
        node_of: [n], whose neighbourhood each node counts to, 0 to R - 1.
        edge_of: [e], the same of the edges.
        roots: [R], positions of the R nodes in ``n_id``.
    """

    n_id: Tensor
    e_id: Tensor
    edge_index: Tensor
    node_of: Tensor
    edge_of: Tensor
    roots: Tensor

    @classmethod
    def of(cls, data: Data, nodes: Sequence[int], hops: int) -> Neighbourhoods:
        """Those of ``nodes``."""
        n_id, e_id, edges, roots, shift = [], [], [], [], 0
        for node in nodes:
            subset, edge_index, root, inside = k_hop_subgraph(
                node, hops, data.edge_index, relabel_nodes=True, num_nodes=data.num_nodes
            )
            n_id.append(subset)
            e_id.append(inside.nonzero().view(-1))
            edges.append(edge_index + shift)
            roots.append(root + shift)
            shift += len(subset)
        sizes = [
            torch.tensor([len(ids) for ids in of], device=data.edge_index.device)
            for of in (n_id, e_id)
        ]
        return cls(
            torch.cat(n_id),
            torch.cat(e_id),
            torch.cat(edges, dim=1),
            torch.repeat_interleave(sizes[0]),
            torch.repeat_interleave(sizes[1]),
            torch.cat(roots),
        )


def learned_masks(
    model: nn.Module,
    data: Data,
    nodes: Sequence[int],
    targets: Tensor | None = None,
    *,
    hops: int,
    epochs: int,
    lr: float,
    edge_size: float,
    features: bool = False,
    seed: int = 0,
) -> list[Explanation]:
    """GNNExplainer as [Re] and GraphFramEx have it, for all nodes in one optimisation.

    Ying et al., arXiv:1903.03894. Other than in PyG, all edges among the nodes within ``hops`` have
    a score, whether or not the prediction depends on them; degrees are those of that subgraph; the
    masks are penalised from the first step on; and there is no feature mask, or one of F entries
    that the nodes share.

    Args:
        model: ``model(x, edge_index)`` gives the log-probabilities [N, C] whose rise is sought;
            it is not changed.
        data: ``x`` and ``edge_index``; weights of edges are not looked at.
        nodes: The R nodes to explain.
        targets: The class to explain of each [R]; None for what the model predicts on the subgraph.
        hops: The radius of the subgraphs.
        epochs: Steps of Adam.
        lr: Adam's learning rate.
        edge_size: Weight of the sum of an edge mask; its mean entropy has the weight 1.
        features: Whether features are masked, too, with PyG's weights 1 (mean) and 0.1 (entropy).
        seed: Of the initial masks.

    Returns:
        Of each node ``e_id`` [e] and ``edge_mask`` [e], and with ``features`` also
        ``feature_mask`` [F]; masks are in [0, 1].
    """
    around = Neighbourhoods.of(data, nodes, hops)
    model = copy.deepcopy(model).eval()
    x = data.x[around.n_id]
    if targets is None:
        with torch.no_grad():
            targets = model(x, around.edge_index)[around.roots].argmax(dim=1)
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int, std: float) -> nn.Parameter:
        return nn.Parameter((std * torch.randn(*shape, generator=generator)).to(x))

    # In PyG's order and with its deviations.
    logits = [drawn(len(nodes), x.size(1), std=0.1)] if features else []
    gain = nn.init.calculate_gain("relu")
    edges = drawn(len(around.e_id), std=gain * math.sqrt(1 / data.x.size(0)))
    logits.append(edges)
    sizes = 1 / around.edge_of.bincount(minlength=len(nodes)).clamp(min=1)
    optimizer = torch.optim.Adam(logits, lr=lr)
    set_masks(model, edges, around.edge_index, apply_sigmoid=True)
    for _ in range(epochs):
        optimizer.zero_grad()
        masked = x * logits[0].sigmoid()[around.node_of] if features else x
        output = model(masked, around.edge_index)[around.roots]
        loss = -output.gather(1, targets[:, None]).sum()
        loss = loss + edge_size * edges.sigmoid().sum()
        loss = loss + (_entropy(edges) * sizes[around.edge_of]).sum()
        if features:
            loss = loss + logits[0].sigmoid().mean(dim=1).sum()
            loss = loss + 0.1 * _entropy(logits[0]).mean(dim=1).sum()
        loss.backward()
        optimizer.step()
    found = []
    for row in range(len(nodes)):
        own = around.edge_of == row
        explanation = Explanation(e_id=around.e_id[own], edge_mask=edges[own].detach().sigmoid())
        if features:
            explanation.feature_mask = logits[0][row].detach().sigmoid()
        found.append(explanation)
    return found


def _entropy(logits: Tensor) -> Tensor:
    mask = logits.sigmoid()
    return -mask * nn.functional.logsigmoid(logits) - (1 - mask) * nn.functional.logsigmoid(-logits)


@dataclass(kw_only=True)
class FeatureScores(Method):
    """Signed scores of the features while all messages stay as they are, as in GraphFramEx.

    Captum's Saliency without absolute values, or its Integrated Gradients.

    Args:
        n_steps: Points of the path from zero features; None for the gradient at the features.
    """

    granularity: ClassVar[tuple[str, ...]] = ("features",)
    citation: ClassVar[str] = "Amara et al. 2022, arXiv:2206.09677"

    n_steps: int | None = None

    def share(self, engine: Engine) -> tuple[int, int | None]:
        """All steps in a pass."""
        return self.n_steps or 1, None

    def attribute(self, problem: Problem) -> Attribution:
        """Captum's attributions; zeros for the edges."""
        x, fixed = problem.x[None].detach().requires_grad_(), (problem.edge_mask[None],)
        if self.n_steps is None:
            scores = Saliency(problem).attribute(x, abs=False, additional_forward_args=fixed)
        else:
            scores = IntegratedGradients(problem).attribute(
                x, n_steps=self.n_steps, additional_forward_args=fixed
            )
        return Attribution(scores[0].detach(), torch.zeros_like(problem.edge_mask))


def by_ends(data: Data, explanations: Sequence[Explanation]) -> Tensor:
    """GraphFramEx's scores of all edges [R, E]: what the features of both ends score together."""
    source, target = data.edge_index
    rows = []
    for explanation in explanations:
        total = data.x.new_zeros(data.x.size(0))
        total[explanation.n_id] = explanation.node_mask.sum(dim=1)
        rows.append(total[source] + total[target])
    return torch.stack(rows)


def of_edges(data: Data, explanations: Sequence[Explanation]) -> Tensor:
    """The scores of all edges [R, E]; 0 where an explanation has none."""
    scores = data.x.new_zeros(len(explanations), data.num_edges)
    for row, explanation in zip(scores, explanations, strict=True):
        row[explanation.e_id] = explanation.edge_mask.to(row)
    return scores


def cleaned(mask: Tensor, *, zeros: bool = False) -> Tensor:
    """A mask as GraphFramEx prepares it: clipped to [-10, 10], scaled to [0, 1], with true zeros.

    Constant masks are only clipped.

    Args:
        mask: Of any shape.
        zeros: Whether it is part of one that is 0 elsewhere.
    """
    mask = mask.clamp(-10, 10)
    low, high = mask.min(), mask.max()
    if zeros:
        low, high = low.clamp(max=0), high.clamp(min=0)
    if high > low:
        mask = (mask - low) / (high - low)
    return mask.where(mask >= LEAST, 0)


def fidelities(
    model: nn.Module,
    data: Data,
    nodes: Sequence[int],
    scores: Tensor,
    features: Sequence[Tensor] | None = None,
    *,
    hops: int,
    weights: bool,
) -> tuple[float, float]:
    """Fidelity+ and fidelity- by accuracy on the true class, as in GraphFramEx.

    Means over the nodes of the absolute differences. The :data:`TOP` edges with the largest signed
    scores of the whole graph are taken away, or alone kept. If there are scores of the features,
    features are taken away as well: of one score a feature, m, what is kept is x m and x (1 - m);
    of one a node and feature, the code takes m and 1 - m *in place of* the features. And it calls
    the model on the reduced graphs without the edges' weights, all of which are 1 then.

    Args:
        model: ``model(x, edge_index, edge_weight)``, [N, C].
        data: ``x``, ``edge_index``, ``edge_weight`` and ``y``.
        nodes: The R explained nodes.
        scores: Of all edges, [R, E].
        features: Scores of the features for each node, [F], or [n, F] of the nodes within ``hops``,
            ascending; None if there are none.
        hops: How far the model looks.
        weights: Whether edges keep their weights on the reduced graphs.
    """
    around = Neighbourhoods.of(data, nodes, hops)
    top = torch.zeros_like(scores, dtype=torch.bool)
    highest = scores.argsort(dim=1, descending=True, stable=True)[:, :TOP]
    top.scatter_(1, highest, torch.stack([cleaned(row) for row in scores]).gather(1, highest) > 0)
    chosen = top[around.edge_of, around.e_id]
    only = without = data.x[around.n_id]
    if features is not None:
        if features[0].dim() == 1:
            kept = torch.stack([cleaned(mask) for mask in features])[around.node_of]
            only, without = only * kept, only * (1 - kept)
        else:
            only = torch.cat([cleaned(mask, zeros=len(mask) < len(data.x)) for mask in features])
            without = 1 - only
    true = data.y[around.n_id[around.roots]]

    def right(x: Tensor, kept: Tensor) -> Tensor:
        weight = data.edge_weight[around.e_id[kept]]
        edges = around.edge_index[:, kept]
        with torch.no_grad():
            output = model(x, edges, weight if weights else torch.ones_like(weight))
        return (output[around.roots].argmax(dim=1) == true).double()

    with torch.no_grad():
        output = model(data.x, data.edge_index, data.edge_weight)
    before = (output[around.n_id[around.roots]].argmax(dim=1) == true).double()
    plus = (before - right(without, ~chosen)).abs().mean()
    minus = (before - right(only, chosen)).abs().mean()
    return float(plus), float(minus)
