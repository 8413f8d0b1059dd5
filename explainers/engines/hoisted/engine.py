"""The engine: which models it takes, and how many nodes share a pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from explainers.engines import batched
from explainers.engines.base import Engine, NotTheModel, groups
from explainers.engines.batched import BatchedProblem
from explainers.engines.hoisted.first import FirstHop, find, serves
from explainers.engines.hoisted.problem import EDGE_BYTES, HoistedProblem, variant_bytes
from explainers.engines.hoisted.ways import WAYS, ways
from explainers.prepare.computation_graph import reach
from explainers.prepare.model import PreparedModel

# Where gradients are compared: two points of the path, with weights that tell them apart.
POINTS, WEIGHTS = (0.5, 1.0), (0.25, 1.0)
NODE_BYTES = 20 * 8  # some 20 whole numbers for an edge and its source


class Hoisted(Engine):
    """The first message passing once for the graph, the rest of the model on fewer hops."""

    name = "hoisted"
    takes_passes = False
    general = False

    def gains(self, prepared: PreparedModel, along_path: bool) -> bool:
        """A few variants go through all of a small graph quicker than in two parts."""
        return along_path or prepared.task_level != "graph"

    def problems(
        self,
        prepared: PreparedModel,
        nodes: Tensor,
        targets: Tensor,
        memory_budget: int,
        copies: int = 1,
        most: int | None = None,
    ) -> Iterator[HoistedProblem]:
        """Problems of as many nodes as fit into the budget ``copies`` times."""
        if len(nodes) == 1:
            yield make_problem(prepared, nodes, targets, memory_budget)
            return
        costs = bytes_per_unit(prepared, copies)[nodes.cpu()]
        for group in groups(costs, memory_budget, most):
            yield make_problem(prepared, nodes[group], targets[group], memory_budget)

    def refusal(self, prepared: PreparedModel) -> str | None:
        """Why the engine cannot explain this model on this graph, or None if it can.

        The first message passing is evaluated, and the rest of the model run behind it, on all
        nodes; scores of a few nodes are compared with those of whole computation graphs; once.
        For other links of the same graph, the rest alone is run again.
        """
        return prepared.memo("hoisted: refusal", lambda: _refusal_of_links(prepared))


def first_hop(prepared: PreparedModel) -> FirstHop | str:
    """The model's first message passing, or why it cannot be taken out; found once."""
    return prepared.memo("hoisted: first hop", lambda: find(prepared), of_graph=True)


def bytes_per_unit(prepared: PreparedModel, copies: int) -> Tensor:
    """Roughly what an explanation of each node takes, [N]: the dearer of two ways to it.

    Along a path, ``copies`` passes of the rest, and the answer. By inputs that lie on no path, one
    variant of the widest hop (more of them share a pass only as far as ``HoistedProblem.copies``
    says), the answer, and the explanation's own copy of it.
    """
    first = first_hop(prepared)
    assert isinstance(first, FirstHop), first
    answer = prepared.x.size(1) * prepared.x.element_size() + NODE_BYTES
    variant = variant_bytes(prepared, first) + EDGE_BYTES
    if prepared.task_level == "graph":
        inner = whole = prepared.batch_index.sizes().cpu()
    else:
        hops = prepared.hops
        inner = prepared.size_bound(hops - 1) if hops > 1 else torch.zeros(prepared.units)
        whole = prepared.size_bound(hops)
    rest = (inner + 1) * prepared.bytes_per_edge
    along_path = copies * rest + (whole + 1) * answer
    return torch.maximum(along_path, rest + (whole + 1) * (variant + 2 * answer))


def make_problem(
    prepared: PreparedModel, nodes: Tensor, targets: Tensor, memory_budget: int
) -> HoistedProblem:
    """One problem of ``nodes`` [R]."""
    first = first_hop(prepared)
    assert isinstance(first, FirstHop), first
    if prepared.task_level == "graph":
        found = prepared.batch_index.reach(prepared.index, nodes)
    else:
        found = reach(prepared.index, prepared.roots(nodes), prepared.hops)
    return HoistedProblem(prepared, first, found, nodes, targets, memory_budget)


def _refusal_of_links(prepared: PreparedModel) -> str | None:
    """Why not; what is known of the graph from other links is only taken if it holds for these."""

    def looked() -> tuple[str | None, Tensor | None]:
        return _refusal(prepared), prepared.links

    reason, links = prepared.memo("hoisted: refusal", looked, of_graph=True)
    if links is prepared.links:
        return reason
    first = first_hop(prepared)
    if reason is None and isinstance(first, FirstHop) and not serves(prepared, first):
        prepared.alone()
        return _refusal(prepared)
    return reason


def _refusal(prepared: PreparedModel, *, part: bool = False) -> str | None:
    if not prepared.x.is_floating_point() or not prepared.trial.features or prepared.trial.error:
        return "its features are not differentiable"
    if prepared.half_precision:
        return "it computes in half precision"
    if reason := batched.Batched().refusal(prepared):
        return reason
    first = first_hop(prepared)
    if isinstance(first, str):
        return first
    nodes = batched.sample(prepared)[-2:]
    if not len(nodes) and not part:
        return _refusal_on_part(prepared)
    if not len(nodes):  # even the smallest computation graph is large: one pass has to do
        nodes = prepared.bytes_per_unit.argmin().view(1).to(prepared.x.device)
    reason = _compared(prepared, nodes)
    now = ways(prepared, first)
    if reason and now.few:  # layers may be joined by their rows without an error
        prepared.replace(WAYS, replace(now, few=False), of_graph=True)
        reason = _compared(prepared, nodes)
    return reason


def _refusal_on_part(prepared: PreparedModel) -> str | None:
    """As :func:`_refusal`, where even the smallest computation graph is too large for gradients.

    What gradients are compared for is in the model's code, and shows on a part of the graph, too.
    """
    try:
        part = prepared.on_part(batched.some_edges(prepared))
    except ValueError as error:
        return f"gradients cannot be compared on a part of the graph: {error}"
    if reason := _refusal(part, part=True):
        return f"on a part of the graph, {reason}"
    first, other = first_hop(prepared), first_hop(part)
    assert isinstance(first, FirstHop)
    assert isinstance(other, FirstHop)
    if not ways(part, other).few:
        prepared.replace(WAYS, replace(ways(prepared, first), few=False), of_graph=True)
    return None


def _compared(prepared: PreparedModel, nodes: Tensor) -> str | None:
    """How the explanations of ``nodes`` differ from those by whole computation graphs, if so."""
    targets = prepared.output.index_select(0, nodes).argmax(dim=1)
    hoisted = make_problem(prepared, nodes, targets, memory_budget=1)
    whole = BatchedProblem(prepared, hoisted.graphs, nodes, targets, memory_budget=1)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            hoisted.verify()
            one = hoisted.path_gradients(POINTS, WEIGHTS, _as_they_are)
            other = whole.path_gradients(POINTS, WEIGHTS, _as_they_are)
    except NotTheModel as error:
        return f"its predictions without the first message passing differ: {error}"
    tolerance = 1e-7 if prepared.output.dtype == torch.float64 else 1e-2
    for mine, theirs in ((one.node_mask, other.node_mask), (one.edge_mask, other.edge_mask)):
        size = float(theirs.abs().max()) if theirs.numel() else 0.0
        if mine.numel() and float((mine - theirs).abs().max()) > tolerance * size:
            return "gradients do not reach its first layer as its outputs say (detached values)"
    return None


def _as_they_are(gradient: Tensor, x: Tensor, out: Tensor) -> None:
    """A :data:`Finish` that leaves gradients as they are."""
    out.copy_(gradient)
