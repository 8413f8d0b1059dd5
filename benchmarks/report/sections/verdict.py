"""The verdict in sentences; a method beats another only if the test and the interval agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from benchmarks.report.data import quality, runtimes, steps
from benchmarks.report.data.frames import natural
from benchmarks.report.data.quality import HEADLINE_BUDGET
from benchmarks.report.data.section import RANDOM, Section
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
from benchmarks.report.render.wording import counted, p_equals, variant
from benchmarks.report.sections.cost import cheapest_setting
from benchmarks.report.sections.ranks import overview
from benchmarks.report.stats.pairwise import PairwiseComparison
from benchmarks.report.stats.standings import Standing

BASELINES = (RANDOM, "degree", "page_rank")  # cost next to nothing and ignore the model
# Methods that every reader asks about: compared with each other and with the best.
ASKED = ("integrated_gradients", "gnn_explainer")
_HEADLINES = {"fidelity+_prob": "fidelity+", "fidelity-_prob": "fidelity-"}


def verdict(sections: Sequence[Section]) -> Iterator[Block]:
    """The verdict on all tasks: a summary table, an overview, and sentences for each task."""
    yield Heading("Verdict", "verdict")
    found = {section.slug: list(_sentences(section)) for section in sections}
    if not any(found.values()):
        yield Text("Nothing was measured.")
        return
    yield from _summary(sections)
    yield from overview(sections)
    for section in sections:
        if found[section.slug]:
            if len(sections) > 1:
                yield Heading(section.title, f"verdict-{section.slug}", 3)
            yield Items(found[section.slug])


def _summary(sections: Sequence[Section]) -> Iterator[Block]:
    rows = []
    for section in sections:
        row = [Entry(_best(section, name)) for name in _HEADLINES]
        timing = _fastest(section)
        row.append(Entry(variant(timing.label, timing.engine) if timing else NOTHING))
        cheapest = [steps.cheapest(settings) for settings in steps.sweeps(section).values()]
        texts = [f"{one.n_steps} steps, batch size {one.batch}" for one in cheapest if one]
        row.append(Entry("; ".join(texts) or NOTHING))
        if any(entry.text != NOTHING for entry in row):
            rows.append([Entry(section.title), *row])
    header = (
        *("task", "best fidelity+, 10 edges", "best fidelity-, 10 edges"),
        *("fastest that uses the model", "cheapest Integrated Gradients with error < 1 %"),
    )
    # A column in which no task has an entry is left out.
    columns = [
        (name, *entries)
        for name, *entries in zip(header, *rows, strict=True)
        if any(entry.text != NOTHING for entry in entries)
    ]
    if not columns:
        return
    names, *lines = zip(*columns, strict=True)
    yield Table("Summary; the sentences below give the intervals and tests.", names, lines)


def _best(section: Section, name: str) -> str:
    standings = quality.compare(section, name, HEADLINE_BUDGET, "mask")
    best = [one for one in sorted(standings, key=natural) if standings[one].mark == "best"]
    tied = sum(one.mark == "tied" for one in standings.values())
    text = " = ".join(best) or NOTHING
    return f"{text} ({len(best) + tied}-way tie)" if tied else text


def _sentences(section: Section) -> Iterator[str]:
    for name, word in _HEADLINES.items():
        standings = quality.compare(section, name, HEADLINE_BUDGET, "mask")
        if standings:
            yield _winner(section, f"{word} ({section.changed}, mask) at 10 edges", standings)
    yield from _pairwise(section)
    yield from _against_random(section)
    yield from _speed(section)
    for (method, engine), settings in steps.sweeps(section).items():
        yield cheapest_setting(settings, f"{section.title}, for {variant(method, engine)}")
    ratios = runtimes.engine_ratios(section)
    if ratios:
        top = max(ratios, key=lambda ratio: ratio.ratio.value)
        at_once = f", {top.at_once:,} nodes at once" if top.at_once > 1 else ""
        yield (
            f"On {section.title}, the engine with the largest speed-up over stock is {top.engine} "
            f"for {top.label}{at_once}: {factors(top.ratio)}."
        )


def _pairwise(section: Section) -> Iterator[str]:
    order = quality.ranking(section)
    rows = section.of("quality")[0]
    asked = set(rows.loc[rows["method"].isin(ASKED), "label"])
    contenders = [name for name in order if name == order[0] or name in asked]
    pairs = list(combinations(contenders, 2))
    compared = [
        (name, one) for name in _HEADLINES for one in quality.compare_pairs(section, pairs, name)
    ]
    tied = []
    for first, second in pairs:
        between = [
            (name, one) for name, one in compared if (one.first, one.second) == (first, second)
        ]
        for winner, loser in ((first, second), (second, first)):
            won = [_gain(name, one) for name, one in between if one.winner == winner]
            if won:
                cost = _cost(section, winner, loser)
                by = " and ".join(won)
                yield f"On {section.title}, {winner} beats {loser} at 10 edges {by}{cost}."
        if between and not any(one.winner for _, one in between):
            tied.append(f"{first} and {second}")
    if tied:
        first, *rest = tied
        more = "".join(f"; so are {pair}" for pair in rest)
        where = "in both fidelity+ and fidelity- at 10 edges"
        yield f"On {section.title}, {first} are tied {where}{more}."


def _gain(name: str, one: PairwiseComparison) -> str:
    bounds = sorted([abs(one.gain.low), abs(one.gain.high)])
    size = f"{abs(one.gain.value):.3f} [{bounds[0]:.3f}, {bounds[1]:.3f}]"
    if abs(one.gain.value) < 0.0005:  # significant, and of no consequence
        size = "less than 0.001"
    return f"in {_HEADLINES[name]} by {size} ({p_equals(one.p)})"


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
    if ratio.value < 1:
        return f", and is {factor(1 / ratio.value)} faster"
    return f", but is {factor(ratio.value)} slower"


def _against_random(section: Section) -> Iterator[str]:
    others = [name for name in quality.ranking(section) if name not in BASELINES]
    pairs = [(name, RANDOM) for name in others]
    found = quality.compare_pairs(section, pairs, "fidelity+_prob")
    if not found:
        return
    better = [one.first for one in found if one.winner == one.first]
    rest = [one.first for one in found if one.winner != one.first]
    what = "significantly better than random in fidelity+ at 10 edges"
    parts = [f"these are {what}: {', '.join(better)}"] if better else []
    if rest:
        parts.append(f"these are not{'' if better else f' {what}'}: {', '.join(rest)}")
    yield f"On {section.title}, {'; '.join(parts)}."


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
        sentence += f"; tied with {', '.join(tied)}"
    elif len(best) < len(names):
        sentence += "; all others are significantly worse"
    if RANDOM in standings and RANDOM not in best:
        sentence += f"; random baseline: {estimate(standings[RANDOM].mean, bounded=True)}"
    return f"{sentence}."


def _fastest(section: Section) -> runtimes.Timing | None:
    """The fastest method that uses the model, else the fastest; None if there is only one."""
    timings = [timing for timing in runtimes.timings(section) if timing.speedup is not None]
    if len(timings) < 2:
        return None
    return next((timing for timing in timings if timing.label not in BASELINES), timings[0])


def _speed(section: Section) -> Iterator[str]:
    fastest, reference = _fastest(section), runtimes.reference(section)
    if fastest is None or reference is None:
        return
    baselines = [one for one in runtimes.timings(section) if one.label in BASELINES]
    aside = " that uses the model" if baselines and fastest not in baselines else ""
    name = variant(fastest.label, fastest.engine)
    sentence = f"On {section.title}, the fastest method{aside} is {name}"
    if (fastest.label, fastest.engine) == reference:
        yield f"{sentence}."
    else:
        yield f"{sentence}: {factors(fastest.speedup)} faster than {variant(*reference)}."
