"""To and from PyG's own explanation interface."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.explain import ExplainerAlgorithm, Explanation
from torch_geometric.explain.config import ModelMode, ModelTaskLevel

from explainers.methods import Method, load


def to_full(explanation: Explanation, data: Data) -> tuple[Tensor, Tensor]:
    """The masks over the whole graph: node features [N, F] and edges [E]; zero elsewhere.

    Args:
        explanation: Of a method of this library.
        data: The graph that was explained, or the batch of graphs.
    """
    node_mask, edge_mask = explanation.node_mask, explanation.edge_mask
    nodes = node_mask.new_zeros(data.num_nodes, node_mask.size(1))
    edges = edge_mask.new_zeros(data.num_edges)
    nodes[explanation.n_id] = node_mask
    edges[explanation.e_id] = edge_mask
    return nodes, edges


def as_algorithm(name: str, **options: Any) -> ExplainerAlgorithm:
    """A method as an algorithm for ``torch_geometric.explain.Explainer``.

    The explainer is to be set up for multi-class classification with
    ``node_mask_type="attributes"`` and ``edge_mask_type="object"``. For node-level models it is to
    be called with one ``index``; for graph-level ones, whose ``forward`` takes ``batch``, with one
    graph, or with a ``batch`` of several and the ``index`` of one.

    Args:
        name: One of :func:`explainers.available`.
        **options: As for :func:`explainers.load`.

    Raises:
        ValueError: As :func:`explainers.load`.
    """
    return _Algorithm(load(name, **options))


class _Algorithm(ExplainerAlgorithm):
    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(
        self,
        model: nn.Module,
        x: Tensor,
        edge_index: Tensor,
        *,
        target: Tensor,
        index: int | Tensor | None = None,
        **kwargs: Any,
    ) -> Explanation:
        """The explanation of one prediction, over the whole graph."""
        if self.model_config.task_level == ModelTaskLevel.graph:
            if kwargs.get("batch") is None:
                kwargs["batch"] = edge_index.new_zeros(len(x))
            if index is None and not kwargs["batch"].any():
                index = 0
        if index is None or (isinstance(index, Tensor) and index.numel() != 1):
            raise ValueError(
                f"index is to name one {self.model_config.task_level.value}, got {index!r:.80}; "
                "PyG would sum the explanations of several: call the explainer once for each"
            )
        data = Data(x=x, edge_index=edge_index, **kwargs)
        node = torch.as_tensor(index).view(1)
        (explanation,) = self.method.explain(model, data, node, target[node.to(target.device)])
        node_mask, edge_mask = to_full(explanation, data)
        return Explanation(node_mask=node_mask, edge_mask=edge_mask)

    def supports(self) -> bool:
        """Whether the explainer's settings ask for what the methods give."""
        return (
            self.model_config.mode == ModelMode.multiclass_classification
            and self.model_config.task_level in (ModelTaskLevel.node, ModelTaskLevel.graph)
            and str(self.explainer_config.node_mask_type.value) == "attributes"
            and str(self.explainer_config.edge_mask_type.value) == "object"
        )
