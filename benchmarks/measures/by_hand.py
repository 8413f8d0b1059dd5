"""``k-hop by hand``: what a competent user writes to explain a node, without a library for it.

The computation graph is cut with PyG's ``k_hop_subgraph``; a GCN is given the norms of the whole
graph as edge weights (``gcn_norm``, ``normalize=False``), so that the cut is exact. Variants of the
inputs go through the model side by side, as one block-diagonal graph, so that Captum's
``internal_batch_size`` is real; its size is the fastest of :data:`BATCH_SIZES` at the first node
that is explained, tried once and not timed with the explanations.

The second baseline of every speed-up, beside ``stock``.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from captum.attr import InputXGradient, IntegratedGradients, Saliency
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.explain import Explainer, Explanation, GNNExplainer, ModelConfig
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks
from torch_geometric.nn import GCNConv, MessagePassing
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.utils import k_hop_subgraph

NAME = "k-hop by hand"  # in the column of the engines
METHODS = ("integrated_gradients", "saliency", "input_x_gradient", "gnn_explainer", "occlusion")
# The options of our methods that change what is computed, by method.
OPTIONS = {"integrated_gradients": ("n_steps",), "gnn_explainer": ("epochs", "lr")}
BATCH_SIZES = (5, 10, 25, 50)
PASS_EDGES = 2**17  # edges of all variants in a pass of occlusion


@dataclass
class ByHand:
    """A model and a graph, with what a user makes ready once.

    Args:
        model: Layers of one kind, called as ``model(x, edge_index)``; one of GCNConv takes
            ``edge_weight`` as well. Returns log-probabilities [N, C].
        data: A graph without edge weights or attributes.
    """

    model: nn.Module
    data: Data
    batch_sizes: dict[int, int] = field(default_factory=dict)  # the best, by n_steps

    def __post_init__(self) -> None:
        if reason := refusal(self.model, self.data):
            raise ValueError(f"{NAME} does not take this: {reason}")
        self.model = copy.deepcopy(self.model).eval().requires_grad_(False)
        layers = [part for part in self.model.modules() if isinstance(part, MessagePassing)]
        self.hops = len(layers)
        edge_index = self.data.edge_index
        self.e_id = torch.arange(edge_index.size(1), device=edge_index.device)
        self.norm: Tensor | None = None
        if isinstance(layers[0], GCNConv) and layers[0].normalize:
            # The norms of edges, then those of the loops, one for each node.
            nodes, dtype = self.data.num_nodes, self.data.x.dtype
            self.norm = gcn_norm(edge_index, num_nodes=nodes, dtype=dtype)[1]
            self.e_id = (edge_index[0] != edge_index[1]).nonzero().view(-1)
            for layer in layers:
                layer.normalize = False
        with torch.no_grad():
            self.targets = self._whole().argmax(dim=1)

    def _whole(self) -> Tensor:
        everywhere = torch.arange(self.data.num_nodes, device=self.data.x.device)
        cut = Cut(self, everywhere, self.e_id, self.data.edge_index[:, self.e_id], 0)
        return cut.module(self.data.x, cut.edge_index)

    def explain(self, name: str, node: int, **options: Any) -> Explanation:
        """One of :data:`METHODS` for one node and the class that the model predicts.

        Returns:
            ``node_mask`` [n, F] and ``edge_mask`` [e] of the nodes ``n_id`` and edges ``e_id`` of
            the cut, which has the edges between its outermost nodes as well; they score 0.
        """
        cut = self.cut(node)
        nodes, edges = getattr(self, f"_{name}")(cut, **options)
        return Explanation(
            node_mask=nodes.detach(), edge_mask=edges.detach(), n_id=cut.n_id, e_id=cut.e_id
        )

    def cut(self, node: int) -> Cut:
        """The k-hop subgraph of a node."""
        n_id, edge_index, place, inside = k_hop_subgraph(
            node,
            self.hops,
            self.data.edge_index[:, self.e_id],
            relabel_nodes=True,
            num_nodes=self.data.num_nodes,
        )
        return Cut(self, n_id, self.e_id[inside], edge_index, int(place), inside)

    def _saliency(self, cut: Cut) -> tuple[Tensor, Tensor]:
        found = Saliency(cut).attribute(cut.leaves())
        return found[0][0], found[1][0]

    def _input_x_gradient(self, cut: Cut) -> tuple[Tensor, Tensor]:
        found = InputXGradient(cut).attribute(cut.leaves())
        return found[0][0], found[1][0]

    def _integrated_gradients(self, cut: Cut, n_steps: int = 50) -> tuple[Tensor, Tensor]:
        def attribute(size: int) -> tuple[Tensor, Tensor]:
            found = IntegratedGradients(cut).attribute(
                cut.inputs(), n_steps=n_steps, internal_batch_size=size
            )
            return found[0][0], found[1][0]

        if n_steps not in self.batch_sizes:
            self.batch_sizes[n_steps] = min(
                BATCH_SIZES, key=lambda size: _seconds(lambda: attribute(size))
            )
        return attribute(self.batch_sizes[n_steps])

    def _gnn_explainer(
        self, cut: Cut, algorithm: GNNExplainer | None = None, **options: Any
    ) -> tuple[Tensor, Tensor]:
        explainer = Explainer(
            cut.module,
            algorithm or GNNExplainer(**options),
            explanation_type="phenomenon",
            node_mask_type="attributes",
            edge_mask_type="object",
            model_config={
                "mode": "multiclass_classification",
                "task_level": "node",
                "return_type": "log_probs",
            },
        )
        target = self.targets[cut.n_id]
        found = explainer(cut.x, cut.edge_index, target=target, index=cut.place)
        return found.node_mask, found.edge_mask

    @torch.no_grad()
    def _occlusion(self, cut: Cut) -> tuple[Tensor, Tensor]:
        """Nodes without their features, then edges without their messages."""
        n, e = len(cut.n_id), len(cut.e_id)
        at_once = max(1, PASS_EDGES // (n + e))
        ones = cut.x.new_ones(1, e)
        whole = cut(cut.x[None], ones)
        lost = []
        for some in torch.arange(n + e, device=cut.x.device).split(at_once):
            row = torch.arange(len(some), device=cut.x.device)
            kept = cut.x.new_ones(len(some), n + e)
            kept[row, some] = 0
            nodes, edges = kept.split([n, e], dim=1)
            lost.append(whole - cut(cut.x * nodes[..., None], edges))
        nodes, edges = torch.cat(lost).split([n, e])
        used = cut.x != 0  # a node's score is shared by the features that it has
        return used * (nodes / used.sum(dim=1).clamp(min=1))[:, None], edges


class Cut:
    """A node's computation graph, and the explained output as a function of its inputs.

    Args:
        by_hand: Model and graph.
        n_id: [n] nodes.
        e_id: [e] edges.
        edge_index: [2, e] positions in ``n_id``.
        place: The explained node's.
        inside: [E] which edges of the graph the cut has; None for all.
    """

    def __init__(
        self,
        by_hand: ByHand,
        n_id: Tensor,
        e_id: Tensor,
        edge_index: Tensor,
        place: int,
        inside: Tensor | None = None,
    ) -> None:
        self.n_id, self.e_id, self.edge_index, self.place = n_id, e_id, edge_index, place
        self.x = by_hand.data.x[n_id]
        self.model = by_hand.model
        self.target = int(by_hand.targets[n_id[place]]) if inside is not None else 0
        self.weights: tuple[Tensor, Tensor] | None = None
        if by_hand.norm is not None:
            edges, loops = by_hand.norm.split([len(by_hand.e_id), by_hand.data.num_nodes])
            self.weights = edges if inside is None else edges[inside], loops[n_id]
        self._blocks: dict[int, Tensor] = {}

    @property
    def module(self) -> nn.Module:
        """The model on the cut, as PyG's explainers call it."""
        return _OnCut(self.model, self.weights)

    def inputs(self) -> tuple[Tensor, Tensor]:
        """Features [1, n, F] and the mask over the messages [1, e]."""
        return self.x[None], self.x.new_ones(1, len(self.e_id))

    def leaves(self) -> tuple[Tensor, Tensor]:
        """The same, to be differentiated by."""
        x, mask = self.inputs()
        return x.clone().requires_grad_(), mask.requires_grad_()

    def __call__(self, x: Tensor, mask: Tensor) -> Tensor:
        """The explained output [B] of features [B, n, F] and masks [B, e]."""
        count, n = len(x), len(self.n_id)
        if count not in self._blocks:
            shift = torch.arange(count, device=x.device) * n
            self._blocks[count] = (self.edge_index[:, None] + shift[:, None]).flatten(1)
        edge_index, flat = self._blocks[count], x.reshape(-1, x.size(-1))
        if self.weights is not None:
            edges, loops = self.weights
            weights = (mask * edges).flatten(), loops.repeat(count)
            output = _OnCut(self.model, weights)(flat, edge_index)
        else:
            set_masks(self.model, mask.flatten(), edge_index, apply_sigmoid=False)
            try:
                output = self.model(flat, edge_index)
            finally:
                clear_masks(self.model)
        return output.view(count, n, -1)[:, self.place, self.target]


class _OnCut(nn.Module):
    """A model with the weights of edges and self loops filled in, if it has any."""

    def __init__(self, model: nn.Module, weights: tuple[Tensor, Tensor] | None) -> None:
        super().__init__()
        self.model, self.weights = model, weights

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        if self.weights is None:
            return self.model(x, edge_index)
        # The loops come behind, where PyG masks none.
        loops = torch.arange(len(x), device=x.device).expand(2, -1)
        return self.model(
            x, torch.cat([edge_index, loops], dim=1), edge_weight=torch.cat(self.weights)
        )


def refusal(model: nn.Module, data: Data, config: ModelConfig | None = None) -> str:
    """Why a model and a graph are not among those that are done by hand, or ``""``."""
    if config is not None and config.mode.value != "multiclass_classification":
        return "it does not return classes"
    if data.get("batch") is not None:
        return "it classifies graphs, which need no cut"
    if data.get("edge_label_index") is not None:
        return "it predicts links"
    if data.get("edge_weight") is not None or data.get("edge_attr") is not None:
        return "its edges have weights or attributes"
    layers = [part for part in model.modules() if isinstance(part, MessagePassing)]
    if not layers or len({type(layer) for layer in layers}) > 1:
        return "its layers are not of one kind"
    loops = all(getattr(layer, "add_self_loops", True) for layer in layers)
    if isinstance(layers[0], GCNConv) and not loops:
        return "its GCNConv layers add no self loops"
    return ""


def _seconds(function: Callable[[], object]) -> float:
    """The shorter of two calls, after one that is not counted."""
    found = []
    for _ in range(3):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return min(found[1:])
