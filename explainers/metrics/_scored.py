"""Makes the cases of explanations: their orders of edges, and what the model answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch_geometric.explain import Explanation

from explainers.engines.base import Problem, unit
from explainers.metrics._base import Metric
from explainers.metrics._case import Case, EdgeBudget, size
from explainers.metrics._predictions import numpy, outputs_given, outputs_with_noise
from explainers.metrics._ranking import Bools, Integers, orders, ranked_scores, straddled
from explainers.prepare import PreparedModel
from explainers.prepare.outputs import is_multiclass, is_regression, to_probabilities

# Of what metrics draw, the order of equal scores, and features of noise: each a stream of its own.
_SEED, _ORDERS, _NOISE = 0, 1, 2


class Asked(Protocol):
    """What :func:`score` is asked; see the arguments of ``evaluate``."""

    @property
    def budgets(self) -> tuple[EdgeBudget, ...]: ...
    @property
    def semantics(self) -> tuple[str, ...]: ...
    @property
    def selections(self) -> tuple[str, ...]: ...
    @property
    def labels(self) -> Sequence[int] | Tensor | None: ...
    @property
    def truth(self) -> Tensor | None: ...
    @property
    def alternatives(self) -> Tensor | None: ...


@dataclass(frozen=True)
class Scored:
    """The cases of one explanation under one way to select edges.

    Attributes:
        node: What is explained.
        selections: The ways that select the same: both, if no score is negative.
        cases: By semantics, the empty one first; one case for each order of equal scores.
    """

    node: int
    selections: tuple[str, ...]
    cases: Mapping[str, Sequence[Case]]

    @property
    def budgets(self) -> tuple[EdgeBudget, ...]:
        """The edge budgets of all cases."""
        return next(iter(self.cases.values()))[0].budgets


class Reading:
    """What the metrics read of a model's outputs: probabilities of outcomes, or numbers in units.

    On the CPU, as all that follows of the outputs.

    Of independent binary outputs the explained one alone, as the probabilities of its two outcomes;
    of a regression the explained output over the standard deviation of its column.
    """

    def __init__(self, prepared: PreparedModel, nodes: Tensor) -> None:
        self.config = prepared.config
        self.numbers = is_regression(self.config)
        self._multiclass = is_multiclass(self.config)
        self._unit = torch.ones(prepared.output.size(1), dtype=torch.float64)
        if self.numbers:
            everywhere = prepared.output.double().cpu()
            rounding = 1e-6 * everywhere.abs().amax(dim=0)
            # One node, or equal outputs, have no deviation: then that of the whole graph.
            for values in (everywhere, everywhere[nodes.cpu()]):
                spread = values.std(dim=0, correction=0)
                self._unit = torch.where(spread > rounding, spread, self._unit)

    def read(self, outputs: Tensor, targets: Tensor) -> Any:
        """The outputs [K, R, C] as the metrics read them, [K, R, C']."""
        values = to_probabilities(outputs, self.config)
        if not self._multiclass:
            values = values.gather(2, targets.expand(len(values), -1)[..., None])
            unit = self._unit[targets][:, None]
            parts = [values / unit] if self.numbers else [1 - values, values]
            values = torch.cat(parts, dim=2)
        return numpy(values)

    def target(self, target: Tensor) -> int:
        """The explained one among what was read."""
        return int(target) if self._multiclass else int(not self.numbers)


def ties(explanation: Explanation, budgets: Sequence[EdgeBudget], selections: Sequence[str]) -> int:
    """At how many cuts equal scores lie on both sides: how much more there is to ask."""
    scores = numpy(explanation.edge_mask)
    cuts = np.array([size(budget, scores.size) for budget in budgets], dtype=np.int64)
    falling = (-np.sort(-ranked_scores(scores, selection)) for selection in selections)
    return sum(int(straddled(one, cuts).sum()) for one in falling)


def score(
    asked: Asked, problem: Problem, explanations: Sequence[Explanation], reading: Reading
) -> list[list[Scored]]:
    """For each explanation its cases, without predictions and under each semantics.

    Raises:
        ValueError: An explanation is of another model or graph; scores are NaN or infinite.
    """
    bare = _without_predictions(asked, problem, explanations, reading)
    selected = [
        np.concatenate([_selected(case) for one in variants for case in one.cases[""]])
        for variants in bare
    ]
    targets = problem.targets.cpu()
    for semantics in asked.semantics:
        without, only = (
            outputs_given(problem, kept, semantics, alone=alone)
            for kept, alone in (([~one for one in selected], False), (selected, True))
        )
        for r, variants in enumerate(bare):
            target = targets[r : r + 1]
            answers = (reading.read(one[r][:, None], target)[:, 0] for one in (without, only))
            # K answers for each case, in the cases' order.
            count = sum(len(one.cases[""]) for one in variants)
            blocks = zip(*(np.array_split(one, count) for one in answers), strict=True)
            for v, one in enumerate(variants):
                cases = [
                    replace(case, semantics=semantics, without=gone, only=left)
                    for case, (gone, left) in zip(one.cases[""], blocks, strict=False)
                ]
                variants[v] = replace(one, cases={**one.cases, semantics: cases})
    return bare


def with_draws(
    problem: Problem, scored: Sequence[Sequence[Scored]], metric: Metric, reading: Reading
) -> list[list[Scored]]:
    """The cases with predictions, each with those for what the metric draws.

    One case for each selection, or for the first, if the metric's values depend on none.
    """
    assert metric.draw is not None
    ways = 2 if any(value.selection for value in metric.values.values()) else 1
    found = [[replace(one, cases={}) for one in variants[:ways]] for variants in scored]
    semantics = [name for name in scored[0][0].cases if name]
    if metric.perturbs == "features":
        semantics = [name for name in semantics if name == "mask"]  # no edge is taken away
    targets, whole = problem.targets.cpu(), problem.prepared.output[problem.nodes].cpu()
    for name in semantics:
        cases = [[one.cases[name][0] for one in variants[:ways]] for variants in scored]
        # The same draws whatever the method: its scores are compared with others' on the same.
        seeds = [[_SEED, variants[0].node] for variants in scored]
        kept = [
            [metric.draw(case, np.random.default_rng(seed)) for case in own]
            for own, seed in zip(cases, seeds, strict=True)
        ]
        if metric.perturbs == "features":
            parts = outputs_with_noise(
                problem,
                [
                    [own[v] if v < len(own) else own[0][:0] for own in kept]
                    for v in range(max(map(len, kept)))
                ],
                [np.random.default_rng([*seed, _NOISE]) for seed in seeds],
            )
            outputs = [torch.cat(one) for one in zip(*parts, strict=True)]
        else:
            together = [np.concatenate(own) for own in kept]
            outputs = outputs_given(problem, together, name, alone=False)
        for r, own in enumerate(cases):
            target = targets[r : r + 1]
            answers = reading.read(outputs[r][:, None], target)[:, 0]
            changes = numpy(whole[r] - outputs[r])[:, int(target)]
            ends = np.cumsum([len(one) for one in kept[r]])[:-1]
            found_here = zip(kept[r], np.split(answers, ends), np.split(changes, ends), strict=True)
            for v, (chosen, drawn, change) in enumerate(found_here):
                case = replace(own[v], kept=chosen, drawn=drawn, changes=change)
                found[r][v] = replace(found[r][v], cases={**found[r][v].cases, name: [case]})
    return found


def _without_predictions(
    asked: Asked, problem: Problem, explanations: Sequence[Explanation], reading: Reading
) -> list[list[Scored]]:
    _check_fits(explanations, problem)
    # Only a method that says how far it is from adding up claims that it does.
    claims = ["convergence_delta" in explanation for explanation in explanations]
    change = numpy(problem.change()) if any(claims) else []
    whole = problem.prepared.output[problem.nodes].cpu()
    full = reading.read(whole[None], problem.targets.cpu())[0]
    found = []
    for r, (explanation, node) in enumerate(zip(explanations, problem.nodes.tolist(), strict=True)):
        truth = asked.truth
        if truth is not None and truth.dim() == 2:  # a row for each node or graph
            truth = truth[node]
        right = _among(truth, explanation)
        scores = numpy(explanation.edge_mask)
        sizes = np.array([size(budget, scores.size) for budget in asked.budgets], dtype=np.int64)
        index = explanation.get("index", explanation.get("edge_label_index"))
        common: dict[str, Any] = {
            "scores": scores,
            "node_scores": numpy(explanation.node_mask),
            "target": reading.target(explanation.target),
            "label": None if asked.labels is None else int(asked.labels[r]),
            "full": full[r],
            "budgets": asked.budgets,
            "sizes": sizes,
            "without": np.empty((0, full.shape[1])),
            "only": np.empty((0, full.shape[1])),
            "semantics": "",
            "output_change": float(change[r]) if claims[r] else None,
            "edge_index": explanation.edge_index.cpu().numpy(),
            "truth": right,
            "alternatives": _among(asked.alternatives, explanation),
            "index": None if index is None else _positions(index),
            "numbers": reading.numbers,
        }
        # R-precision selects as many edges as the ground truth has.
        cuts = sizes if right is None else np.append(sizes, right.sum())
        found.append(_by_selection(node, common, cuts, asked.selections))
    return found


def _by_selection(
    node: int, common: dict[str, Any], cuts: Integers, selections: Sequence[str]
) -> list[Scored]:
    """The cases of each selection, or one for both where they are the same."""
    scores = common["scores"]
    if not (scores < 0).any():
        groups = [tuple(selections)]
    else:
        groups = [(selection,) for selection in selections]
    found = []
    for group in groups:
        # The same random order of equal scores for all methods, and under both selections.
        generator = np.random.default_rng([_SEED, node, _ORDERS])
        ways = orders(scores, cuts, group[0], generator)
        common["selection"] = group[0]
        cases = [Case(**common, order=order, orders=ways) for order in ways]
        found.append(Scored(node, group, {"": cases}))
    return found


def _positions(index: Tensor) -> int | Integers:
    """The explained node's, or those [2] of a link's ends."""
    return int(index) if index.dim() == 0 else index.view(-1).cpu().numpy()


def _selected(case: Case) -> Bools:
    """The edges that each budget selects, [K, e]."""
    place = np.empty_like(case.order)
    place[case.order] = np.arange(place.size)  # the inverse: each edge's place in the ranking
    return place < case.sizes[:, None]


def _among(marks: Tensor | None, explanation: Explanation) -> Bools | None:
    """The marks [..., E] of the computation graph's edges, [..., e]."""
    if marks is None:
        return None
    found: Bools = marks[..., explanation.e_id.to(marks.device)].cpu().numpy()
    return found


def _check_fits(explanations: Sequence[Explanation], problem: Problem) -> None:
    """That they have the nodes and edges of the problem's computation graphs, in their order."""
    prepared, graphs = problem.prepared, problem.graphs
    level = prepared.task_level
    for explanation, n, e in zip(explanations, graphs.node_counts, graphs.edge_counts, strict=True):
        if explanation.n_id.numel() != n or explanation.edge_mask.numel() != e:
            raise ValueError(
                f"the explanation of {level} {unit(explanation)} has "
                f"{explanation.n_id.numel()} nodes and {explanation.edge_mask.numel()} edges, but "
                f"its computation graph has {n} and {e}: it is of another model or graph"
            )
    e_id = graphs.e_id if prepared.e_id is None else prepared.e_id[graphs.e_id]
    for name, ids in (("n_id", graphs.n_id), ("e_id", e_id)):
        # All at once: on a GPU the host waits for each comparison.
        if not torch.equal(torch.cat([one[name] for one in explanations]).to(ids.device), ids):
            raise ValueError(
                f"an explanation among those of {level}s {[unit(one) for one in explanations]} has "
                f"another {name} than its computation graph, where ids ascend: it is of another "
                "model or graph, or was sorted"
            )
