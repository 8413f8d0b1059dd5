"""What the numbers say, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.report import tables
from benchmarks.report.blocks import (
    estimate,
    factors,
)
from benchmarks.report.cost import cheapest_pair
from benchmarks.report.frames import natural
from benchmarks.report.sections import FLOOR, Section
from benchmarks.report.statistics import Standing
from benchmarks.report.wording import (
    counted,
    variant,
)

FLOORS = (FLOOR, "degree", "page_rank")  # cost next to nothing and do not look at the model


def verdict(section: Section) -> Iterator[str]:
    """The sentences on one task."""
    for name, word in (("fidelity+_prob", "fidelity+"), ("fidelity-_prob", "fidelity-")):
        standings = tables.compare(section, name, tables.HEADLINE_LEVEL, "mask")
        if standings:
            yield _winner(section, f"{word} (probability, mask) at 10 edges", standings)
    yield from _fastest(section)
    for (method, engine), pairs in tables.sweeps(section).items():
        yield f"On {section.title}, for {variant(method, engine)}: {cheapest_pair(pairs)}"
    ratios = tables.engine_ratios(section)
    if ratios:
        top = max(ratios, key=lambda ratio: ratio.ratio.value)
        at_once = f", {top.at_once} nodes at once" if top.at_once > 1 else ""
        yield (
            f"On {section.title}, the engine that gains most over stock is {top.engine} for "
            f"{top.label}{at_once}: {factors(top.ratio)}."
        )


def _winner(section: Section, what: str, standings: dict[str, Standing]) -> str:
    names = sorted(standings, key=natural)
    best = [name for name in names if standings[name].mark == "best"]
    mean = standings[best[0] if best else names[0]].mean
    value = f"{estimate(mean, bounded=True)} ({counted(mean.n, 'node')})"
    if not best:
        who = f"only {names[0]} has a" if len(names) == 1 else "all methods have the same"
        return f"On {section.title}, {who} {what}: {value}."
    have = "has" if len(best) == 1 else "have"
    sentence = f"On {section.title}, {' and '.join(best)} {have} the best {what}: {value}"
    if mean.n < 2:
        return f"{sentence}; one node allows no comparison."
    tied = [name for name in names if standings[name].mark == "tied"]
    if tied:
        sentence += f"; not distinguishable from the best: {', '.join(tied)}"
    elif len(best) < len(names):
        sentence += "; all others are distinguishably worse"
    if FLOOR in standings and FLOOR not in best:
        floor = estimate(standings[FLOOR].mean, bounded=True)
        sentence += f"; the floor, {FLOOR}: {floor}"
    return f"{sentence}."


def _fastest(section: Section) -> Iterator[str]:
    timings = [timing for timing in tables.timings(section) if timing.speedup is not None]
    reference = tables.reference(section)
    if reference is None or len(timings) < 2:
        return
    explaining = [timing for timing in timings if timing.label not in FLOORS]
    fastest = (explaining or timings)[0]
    aside = " of those that look at the model" if fastest is not timings[0] else ""
    sentence = f"On {section.title}, {variant(fastest.label, fastest.engine)} is the fastest{aside}"
    if (fastest.label, fastest.engine) == reference:
        yield f"{sentence}."
    else:
        yield f"{sentence}: {factors(fastest.speedup)} as fast as {variant(*reference)}."
