"""Whether the methods find the ground truth, on tasks where it is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.report.data.quality import (
    GROUND_TRUTH,
    conditions,
    find,
    ranking,
)
from benchmarks.report.data.randomisation import caution
from benchmarks.report.data.section import Section
from benchmarks.report.render.blocks import Block, Heading, Table
from benchmarks.report.sections.quality import comparison


def ground_truth(section: Section) -> Iterator[Block]:
    """A table of methods by how well their scores separate the ground truth from other edges."""
    columns = [(name, budget, "") for name, budget in GROUND_TRUTH]
    keys = [find(section, *column) for column in columns]
    at = next((key for key in keys if key and key.budget), None)
    note = f"; recall and Jaccard at {conditions(at)}" if at else ""
    by = next((key.selection for key in keys if key), "")
    found = list(
        comparison(
            section,
            ranking(section),
            columns,
            "The ground truth against the other edges of the computation graph"
            + (f", by {by} score" if by else "")
            + note,
        )
    )
    if found:
        yield Heading("Ground truth", f"truth-{section.slug}", 3)
        for block in found:
            if isinstance(block, Table):
                block = replace(block, caption=f"{block.caption} {caution(section)}".strip())
            yield block
