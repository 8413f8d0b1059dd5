"""How the rest of a model is run, as far as it is known what it takes."""

from __future__ import annotations

from dataclasses import dataclass

from explainers.engines.hoisted.first import FirstHop
from explainers.prepare.model import PreparedModel

WAYS = "hoisted: ways of the rest"


@dataclass(frozen=True)
class Ways:
    """How the rest of a model is run: the quickest way until a pass shows that it needs another.

    Attributes:
        few: With fewer rows from layer to layer; see :class:`explainers.engines.inner.Inner`.
        clone: With a copy of the first layer's value, for a model that writes to it.
    """

    few: bool
    clone: bool = False


def ways(prepared: PreparedModel, first: FirstHop) -> Ways:
    """How the rest is run, as far as it is known what it takes."""

    def at_first() -> Ways:
        upper = {number for number, turns in enumerate(prepared.maps) if turns}
        once = len(prepared.maps[first.point.layer]) == 1
        fused = upper - {first.point.layer} <= first.fused.keys()
        return Ways(few=prepared.task_level != "graph" and once and fused)

    return prepared.memo(WAYS, at_first, of_graph=True)
