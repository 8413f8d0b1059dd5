"""graph-explain, https://pypi.org/project/graph-explain/: its methods that this suite has, too."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.explain import ExplainerAlgorithm, Explanation
from torch_geometric.nn import GCNConv

from benchmarks.peers._peer import Peer
from explainers.engines.base import ReferenceProblem
from explainers.prepare import PreparedModel

MODULES = "finds activation functions only where they are modules of the model"


@dataclass(kw_only=True)
class _GraphExplain(Peer):
    kind: ClassVar[str]  # the class's name there
    graphs: ClassVar[bool] = True
    only_gcn: ClassVar[bool] = False
    weighs_edges: ClassVar[bool] = False
    packages: ClassVar[tuple[str, ...]] = ("graph_explain",)

    def refuse(self, prepared: PreparedModel) -> None:
        """Refuses what the package's documentation leaves out."""
        super().refuse(prepared)
        reason = ""
        if prepared.task_level == "graph" and not self.graphs:
            reason = "it explains nodes only"
        elif self.only_gcn and not all(isinstance(one, GCNConv) for one in prepared.layers):
            reason = "it knows no message passing but GCNConv"
        elif self.weighs_edges and not _takes_weights(prepared.model):
            reason = "it masks edges by edge_weight, which the model does not take"
        if reason:
            raise ValueError(f"{self.name}: {reason}; use {self.ours!r}")

    def algorithm(self, problem: ReferenceProblem) -> ExplainerAlgorithm:
        made = getattr(importlib.import_module("graph_explain"), self.kind)()
        return _Algorithm(made)


class _Algorithm(ExplainerAlgorithm):
    """One of theirs by PyG's interface."""

    def __init__(self, theirs: Any) -> None:
        super().__init__()
        self.theirs = theirs
        self.backend = importlib.import_module("graph_explain").get_backend("pyg")
        # All of the features, where it would give one number a node.
        if hasattr(theirs, "node_mask_type"):
            theirs.node_mask_type = "attributes"

    def forward(
        self,
        model: nn.Module,
        x: Tensor,
        edge_index: Tensor,
        *,
        target: Tensor,
        index: Tensor | None = None,
        **kwargs: Any,
    ) -> Explanation:
        row = 0 if index is None else int(index)
        found = self.theirs.explain(
            self.backend,
            model,
            Data(x=x, edge_index=edge_index, edge_weight=kwargs.get("edge_weight")),
            index=None if index is None else row,
            target_class=int(target[row]),
            node_mask_type="object",
            edge_mask_type="object",
        )
        nodes = found.feature_importance
        if nodes is None and found.node_importance is not None:
            nodes = found.node_importance[:, None]
        return Explanation(node_mask=nodes, edge_mask=found.edge_importance)

    def supports(self) -> bool:
        return True


def _takes_weights(model: nn.Module) -> bool:
    return "edge_weight" in inspect.signature(model.forward).parameters


class LRP(_GraphExplain):
    """graph-explain's LRP, rule z+; it leaves out biases and starts from 1, not from the output."""

    signed: ClassVar[bool] = False
    graphs: ClassVar[bool] = False
    only_gcn: ClassVar[bool] = True
    note: ClassVar[str] = MODULES
    kind, ours = "GNNGatedLRP", "lrp"


class DeepLift(_GraphExplain):
    """graph-explain's DeepLIFT by the rescale rule; edges have no sign."""

    signed: ClassVar[bool] = False
    graphs: ClassVar[bool] = False
    only_gcn: ClassVar[bool] = True
    note: ClassVar[str] = MODULES
    kind, ours = "DeepLift", "deep_lift"


class Saliency(_GraphExplain):
    """graph-explain's saliency, which scores features only."""

    signed: ClassVar[bool] = False
    agrees_on: ClassVar[str] = "nodes"
    kind, ours = "Saliency", "saliency"


class IntegratedGradients(_GraphExplain):
    """graph-explain's Integrated Gradients; along its path edges go out as features come in."""

    signed: ClassVar[bool] = False
    note: ClassVar[str] = "its path takes the edges away while it brings the features in"
    kind, ours = "IntegratedGradients", "integrated_gradients"


class InputXGradient(_GraphExplain):
    """graph-explain's gradient times input, by edge weights."""

    signed: ClassVar[bool] = False
    note: ClassVar[str] = "by edge weights, which degrees follow"
    kind, ours = "GradXInput", "input_x_gradient"


class GuidedBackprop(_GraphExplain):
    """graph-explain's guided backpropagation, which scores features only."""

    agrees_on: ClassVar[str] = "nodes"
    note: ClassVar[str] = MODULES
    kind, ours = "GuidedBackprop", "guided_backprop"


class GNN(_GraphExplain):
    """graph-explain's GNNExplainer: a mask entry for each node, and edge weights."""

    signed: ClassVar[bool] = False
    weighs_edges: ClassVar[bool] = True
    note: ClassVar[str] = "by edge weights, which degrees follow; one mask entry a node"
    kind, ours = "GNNExplainer", "gnn_explainer"
    our_options: ClassVar[Mapping[str, Any]] = {"epochs": 200}


class SubgraphX(_GraphExplain):
    """graph-explain's search for a connected subgraph, which it scores by one pass each."""

    signed: ClassVar[bool] = False
    graphs: ClassVar[bool] = False
    weighs_edges: ClassVar[bool] = True
    agrees_on: ClassVar[str] = "nodes"
    note: ClassVar[str] = "its reward is the class's log-probability, no Shapley value"
    kind, ours = "SubgraphX", "subgraphx"
