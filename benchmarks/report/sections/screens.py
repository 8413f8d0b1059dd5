"""First screens of runs that did not compare methods in quality: a question, answers, a figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.report.data.section import Section
from benchmarks.report.figures.palette import Palette
from benchmarks.report.render.blocks import Block
from benchmarks.report.sections import cost_answers, engines, peers, reliability, replication


@dataclass(frozen=True)
class Screen:
    """What stands in front of all else.

    Attributes:
        question: What the run asked.
        alone: Whether a run, by its sections, measured this and nothing else.
        answers: A few sentences.
        shown: What is drawn or tabled below them, from all sections, those that stand in front,
            the palette and the manifest.
    """

    question: str
    alone: Callable[[Sequence[Section]], bool]
    answers: Callable[[Sequence[Section]], list[str]]
    shown: Callable[
        [Sequence[Section], Sequence[Section], Palette, dict[str, Any]], Iterable[Block]
    ]


_SCREENS = (
    Screen(
        "How do the explainers of other packages compare with this library's?",
        peers.alone,
        peers.answers,
        lambda *_: (),
    ),
    Screen(
        "How much faster are the engines than what is published and than code by hand?",
        engines.alone,
        engines.answers,
        lambda sections, _ahead, _palette, manifest: engines.fastest(sections, manifest),
    ),
    Screen(
        "What do explanations of these models' predictions cost?",
        cost_answers.alone,
        cost_answers.answers,
        lambda _, ahead, palette, _manifest: cost_answers.front(ahead, palette),
    ),
    Screen(
        "Can these explanations be relied on: do they depend on what the model has learned, are "
        "they stable, and do the methods agree?",
        reliability.alone,
        reliability.answers,
        lambda sections, _ahead, palette, _manifest: reliability.overview(sections, palette),
    ),
    Screen(
        "Do published numbers come out again, measured as their authors measured them?",
        replication.alone,
        replication.answers,
        lambda sections, *_: replication.front(sections),
    ),
)


def of(sections: Sequence[Section]) -> Screen | None:
    """The one of a run; None of a run that asked about quality, or about several things."""
    return next((screen for screen in _SCREENS if screen.alone(sections)), None)
