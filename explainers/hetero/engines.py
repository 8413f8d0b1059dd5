"""The engines of heterogeneous graphs, under the names of those that they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from torch import Tensor

from explainers.engines.base import Engine, NotTheModel, groups
from explainers.hetero.prepared import PreparedHetero
from explainers.hetero.problems import BatchedHetero, HeteroProblem, StockHetero
from explainers.prepare.model import PreparedModel

CHECKED = 4  # nodes, from small computation graphs to large ones, that are compared at first
CHECKED_BYTES = 32 * 2**20


class _Homogeneous(Engine):
    """In the place of an engine that knows layers of one type only."""

    general = False

    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]  # of the class elsewhere, here of each

    def refusal(self, prepared: PreparedModel) -> str | None:
        return "it computes homogeneous graphs only"

    def problems(
        self,
        prepared: PreparedModel,
        nodes: Tensor,
        targets: Tensor,
        memory_budget: int,
        copies: int = 1,
        most: int | None = None,
    ) -> Iterator[HeteroProblem]:
        raise NotImplementedError


class Batched(Engine):
    """Computation graphs in place of the whole graph, many in a pass."""

    name = "batched"
    explains_forms = True

    def problems(
        self,
        prepared: PreparedModel,
        nodes: Tensor,
        targets: Tensor,
        memory_budget: int,
        copies: int = 1,
        most: int | None = None,
    ) -> Iterator[BatchedHetero]:
        """Problems of as many nodes as fit into the budget ``copies`` times."""
        own = cast(PreparedHetero, prepared)
        costs = own.bytes_per_unit[nodes.cpu()] * copies
        for group in groups(costs, memory_budget, most):
            yield BatchedHetero(own, nodes[group], targets[group], memory_budget)

    def refusal(self, prepared: PreparedModel) -> str | None:
        """Why not, or None.

        Predictions on cut graphs are compared with those on the whole graph, here for a few nodes,
        also at other features and masks; and again for whichever nodes are explained.
        """
        return prepared.memo("batched: refusal", lambda: _refusal(cast(PreparedHetero, prepared)))


def _refusal(prepared: PreparedHetero) -> str | None:
    if prepared.beyond:
        return prepared.beyond
    order = prepared.bytes_per_unit.argsort()
    affordable = int((prepared.bytes_per_unit <= CHECKED_BYTES / CHECKED).sum())
    places = [i * (affordable - 1) // (CHECKED - 1) for i in range(CHECKED)] if affordable else []
    if not places:
        return None
    nodes = order[places].unique().to(prepared.x.device)
    problem = BatchedHetero(prepared, nodes, nodes * 0, memory_budget=1)
    try:
        problem.verify()
        problem.check_elsewhere()
    except NotTheModel as error:
        return str(error)
    return None


class Stock(Engine):
    """Captum and PyG as published: the whole graph, one node and one pass at a time."""

    name = "stock"
    explains_forms = True
    as_published = True

    def problems(
        self,
        prepared: PreparedModel,
        nodes: Tensor,
        targets: Tensor,
        memory_budget: int,
        copies: int = 1,
        most: int | None = None,
    ) -> Iterator[StockHetero]:
        """One problem for each node."""
        own = cast(PreparedHetero, prepared)
        for node, target in zip(nodes.split(1), targets.split(1), strict=True):
            yield StockHetero(own, node, target, memory_budget)

    def refusal(self, prepared: PreparedModel) -> str | None:
        """None: it explains whatever a :class:`PreparedHetero` can be made of."""
        return None


ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (_Homogeneous("analytic"), _Homogeneous("hoisted"), Batched(), Stock())
}
