"""What the report says: the blocks, in order, from a results folder's content."""

from __future__ import annotations

from typing import Any

from benchmarks.report import calibration, closing, cost, figures, origin, quality
from benchmarks.report.agreement import agreement
from benchmarks.report.axioms import axioms
from benchmarks.report.blocks import Block, Heading
from benchmarks.report.frames import Results
from benchmarks.report.ground_truth import ground_truth
from benchmarks.report.methods import methods as described_methods
from benchmarks.report.ranks import ranks
from benchmarks.report.sections import Section, engines, methods, split
from benchmarks.report.verdict import verdict
from benchmarks.report.wording import machine


def title(results: Results) -> str:
    """The report's title."""
    created = str(results.manifest.get("created") or "")[:10]
    return f"GNN explainer benchmark{f', {created}' if created else ''}"


def compose(results: Results) -> list[Block]:
    """All blocks of the report."""
    sections = split(results)
    palette = figures.Palette(methods(sections), engines(sections))
    blocks = [*origin.cautions(results), *verdict(sections), *origin.tasks(results)]
    blocks += described_methods(results)
    for section in sections:
        blocks += _section(section, palette, results.manifest)
    return [
        *blocks,
        *calibration.calibration(sections),
        *closing.failures(results, sections),
        *closing.meaning(results),
        *origin.environment(results),
        *closing.again(results),
    ]


def _section(section: Section, palette: figures.Palette, manifest: dict[str, Any]) -> list[Block]:
    blocks = [
        *quality.quality(section, palette),
        *ranks(section, palette),
        *ground_truth(section),
        *axioms(section),
        *agreement(section),
        *cost.runtime(section, palette, machine(section, manifest)),
        *cost.sweep(section),
        *cost.engines(section),
        *cost.scaling(section, palette),
    ]
    return [Heading(section.title, f"task-{section.slug}"), *blocks] if blocks else []
