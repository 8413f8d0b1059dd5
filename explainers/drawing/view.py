"""What of an explanation the pictures need, whether its graph has one type or many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.explain import Explanation, HeteroExplanation

from explainers.drawing.select import explained_nodes, node_ids, right_edges
from explainers.engines.base import unit

EdgeType = tuple[str, str, str]
Classes = Tensor | Sequence[int]
Labels = Sequence[str] | Mapping[str, Sequence[str]]
Truth = Tensor | Mapping[EdgeType, Tensor]


@dataclass(frozen=True)
class View:
    """An explanation with what is drawn beside its scores.

    Attributes:
        explanation: Over all types together, if there are many.
        classes: The class or, of many types, the type of each node, or None.
        names: Of the classes or types.
        labels: Of the nodes.
        right: Of each edge, whether it belongs to the ground truth.
        edge_types: The type of each edge, or None where there is one.
        edge_names: Of the edge types.
    """

    explanation: Explanation
    classes: list[int] | None
    names: Sequence[str]
    labels: list[str]
    right: list[bool]
    edge_types: list[int] | None = None
    edge_names: Sequence[str] = ()


def view(
    explanation: Explanation | HeteroExplanation,
    data: Data | HeteroData | None,
    classes: Classes | None,
    labels: Labels | None,
    names: Sequence[str],
    truth: Truth | None,
) -> View:
    """See :func:`explainers.drawing.draw` for the arguments, and what is raised."""
    if isinstance(explanation, HeteroExplanation):
        if classes is not None:
            raise ValueError(
                "classes: the nodes of a heterogeneous graph are coloured by their type; leave it "
                "out"
            )
        return _of_types(explanation, labels, truth)
    if isinstance(data, HeteroData):
        raise ValueError("data is a HeteroData, but the explanation is of a graph of one type")
    if isinstance(labels, Mapping) or isinstance(truth, Mapping):
        raise ValueError("labels and truth by type are for explanations of heterogeneous graphs")
    return View(
        explanation,
        _classes(explanation, data, classes),
        names,
        _labels(explanation, labels),
        right_edges(explanation, truth),
    )


def _of_types(explanation: HeteroExplanation, labels: Labels | None, truth: Truth | None) -> View:
    """The union of all types: nodes and edges type after type, in the explanation's order."""
    for name, given in (("labels", labels), ("truth", truth)):
        if given is not None and not isinstance(given, Mapping):
            raise ValueError(
                f"{name} of a heterogeneous graph must be a dict by type, got "
                f"{type(given).__name__}"
            )
    types, edge_types = explanation.node_types, explanation.edge_types
    starts: dict[str, int] = {}
    texts: list[str] = []
    ids, strength, kinds = [], [], []
    for number, name in enumerate(types):
        store, starts[name] = explanation[name], len(texts)
        # A number that no node of another type has.
        ids.append(store.n_id.cpu() * len(types) + number)
        strength.append(store.node_mask.detach().cpu().double().abs().sum(dim=1, keepdim=True))
        texts += _texts(store.n_id, (labels or {}).get(name), f" of type {name!r}")  # type: ignore[union-attr]
        kinds += [number] * len(store.n_id)
    ends, scores, right, edge_kinds = [], [], [], []
    for number, edge_type in enumerate(edge_types):
        store = explanation[edge_type]
        first = torch.tensor([[starts[edge_type[0]]], [starts[edge_type[2]]]])
        ends.append(store.edge_index.cpu() + first)
        scores.append(store.edge_mask.detach().cpu().double())
        own = None if truth is None else truth.get(edge_type)  # type: ignore[union-attr]
        part = Explanation(edge_index=store.edge_index, e_id=store.e_id, unit=unit(explanation))
        right += right_edges(part, own)
        edge_kinds += [number] * len(store.e_id)
    union = Explanation(
        n_id=torch.cat(ids),
        node_mask=torch.cat(strength),
        edge_index=torch.cat(ends, dim=1),
        edge_mask=torch.cat(scores),
        index=explanation.index.cpu() + starts[explanation.node_type],
    )
    named = [f"{source} – {relation} → {target}" for source, relation, target in edge_types]
    return View(union, kinds, types, texts, right, edge_kinds, named)


def _classes(
    explanation: Explanation, data: Data | None, classes: Classes | None
) -> list[int] | None:
    """The class of each of the explanation's nodes, or None if there are none."""
    ids = node_ids(explanation)
    needed = int(ids.max()) + 1 if ids.numel() else 0
    if classes is None:
        y = None if data is None else data.get("y")
        if (
            data is None
            or not explained_nodes(explanation)  # `y` is of the graphs
            or not isinstance(y, Tensor)
            or y.shape != (data.num_nodes,)
            or y.is_floating_point()
        ):
            return None
        classes = y
    values = torch.as_tensor(classes)
    if values.dim() != 1 or len(values) < needed or values.is_floating_point():
        raise ValueError(
            f"classes must be one whole number for each node of the graph, [N], got "
            f"{values.dtype} {list(values.shape)}"
        )
    return [int(value) for value in values.cpu()[ids]]


def _labels(explanation: Explanation, labels: Sequence[str] | None) -> list[str]:
    """The text at each of the explanation's nodes."""
    return _texts(node_ids(explanation), labels)


def _texts(numbers: Tensor, labels: Sequence[str] | None, kind: str = "") -> list[str]:
    """Of nodes by their numbers."""
    ids = numbers.tolist()
    if labels is None:
        return [str(node) for node in ids]
    if len(labels) <= max(ids, default=-1):
        raise ValueError(
            f"{len(labels)} labels, but the graph has a node {max(ids)}{kind}; one each"
        )
    return [str(labels[node]) for node in ids]
