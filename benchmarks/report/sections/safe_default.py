"""The safe default of a run: the method that is best, or tied with the best, most often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.report.data import quality, runtimes
from benchmarks.report.data.frames import natural
from benchmarks.report.data.quality import HEADLINE_BUDGET
from benchmarks.report.data.section import BASELINES, Section, units
from benchmarks.report.render.wording import counted, listed
from benchmarks.report.sections.verdict import HEADLINES
from benchmarks.report.stats.standings import (
    NO_WINNER,
    TIE,
    TOO_FEW,
    UNDIRECTED,
    WINNER,
    Standings,
)


def headline(section: Section, name: str) -> Standings:
    """How the methods compare in fidelity+ or fidelity-, as the tables have it first."""
    return quality.compare(section, name, HEADLINE_BUDGET, "mask")


def marked(sections: Sequence[Section]) -> dict[str, int]:
    """In how many tables of fidelity each method, baselines aside, is best or tied with the best.

    Counted are fidelity+ and fidelity- of each section, where one is best.
    """
    return {name: count for name, (count, _) in counts(sections).items() if count}


def counts(sections: Sequence[Section]) -> dict[str, tuple[int, int]]:
    """As :func:`marked`, and of how many such tables that the method is in."""
    found: dict[str, tuple[int, int]] = {}
    for section in sections:
        for name in HEADLINES:
            standings = headline(section, name)
            for method, standing in standings.items():
                if method not in BASELINES and method not in section.baselines:
                    count, of = found.get(method, (0, 0))
                    is_in = standings.outcome in (WINNER, TIE)
                    found[method] = count + bool(standing.mark), of + is_in
    return found


def decided(sections: Sequence[Section]) -> int:
    """How many tables of fidelity+ and fidelity- name a best method."""
    outcomes = [headline(one, name).outcome for one in sections for name in HEADLINES]
    return sum(one in (WINNER, TIE) for one in outcomes)


def safe_methods(sections: Sequence[Section]) -> list[str]:
    """The methods that are best or tied with the best most often, the fastest first."""
    found = marked(sections)
    if not found:
        return []
    most = max(found.values())
    return sorted(
        (method for method, count in found.items() if count == most),
        key=lambda method: (_time(sections, method), method),
    )


def _time(sections: Sequence[Section], method: str) -> float:
    """The median over the sections of its time by default; infinite where it is not known."""
    found = [timing.seconds for one in sections if (timing := runtimes.by_default(one, method))]
    return float(np.median(found)) if found else np.inf


def safe_default(sections: Sequence[Section]) -> str:
    """Which method is a safe default over the tasks."""
    compared = [
        one for section in sections for name in HEADLINES if (one := headline(section, name))
    ]
    if not compared:
        return "No method was compared with another in this run."
    methods, of_all = safe_methods(sections), decided(sections)
    if not methods:
        found = {one.outcome for one in compared}
        why = "the methods do not differ"
        if NO_WINNER in found:
            why = "the best is tied with the random baseline wherever methods could be compared"
        elif TOO_FEW in found:
            why = f"there are too few {units(sections)}"
        elif found <= {UNDIRECTED}:
            why = "it is not known which values are better"
        return f"Safe default: none can be named, {why}."
    count = marked(sections)[methods[0]]
    of = f"{count} of the {of_all}" if of_all > 1 else "the only"
    tables = "comparisons that name" if of_all > 1 else "comparison that names"
    # A tie has a best mean and methods tied with it, but no winner: "winner" is not said here.
    text = f"Safe default: {methods[0]}, best or tied with the best in {of} {tables} a "
    text += "best method (fidelity+ and fidelity- of each task)"
    if len(methods) > 1:
        others = ", ".join(sorted(methods[1:4]))
        more = f" and {len(methods) - 4} more" if len(methods) > 4 else ""
        known = np.isfinite(_time(sections, methods[0]))
        text += f"; so {'are' if len(methods) > 2 else 'is'} {others}{more}"
        text += f", of which {methods[0]} is the fastest" if known else ""
    said = [text, *_next(sections, count)]
    undecided = len(compared) - of_all
    if undecided:
        names = "names" if undecided == 1 else "name"
        said.append(f"{counted(undecided, 'more comparison')} {names} none")
    not_better = [
        section.title
        for section in sections
        if (standing := headline(section, "fidelity+_prob").get(methods[0]))
        and standing.not_better_than_random
    ]
    if not_better:
        on = ", ".join(not_better)
        said.append(f"In fidelity+ it is not significantly better than random on {on}")
    return f"{'. '.join(said)}."


def _next(sections: Sequence[Section], most: int) -> Iterator[str]:
    """The methods with the next highest count, which may be as good: such counts are not tested."""
    rest = {name: found for name, found in counts(sections).items() if 0 < found[0] < most}
    if not rest:
        return
    second = max(count for count, _ in rest.values())
    names = sorted((name for name in rest if rest[name][0] == second), key=natural)
    shown = names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more"]
    of = sorted({rest[name][1] for name in names})
    fewer = ""  # comparisons than all: there the method was not measured
    if of[0] < decided(sections):
        they = "they are" if len(names) > 1 else "it is"
        fewer = f" of the {' to '.join(dict.fromkeys(map(str, (of[0], of[-1]))))} that {they} in"
    yield f"Next: {listed(shown)}, in {second}{fewer}; these counts are not tested"
