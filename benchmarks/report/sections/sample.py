"""How many nodes and models a report is about."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.report.data.section import Section, units
from benchmarks.report.sections import peers, reliability


def nodes_and_models(sections: Sequence[Section]) -> str:
    """``100 nodes × 5 models``, or from the fewest to the most; empty if none is known."""
    scored, timed = ("quality", peers.BENCHMARK), ("engines", "runtime")
    # Times count where nothing was scored, and what else is measured of scores without both.
    for i, benchmarks in ((0, scored), (1, timed), (0, sorted(reliability.BENCHMARKS))):
        found = {
            section: max(some)
            for section in sections
            if (some := [one for name in benchmarks if (one := _explained(section, name, i))[0]])
        }
        if found:
            words = (units(found), "models")
            return " × ".join(
                _range([one[i] for one in found.values()], words[i]) for i in range(len(words))
            )
    return ""


def _explained(section: Section, benchmark: str, frame: int) -> tuple[int, int]:
    """How many nodes and models a benchmark has scores (0) or times (1) of."""
    rows = section.of(benchmark)[frame]
    return int(rows["node"].nunique()), int(rows["model_seed"].nunique())


def _range(counts: Sequence[int], words: str) -> str:
    low, high = min(counts), max(counts)
    if low == high == 1:
        words = " or ".join(word.removesuffix("s") for word in words.split(" or "))
    return f"{high:,} {words}" if low == high else f"{low:,} to {high:,} {words}"
