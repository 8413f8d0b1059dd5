"""``k-hop by hand`` of a heterogeneous graph: what a competent user writes to explain its nodes.

The computation graph is cut with PyG's ``k_hop_subgraph`` of the graph without types. Variants of
the inputs go through the model side by side, as one block-diagonal graph of each edge type, and
PyG's ``set_hetero_masks`` gives the layers the masks.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.explain import HeteroExplanation
from torch_geometric.explain.algorithm.utils import clear_masks, set_hetero_masks
from torch_geometric.nn import GCNConv, MessagePassing
from torch_geometric.utils import k_hop_subgraph

from benchmarks.measures.by_hand import Inputs, WithCaptum
from explainers.hetero import EdgeType

METHODS = ("integrated_gradients", "saliency", "input_x_gradient")


@dataclass
class HeteroByHand(WithCaptum):
    """A model and a heterogeneous graph, with what a user makes ready once.

    Args:
        model: Called as ``model(x_dict, edge_index_dict)``; returns [N, C] of ``node_type``. Its
            layers are ``HeteroConv`` or made by ``to_hetero``, and compute a node's output from its
            own input and its messages; the weights of messages do not hang on degrees.
        data: With ``x`` of each node type and no edge weights or attributes.
        node_type: The type of the nodes that are explained.
        hops: How many steps messages go.
    """

    model: nn.Module
    data: HeteroData
    node_type: str
    hops: int

    def __post_init__(self) -> None:
        if reason := refusal(self.model, self.data):
            raise ValueError(f"k-hop by hand does not take this: {reason}")
        self.model = copy.deepcopy(self.model).eval().requires_grad_(False)
        with torch.no_grad():
            output = self.model(self.data.x_dict, self.data.edge_index_dict)
        self.targets = output.argmax(dim=1).tolist()
        # Nodes and edges numbered through all types, in the order of the data's.
        whole = self.data.to_homogeneous(node_attrs=[])
        self.edge_index: Tensor = whole.edge_index
        self.total = int(whole.num_nodes or 0)
        self.nodes = _places({one: int(self.data[one].num_nodes) for one in self.data.node_types})
        self.edges = _places({one: int(self.data[one].num_edges) for one in self.data.edge_types})

    def explain(self, name: str, node: int, **options: Any) -> HeteroExplanation:
        """One of :data:`METHODS` for one node and the class that the model predicts.

        Returns:
            Of each node type ``node_mask`` [n, F] and ``n_id`` [n], of each edge type ``edge_mask``
            [e], ``e_id`` [e] and ``edge_index`` [2, e] local to ``n_id``, those of the cut;
            ``index``, the node's place in the ``n_id`` of ``node_type``.
        """
        cut = self.cut(node)
        masks = dict(zip(cut.asked, getattr(self, f"_{name}")(cut, **options), strict=True))
        explanation = HeteroExplanation()
        explanation.node_type, explanation.index = self.node_type, torch.tensor(cut.place)
        for node_type, n_id in cut.n_id.items():
            explanation[node_type].n_id = n_id
            mask = masks.get(node_type, cut.x[node_type])  # a type without a node has no score
            explanation[node_type].node_mask = mask.detach()
        for edge_type, e_id in cut.e_id.items():
            explanation[edge_type].e_id = e_id
            explanation[edge_type].edge_index = cut.edge_index[edge_type]
            mask = masks.get(edge_type, self.data[self.node_type].x.new_zeros(len(e_id)))
            explanation[edge_type].edge_mask = mask.detach()
        return explanation

    def cut(self, node: int) -> HeteroCut:
        """The k-hop subgraph of a node, of all types."""
        subset, _, _, inside = k_hop_subgraph(
            node + self.nodes[self.node_type].start,
            self.hops,
            self.edge_index,
            num_nodes=self.total,
        )
        n_id = {
            name: subset[(subset >= place.start) & (subset < place.stop)] - place.start
            for name, place in self.nodes.items()
        }
        e_id = {
            name: inside[place.start : place.stop].nonzero().view(-1)
            for name, place in self.edges.items()
        }
        return HeteroCut(self, n_id, e_id, node)


class HeteroCut(Inputs):
    """A node's computation graph, and the explained output as a function of its inputs.

    Args:
        by_hand: Model and graph.
        n_id: Of each node type, [n] nodes.
        e_id: Of each edge type, [e] edges.
        node: The explained one.

    Attributes:
        asked: The types that have inputs, in their order: those without a node or an edge do not.
    """

    def __init__(
        self,
        by_hand: HeteroByHand,
        n_id: Mapping[str, Tensor],
        e_id: Mapping[EdgeType, Tensor],
        node: int,
    ) -> None:
        self.n_id, self.e_id, self.model = n_id, e_id, by_hand.model
        self.node_type = by_hand.node_type
        data = by_hand.data
        self.x = {name: data[name].x[own] for name, own in n_id.items()}
        self.edge_index = {
            (source, relation, target): torch.stack(
                [
                    torch.searchsorted(n_id[one], ends)
                    for one, ends in zip(
                        (source, target),
                        data[source, relation, target].edge_index[:, own],
                        strict=True,
                    )
                ]
            )
            for (source, relation, target), own in e_id.items()
        }
        self.target = by_hand.targets[node]
        self.place = int(torch.searchsorted(n_id[self.node_type], node))
        self.asked: list[str | EdgeType] = [
            *(name for name, own in n_id.items() if len(own)),
            *(name for name, own in e_id.items() if len(own)),
        ]
        self._blocks: dict[int, dict[EdgeType, Tensor]] = {}

    def inputs(self) -> tuple[Tensor, ...]:
        """Features [1, n, F] of each node type, masks over messages [1, e] of each edge type."""
        like = self.x[self.node_type]
        return tuple(
            self.x[one][None] if isinstance(one, str) else like.new_ones(1, len(self.e_id[one]))
            for one in self.asked
        )

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The explained output [B] of inputs with B rows each."""
        count = len(inputs[0])
        if count not in self._blocks:
            block = torch.arange(count, device=inputs[0].device)[:, None]
            steps = {name: len(own) * block for name, own in self.n_id.items()}
            self._blocks[count] = {
                name: torch.stack(
                    [
                        (ends + steps[one]).flatten()
                        for one, ends in zip((name[0], name[2]), index, strict=True)
                    ]
                )
                for name, index in self.edge_index.items()
            }
        edge_index = self._blocks[count]
        given = dict(zip(self.asked, inputs, strict=True))
        x = {
            name: given[name].flatten(0, 1) if name in given else own
            for name, own in self.x.items()
        }
        masks = {name: given[name].flatten() for name in edge_index if name in given}
        set_hetero_masks(self.model, masks, edge_index, apply_sigmoid=False)
        try:
            output = self.model(x, edge_index)
        finally:
            clear_masks(self.model)
        return output.view(count, len(self.n_id[self.node_type]), -1)[:, self.place, self.target]


def refusal(model: nn.Module, data: HeteroData) -> str:
    """Why a model and a graph are not among those that are done by hand, or ``""``."""
    for store in data.edge_stores:
        if store.get("edge_weight") is not None or store.get("edge_attr") is not None:
            return "its edges have weights or attributes"
    if any(isinstance(part, GCNConv) and part.normalize for part in model.modules()):
        return "its GCNConv layers need degrees of the whole graph"
    found = {id(part) for part in model.modules() if isinstance(part, MessagePassing)}
    # As `set_hetero_masks` looks for them: others would get no mask.
    by_type = {
        id(inner)
        for part in model.modules()
        if isinstance(part, nn.ModuleDict)
        for edge_type in data.edge_types
        for key in (edge_type, "__".join(edge_type))
        if key in part
        for inner in part[key].modules()
    }
    if not found or found - by_type:
        return "its layers are not one for each edge type"
    return ""


def _places(sizes: Mapping[Any, int]) -> dict[Any, slice]:
    """Where each type begins and ends, if all are numbered through."""
    found, start = {}, 0
    for name, size in sizes.items():
        found[name] = slice(start, start + size)
        start += size
    return found
