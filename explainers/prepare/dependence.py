"""On which nodes a prediction depends: verified, not counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from explainers.prepare import layers as known
from explainers.prepare.outputs import alike, distance

if TYPE_CHECKING:
    from explainers.prepare.model import PreparedModel

SMALL = 32 * 2**20  # bytes of a pass with gradients over the whole graph
POOL, VIEWS = 32, 8  # units among which to look from, and from how many
DISTURBED = 8  # nodes that are changed to see who depends on them
_SEED = 0


def looks_beyond(prepared: PreparedModel) -> str:
    """Why a prediction depends on more than the messages that reach it, or ``""``."""
    if any(one.reverse for turns in prepared.maps for one in turns):
        return "one of its layers sends messages against the direction of the edges"
    found = _by_gradients(prepared) if _affordable(prepared) else None
    return _by_disturbance(prepared) if found is None else found


def _affordable(prepared: PreparedModel) -> bool:
    """Whether a pass with gradients over the whole graph is small."""
    entries = prepared.given[0].size(1) * prepared.bytes_per_edge
    return entries <= SMALL and prepared.x.is_floating_point()


def _by_gradients(prepared: PreparedModel) -> str | None:
    """Looks from a few units at all nodes: outside of their computation graphs, no gradient.

    None if there is nothing to see: these are all of the graph, or there are no gradients.
    """
    edge_index, inputs = prepared.given
    generator = torch.Generator().manual_seed(_SEED)
    views = _views(prepared)
    x = prepared.x.detach().clone().requires_grad_()
    weights = torch.rand(prepared.output.size(1), generator=generator).to(prepared.output) + 0.5
    seen = False
    try:
        with torch.enable_grad(), prepared.borrowed() as copy:
            output = copy.run(x, edge_index, prepared.with_batch(inputs)) @ weights
            for unit, outside in views:
                (found,) = torch.autograd.grad(
                    output[unit], x, retain_graph=True, materialize_grads=True
                )
                size = found.abs().amax(dim=1)
                seen = seen or bool(size.any())
                beyond = (size > float(size.max()) * 1e-12) & outside
                if bool(beyond.any()):
                    return (
                        f"the prediction for {prepared.task_level} {unit} depends on node "
                        f"{int(beyond.nonzero()[0])}, which sends no message to it: some layer "
                        "depends on more than the messages into each node"
                    )
    except Exception:
        return None  # whether gradients can be had is asked elsewhere
    return "" if seen else None


def _views(prepared: PreparedModel) -> list[tuple[int, Tensor]]:
    """A few units, and the nodes outside of the computation graph of each, bool [N].

    Chosen so that together they look at as many nodes from outside as they can.
    """
    units = prepared.bytes_per_unit.argsort()[:POOL].to(prepared.x.device)
    graphs = prepared.cut(units)
    outside = torch.ones(len(units), prepared.num_nodes, dtype=torch.bool, device=units.device)
    outside[graphs.node_batch, graphs.n_id] = False
    views: list[tuple[int, Tensor]] = []
    left = torch.ones(prepared.num_nodes, dtype=torch.bool, device=units.device)
    rest = outside.any(dim=1)
    while len(views) < VIEWS and bool(rest.any()):
        # First who sees what nobody has seen yet, then others as well: each has hops of its own.
        new = (outside & left).sum(dim=1).masked_fill(~rest, -1)
        best = int(new.argmax())
        views.append((int(units[best]), outside[best]))
        left &= ~outside[best]
        rest[best] = False
    return views


def _by_disturbance(prepared: PreparedModel) -> str:
    """Looks at a few nodes from all units: whom they do not reach must keep its output."""
    generator = torch.Generator().manual_seed(_SEED)
    disturbed, untouched = _choose(prepared, generator)
    if not bool(untouched.any()):
        return ""
    output = _disturbed_output(prepared, disturbed, generator)
    if alike(output[untouched], prepared.output[untouched], prepared.typical):
        return ""
    wrong = distance(output[untouched], prepared.output[untouched])
    return (
        f"its predictions change by {wrong} with nodes that send no message to them: some layer "
        "depends on more than the messages into each node"
    )


def _choose(prepared: PreparedModel, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Nodes to change [N], and units that they do not reach, [U]; both bool."""
    edge_index = prepared.given[0]
    device = edge_index.device
    sends = torch.bincount(edge_index[0], minlength=prepared.num_nodes)
    gets = torch.bincount(edge_index[1], minlength=prepared.num_nodes)
    # Nodes that reach few others leave many to look at; without any edge they say nothing.
    chance = torch.rand(prepared.num_nodes, generator=generator).to(device)
    order = (sends + chance + (sends + gets == 0) * edge_index.size(1)).argsort()
    pool = order[: max(DISTURBED, len(order) // 4)]
    pool = pool[torch.randperm(len(pool), generator=generator).to(device)]
    count = min(DISTURBED, len(pool))
    while True:
        disturbed = torch.zeros(prepared.num_nodes, dtype=torch.bool, device=device)
        disturbed[pool[:count]] = True
        reached = disturbed
        for _ in range(prepared.hops):
            ahead = torch.zeros_like(reached)
            ahead[edge_index[1, reached[edge_index[0]]]] = True
            reached = reached | ahead
        untouched = ~reached
        if prepared.links is not None:
            untouched = untouched[prepared.links].all(dim=0)
        if prepared.task_level == "graph":
            assert prepared.batch is not None
            untouched = torch.ones(prepared.units, dtype=torch.bool, device=device)
            untouched[prepared.batch[disturbed]] = False
        if count == 1 or bool(untouched.any()):
            return disturbed, untouched
        count //= 2


def _disturbed_output(
    prepared: PreparedModel, disturbed: Tensor, generator: torch.Generator
) -> Tensor:
    edge_index, inputs = prepared.given
    noise = torch.randn(prepared.x.shape, generator=generator, dtype=torch.float32)
    noise = noise.to(prepared.output) * max(float(prepared.x.double().abs().max()), 1e-6)
    # Rows of an embedding cannot be moved a little: then features of another node take their place.
    others = prepared.x.roll(1, 0)
    moved = prepared.x + noise.to(prepared.x) if prepared.x.is_floating_point() else others
    factor = torch.rand(edge_index.size(1), generator=generator).to(prepared.output)
    mask = torch.where(disturbed[edge_index[0]], factor, torch.ones_like(factor))
    masks = prepared.masks(mask, edge_index, known.edge_type(inputs), prepared.num_nodes)
    for features in (moved, others):
        x = torch.where(disturbed[:, None], features, prepared.x)
        try:
            with prepared.borrowed() as copy, torch.no_grad():
                return copy.run(x, edge_index, prepared.with_batch(inputs), masks)
        except (IndexError, RuntimeError) as error:
            failure = error
    raise ValueError(
        f"model {prepared.name} fails with the features of other nodes ({failure}): on which nodes "
        "its predictions depend cannot be verified"
    )
