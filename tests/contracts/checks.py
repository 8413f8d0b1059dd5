"""Comparing the library's answers with :mod:`reference`; and what a refusal must say."""

from __future__ import annotations

import re

import torch

import explainers

REASON = re.compile(r"model|layer|data\.|edge_index|engine", re.IGNORECASE)


def refused(error, match=""):
    """A refusal says what it is about, of the words ``match`` at least one."""
    assert REASON.search(str(error)), f"no reason: {error!r}"
    assert len(str(error)) > 40, f"no cause and remedy: {error!r}"
    assert re.search(match, str(error), re.IGNORECASE), f"not a word of {match!r}: {error!r}"


def scores(reference, method, row, target, options):
    """What the reference says."""
    return getattr(reference, method)(row, target, *options.values())


def differences(reference, model, data, rows, method, options, engines=(None,), match="", said=()):
    """Says where a method's explanations are wrong; a refusal that says why is fine.

    Args:
        reference: Of the model and the data.
        model: As the user has it.
        data: What is explained.
        rows: Nodes or graphs.
        method: A method that the reference knows.
        options: Its options, which the reference takes in the same order.
        engines: Those to ask; None is the default.
        match: Words of which a refusal must have one.
        said: ``model_config``, if it has to be said.
    """
    for engine in engines:
        loaded = explainers.load(method, engine=engine, **options)
        try:
            explanations = loaded.explain(model, data, rows, **dict(said))
        except ValueError as error:
            refused(error, match if engine is None else "")  # an engine may have reasons of its own
            _refused_before_any_work(loaded, model, data, rows, said)
            continue
        if reference.untraceable:
            yield f"{engine}: explains although {reference.untraceable}"
            continue
        for row, explanation in zip(rows, explanations, strict=True):
            expected = scores(reference, method, row, int(explanation.target), options)
            for what in _differences(explanation, reference, row, expected):
                yield f"{engine} ({loaded.engine}), {row}: {what}"


def _refused_before_any_work(loaded, model, data, rows, said):
    try:
        loaded.stream(model, data, rows, **dict(said))
    except ValueError:
        return
    raise AssertionError("refused only when the first explanation was asked for")


def _differences(explanation, reference, row, expected):
    data, target = reference.data, int(explanation.target)
    assert explainers.unit(explanation) == row
    if not torch.allclose(explanation.prediction, reference.output[row], rtol=1e-9, atol=1e-9):
        yield "prediction"
    scale = max(float(scores.abs().max()) for scores in expected if scores.numel())
    tolerance = 1e-6 * scale + 1e-12
    full = explainers.to_full(explanation, data)
    for name, own, other in zip(("features", "edges"), full, expected, strict=True):
        worst = float((own - other).abs().max()) if other.numel() else 0.0
        if not worst <= tolerance:
            yield f"{name} by {worst / max(scale, 1e-12):.1e} of the largest score"
    if "convergence_delta" in explanation:
        missing = sum(float(part.sum()) for part in expected) - reference.change(row, target)
        if not abs(float(explanation.convergence_delta) - missing) <= tolerance:
            yield "convergence_delta"
