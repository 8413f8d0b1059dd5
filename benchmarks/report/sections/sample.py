"""How many nodes and models a report is about."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.report.data.section import Section
from benchmarks.report.render.wording import counted
from benchmarks.report.sections import peers


def nodes_and_models(sections: Sequence[Section]) -> str:
    """``100 nodes × 5 models``, or from the fewest to the most; empty if none is known."""
    scored, timed = ("quality", peers.BENCHMARK), ("engines", "runtime")
    counts: list[tuple[int, int]] = []
    for i, benchmarks in enumerate((scored, timed)):  # times count where nothing was scored
        counts = counts or [
            max(found)
            for section in sections
            if (found := [one for name in benchmarks if (one := _explained(section, name, i))[0]])
        ]
    if not counts:
        return ""
    return " × ".join(
        _range([one[i] for one in counts], word) for i, word in enumerate(("node", "model"))
    )


def _explained(section: Section, benchmark: str, frame: int) -> tuple[int, int]:
    """How many nodes and models a benchmark has scores (0) or times (1) of."""
    rows = section.of(benchmark)[frame]
    return int(rows["node"].nunique()), int(rows["model_seed"].nunique())


def _range(counts: Sequence[int], word: str) -> str:
    low, high = min(counts), max(counts)
    return counted(high, word) if low == high else f"{low:,} to {high:,} {word}s"
