"""The report's outline: its sections in order, from the content of a results folder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.report.data.frames import Results
from benchmarks.report.data.section import (
    EQUIVALENCE,
    Section,
    engine_names,
    method_labels,
    split,
)
from benchmarks.report.figures.palette import Palette
from benchmarks.report.render.blocks import Block, Caution, Heading, Items
from benchmarks.report.render.wording import machine
from benchmarks.report.sections import (
    appendix,
    cost,
    cost_answers,
    engines,
    first,
    peers,
    provenance,
    quality,
    replication,
    screens,
)
from benchmarks.report.sections.agreement import agreement
from benchmarks.report.sections.axioms import axioms
from benchmarks.report.sections.counterfactual import counterfactual
from benchmarks.report.sections.edge_types import edge_types
from benchmarks.report.sections.explained_output import explained_output
from benchmarks.report.sections.f_fidelity import f_fidelity
from benchmarks.report.sections.ground_truth import ground_truth
from benchmarks.report.sections.learning import learning
from benchmarks.report.sections.methods import methods
from benchmarks.report.sections.randomisation import randomisation
from benchmarks.report.sections.ranks import ranks
from benchmarks.report.sections.verdict import sentences, verdict


def title(results: Results) -> str:
    """The report's title, which says what was asked and when."""
    created = str(results.manifest.get("created") or "")[:10]
    asked = first.asked(results)
    said = f"GNN explainers on {asked}" if asked else "GNN explainer benchmark"
    return f"{said}{f', {created}' if created else ''}"


def compose(results: Results, equivalence: float = EQUIVALENCE) -> list[Block]:
    """All blocks of the report; ``equivalence`` is half of the region of practical equivalence."""
    sections = split(results, equivalence)
    palette = Palette(method_labels(sections), engine_names(sections))
    tasks = list(provenance.tasks(results))
    answered = screens.of(sections) is not None  # then there is nothing left for a verdict
    whole = cost_answers.alone(sections) or first.shown_whole(sections)
    front: list[Block] = [
        *provenance.cautions(results),
        *first.first(sections, palette, results.manifest),
        *(block for block in tasks if isinstance(block, Caution)),
        *(() if answered else verdict(sections, whole=whole)),
    ]
    parts: list[Block] = [block for block in tasks if not isinstance(block, Caution)]
    parts += [*provenance.explained(sections), *methods(results)]
    others = [*peers.overall(sections, results.manifest)]
    (front if peers.alone(sections) else parts).extend(others)
    ahead = [section.slug for section in first.in_front(sections, results.manifest)]
    details: list[Block] = []
    for section in sections:
        details += _section(section, palette, results.manifest, whole, section.slug in ahead)
    parts += map(_detailed, details) if len(sections) > 1 else details
    parts += [
        *engines.engines(sections, results.manifest),
        *replication.replication(sections),
        *appendix.failures(results, sections),
        *appendix.meaning(results, equivalence),
        *provenance.environment(results),
        *appendix.reproduce(results),
    ]
    return [*front, *map(_folded, parts)]


def _folded(block: Block) -> Block:
    """Parts with all tables and figures open on demand, on a screen."""
    if isinstance(block, Heading) and block.level == 2:
        return replace(block, folded=True)
    return block


def _detailed(block: Block) -> Block:
    """Of several tasks, the short pages have the verdict alone."""
    if isinstance(block, Heading) and block.level == 2:
        return replace(block, detailed=True)
    return block


def _section(
    section: Section, palette: Palette, manifest: dict[str, Any], whole: bool, ahead: bool
) -> list[Block]:
    """A task's part; ``whole``: its sentences, ``ahead``: its forest plot stand before it."""
    found = () if whole else tuple(sentences(section))
    blocks = [
        *([Items(found)] if found else []),
        *(() if ahead else first.plot(section, palette)),
        *quality.quality(section, palette),
        *ranks(section, palette),
        *f_fidelity(section),
        *counterfactual(section),
        *ground_truth(section),
        *edge_types(section),
        *randomisation(section),
        *explained_output(section),
        *learning(section),
        *axioms(section),
        *agreement(section),
        *cost.runtime(section, palette, machine(section, manifest)),
        *cost.sweep(section),
        *cost.scaling(section, palette),
        *peers.peers(section, manifest),
    ]
    return [Heading(section.title, f"task-{section.slug}"), *blocks] if blocks else []
