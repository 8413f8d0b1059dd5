"""F-Fidelity: fidelity for a copy of the model that was fine-tuned on graphs that lack edges."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from benchmarks.measures.engines import output_of
from benchmarks.tasks import Task, accuracy, definition, fine_tuned, without_edges
from benchmarks.tasks._source import seeded
from explainers.metrics import Case, Metric, Value
from explainers.metrics._ranking import Bools, Floats
from explainers.metrics.robust_fidelity import selected_in_turn

ALPHA = 0.5  # the share of the selected edges, or of the rest, that is taken away
BETA = 0.1  # the largest share of all edges, in the fine-tuning and in the evaluation
DRAWS = 50
EXPLAINED, TUNED = "explained model", "fine-tuned model"
REDUCED = 20  # graphs without edges on which the accuracy is taken


def shares(selected: int, edges: int) -> tuple[float, float]:
    """With what probability each selected edge falls, and each other one.

    ``ALPHA``, or less where that would take away more than ``BETA`` of all edges on average.
    """
    rest = edges - selected
    plus, minus = (min(ALPHA, BETA * edges / count) if count else 0.0 for count in (selected, rest))
    return plus, minus


def draw(case: Case, generator: np.random.Generator) -> Bools:
    """The graphs whose predictions are averaged, [2 K DRAWS, e], those of fidelity+ first.

    An edge has the same random number at every edge budget and for every method. Where the order of
    equal scores matters, each draw has another.
    """
    edges = case.scores.size
    selected = selected_in_turn(case, DRAWS)
    plus, minus = np.array([shares(int(size), edges) for size in case.sizes]).reshape(-1, 2).T
    for_plus, for_minus = generator.random((2, DRAWS, edges))
    kept = (
        ~(selected & (for_plus < plus[:, None, None])),
        selected | (for_minus >= minus[:, None, None]),
    )
    both: Bools = np.concatenate(kept).reshape(2 * case.sizes.size * DRAWS, edges)
    return both


def f_fidelity(case: Case) -> dict[str, Floats]:
    r"""Fidelity+ and fidelity- in expectation over random shares of the edges, in probability.

    With f' the fine-tuned model, c the class that the explained model predicts, e edges, S the
    selected ones, and R(T, q) random edges of T, each with probability q, independently::

        FFid+ = f'_c(G) - E f'_c(G \ R(S, q)),        q = min(0.5, 0.1 e / |S|)
        FFid- = f'_c(G) - E f'_c(G \ R(E \ S, q)),    q = min(0.5, 0.1 e / |E \ S|)

    so that on average no more than a tenth of the edges is missing, which is what the fine-tuning
    has shown to f'. Range: [-1, 1]. Direction: FFid+ higher, FFid- lower is better. Expectations
    are means of 50 draws, the same for all methods.

    Source: Zheng et al., "F-Fidelity: A Robust Framework for Faithfulness Evaluation of Explainable
    AI", arXiv:2410.02970. The shares, the bound and the number of draws are those of the authors'
    code for images (github.com/AslanDing/Finetune-Fidelity, ``code/evaluation_model.py``). What
    differs: there pixels fall and are set to 0, here edges of the computation graph, and they are
    deleted; there the change is of accuracy on the true label, here of the probability of the
    explained class; there the explanations evaluated are of the fine-tuned model, here of the
    model that is explained.

    Args:
        case: With the predictions of the fine-tuned model for :func:`draw`.

    Returns:
        Arrays [K]: ``f_fidelity+_prob`` and ``f_fidelity-_prob``.

    Raises:
        ValueError: Some probabilities are NaN or infinite.
    """
    assert case.drawn is not None
    after = case.drawn[:, case.target]
    if not np.isfinite(after).all() or not np.isfinite(case.full).all():
        raise ValueError("the model's probabilities are NaN or infinite; F-Fidelity needs them")
    plus, minus = case.full[case.target] - after.reshape(2, case.sizes.size, DRAWS).mean(axis=2)
    return {"f_fidelity+_prob": plus, "f_fidelity-_prob": minus}


def tuned_model(task: Task, seed: int) -> nn.Module:
    """The fine-tuned copy of a task's model, on the same device.

    The authors' code takes away exactly a tenth of the pixels of every input, and keeps the weights
    of the epoch with the best accuracy on the test set. Here up to a tenth of the edges falls, so
    that the whole graph stays familiar (the authors' page, trustai4s-lab.github.io/ffidelity, says
    "at most"), and the last epoch's weights are kept.

    Raises:
        ValueError: The task brings its model: how it was trained is not known.
    """
    recipe = definition(task.name).recipe
    if recipe is None:
        raise ValueError(f"{task.name} brings its model, which cannot be trained further")
    trained: Any = task.model  # by a recipe, so one of the benchmarks' own networks
    return fine_tuned(trained, task.data, recipe, seed, BETA)


def accuracies(model: Any, task: Task, seed: int) -> dict[str, float]:
    """The accuracy on what it is tested on, and its mean on graphs that lack random edges."""
    with seeded(seed):
        reduced = [without_edges(task.data, BETA) for _ in range(REDUCED)]
    without = [accuracy(model, one) for one in reduced]
    return {"accuracy": accuracy(model, task.data), "accuracy_reduced": float(np.mean(without))}


def same_class(model: nn.Module, task: Task, nodes: list[int], targets: list[int]) -> list[float]:
    """1 for each node, graph or link whose explained class the model predicts, else 0."""
    found = output_of(task, model).argmax(dim=-1)
    return [float(found[node] == target) for node, target in zip(nodes, targets, strict=True)]


_SOURCE = "Zheng et al., arXiv:2410.02970"

METRIC = Metric(
    function=f_fidelity,
    needs="predictions",
    draw=draw,
    values={
        "f_fidelity+_prob": Value(
            title="F-Fidelity+ (prob)",
            direction="up",
            bounds=(-1, 1),
            description=(
                "Mean drop of the explained class's probability when random selected edges, up to "
                "a tenth of all edges, are deleted, in [-1, 1]: for a copy of the model that was "
                "fine-tuned on such graphs; higher is better."
            ),
            source=_SOURCE,
            selection="signed",
        ),
        "f_fidelity-_prob": Value(
            title="F-Fidelity- (prob)",
            direction="down",
            bounds=(-1, 1),
            description=(
                "The same when random edges that are not selected, up to a tenth of all, are "
                "deleted, in [-1, 1]; lower is better."
            ),
            source=_SOURCE,
            selection="signed",
        ),
    },
)

VALUES = {
    **METRIC.values,
    "accuracy": Value(
        title="accuracy",
        direction="",
        bounds=(0, 1),
        description="Accuracy on the test nodes or graphs, in [0, 1].",
        compared=False,
    ),
    "accuracy_reduced": Value(
        title="accuracy without random edges",
        direction="",
        bounds=(0, 1),
        description="Mean accuracy on the test nodes or graphs if up to a tenth of the edges is "
        "taken away at random, in [0, 1].",
        compared=False,
    ),
    "same_class": Value(
        title="same class",
        direction="",
        bounds=(0, 1),
        description="Share of the explained nodes or graphs of which the fine-tuned model predicts "
        "the class that is explained, in [0, 1].",
        compared=False,
    ),
}
