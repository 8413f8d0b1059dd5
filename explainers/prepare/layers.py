"""What is known of layers and of their edge-level inputs."""

from __future__ import annotations

from torch import Tensor
from torch_geometric.nn import GCNConv, MessagePassing
from torch_geometric.utils import add_remaining_self_loops


def edge_type(inputs: dict[str, Tensor]) -> Tensor | None:
    """The relation of each edge [E] among edge-level inputs: whole numbers, one for each."""
    for name in ("edge_type", "edge_attr"):
        value = inputs.get(name)
        if value is not None and not value.is_floating_point() and value.numel() == len(value):
            return value.view(-1)
    return None


def is_normalised(layer: MessagePassing) -> bool:
    """Whether the layer weighs edges by degrees, which a cut graph would get wrong."""
    return isinstance(layer, GCNConv) and bool(layer.normalize)


def raw_weights(
    layer: GCNConv, edge_index: Tensor, weight: Tensor | None, x: Tensor
) -> tuple[Tensor, Tensor]:
    """What a GCNConv normalises for ``weight`` [E]: weights of edges [E'] and its loops."""
    nodes, index = x.size(0), edge_index
    if layer.add_self_loops:
        # With the graph's loops still there: GCNConv lets them keep their weights.
        fill = 2.0 if layer.improved else 1.0
        index, weight = add_remaining_self_loops(index, weight, fill, nodes)
    if weight is None:  # as in gcn_norm: without weights, `improved` changes nothing
        weight = x.new_ones(index.size(1))
    edges = index.size(1) - bool(layer.add_self_loops) * nodes
    return weight[:edges], weight[edges:]


def normalise(
    edges: Tensor, loops: Tensor, edge_index: Tensor, degree: Tensor
) -> tuple[Tensor, Tensor]:
    """Weights of edges [..., E] and self loops ([N] or [0]), over the roots of both degrees.

    ``degree`` is [..., N]; so are the loops of the result, if there are any.
    """
    scale = degree.pow(-0.5)
    scale = scale.masked_fill(scale.isinf(), 0)
    edges = scale[..., edge_index[0]] * edges * scale[..., edge_index[1]]
    return edges, loops * scale * scale if len(loops) else loops
