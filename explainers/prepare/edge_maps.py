"""Which edge of the data each message of a layer belongs to: verified by a look at a pass.

PyG multiplies an edge mask onto a layer's messages by position. Layers put self loops behind the
edges, and a model may sort, turn round, merge or drop edges before a layer sees them; then the
positions mean other edges. So the edges that each layer is given are recorded and compared with
those of the data, and where that leaves a choice, also with those of the data after half of the
edges have been deleted: what happens to an edge that is not there says which one it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.nn import GCNConv, MessagePassing

from explainers.prepare.copies import ModelCopy
from explainers.prepare.outputs import alike

ALONE = -1  # a message that belongs to no edge of the data: of a self loop that a layer adds


@dataclass(frozen=True)
class Call:
    """One time that a layer sent messages.

    Attributes:
        layer: Its number.
        edge_index: [2, L], the edges along which it did.
        norm: [L], the weights that it had by then, or None.
        given: Whether the model handed it the data's own edges.
        weight: [E], the edge weights that the model handed to a GCNConv, or None.
    """

    layer: int
    edge_index: Tensor
    norm: Tensor | None
    given: bool
    weight: Tensor | None


@contextmanager
def recorded(copy: ModelCopy, edge_index: Tensor) -> Iterator[list[Call]]:
    """Inside, what the layers of a copy are given; ``edge_index`` are the edges of the data."""
    calls: list[Call] = []
    direct: dict[int, bool] = {}
    weights: dict[int, Tensor | None] = {}

    def entering(number: int) -> Callable[..., None]:
        def note(layer: MessagePassing, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
            tensors = [value for value in [*args, *kwargs.values()] if isinstance(value, Tensor)]
            direct[number] = any(_same_tensor(tensor, edge_index) for tensor in tensors)
            weights[number] = None
            if isinstance(layer, GCNConv):
                weights[number] = kwargs.get("edge_weight", args[2] if len(args) > 2 else None)

        return note

    def sending(number: int) -> Callable[..., None]:
        def note(layer: MessagePassing, inputs: tuple[Any, ...]) -> None:
            edges, _, kwargs = inputs
            if not isinstance(edges, Tensor) or edges.layout != torch.strided:
                raise ValueError(
                    f"layer {type(layer).__name__} sends messages along {type(edges).__name__}, "
                    "not along edge_index: a mask over the edges has no place there; call the "
                    "model with a dense edge_index [2, E]"
                )
            norm = kwargs.get("edge_weight")
            norm = norm if isinstance(norm, Tensor) and norm.shape == edges.shape[1:] else None
            calls.append(Call(number, edges, norm, direct.get(number, False), weights.get(number)))

        return note

    handles = []
    for number, layer in enumerate(copy.layers):
        handles.append(layer.register_forward_pre_hook(entering(number), with_kwargs=True))
        handles.append(layer.register_propagate_forward_pre_hook(sending(number)))
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class Sum:
    """What the messages added up to, one time that a layer sent some.

    Attributes:
        layer: Its number.
        edges: A number that other edges, or the same in another order, hardly have.
        rows: [n], a number for each node that other sums hardly have; None if they are no tensor.
    """

    layer: int
    edges: int
    rows: Tensor | None


@contextmanager
def summed(copy: ModelCopy) -> Iterator[list[Sum]]:
    """Inside, what the messages of a copy's layers add up to, as far as it takes to compare it."""
    sums: list[Sum] = []

    def sent(number: int) -> Callable[..., None]:
        def note(layer: MessagePassing, inputs: tuple[Any, ...], output: Any) -> None:
            source, target = inputs[0]
            place = torch.arange(1, len(source) + 1, device=source.device)
            edges = int(((source * 1_000_003 + target) * place).sum())  # may wrap around: exact
            rows = None
            if isinstance(output, Tensor) and output.is_floating_point():
                flat = output.flatten(1)
                generator = torch.Generator().manual_seed(0)
                direction = torch.rand(flat.size(1), generator=generator) + 0.5
                rows = flat @ direction.to(flat)
            sums.append(Sum(number, edges, rows))

        return note

    handles = [
        layer.register_propagate_forward_hook(sent(number))
        for number, layer in enumerate(copy.layers)
    ]
    try:
        yield sums
    finally:
        for handle in handles:
            handle.remove()


def same_sums(some: list[Sum], others: list[Sum]) -> bool:
    """Whether two passes had the same messages; up to rounding where a device rounds by chance."""
    return len(some) == len(others) and all(
        (one.layer, one.edges) == (other.layer, other.edges)
        and one.rows is not None
        and other.rows is not None
        and one.rows.shape == other.rows.shape
        and (
            torch.equal(one.rows, other.rows)
            or (one.rows.device.type != "cpu" and alike(one.rows[:, None], other.rows[:, None]))
        )
        for one, other in zip(some, others, strict=True)
    )


def _same_tensor(one: Tensor, other: Tensor) -> bool:
    return one is other or (
        one.dtype == other.dtype and one.shape == other.shape and one.data_ptr() == other.data_ptr()
    )


@dataclass(frozen=True)
class EdgeMap:
    """How a layer's messages follow from the edges that the model is given.

    Attributes:
        loops: Whether the layer takes self loops out of the edges and puts one of each node behind.
        order: ``""``, or ``"row"`` or ``"col"`` if the edges are sorted first.
        reverse: Whether they are turned round.
        relation: The edge type whose edges they are, in their order; None if they are all.
    """

    loops: bool = False
    order: str = ""
    reverse: bool = False
    relation: int | None = None

    @property
    def plain(self) -> bool:
        """Whether the positions are those of the edges, up to loops behind them."""
        return not (self.order or self.reverse) and self.relation is None

    def positions(self, edge_index: Tensor, num_nodes: int, edge_type: Tensor | None) -> Tensor:
        """Of each message the position of its edge in ``edge_index`` [2, E], or ``ALONE``."""
        number = torch.arange(edge_index.size(1), device=edge_index.device)
        if self.relation is not None:
            assert edge_type is not None
            number = (edge_type.view(-1) == self.relation).nonzero().view(-1)
        if self.order:
            number = number[_sorted(edge_index[:, number], self.order == "row", num_nodes)]
        if self.loops:
            number = number[edge_index[0, number] != edge_index[1, number]]
            number = torch.cat([number, number.new_full((num_nodes,), ALONE)])
        return number

    def edges(self, edge_index: Tensor, num_nodes: int, edge_type: Tensor | None) -> Tensor:
        """The edges [2, L] that the layer then has."""
        positions = self.positions(edge_index, num_nodes, edge_type)
        own = positions == ALONE
        edges = (
            edge_index[:, positions.clamp(min=0)] if edge_index.size(1) else positions.expand(2, -1)
        )
        edges = edges.flip(0) if self.reverse else edges.clone()
        if self.loops:
            edges[:, own] = torch.arange(num_nodes, device=edges.device).expand(2, -1)
        return edges


def _sorted(edge_index: Tensor, by_row: bool, num_nodes: int) -> Tensor:
    major, minor = edge_index if by_row else edge_index.flip(0)
    return (major * num_nodes + minor).argsort(stable=True)


def candidates(call: Call, turn: int, relations: int) -> Iterator[EdgeMap]:
    """What a layer may do to its edges, the usual first.

    Args:
        call: The call.
        turn: How many times the layer has sent messages before in this pass.
        relations: How many edge types there are, or 0.
    """
    if relations:
        yield EdgeMap(relation=turn % relations)
        yield EdgeMap(relation=turn % relations, loops=True)
    changes = (
        [("", False)] if call.given else [("", False), ("", True), ("row", False), ("col", False)]
    )
    for order, reverse in changes:
        for loops in (False, True):
            yield EdgeMap(loops=loops, order=order, reverse=reverse)


def fitting(
    call: Call,
    maps: Sequence[EdgeMap],
    edge_index: Tensor,
    num_nodes: int,
    edge_type: Tensor | None,
) -> list[EdgeMap]:
    """Those of ``maps`` that give the edges of the call."""
    found = []
    for one in maps:
        edges = one.edges(edge_index, num_nodes, edge_type)
        if edges.shape == call.edge_index.shape and torch.equal(edges, call.edge_index):
            found.append(one)
    return found


def explain_misfit(layer: MessagePassing, call: Call, edge_index: Tensor) -> str:
    """Why a mask over the edges of the data has no place on the messages of a layer."""
    name, given, own = type(layer).__name__, edge_index.size(1), call.edge_index.size(1)
    what = (
        f"{own} of the {given} edges: the model drops or merges edges before it (pooling, coalesce)"
        if own < given
        else f"{own} edges for the {given} of the data, in another order or others"
    )
    return (
        f"layer {name} sends messages along {what}; scores would land on other edges. Change the "
        "edges before the model is called and explain it on those, or pool with a dense method"
    )
