"""The engines by name, and the choice among them: one pure function for all who choose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from torch import Tensor
from torch_geometric.explain import ExplainerAlgorithm, Explanation

from explainers._names import did_you_mean
from explainers.engines.analytic import Analytic
from explainers.engines.base import Engine, ReferenceProblem
from explainers.engines.batched import Batched
from explainers.engines.hoisted import Hoisted
from explainers.engines.stock import Stock, embeddings, run_on_all
from explainers.prepare.model import PreparedModel

_ENGINES: dict[str, Engine] = {
    engine.name: engine for engine in (Analytic(), Hoisted(), Batched(), Stock())
}
__all__ = [
    "NAMES",
    "Choice",
    "choose",
    "embeddings",
    "get",
    "reference_problems",
    "run_pyg_on_all",
]

NAMES = tuple(_ENGINES)  # the fastest first


@dataclass(frozen=True)
class Choice:
    """An engine, and why those that were tried before it refused.

    Attributes:
        engine: The one to run.
        refusals: Reasons by the names of the faster ones.
    """

    engine: Engine
    refusals: dict[str, str]


def get(name: str, prepared: PreparedModel | None = None) -> Engine:
    """The engine ``name``; of a kind of graph that has its own, the one for ``prepared``.

    Raises:
        ValueError: There is none.
    """
    if name not in _ENGINES:
        raise ValueError(
            f"unknown engine {name!r}; there are: {', '.join(NAMES)}{did_you_mean(name, NAMES)}"
        )
    own: Mapping[str, Engine] = {} if prepared is None else prepared.engines
    return own.get(name, _ENGINES[name])


def choose(
    prepared: PreparedModel,
    candidates: Sequence[str] = NAMES,
    asked: str | None = None,
    *,
    along_path: bool = False,
) -> Choice:
    """The engine that explains a model: the one asked for, or the first that does not refuse.

    Args:
        prepared: Model and graph.
        candidates: Names, the fastest first.
        asked: The one that has to run, or None.
        along_path: Whether gradients at many points of the path from zero are asked for.

    Raises:
        ValueError: The one asked for, or every candidate, refuses; says why.
    """
    refusals: dict[str, str] = {}
    # The sort is stable: those that gain nothing here come behind all others.
    ranked = sorted(
        candidates, key=lambda name: not get(name, prepared).gains(prepared, along_path)
    )
    for name in ranked if asked is None else (asked,):
        reason = get(name, prepared).refusal(prepared)
        if reason is None:
            return Choice(get(name, prepared), refusals)
        refusals[name] = reason
    model = f"model {prepared.name}"
    if asked is not None:
        others = [name for name in candidates if name != asked]
        use = f"; use engine={others[-1]!r}" if others else ""
        raise ValueError(f"engine {asked!r} does not support {model}: {refusals[asked]}{use}")
    reasons = "; ".join(f"{name!r}: {reason}" for name, reason in refusals.items())
    raise ValueError(f"no engine supports {model}: {reasons}")


def run_pyg_on_all(prepared: PreparedModel, algorithm: ExplainerAlgorithm) -> Explanation:
    """What one of PyG's explainers gives over the whole graph, for no node in particular."""
    return run_on_all(prepared, algorithm)


def reference_problems(
    prepared: PreparedModel, nodes: Tensor, targets: Tensor, memory_budget: int
) -> Iterator[ReferenceProblem]:
    """One problem for each node, on the engine that runs what is published elsewhere."""
    problems = get("stock", prepared).problems(prepared, nodes, targets, memory_budget)
    return cast(Iterator[ReferenceProblem], problems)
