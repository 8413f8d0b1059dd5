"""What the numbers say, in sentences; nobody beats anybody unless interval and test allow it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from benchmarks.report.data import quality as tables
from benchmarks.report.data import runtimes, steps
from benchmarks.report.data.frames import natural
from benchmarks.report.data.section import FLOOR, Section
from benchmarks.report.render.blocks import (
    NOTHING,
    Block,
    Entry,
    Heading,
    Items,
    Table,
    Text,
    estimate,
    factor,
    factors,
)
from benchmarks.report.render.wording import counted, p_value, variant
from benchmarks.report.sections.cost import cheapest_pair
from benchmarks.report.sections.ranks import overview
from benchmarks.report.stats.estimates import Standing
from benchmarks.report.stats.pairwise import Duel, duels

FLOORS = (FLOOR, "degree", "page_rank")  # cost next to nothing and do not look at the model
# Whom every reader asks about; the verdict compares them with each other and with the best.
ASKED = ("integrated_gradients", "gnn_explainer")
_HEADLINES = {"fidelity+_prob": "fidelity+", "fidelity-_prob": "fidelity-"}


def verdict(sections: Sequence[Section]) -> Iterator[Block]:
    """The verdict on all tasks: a table to glance at, and sentences for each."""
    yield Heading("Verdict", "verdict")
    found = {section.slug: list(_sentences(section)) for section in sections}
    if not any(found.values()):
        yield Text("Nothing was measured.")
        return
    yield from _glance(sections)
    yield from overview(sections)
    for section in sections:
        if found[section.slug]:
            if len(sections) > 1:
                yield Heading(section.title, f"verdict-{section.slug}", 3)
            yield Items(found[section.slug])


def _glance(sections: Sequence[Section]) -> Iterator[Block]:
    rows = []
    for section in sections:
        row = []
        for name in _HEADLINES:
            standings = tables.compare(section, name, tables.HEADLINE_LEVEL, "mask")
            best = [one for one in sorted(standings, key=natural) if standings[one].mark == "best"]
            tied = sum(one.mark == "tied" for one in standings.values())
            text = " = ".join(best) or NOTHING
            row.append(Entry(f"{text} (and {tied} not told apart)" if tied else text))
        timing = _fastest(section)
        row.append(Entry(variant(timing.label, timing.engine) if timing else NOTHING))
        cheapest = [steps.cheapest(pairs) for pairs in steps.sweeps(section).values()]
        texts = [f"{pair.n_steps} steps, {pair.batch} at once" for pair in cheapest if pair]
        row.append(Entry("; ".join(texts) or NOTHING))
        if any(entry.text != NOTHING for entry in row):
            rows.append([Entry(section.title), *row])
    header = (
        *("task", "best fidelity+, 10 edges", "best fidelity-, 10 edges"),
        *("fastest that looks at the model", "cheapest Integrated Gradients with error < 1 %"),
    )
    # What was measured on no task at all has no column.
    columns = [
        (name, *entries)
        for name, *entries in zip(header, *rows, strict=True)
        if any(entry.text != NOTHING for entry in entries)
    ]
    if not columns:
        return
    names, *lines = zip(*columns, strict=True)
    yield Table("At a glance; the sentences below say how sure this is.", names, lines)


def _sentences(section: Section) -> Iterator[str]:
    for name, word in _HEADLINES.items():
        standings = tables.compare(section, name, tables.HEADLINE_LEVEL, "mask")
        if standings:
            yield _winner(section, f"{word} (probability, mask) at 10 edges", standings)
    yield from _duels(section)
    yield from _floor(section)
    yield from _speed(section)
    for (method, engine), pairs in steps.sweeps(section).items():
        yield f"On {section.title}, for {variant(method, engine)}: {cheapest_pair(pairs)}"
    ratios = runtimes.engine_ratios(section)
    if ratios:
        top = max(ratios, key=lambda ratio: ratio.ratio.value)
        at_once = f", {top.at_once:,} nodes at once" if top.at_once > 1 else ""
        yield (
            f"On {section.title}, the engine that gains most over stock is {top.engine} for "
            f"{top.label}{at_once}: {factors(top.ratio)}."
        )


def _duels(section: Section) -> Iterator[str]:
    order = tables.ranking(section)
    rows = section.of("quality")[0]
    asked = set(rows.loc[rows["method"].isin(ASKED), "label"])
    contenders = [name for name in order if name == order[0] or name in asked]
    pairs = list(combinations(contenders, 2))
    fought = [duel for name in _HEADLINES for duel in duels(section, pairs, name)]
    equal = []
    for first, second in pairs:
        between = [duel for duel in fought if (duel.first, duel.second) == (first, second)]
        for winner, loser in ((first, second), (second, first)):
            won = [duel for duel in between if duel.winner == winner]
            if won:
                by = " and ".join(_gain(duel) for duel in won)
                cost = _cost(section, winner, loser)
                yield f"On {section.title}, {winner} beats {loser} at 10 edges {by}{cost}."
        if between and not any(duel.winner for duel in between):
            equal.append(f"{first} and {second}")
    if equal:
        yield (
            f"On {section.title}, neither fidelity+ nor fidelity- at 10 edges tells apart "
            f"{'; '.join(equal)}."
        )


def _gain(duel: Duel) -> str:
    by = sorted([abs(duel.gain.low), abs(duel.gain.high)])
    size = f"{abs(duel.gain.value):.3f} [{by[0]:.3f}, {by[1]:.3f}]"
    if abs(duel.gain.value) < 0.0005:  # told apart, and of no consequence
        size = "less than 0.001"
    p = p_value(duel.p)
    return f"in {_HEADLINES[duel.metric]} by {size} (p {p if p.startswith('<') else f'= {p}'})"


def _cost(section: Section, winner: str, loser: str) -> str:
    """How the winner's time compares with the loser's, each on its fastest engine."""
    own, other = (next(iter(runtimes.costs(section, name)), None) for name in (winner, loser))
    if own is None or other is None:
        return ""
    ratio = runtimes.time_ratio(section, (own.label, own.engine), (other.label, other.engine))
    if ratio is None or ratio.n < 2:
        return ""
    if not (ratio.high < 1 or ratio.low > 1):
        return ", in about the same time"
    if ratio.value < 0.1:
        return f", at 1/{1 / ratio.value:,.0f} of the time"
    if ratio.value < 2:
        return f", at {100 * ratio.value:.0f} % of the time"
    return f", at {factor(ratio.value).rstrip('×')} times the time"


def _floor(section: Section) -> Iterator[str]:
    order = tables.ranking(section)
    others = [name for name in order if name not in FLOORS]
    found = duels(section, [(name, FLOOR) for name in others], "fidelity+_prob")
    if not found:
        return
    above = [duel.first for duel in found if duel.winner == duel.first]
    rest = [duel.first for duel in found if duel.winner != duel.first]
    parts = [f"beat the floor, {FLOOR}: {', '.join(above)}"] if above else []
    if rest:
        parts.append(f"do not{'' if above else f' beat the floor, {FLOOR}'}: {', '.join(rest)}")
    yield f"On {section.title}, in fidelity+ at 10 edges, these {'; these '.join(parts)}."


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


def _fastest(section: Section) -> runtimes.Timing | None:
    """The fastest method that looks at the model; if none does, the fastest; None if all alone."""
    timings = [timing for timing in runtimes.timings(section) if timing.speedup is not None]
    if len(timings) < 2:
        return None
    return next((timing for timing in timings if timing.label not in FLOORS), timings[0])


def _speed(section: Section) -> Iterator[str]:
    fastest, reference = _fastest(section), runtimes.reference(section)
    if fastest is None or reference is None:
        return
    floors = [timing for timing in runtimes.timings(section) if timing.label in FLOORS]
    aside = " of those that look at the model" if floors and fastest not in floors else ""
    sentence = f"On {section.title}, {variant(fastest.label, fastest.engine)} is the fastest{aside}"
    if (fastest.label, fastest.engine) == reference:
        yield f"{sentence}."
    else:
        yield f"{sentence}: {factors(fastest.speedup)} as fast as {variant(*reference)}."
