"""Between PyG's explainer, which hands on dictionaries, and the methods, which take the data."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.explain import HeteroExplanation, ModelConfig
from torch_geometric.explain.config import ModelMode

from explainers.hetero.prepared import INPUTS
from explainers.hetero.schema import EdgeType
from explainers.prepare import prepare


def data_of(
    x: dict[str, Tensor], edge_index: dict[EdgeType, Tensor], inputs: dict[str, Any]
) -> HeteroData:
    """The data of a call ``model(x_dict, edge_index_dict, **inputs)``.

    Raises:
        ValueError: A keyword is none of those that the methods pass on.
    """
    data = HeteroData()
    for name, features in x.items():
        data[name].x = features
    for edge_type, edges in edge_index.items():
        data[edge_type].edge_index = edges
    for keyword, values in inputs.items():
        name = keyword.removesuffix("_dict")
        if name not in INPUTS or not isinstance(values, dict):
            raise ValueError(
                f"{keyword}: models of heterogeneous graphs are called with {' and '.join(INPUTS)} "
                "by edge type besides x_dict and edge_index_dict"
            )
        for edge_type, value in values.items():
            data[edge_type][name] = value
    return data


def nodes_and_target(
    model: nn.Module,
    data: HeteroData,
    node_type: str | None,
    index: int | Tensor,
    target: Tensor,
    config: ModelConfig,
) -> tuple[tuple[str, Tensor], Tensor | None]:
    """The explained node with its type, which is that of the model's rows, and the class.

    Raises:
        ValueError: The model's rows may be those of several types.
    """
    prepared: Any = prepare(model, data, config, node_type=node_type)
    node = torch.as_tensor(index).view(1)
    multiclass = config.mode == ModelMode.multiclass_classification
    return (prepared.node_type, node), target[node.to(target.device)] if multiclass else None


def explanation_of(
    nodes: dict[str, Tensor | None], edges: dict[EdgeType, Tensor] | None
) -> HeteroExplanation:
    """PyG's explanation over the whole graph."""
    explanation = HeteroExplanation()
    explanation.set_value_dict("node_mask", {k: one for k, one in nodes.items() if one is not None})
    if edges is not None:
        explanation.set_value_dict("edge_mask", edges)
    return explanation
