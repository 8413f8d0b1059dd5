"""Scores explanations: the model is asked again, and the metrics are called with the answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.explain import Explanation, ModelConfig

from explainers.engines import registry
from explainers.engines.base import Engine, NotTheModel, Problem, unit
from explainers.metrics._base import Metric
from explainers.metrics._case import Case, EdgeBudget, Integers, edge_budgets, ranking, size
from explainers.metrics._registry import available, load
from explainers.prepare import PreparedModel, prepare
from explainers.prepare.outputs import is_multiclass, is_regression, to_probabilities

SEMANTICS = ("mask", "delete")
Row = dict[str, Any]
_SEED = 0  # of what metrics draw


def evaluate(
    model: nn.Module,
    data: Data,
    explanations: Sequence[Explanation],
    *,
    at: Sequence[str] | None = None,
    semantics: Sequence[str] = SEMANTICS,
    metrics: Sequence[str] | None = None,
    labels: Sequence[int] | Tensor | None = None,
    truth: Tensor | None = None,
    engine: str | None = None,
    memory_budget: int = 256 * 2**20,
    model_config: ModelConfig | dict[str, Any] | None = None,
) -> list[Row]:
    """Scores explanations: at every edge budget, the model is asked without and with the selection.

    Args:
        model: The explained model.
        data: The graph, or the batch of graphs.
        explanations: Of this library's methods, for this model and graph.
        at: Edge budgets, such as ``"k=10"`` or ``"f=20%"``; None for :func:`edge_budgets`. A budget
            selects the edges of the computation graph with the largest absolute scores.
        semantics: ``"mask"`` (a removed edge's messages are zero, degrees stay) or ``"delete"``
            (degrees follow); both unless said otherwise.
        metrics: Names of metrics; None for all but those that draw further selections.
        labels: The class that counts as right for each explanation ("phenomenon"), or None for the
            model's own prediction ("model").
        truth: The ground truth: which edges of ``data`` an explanation should find, bool [E]; None
            where that is not known. Metrics that compare with it give no value then.
        engine: ``"analytic"`` (GCNs of one or two layers by their algebra), ``"batched"``
            (many selections and nodes in one pass over computation graphs), ``"stock"`` (one pass
            over the whole graph for each), or None for the first that supports the model.
        memory_budget: Bytes that one pass may take, roughly.
        model_config: What the model's outputs mean, as for ``explain``. Of a binary output the two
            outcomes take the place of classes. Of a regression a change of probability is a change
            of the explained output, over the outputs' standard deviation over the explained nodes;
            metrics that need probabilities have no value.

    Returns:
        One dict for each value: ``node`` (the graph's number, if graphs were explained),
        ``metric`` (the value's name), ``level`` (the edge budget, empty if the value has none; the
        key is the column's name in published results), ``semantics`` (empty if it asks for no
        predictions) and ``value``.

    Raises:
        ValueError: An unknown edge budget, semantics, metric or engine; explanations of another
            model or graph; NaN among the scores; a truth that does not fit the graph's edges; a
            metric that gives what it does not declare.
    """
    asked = _request(at, semantics, metrics, labels, truth)
    _check(asked, data, len(explanations))
    prepared = prepare(model, data, model_config)
    if engine not in (None, *registry.OUTPUTS):
        raise ValueError(f"unknown engine {engine!r}; metrics have: {', '.join(registry.OUTPUTS)}")
    chosen = registry.choose(prepared, registry.OUTPUTS, engine).engine
    if not explanations:
        return []
    while True:
        try:
            return _all_rows(prepared, chosen, asked, explanations, memory_budget)
        except NotTheModel as error:
            prepared.replace(f"{chosen.name}: refusal", str(error))
            chosen = registry.choose(prepared, registry.OUTPUTS, engine).engine


def _all_rows(
    prepared: PreparedModel,
    engine: Engine,
    asked: _Request,
    explanations: Sequence[Explanation],
    memory_budget: int,
) -> list[Row]:
    nodes = torch.tensor([unit(e) for e in explanations], device=prepared.x.device)
    targets = torch.stack([e.target for e in explanations]).to(prepared.x.device)
    reading = _Reading(prepared, nodes, targets)
    passes = 2 * len(asked.budgets) if asked.semantics else 1
    rows: list[Row] = []
    done = 0
    # Without gradients a pass takes about a third of what problems() reckons with.
    for problem in engine.problems(prepared, nodes, targets, 3 * memory_budget, passes):
        if asked.semantics:
            problem.verify()
        group = slice(done, done + len(problem.graphs))
        done = group.stop
        cases = list(_cases(asked.of(group), problem, explanations[group], reading))
        for node, case in cases:
            kind = "predictions" if case.semantics else "scores"
            for name, metric in asked.metrics.items():
                if metric.needs == kind and metric.draw is None:
                    rows += _rows(node, case, name, metric)
        for name, metric in asked.metrics.items():
            for node, case in _drawn(problem, cases, metric, reading):
                rows += _rows(node, case, name, metric)
    return rows


@dataclass(frozen=True)
class _Request:
    """What is asked of a number of explanations.

    Attributes:
        budgets: The K edge budgets.
        semantics: How edges are taken away; empty if no metric needs predictions.
        metrics: By name.
        labels: The class that counts as right for each explanation, or None.
        truth: The ground truth among the graph's edges, bool [E], or None.
    """

    budgets: tuple[EdgeBudget, ...]
    semantics: tuple[str, ...]
    metrics: Mapping[str, Metric]
    labels: Sequence[int] | Tensor | None
    truth: Tensor | None

    def of(self, group: slice) -> _Request:
        """The same of some of the explanations."""
        return self if self.labels is None else replace(self, labels=self.labels[group])


def _request(
    at: Sequence[str] | None,
    semantics: Sequence[str],
    names: Sequence[str] | None,
    labels: Sequence[int] | Tensor | None,
    truth: Tensor | None,
) -> _Request:
    budgets = edge_budgets() if at is None else tuple(map(EdgeBudget, at))
    for name in semantics:
        if name not in SEMANTICS:
            raise ValueError(f"unknown semantics {name!r}; use {' or '.join(SEMANTICS)}")
    metrics = {name: load(name) for name in (available() if names is None else names)}
    if names is None:
        metrics = {name: metric for name, metric in metrics.items() if metric.draw is None}
    predicts = any(metric.needs == "predictions" for metric in metrics.values())
    return _Request(budgets, tuple(semantics) if predicts else (), metrics, labels, truth)


def _check(asked: _Request, data: Data, count: int) -> None:
    """Raises if the labels or the truth do not fit ``count`` explanations of ``data``."""
    if asked.labels is not None and len(asked.labels) != count:
        raise ValueError(f"{len(asked.labels)} labels for {count} explanations; give one each")
    truth = asked.truth
    if truth is not None and (truth.dtype != torch.bool or truth.shape != (data.num_edges,)):
        raise ValueError(
            f"truth must be a bool tensor [{data.num_edges}], one entry for each edge, got "
            f"{truth.dtype} {list(truth.shape)}"
        )


class _Reading:
    """What the metrics read of a model's outputs: probabilities of outcomes, or numbers in units.

    Of independent binary outputs the explained one alone, as the probabilities of its two outcomes;
    of a regression the explained output over its standard deviation.
    """

    def __init__(self, prepared: PreparedModel, nodes: Tensor, targets: Tensor) -> None:
        self.config = prepared.config
        self.numbers = is_regression(self.config)
        self._multiclass = is_multiclass(self.config)
        self._unit = 1.0
        if self.numbers:
            explained = prepared.output[nodes].double().gather(1, targets[:, None])
            # One node, or equal outputs, have no deviation: then that of the whole graph.
            spread = [explained.std(correction=0), prepared.output.double().std(correction=0)]
            self._unit = next((float(one) for one in spread if one > 0), 1.0)

    def read(self, outputs: Tensor, targets: Tensor) -> Any:
        """The outputs [K, R, C] as the metrics read them, [K, R, C']."""
        values = to_probabilities(outputs, self.config)
        if not self._multiclass:
            values = values.gather(2, targets.expand(len(values), -1)[..., None])
            parts = [values / self._unit] if self.numbers else [1 - values, values]
            values = torch.cat(parts, dim=2)
        return _numpy(values)

    def target(self, target: Tensor) -> int:
        """The explained one among what was read."""
        return int(target) if self._multiclass else int(not self.numbers)


def _rows(node: int, case: Case, name: str, metric: Metric) -> Iterator[Row]:
    for value, numbers in metric.function(case).items():
        if value not in metric.values:
            raise ValueError(
                f"the metric {name!r} gives {value!r}, which is not among the values that its "
                f"METRIC declares: {', '.join(metric.values)}"
            )
        row = {"node": node, "metric": value, "level": "", "semantics": case.semantics}
        if np.ndim(numbers) == 0:
            yield {**row, "value": float(numbers)}
            continue
        for budget, number in zip(case.budgets, np.asarray(numbers), strict=True):
            yield {**row, "level": str(budget), "value": float(number)}


def _cases(
    asked: _Request, problem: Problem, explanations: Sequence[Explanation], reading: _Reading
) -> Iterator[tuple[int, Case]]:
    """For each explanation a case without predictions, and one under each semantics."""
    selected, sizes = _select(problem, explanations, asked.budgets)
    predicted = {
        name: [
            reading.read(_outputs(problem, kept, name, alone=alone), problem.targets)
            for kept, alone in ((~selected, False), (selected, True))
        ]
        for name in asked.semantics
    }
    # Only a method that says how far it is from adding up claims that it does.
    claims = ["convergence_delta" in explanation for explanation in explanations]
    change = _numpy(problem.change()) if any(claims) else []
    full = reading.read(problem.prepared.output[problem.nodes][None], problem.targets)[0]
    nothing = np.empty((0, full.shape[1]))
    for r, explanation in enumerate(explanations):
        truth = None
        if asked.truth is not None:
            truth = asked.truth[explanation.e_id.to(asked.truth.device)].cpu().numpy()
        node = int(problem.nodes[r])
        case = Case(
            scores=_numpy(explanation.edge_mask),
            node_scores=_numpy(explanation.node_mask),
            target=reading.target(explanation.target),
            label=None if asked.labels is None else int(asked.labels[r]),
            full=full[r],
            budgets=asked.budgets,
            sizes=sizes[r],
            without=nothing,
            only=nothing,
            semantics="",
            output_change=float(change[r]) if claims[r] else None,
            edge_index=explanation.edge_index.cpu().numpy(),
            truth=truth,
            numbers=reading.numbers,
        )
        yield node, case
        for name, (without, only) in predicted.items():
            yield node, replace(case, semantics=name, without=without[:, r], only=only[:, r])


def _select(
    problem: Problem, explanations: Sequence[Explanation], budgets: Sequence[EdgeBudget]
) -> tuple[Tensor, Integers]:
    """The edges that each budget selects, bool [K, e] of all graphs, and their numbers [R, K]."""
    graphs = problem.graphs
    places, sizes = [], []
    for explanation, n, e in zip(explanations, graphs.node_counts, graphs.edge_counts, strict=True):
        if explanation.n_id.numel() != n or explanation.edge_mask.numel() != e:
            raise ValueError(
                f"the explanation of {problem.prepared.task_level} {unit(explanation)} has "
                f"{explanation.n_id.numel()} nodes and {explanation.edge_mask.numel()} edges, but "
                f"its computation graph has {n} and {e}: it is of another model or graph"
            )
        order = ranking(_numpy(explanation.edge_mask))
        places.append(np.empty_like(order))
        places[-1][order] = np.arange(e)  # the inverse: each edge's place in the ranking
        sizes.append([size(budget, e) for budget in budgets])
    counts = np.array(sizes)
    device = graphs.edge_batch.device
    place = torch.from_numpy(np.concatenate(places)).to(device)
    # An edge is selected if its place is before the size that its own graph's budget has.
    per_edge = torch.from_numpy(counts.T.copy()).to(device)[:, graphs.edge_batch]
    return place < per_edge, counts


def _drawn(
    problem: Problem, cases: Sequence[tuple[int, Case]], metric: Metric, reading: _Reading
) -> Iterator[tuple[int, Case]]:
    """The cases with predictions, each with those for what the metric draws, if it does."""
    if metric.draw is None:
        return
    whole = problem.prepared.output[problem.nodes]
    for semantics in dict.fromkeys(case.semantics for _, case in cases if case.semantics):
        group = [(node, case) for node, case in cases if case.semantics == semantics]
        # The same draws whatever the method: its scores are compared with others' on the same.
        kept = [metric.draw(case, np.random.default_rng([_SEED, node])) for node, case in group]
        together = torch.from_numpy(np.concatenate(kept, axis=1)).to(whole.device)
        outputs = _outputs(problem, together, semantics, alone=False)
        answers = reading.read(outputs, problem.targets)
        changes = _numpy(whole - outputs)
        for r, (node, case) in enumerate(group):
            change = changes[:, r, int(problem.targets[r])]
            yield node, replace(case, kept=kept[r], drawn=answers[:, r], changes=change)


@torch.no_grad()
def _outputs(problem: Problem, kept: Tensor, semantics: str, *, alone: bool) -> Tensor:
    """The outputs [K, R, C] of the nodes, given the edges ``kept`` [K, e] of their graphs."""
    outputs = []
    for part in kept.split(problem.copies):
        if semantics == "delete":
            outputs.append(problem.deleted_outputs(part, alone=alone))
        else:
            outputs.append(problem.masked_outputs(part))
    return torch.cat(outputs)


def _numpy(tensor: Tensor) -> Any:
    return tensor.detach().double().cpu().numpy()
