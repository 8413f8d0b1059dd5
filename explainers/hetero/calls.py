"""Which edges of which type each message of a layer belongs to: verified by a look at a pass.

Layers of heterogeneous models send messages along the edges of one type (``HeteroConv``,
``to_hetero``, ``HANConv``), or of all types, one after the other, with nodes numbered through in
some way (``HGTConv``, or an ``RGCNConv`` after the types were merged). The edges that each call was
given are compared with those of the data; where that leaves a choice, also after half of the edges
have been deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from torch_geometric.nn import MessagePassing

from explainers.hetero.layout import Layout
from explainers.hetero.schema import EdgeType
from explainers.prepare.copies import ModelCopy, others_refused
from explainers.prepare.edge_maps import recorded


@dataclass(frozen=True)
class CallMap:
    """What the messages of one call are of.

    Attributes:
        types: The edge types, by number, whose edges they are, one after the other.
        loops: Whether self loops that the layer adds come behind them.
    """

    types: tuple[int, ...]
    loops: bool = False

    def mask(self, layout: Layout, by_type: Sequence[Tensor]) -> Tensor:
        """Factors for the messages of this call, of masks by type; 1 for the layer's loops."""
        parts = [by_type[number] for number in self.types]
        if self.loops:
            parts.append(parts[0].new_ones(layout.count * self._nodes(layout)))
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _nodes(self, layout: Layout) -> int:
        if len(self.types) == 1:
            return layout.sizes[layout.schema.ends(self.types[0])[0]]
        return sum(layout.sizes)


def call_maps(
    copy: ModelCopy, name: str, x: Tensor, layout: Layout
) -> tuple[list[list[CallMap]], Tensor]:
    """Of each layer, for each time it sends messages, which edges those are of; and the output.

    Raises:
        ValueError: A layer's messages belong to no edges of the data, or may belong to several.
    """
    for layer in copy.layers:
        if layer.flow != "source_to_target":
            raise ValueError(
                f"layer {type(layer).__name__} of model {name} has flow={layer.flow!r}; only "
                "'source_to_target' can be explained: turn edge_index around instead"
            )
    calls, output = _recorded(copy, name, x, layout)
    fits = [list(_candidates(edges, layout)) for _, edges in calls]
    if any(len(found) > 1 for found in fits):
        generator = torch.Generator().manual_seed(0)
        kept = torch.rand(1, len(layout.graphs.e_id), generator=generator) < 0.5
        part = Layout(
            layout.schema, layout.graphs, layout.inputs, kept=kept.to(layout.graphs.e_id.device)
        )
        again, _ = _recorded(copy, name, x, part)
        same = [number for number, _ in again] == [number for number, _ in calls]
        fits = [
            [one for one in _candidates(edges, part) if one in found] if same else []
            for (_, edges), found in zip(again, fits, strict=False)
        ]
    maps: list[list[CallMap]] = [[] for _ in copy.layers]
    for (number, edges), found in zip(calls, fits, strict=True):
        layer = copy.layers[number]
        exempt = layer.explain is False or not edges.size(1)
        if len(found) != 1 and not exempt:
            raise ValueError(_misfit(layer, edges, layout, len(found)))
        maps[number].append(found[0] if found and edges.size(1) else CallMap(()))
    return maps, output


def _recorded(
    copy: ModelCopy, name: str, x: Tensor, layout: Layout
) -> tuple[list[tuple[int, Tensor]], Tensor]:
    nothing = x.new_empty(2, 0)
    own = others_refused(copy, name)
    with torch.no_grad(), own, recorded(copy, nothing) as calls:
        output = run(copy, x[None], layout)
    return [(call.layer, call.edge_index) for call in calls], output


def run(copy: ModelCopy, x: Tensor, layout: Layout, masks: object = None) -> Tensor:
    """The model's output for features [B, n, F] of a layout."""
    # The copy's model takes dictionaries where others take tensors.
    features: object = layout.features(x)
    edges: object = layout.edge_index
    inputs: Mapping[str, object] = layout.inputs
    return copy.run(features, edges, inputs, masks)  # type: ignore[arg-type]


def _candidates(edges: Tensor, layout: Layout) -> Iterator[CallMap]:
    """What the edges [2, L] of a call may be."""
    schema = layout.schema
    own = list(layout.edge_index.values())
    for number, edge_index in enumerate(own):
        if edges.size(1) and edges.data_ptr() == edge_index.data_ptr():
            yield CallMap((number,))  # the very tensor: nothing else can be meant
            return
    starts = list(accumulate(layout.sizes, initial=0))
    sources = [layout.sizes[schema.ends(number)[0]] for number in range(len(own))]
    by_edge_type = list(accumulate(sources, initial=0))
    for number, edge_index in enumerate(own):
        source, target = schema.ends(number)
        here = edges.new_tensor([[starts[source]], [starts[target]]])
        if any(_same(edges, edge_index + shift) for shift in (0 * here, here)):
            yield CallMap((number,))
        if source == target and _same(edges, _with_loops(edge_index, layout.sizes[source])):
            yield CallMap((number,), loops=True)
    if len(own) == 1:
        return
    every = tuple(range(len(own)))
    numbered, stacked = [], []
    for number, edge_index in enumerate(own):
        source, target = schema.ends(number)
        numbered.append(edge_index + edges.new_tensor([[starts[source]], [starts[target]]]))
        # HGTConv has a row for each node and each edge type that it sends along.
        stacked.append(edge_index + edges.new_tensor([[by_edge_type[number]], [starts[target]]]))
    merged = torch.cat(numbered, dim=1)
    if _same(edges, merged) or _same(edges, torch.cat(stacked, dim=1)):
        yield CallMap(every)
    if _same(edges, _with_loops(merged, starts[-1])):
        yield CallMap(every, loops=True)


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other)


def _with_loops(edge_index: Tensor, nodes: int) -> Tensor:
    if bool((edge_index[0] == edge_index[1]).any()):
        return edge_index.new_empty(2, 0)  # loops that the layer would replace: refused
    own = torch.arange(nodes, device=edge_index.device).expand(2, -1)
    return torch.cat([edge_index, own], dim=1)


def _misfit(layer: MessagePassing, edges: Tensor, layout: Layout, found: int) -> str:
    """Why a mask over the edges of the data has no place on the messages of a layer."""
    sizes: dict[EdgeType, int] = {
        name: edge_index.size(1) for name, edge_index in layout.edge_index.items()
    }
    what = (
        f"along {edges.size(1)} edges that may be those of {found} types"
        if found
        else f"along {edges.size(1)} edges that are neither those of one edge type nor of all in "
        f"the order of the data ({sizes})"
    )
    return (
        f"layer {type(layer).__name__} sends messages {what}: scores would land on other edges. "
        "Change the edges before the model is called, take out self loops that a layer replaces "
        "with torch_geometric.utils.remove_self_loops, and hand each layer the edges as they are"
    )
