"""Whether the methods find the right explanation, on tasks where it is known."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.report.data import quality as tables
from benchmarks.report.data.section import Section
from benchmarks.report.render.blocks import Block, Heading
from benchmarks.report.sections.quality import comparison


def ground_truth(section: Section) -> Iterator[Block]:
    """A table of methods by how well their scores separate the right edges from the others."""
    columns = [(name, level, "") for name, level in tables.GROUND_TRUTH]
    found = list(
        comparison(
            section,
            tables.ranking(section),
            columns,
            "The right explanation against the others of the computation graph's edges (recall and "
            "Jaccard: of the 10 edges with the highest absolute score)",
        )
    )
    if found:
        yield Heading("Right explanations", f"truth-{section.slug}", 3)
        yield from found
