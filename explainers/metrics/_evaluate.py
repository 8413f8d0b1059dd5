"""Scores explanations: the model is asked again, and the metrics are called with the answers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.explain import Explanation, HeteroExplanation, ModelConfig

from explainers import hetero
from explainers._names import did_you_mean
from explainers.engines import registry
from explainers.engines.base import Engine, NotTheModel, unit
from explainers.hetero import EdgeType
from explainers.metrics._base import Metric, Value
from explainers.metrics._case import EdgeBudget, edge_budgets
from explainers.metrics._ranking import SELECTIONS, Integers
from explainers.metrics._registry import available, load
from explainers.metrics._scored import Reading, Scored, score, ties, with_draws
from explainers.prepare import PreparedModel, prepare

SEMANTICS = ("mask", "delete")
Row = dict[str, Any]


def evaluate(
    model: nn.Module,
    data: Data | HeteroData,
    explanations: Sequence[Explanation | HeteroExplanation],
    *,
    at: Sequence[str] | None = None,
    semantics: Sequence[str] = SEMANTICS,
    selections: Sequence[str] = SELECTIONS,
    metrics: Sequence[str | Metric] | None = None,
    labels: Sequence[int] | Tensor | None = None,
    truth: Tensor | Mapping[EdgeType, Tensor] | None = None,
    alternatives: Tensor | Mapping[EdgeType, Tensor] | None = None,
    engine: str | None = None,
    memory_budget: int = 256 * 2**20,
    model_config: ModelConfig | dict[str, Any] | None = None,
    edges: Tensor | None = None,
    edge_type: EdgeType | None = None,
) -> list[Row]:
    """Scores explanations: at every edge budget, the model is asked without and with the selection.

    Args:
        model: The explained model.
        data: The graph, or the batch of graphs.
        explanations: Of this library's methods, for this model and graph.
        at: Edge budgets, such as ``"k=10"`` or ``"f=20%"``; None for :func:`edge_budgets`. A budget
            selects so many of the computation graph's edges.
        semantics: ``"mask"`` (a removed edge's messages are zero, degrees stay) or ``"delete"``
            (degrees follow); both unless said otherwise.
        selections: Which edges come first: ``"signed"``, those with the highest scores, or
            ``"absolute"``, those with the highest absolute scores; both unless said otherwise.
            Where edges with equal scores lie on both sides of a cut, values are means over 20
            random orders of them, the same for all methods.
        metrics: Names of metrics, or metrics that have no name; None for all that have one but
            those that draw further selections.
        labels: The class that counts as right for each explanation ("phenomenon"), or None for the
            model's own prediction ("model").
        truth: The ground truth: which edges of ``data`` an explanation should find, bool [E], or a
            row for each node (or graph), bool [N, E]; None where that is not known. Metrics that
            compare with it give no value then.
        alternatives: Where there are several ground truths, those of every graph, bool [A, E]:
            what has no edge of a graph is none of its explanations; None where there is one.
        engine: ``"analytic"`` (GCNs of one or two layers by their algebra), ``"hoisted"`` (the
            first message passing apart from the rest of the model), ``"batched"`` (many selections
            and nodes in one pass over computation graphs), ``"stock"`` (one pass over the whole
            graph for each), or None for the fastest that supports the model.
        memory_budget: Bytes that one pass may take, roughly.
        model_config: What the model's outputs mean, as for ``explain``. Of a binary output the two
            outcomes take the place of classes. Of a regression a change of probability is a change
            of the explained output, over the standard deviation that this output has over the
            explained nodes (over all, where these have the same output); metrics that need
            probabilities have no value.
        edges: The links among which the explained ones are, if ``explain`` was given ``edges``.
        edge_type: Of ``HeteroData``, score the edges of this type by themselves: budgets are of
            its edges, and those of other types stay as they are. None for all types together:
            budgets select from their union. ``truth`` and ``alternatives`` are then dictionaries
            by edge type.

    Returns:
        One dict for each value: ``node`` (the graph's number, if graphs were explained, or the
        link's),
        ``metric`` (the value's name), ``level`` (the edge budget, empty if the value has none; the
        key is the column's name in published results), ``semantics`` (empty if it asks for no
        predictions), ``selection`` (empty if it depends on no order of the edges) and ``value``.

    Raises:
        ValueError: An unknown edge budget, semantics, selection, metric or engine; explanations of
            another model or graph; NaN among the scores; a truth that does not fit the graph's
            edges; a metric that gives what it does not declare, or whose value depends on the order
            of the edges and does not say so.
    """
    if isinstance(data, HeteroData) and not explanations:
        return []
    prepared, explanations, right, alternatives, number = _over_all_types(
        model, data, explanations, truth, alternatives, model_config, edge_type, edges
    )
    asked = _request(at, semantics, selections, metrics, labels, right, alternatives)
    _check(asked, data, len(explanations))
    _check_links(prepared, explanations)
    for name, metric in asked.metrics.items():
        if metric.perturbs == "features" and not prepared.homogeneous:
            raise ValueError(
                f"the metric {name!r} does not score explanations of heterogeneous graphs: it "
                "takes features of random nodes, which may have another type's; leave it out"
            )
    if right is not None and right.dim() == 2 and len(right) != len(prepared.output):
        raise ValueError(
            f"truth has {len(right)} rows; it must be one for each of the {len(prepared.output)} "
            f"{prepared.task_level}s, or bool [{data.num_edges}]"
        )
    if engine not in (None, *registry.NAMES):
        raise ValueError(
            f"unknown engine {engine!r}; metrics have: {', '.join(registry.NAMES)}"
            f"{did_you_mean(engine, registry.NAMES)}"
        )
    chosen = registry.choose(prepared, registry.NAMES, engine).engine
    if not explanations:
        return []
    while True:
        try:
            return _all_rows(prepared, chosen, asked, explanations, memory_budget, number)
        except NotTheModel as error:
            prepared.replace(f"{chosen.name}: refusal", str(error))
            chosen = registry.choose(prepared, registry.NAMES, engine).engine


def _check_links(prepared: PreparedModel, explanations: Sequence[Explanation]) -> None:
    if prepared.links is None:
        return
    for one in explanations:
        ends = one.n_id[one.edge_label_index].view(-1).tolist() if "link" in one else None
        place = unit(one)
        if ends is None or place >= prepared.units or prepared.links[:, place].tolist() != ends:
            what = "is of no link" if ends is None else f"is of link {place}, {ends}"
            raise ValueError(
                f"an explanation {what}, which is not that of data.edge_label_index; give the "
                "links that were explained: edges=..."
            )


def _over_all_types(
    model: nn.Module,
    data: Data | HeteroData,
    explanations: Sequence[Any],
    truth: Tensor | Mapping[EdgeType, Tensor] | None,
    alternatives: Tensor | Mapping[EdgeType, Tensor] | None,
    model_config: ModelConfig | dict[str, Any] | None,
    edge_type: EdgeType | None,
    edges: Tensor | None,
) -> tuple[PreparedModel, Sequence[Any], Tensor | None, Tensor | None, int | None]:
    """Model, explanations, truth and alternatives over the union of types; and the type, or None.

    Raises:
        ValueError: Something is by type and the data are not, or the other way round.
    """
    marks = {"truth": truth, "alternatives": alternatives}
    found: dict[str, Tensor | None] = {}
    if not isinstance(data, HeteroData):
        for name, value in {**marks, "edge_type": edge_type}.items():
            if isinstance(value, (Mapping, tuple)):
                raise ValueError(f"{name} is by edge type, but data has no types")
            found[name] = value
        prepared = prepare(model, data, model_config, edges)
        return prepared, explanations, found["truth"], found["alternatives"], None
    if edges is not None:
        raise ValueError("edges: data is a HeteroData, of which no links are explained")
    prepared = prepare(model, data, model_config, node_type=hetero.node_type_of(explanations))
    assert isinstance(prepared, hetero.PreparedHetero)
    schema, number = prepared.schema, None
    if edge_type is not None:
        number = hetero.edge_type_number(edge_type, schema)
    for name, value in marks.items():
        found[name] = None if value is None else hetero.marks_over_all(name, value, schema)
    explanations = hetero.unions(explanations, prepared, number)
    return prepared, explanations, found["truth"], found["alternatives"], number


def _all_rows(
    prepared: PreparedModel,
    engine: Engine,
    asked: _Request,
    explanations: Sequence[Explanation],
    memory_budget: int,
    edge_type: int | None,
) -> list[Row]:
    # A pass asks about all graphs of a problem: those with as many questions belong together.
    turn = np.argsort(
        [ties(one, asked.budgets, asked.selections) for one in explanations], kind="stable"
    )
    asked, explanations = asked.of(turn), [explanations[i] for i in turn]
    nodes = torch.tensor([unit(e) for e in explanations], device=prepared.x.device)
    targets = torch.stack([e.target for e in explanations]).to(prepared.x.device)
    reading = Reading(prepared, nodes)
    passes = 2 * len(asked.budgets) if asked.semantics else 1
    rows: list[list[Row]] = []
    # Without gradients a pass takes about a third of what problems() reckons with.
    for problem in engine.problems(prepared, nodes, targets, 3 * memory_budget, passes):
        if asked.semantics:
            problem.verify()
        if edge_type is not None:
            problem = hetero.of_edge_type(problem, edge_type)
        group = np.arange(len(rows), len(rows) + len(problem.graphs))
        scored = score(asked.of(group), problem, [explanations[i] for i in group], reading)
        found: list[list[Row]] = [[] for _ in scored]
        for name, metric in asked.metrics.items():
            cases = scored if metric.draw is None else with_draws(problem, scored, metric, reading)
            for own, variants in zip(found, cases, strict=True):
                own += _rows(variants, name, metric)
        rows += found
    return [row for place in np.argsort(turn) for row in rows[place]]


@dataclass(frozen=True)
class _Request:
    """What is asked of a number of explanations.

    Attributes:
        budgets: The K edge budgets.
        semantics: How edges are taken away; empty if no metric needs predictions.
        selections: Which edges come first.
        metrics: By name.
        labels: The class that counts as right for each explanation, or None.
        truth: The ground truth among the graph's edges, bool [E] or [N, E], or None.
        alternatives: The ground truths, bool [A, E], or None.
    """

    budgets: tuple[EdgeBudget, ...]
    semantics: tuple[str, ...]
    selections: tuple[str, ...]
    metrics: Mapping[str, Metric]
    labels: Sequence[int] | Tensor | None
    truth: Tensor | None
    alternatives: Tensor | None

    def of(self, group: Integers) -> _Request:
        """The same of some of the explanations."""
        labels = None if self.labels is None else [int(self.labels[i]) for i in group]
        return replace(self, labels=labels)


def _request(
    at: Sequence[str] | None,
    semantics: Sequence[str],
    selections: Sequence[str],
    chosen: Sequence[str | Metric] | None,
    labels: Sequence[int] | Tensor | None,
    truth: Tensor | None,
    alternatives: Tensor | None,
) -> _Request:
    budgets = edge_budgets() if at is None else tuple(map(EdgeBudget, at))
    if not budgets:
        raise ValueError(
            "at must name at least one edge budget, such as 'k=10' or 'f=20%', got none; leave it "
            "out for the usual ones"
        )
    for what, given, known in (
        ("semantics", semantics, SEMANTICS),
        ("selection", selections, SELECTIONS),
    ):
        for name in given:
            if name not in known:
                hint = did_you_mean(name, known)
                raise ValueError(f"unknown {what} {name!r}; use {' or '.join(known)}{hint}")
    if not selections:
        raise ValueError(f"selections must name at least one of: {', '.join(SELECTIONS)}")
    asked = available() if chosen is None else chosen
    metrics = dict(
        (one, load(one)) if isinstance(one, str) else (one.function.__name__, one) for one in asked
    )
    if chosen is None:
        metrics = {name: metric for name, metric in metrics.items() if metric.draw is None}
    predicts = any(metric.needs == "predictions" for metric in metrics.values())
    return _Request(
        budgets,
        tuple(semantics) if predicts else (),
        tuple(dict.fromkeys(selections)),
        metrics,
        labels,
        truth,
        alternatives,
    )


def _check(asked: _Request, data: Data, count: int) -> None:
    """Raises if the labels or the truth do not fit ``count`` explanations of ``data``."""
    if asked.labels is not None and len(asked.labels) != count:
        raise ValueError(f"{len(asked.labels)} labels for {count} explanations; give one each")
    for name, marks, dims in (
        ("truth", asked.truth, (1, 2)),
        ("alternatives", asked.alternatives, (2,)),
    ):
        if marks is not None and (
            marks.dtype != torch.bool
            or marks.dim() not in dims
            or marks.shape[-1] != data.num_edges
        ):
            shape = f"[{data.num_edges}]" if 1 in dims else f"[A, {data.num_edges}]"
            raise ValueError(
                f"{name} must be a bool tensor {shape}, one entry for each edge, got "
                f"{marks.dtype} {list(marks.shape)}"
            )


def _rows(variants: Sequence[Scored], name: str, metric: Metric) -> Iterator[Row]:
    """The rows of one explanation by one metric.

    Raises:
        ValueError: The metric raises, or gives what it does not declare: another value or number,
            or one that differs between orders of the edges and is declared to depend on none.
    """
    free = [value for value, declared in metric.values.items() if not declared.selection]
    for semantics in variants[0].cases:
        if bool(semantics) != (metric.needs == "predictions"):
            continue
        # One order will do for a metric that depends on none.
        asked = slice(1 if len(free) == len(metric.values) else None)
        found = [
            [metric.of(name, case) for case in one.cases[semantics][asked]] for one in variants
        ]
        every = list(itertools.chain.from_iterable(found))
        metric.require(name, every[0], len(variants[0].budgets))
        row = {"node": variants[0].node, "semantics": semantics}
        for value in free:
            if value not in every[0]:
                continue
            if not all(_same(one.get(value), every[0][value]) for one in every[1:]):
                raise ValueError(
                    f"the metric {name!r} gives a {value!r} that depends on the order of the "
                    "edges, but declares no selection; its Value must have selection='signed' or "
                    "'absolute'"
                )
            own = {**row, "metric": value, "selection": ""}
            yield from _at(variants[0], own, every[0][value], metric.values[value])
        for one, values in zip(variants, map(_mean, found), strict=True):
            for selection, value in itertools.product(one.selections, values):
                if value not in free:
                    own = {**row, "metric": value, "selection": selection}
                    yield from _at(one, own, values[value], metric.values[value])


def _same(one: Any, other: Any) -> bool:
    return one is not None and bool(np.array_equal(one, other, equal_nan=True))


def _mean(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The means over the orders of equal scores, of each value over those that have it."""
    names = dict.fromkeys(itertools.chain.from_iterable(found))
    return {name: np.mean([one[name] for one in found if name in one], axis=0) for name in names}


def _at(scored: Scored, row: Row, numbers: Any, declared: Value) -> Iterator[Row]:
    """The row with its number, or a row for each budget.

    Raises:
        ValueError: A number lies outside of the bounds that are declared.
    """
    if np.ndim(numbers) == 0:
        yield {**row, "level": "", "value": declared.checked(row["metric"], numbers)}
        return
    for budget, number in zip(scored.budgets, numbers, strict=True):
        value = declared.checked(row["metric"], number)
        yield {**row, "level": str(budget), "value": value}
