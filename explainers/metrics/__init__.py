"""Metrics, one a module: pure functions of what :class:`Case` holds; and their evaluation.

A metric module ``<name>.py`` has a function ``<name>(case)`` that gives values by metric name, an
array [K] with one value for each level or a single number, and ``NEEDS``: ``"predictions"`` if it
looks at them (it is then evaluated under each semantics) or ``"scores"``.

A metric that needs more predictions has a function ``draw(case, generator)`` beside it, which gives
the edges to be kept for each, bool [M, e]; it then finds the answers in the case. What is drawn for
a node depends on the node and the case alone. Such metrics are dear, and evaluated only if named.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.explain import Explanation

from explainers._discovery import discover, fetch
from explainers.engines import registry
from explainers.engines.base import Problem, unit
from explainers.metrics._case import Bools, Case, Level, levels, ranking, size
from explainers.prepare import PreparedModel, prepare
from explainers.prepare.outputs import to_probabilities

__all__ = ["SEMANTICS", "Case", "Level", "available", "evaluate", "levels", "ranking", "size"]

SEMANTICS = ("mask", "delete")
Row = dict[str, Any]
_SEED = 0  # of what metrics draw


def available() -> list[str]:
    """The names of all metric modules, sorted."""
    return list(discover("metrics"))


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
) -> list[Row]:
    """Scores explanations: at every level, the model is asked again without and with the selection.

    Args:
        model: The explained model.
        data: The graph, or the batch of graphs.
        explanations: Of this library's methods, for this model and graph.
        at: Levels, such as ``"k=10"`` or ``"f=20%"``; None for :func:`levels`. A level selects the
            edges of the computation graph with the largest absolute scores.
        semantics: ``"mask"`` (a removed edge's messages are zero, degrees stay) or ``"delete"``
            (degrees follow); both unless said otherwise.
        metrics: Names of metric modules; None for all but those that draw further selections.
        labels: The class that counts as right for each explanation ("phenomenon"), or None for the
            model's own prediction ("model").
        truth: Which edges of ``data`` are part of a right explanation, bool [E], or None where that
            is not known; metrics that compare with it give no value then.
        engine: ``"analytic"`` (GCNs of one or two layers by their algebra), ``"batched"``
            (many selections and nodes in one pass over computation graphs), ``"stock"`` (one pass
            over the whole graph for each), or None for the first that supports the model.
        memory_budget: Bytes that one pass may take, roughly.

    Returns:
        One dict for each value: ``node`` (the graph's number, if graphs were explained),
        ``metric``, ``level`` (empty if the metric has none), ``semantics`` (empty if it asks for no
        predictions) and ``value``.

    Raises:
        ValueError: An unknown level, semantics, metric or engine; explanations of another model or
            graph; NaN among the scores; a truth that is not one of this graph's edges.
    """
    wanted = levels() if at is None else tuple(Level(name) for name in at)
    for name in semantics:
        if name not in SEMANTICS:
            raise ValueError(f"unknown semantics {name!r}; use {' or '.join(SEMANTICS)}")
    names = available() if metrics is None else metrics
    functions = {name: fetch("metrics", name) for name in names}
    draws = {
        name: _module(function).draw
        for name, function in functions.items()
        if hasattr(_module(function), "draw")
    }
    if metrics is None:
        functions = {name: one for name, one in functions.items() if name not in draws}
    if labels is not None and len(labels) != len(explanations):
        raise ValueError(
            f"{len(labels)} labels for {len(explanations)} explanations; give one each"
        )
    if truth is not None and (truth.dtype != torch.bool or truth.shape != (data.num_edges,)):
        raise ValueError(
            f"truth is to be a bool tensor [{data.num_edges}], one entry for each edge, got "
            f"{truth.dtype} {list(truth.shape)}"
        )
    if engine not in (None, *registry.NAMES):
        raise ValueError(f"unknown engine {engine!r}; metrics have: {', '.join(registry.NAMES)}")
    prepared = prepare(model, data)
    if not explanations:
        return []
    nodes = torch.tensor([unit(e) for e in explanations], device=prepared.x.device)
    targets = torch.stack([e.target for e in explanations]).to(prepared.x.device)
    chosen = registry.choose(prepared, asked=engine).engine
    needs = {name: _module(function).NEEDS for name, function in functions.items()}
    asked = tuple(semantics) if "predictions" in needs.values() else ()
    passes = 2 * len(wanted) if asked else 1
    rows: list[Row] = []
    done = 0
    # Without gradients a pass takes about a third of what problems() reckons with.
    for problem in chosen.problems(prepared, nodes, targets, 3 * memory_budget, passes):
        group = explanations[done : done + len(problem.graphs)]
        right = None if labels is None else labels[done : done + len(group)]
        done += len(group)
        cases = list(_cases(prepared, problem, group, wanted, asked, right, truth))
        for node, case in cases:
            kind = "predictions" if case.semantics else "scores"
            for name, function in functions.items():
                if needs[name] == kind and name not in draws:
                    rows += _rows(node, case, function, wanted)
        for name in (name for name in functions if name in draws):
            for node, case in _drawn(problem, cases, draws[name]):
                rows += _rows(node, case, functions[name], wanted)
    return rows


def _rows(
    node: int, case: Case, function: Callable[[Case], dict[str, Any]], wanted: Sequence[Level]
) -> Iterator[Row]:
    for metric, values in function(case).items():
        row = {"node": node, "metric": metric, "level": "", "semantics": case.semantics}
        if np.ndim(values) == 0:
            yield {**row, "value": float(values)}
            continue
        for level, value in zip(wanted, values, strict=True):
            yield {**row, "level": str(level), "value": float(value)}


def _cases(
    prepared: PreparedModel,
    problem: Problem,
    explanations: Sequence[Explanation],
    wanted: Sequence[Level],
    semantics: Sequence[str],
    labels: Sequence[int] | Tensor | None,
    truth: Tensor | None,
) -> Iterator[tuple[int, Case]]:
    """For each explanation a case without predictions, and one under each semantics."""
    graphs = problem.graphs
    rank, sizes = [], []
    for explanation, n, e in zip(explanations, graphs.node_counts, graphs.edge_counts, strict=True):
        if explanation.n_id.numel() != n or explanation.edge_mask.numel() != e:
            raise ValueError(
                f"the explanation of {prepared.task_level} {unit(explanation)} has "
                f"{explanation.n_id.numel()} nodes and {explanation.edge_mask.numel()} edges, but "
                f"its computation graph has {n} and {e}: it is of another model or graph"
            )
        order = ranking(_numpy(explanation.edge_mask))
        rank.append(np.empty_like(order))
        rank[-1][order] = np.arange(e)
        sizes.append([size(level, e) for level in wanted])
    counts = np.array(sizes)  # [R, K]
    device = prepared.x.device
    ranks = torch.from_numpy(np.concatenate(rank)).to(device)
    per_edge = torch.from_numpy(counts.T.copy()).to(device)[:, graphs.edge_batch]
    selected = ranks < per_edge  # [K, e]

    predicted = {
        name: [
            _numpy(_predictions(problem, kept, name, alone=alone))
            for kept, alone in ((~selected, False), (selected, True))
        ]
        for name in semantics
    }
    # Only a method that says how far it is from adding up claims that it does.
    claims = ["convergence_delta" in explanation for explanation in explanations]
    change = _numpy(problem.change()) if any(claims) else []
    full = _numpy(prepared.probabilities[problem.nodes])
    nothing = np.empty((0, full.shape[1]))
    for r, explanation in enumerate(explanations):
        true = None
        if truth is not None:
            true = truth[explanation.e_id.to(truth.device)].cpu().numpy()
        for name in ("", *semantics):
            without, only = predicted[name] if name else (nothing[:, None], nothing[:, None])
            yield (
                int(problem.nodes[r]),
                Case(
                    scores=_numpy(explanation.edge_mask),
                    node_scores=_numpy(explanation.node_mask),
                    target=int(explanation.target),
                    label=None if labels is None else int(labels[r]),
                    full=full[r],
                    levels=tuple(wanted),
                    sizes=counts[r],
                    without=without[:, r] if name else nothing,
                    only=only[:, r] if name else nothing,
                    semantics=name,
                    output_change=float(change[r]) if claims[r] else None,
                    edge_index=explanation.edge_index.cpu().numpy(),
                    truth=true,
                ),
            )


def _drawn(
    problem: Problem,
    cases: Sequence[tuple[int, Case]],
    draw: Callable[[Case, np.random.Generator], Bools],
) -> Iterator[tuple[int, Case]]:
    """The cases with predictions, each with those for what ``draw`` draws."""
    whole = problem.prepared.output[problem.nodes]
    for semantics in dict.fromkeys(case.semantics for _, case in cases if case.semantics):
        group = [(node, case) for node, case in cases if case.semantics == semantics]
        # The same draws whatever the method: its scores are compared with others' on the same.
        kept = [draw(case, np.random.default_rng([_SEED, node])) for node, case in group]
        together = torch.from_numpy(np.concatenate(kept, axis=1)).to(whole.device)
        outputs = _outputs(problem, together, semantics, alone=False)
        answers = _numpy(to_probabilities(outputs, problem.prepared.config))
        changes = _numpy(whole - outputs)
        for r, (node, case) in enumerate(group):
            change = changes[:, r, case.target]
            yield node, replace(case, kept=kept[r], drawn=answers[:, r], changes=change)


def _module(function: Callable[..., Any]) -> Any:
    return sys.modules[function.__module__]


def _predictions(problem: Problem, kept: Tensor, semantics: str, *, alone: bool) -> Tensor:
    """Probabilities [K, R, C] of the nodes, given the edges ``kept`` [K, e] of their fields."""
    outputs = _outputs(problem, kept, semantics, alone=alone)
    return to_probabilities(outputs, problem.prepared.config)


@torch.no_grad()
def _outputs(problem: Problem, kept: Tensor, semantics: str, *, alone: bool) -> Tensor:
    """The same, as the model returns it."""
    outputs = []
    for part in kept.split(problem.copies):
        if semantics == "delete":
            outputs.append(problem.deleted_outputs(part, alone=alone))
        else:
            outputs.append(problem.masked_outputs(part))
    return torch.cat(outputs)


def _numpy(tensor: Tensor) -> Any:
    return tensor.detach().double().cpu().numpy()
