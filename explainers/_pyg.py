"""To and from PyG's own explanation interface."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.explain import ExplainerAlgorithm, Explanation, HeteroExplanation
from torch_geometric.explain.config import MaskType, ModelMode, ModelTaskLevel

from explainers import hetero
from explainers.methods import load


def to_full(explanation: Explanation | HeteroExplanation, data: Data | HeteroData) -> Any:
    """The masks over the whole graph: node features [N, F] and edges [E]; zero elsewhere.

    Of a heterogeneous graph a dictionary of each, by type.

    Args:
        explanation: Of a method of this library.
        data: The graph that was explained, or the batch of graphs.
    """
    if isinstance(explanation, HeteroExplanation):
        return hetero.typed_masks(explanation, data)
    node_mask, edge_mask = explanation.node_mask, explanation.edge_mask
    nodes = node_mask.new_zeros(data.num_nodes, node_mask.size(1))
    edges = edge_mask.new_zeros(data.num_edges)
    nodes[explanation.n_id] = node_mask
    edges[explanation.e_id] = edge_mask
    return nodes, edges


def as_algorithm(name: str, *, node_type: str | None = None, **options: Any) -> ExplainerAlgorithm:
    """A method as an algorithm for ``torch_geometric.explain.Explainer``.

    For node-level models the explainer must be called with one ``index``; for graph-level ones,
    whose ``forward`` takes ``batch``, with one graph, or with a ``batch`` of several and the
    ``index`` of one; for edge-level ones with an ``edge_label_index`` of one link, or of several
    and the ``index`` of one. ``edge_mask_type`` is ``"object"`` or None, ``node_mask_type``
    ``"attributes"``, ``"common_attributes"`` (scores of features summed over the nodes, [1, F]),
    ``"object"`` (summed over a node's features, [N, 1]) or None; what has no mask keeps its value.
    Heterogeneous models, which the explainer calls with dictionaries, return [N, C] for nodes of
    one type; their masks are by type.

    Args:
        name: One of :func:`explainers.available`.
        node_type: Of which type the rows are that a heterogeneous model returns; None for the only
            one with so many nodes.
        **options: As for :func:`explainers.load`, but for ``mask_type``, which the explainer's
            settings say.

    Raises:
        ValueError: As :func:`explainers.load`.
    """
    return _Algorithm(name, options, node_type)


class _Algorithm(ExplainerAlgorithm):
    def __init__(self, name: str, options: dict[str, Any], node_type: str | None) -> None:
        super().__init__()
        if "mask_type" in options:
            raise ValueError(
                "mask_type: say it by the explainer's node_mask_type and edge_mask_type"
            )
        self.name, self.options, self.node_type = name, options, node_type
        self.method = load(name, **options)

    def connect(self, explainer_config: Any, model_config: Any) -> None:
        """Takes the explainer's settings."""
        super().connect(explainer_config, model_config)
        kinds = {(True, True): "node_and_edge", (True, False): "node", (False, True): "edge"}
        config = self.explainer_config
        wanted = config.node_mask_type is not None, config.edge_mask_type is not None
        if "features" not in self.method.granularity and "nodes" not in self.method.granularity:
            wanted = False, True
        self.method = load(self.name, mask_type=kinds[wanted], **self.options)

    def forward(
        self,
        model: nn.Module,
        x: Any,
        edge_index: Any,
        *,
        target: Tensor,
        index: int | Tensor | None = None,
        **kwargs: Any,
    ) -> Explanation | HeteroExplanation:
        """The explanation of one prediction, over the whole graph."""
        level = self.model_config.task_level
        if level == ModelTaskLevel.edge:
            links = kwargs.get("edge_label_index")
            if not isinstance(links, Tensor):
                raise ValueError(
                    "edge_label_index: give the explainer of an edge-level model the links [2, R]"
                )
            index = 0 if index is None and links.numel() == 2 else index
        if level == ModelTaskLevel.graph:
            if kwargs.get("batch") is None:
                kwargs["batch"] = edge_index.new_zeros(len(x))
            if index is None and not kwargs["batch"].any():
                index = 0
        if index is None or (isinstance(index, Tensor) and index.numel() != 1):
            raise ValueError(
                f"index must name one {level.value}, got {index!r:.80}; "
                "PyG would sum the explanations of several: call the explainer once for each"
            )
        config = self.explainer_config
        if isinstance(x, dict):
            typed = hetero.data_of(x, edge_index, kwargs)
            asked = hetero.nodes_and_target(
                model, typed, self.node_type, index, target, self.model_config
            )
            (found,) = self.method.explain(model, typed, *asked, self.model_config)
            node_masks, edge_masks = to_full(found, typed)
            return hetero.explanation_of(
                {k: _reduced(mask, config.node_mask_type) for k, mask in node_masks.items()},
                None if config.edge_mask_type is None else edge_masks,
            )
        data = Data(x=x, edge_index=edge_index, **kwargs)
        node = torch.as_tensor(index).view(1)
        # Of binary outputs and of a regression PyG's target is a label or a value, not a column.
        column = None
        if self.model_config.mode == ModelMode.multiclass_classification:
            column = target.view(-1)[node.to(target.device)]
        (explanation,) = self.method.explain(model, data, node, column, self.model_config)
        node_mask, edge_mask = to_full(explanation, data)
        return Explanation(
            node_mask=_reduced(node_mask, config.node_mask_type),
            edge_mask=None if config.edge_mask_type is None else edge_mask,
        )

    def supports(self) -> bool:
        """Whether the explainer's settings ask for what the methods give."""
        return (
            self.explainer_config.edge_mask_type in (None, MaskType.object)
            and (self.explainer_config.edge_mask_type or self.explainer_config.node_mask_type)
            is not None
        )


def _reduced(node_mask: Tensor, kind: MaskType | None) -> Tensor | None:
    """Scores of features [N, F] in PyG's shape for a kind of mask."""
    if kind is None:
        return None
    if kind == MaskType.object:
        return node_mask.sum(dim=1, keepdim=True)
    return node_mask.sum(dim=0, keepdim=True) if kind == MaskType.common_attributes else node_mask
