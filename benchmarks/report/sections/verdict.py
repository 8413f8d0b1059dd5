"""The verdict in sentences: what the tables mark, in words, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.report.data import quality, runtimes, steps
from benchmarks.report.data.quality import AREA, HEADLINE_BUDGET
from benchmarks.report.data.randomisation import TRUTH, caution
from benchmarks.report.data.section import BASELINES, BY_HAND, RANDOM, Section, units
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
    number,
)
from benchmarks.report.render.wording import counted, listed, p_equals, variant
from benchmarks.report.sections.cost import cheapest_setting
from benchmarks.report.sections.ranks import overview
from benchmarks.report.stats.standings import (
    EQUAL,
    NO_WINNER,
    TIE,
    TOO_FEW,
    Difference,
    Standings,
    short,
)

HEADLINES = {"fidelity+_prob": "fidelity+", "fidelity-_prob": "fidelity-"}


def verdict(sections: Sequence[Section], *, whole: bool = True) -> Iterator[Block]:
    """The verdict on all tasks: a summary table, an overview, and sentences for each task.

    Args:
        sections: The tasks.
        whole: Whether the sentences are said here, or in the part of each task.
    """
    yield Heading("Verdict", "verdict")
    found = {section.slug: list(sentences(section)) for section in sections}
    if not any(found.values()):
        yield Text("Nothing was measured.")
        return
    yield from _summary(sections, "below" if whole else "in the part of each task")
    yield from overview(sections)
    for section in sections if whole else ():
        if found[section.slug]:
            if len(sections) > 1:
                yield Heading(section.title, f"verdict-{section.slug}", 3)
            yield Items(found[section.slug])


def _summary(sections: Sequence[Section], where: str) -> Iterator[Block]:
    rows = []
    for section in sections:
        row = [Entry(_best(section, name)) for name in HEADLINES]
        timing = _fastest(section)
        row.append(Entry(variant(timing.label, timing.engine) if timing else NOTHING))
        cheapest = [steps.cheapest(settings) for settings in steps.sweeps(section).values()]
        texts = [f"{one.n_steps} steps, batch size {one.batch}" for one in cheapest if one]
        row.append(Entry("; ".join(texts) or NOTHING))
        if any(entry.text != NOTHING for entry in row):
            rows.append([Entry(section.title), *row])
    at = _conditions(sections)
    header = (
        *("task", f"best fidelity+{at}", f"best fidelity-{at}"),
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
    yield Table(f"Summary; sentences {where} give the intervals and tests.", names, lines)


def _conditions(sections: Sequence[Section]) -> str:
    """The headline's budget and selection, if they are the same on all tasks."""
    keys = [
        quality.find(section, name, HEADLINE_BUDGET, "mask")
        for section in sections
        for name in HEADLINES
    ]
    found = {quality.conditions(key) for key in keys if key is not None}
    return f", {found.pop()}" if len(found) == 1 else ""


def _best(section: Section, name: str) -> str:
    standings = quality.compare(section, name, HEADLINE_BUDGET, "mask")
    return outcome(section, standings) or NOTHING


def outcome(section: Section, standings: Standings, *, brief: bool = False) -> str:
    """How a table of methods ends, in few words; empty if it says nothing of a best one.

    ``brief`` shortens the best one's title, for figures.
    """
    if standings.outcome == NO_WINNER:
        return "no winner (tied with random)"
    if standings.outcome == TOO_FEW:
        return f"too few {units([section])}"
    if standings.outcome == EQUAL and len(standings.distinct) > 1:
        return "all the same"
    tied = standings.tied
    best = tied[0] if tied else ""
    best = short(best) if brief else best
    return f"{best} ({len(tied)}-way tie)" if standings.outcome == TIE else best


def sentences(section: Section) -> Iterator[str]:
    """What was found on a task: what the tables mark, with intervals and tests."""
    for name, word in HEADLINES.items():
        key = quality.find(section, name, HEADLINE_BUDGET, "mask")
        if key is not None:
            what = f"{word} ({section.changed}, mask) at {quality.conditions(key)}"
            sentence = _winner(section, what, quality.compare(section, *key))
            yield f"{sentence}{_by_area(section, name)}{_by_deletion(section, name)}."
    for name in TRUTH:
        key = quality.find(section, name, "", "")
        if key is not None:
            what = f"{section.metrics[name].title} of the ground truth"
            yield f"{_winner(section, what, quality.compare(section, *key))}."
    yield from _pairwise(section)
    yield from _against_random(section)
    yield from _speed(section)
    for (method, engine), settings in steps.sweeps(section).items():
        yield cheapest_setting(settings, f"{section.title}, for {variant(method, engine)}")
    ratios = runtimes.engine_ratios(section)
    if ratios:
        own = [ratio for ratio in ratios if ratio.engine != BY_HAND]
        top = max(own or ratios, key=lambda ratio: ratio.ratio.value)
        at_once = f", {top.at_once:,} {units([section])} at once" if top.at_once > 1 else ""
        yield (
            f"On {section.title}, the engine with the largest speed-up over stock is {top.engine} "
            f"for {top.label}{at_once}: {factors(top.ratio)}"
            f"{'' if top.over_hand is None else f', and {factors(top.over_hand)} over {BY_HAND}'}."
        )


def _by_area(section: Section, name: str) -> str:
    """The best by the area over all budgets."""
    area = next(one for one in AREA if one.endswith(name))
    best = outcome(section, quality.compare(section, area, "", "mask"))
    return f"; by the area over all budgets: {best}" if best else ""


def _by_deletion(section: Section, name: str) -> str:
    """The best where edges are deleted and not masked, if that makes a difference."""
    if len(quality.distinct_semantics(section)) < 2:
        return ""
    best = outcome(section, quality.compare(section, name, HEADLINE_BUDGET, "delete"))
    return f"; with edges deleted: {best}" if best else ""


def warnings(section: Section) -> Iterator[str]:
    """What keeps values from meaning much: a model that learned nothing, a task solved without it.

    And what the methods are not compared with, or on.
    """
    if section.trivial:
        models = "a model is" if section.trivial == 1 else f"{section.trivial} models are"
        yield (
            f"On {section.title}, {models} no more accurate than predicting the most frequent "
            "class everywhere: what is explained there was not learned from the data."
        )
    if gaps := quality.gaps(section, "fidelity+_prob", HEADLINE_BUDGET, "mask"):
        have = "has" if len(gaps.methods) == 1 else "have"
        yield (
            f"On {section.title}, {gaps.kept:,} of {gaps.units:,} {section.unit}s × models are "
            f"compared: on the others {listed(gaps.methods)} {have} no values."
        )
    compared = quality.compare(section, "fidelity+_prob", HEADLINE_BUDGET, "mask")
    if compared and RANDOM not in compared:
        yield (
            f"On {section.title}, the random baseline was not scored: whether the best is better "
            "than random is not known."
        )
    solved: dict[str, list[str]] = {}
    for name in TRUTH:
        standings = quality.compare(section, name, "", "")
        structural = {
            one.names: one
            for method, one in standings.items()
            if method in section.baselines | set(BASELINES) and method != RANDOM and one.mark
        }
        for one in structural.values():
            rank = "best" if one.mark == "best" else "tied with the best"
            value = f"{section.metrics[name].title} {number(one.mean.value, bounded=True)}"
            solved.setdefault(
                f"{one.title}, which does not look at the model, is {rank}", []
            ).append(value)
    for said, values in solved.items():
        yield f"On {section.title}, {said} in finding the ground truth: {', '.join(values)}."
    if said := caution(section):
        yield f"On {section.title}, {said[0].lower()}{said[1:]}"


def cautions_of(sections: Sequence[Section]) -> Iterator[str]:
    """What keeps high values from meaning much; the same is said once for all its tasks."""
    titles: dict[str, list[str]] = {}
    for section in sections:
        for text in warnings(section):
            said = text.removeprefix(f"On {section.title}")
            titles.setdefault(said, []).append(section.title)
    for said, names in titles.items():
        yield f"On {listed(names)}{said}"


def _pairwise(section: Section) -> Iterator[str]:
    pairs = quality.asked(section)
    compared = [
        (name, one) for name in HEADLINES for one in quality.compare_pairs(section, pairs, name)
    ]
    at = _conditions([section]).removeprefix(", ")
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
                yield f"On {section.title}, {winner} beats {loser} at {at}, {by}{cost}."
        if between and not any(one.winner for _, one in between):
            words = " and ".join(HEADLINES[name] for name, _ in between)
            tied.append((words, f"{first} and {second}"))
    for words in dict.fromkeys(words for words, _ in tied):
        first, *rest = (pair for said, pair in tied if said == words)
        more = "".join(f"; so are {pair}" for pair in rest)
        yield f"On {section.title}, {first} are tied in {words} at {at}{more}."


def _gain(name: str, one: Difference) -> str:
    bounds = sorted([abs(one.gain.low), abs(one.gain.high)])
    size = f"{abs(one.gain.value):.3f} [{bounds[0]:.3f}, {bounds[1]:.3f}]"
    return f"in {HEADLINES[name]} by {size} ({p_equals(one.p)})"


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
    key = quality.find(section, "fidelity+_prob", HEADLINE_BUDGET, "mask")
    if key is None:
        return
    standings = quality.compare(section, *key)
    if RANDOM not in standings or standings.outcome in (TOO_FEW, EQUAL):
        return
    order = [name for name in quality.ranking(section) if name in standings]
    others = {standings[name].names: standings[name] for name in order if name not in BASELINES}
    better = [one.title for one in others.values() if not one.not_better_than_random]
    rest = [one.title for one in others.values() if one.not_better_than_random]
    if not others:
        return
    what = f"significantly better than random in fidelity+ at {quality.conditions(key)}"
    parts = [f"these are {what}: {', '.join(better)}"] if better else []
    if rest:
        parts.append(f"these are not{'' if better else f' {what}'}: {', '.join(rest)}")
    yield f"On {section.title}, {'; '.join(parts)}."


def _winner(section: Section, what: str, standings: Standings) -> str:
    """A sentence without its full stop."""
    sample = f"{counted(standings.nodes, section.unit)} × {counted(standings.models, 'model')}"
    top = standings[standings.top or next(iter(standings))]
    value = f"{estimate(top.mean, bounded=True)} ({sample})"
    where = f"On {section.title}"
    if standings.outcome == TOO_FEW:
        few = f"too few {units([section])} to compare {what}"
        return f"{where}, {few}; the best mean is {top.title}'s, {value}"
    if not standings.top:
        one = len(standings.distinct) == 1 and len(top.names) == 1
        who = f"only {top.title} has a" if one else "all methods have the same"
        return f"{where}, {who} {what}: {value}"
    random = standings.get(RANDOM)
    if standings.outcome == NO_WINNER and random is not None:
        sentence = f"{where}, no winner in {what}"
        if top is random:
            return f"{sentence}: the random baseline has the best mean, {value}"
        baseline = estimate(random.mean, bounded=True)
        sentence += f": the best mean, {top.title}'s {value}, is tied with the random "
        return f"{sentence}baseline's, {baseline}{_no_gain(standings)}"
    have = "has" if len(top.names) == 1 else "have"
    sentence = f"{where}, {top.title} {have} the best {what}: {value}"
    tied = standings.tied
    if standings.outcome == TIE:
        sentence += f"; tied with {', '.join(tied[1:])} ({len(tied)}-way tie)"
    elif len(standings.distinct) > 1:
        sentence += "; all others are significantly worse"
    if random is not None:
        sentence += f"; random baseline: {estimate(random.mean, bounded=True)}"
    return sentence


def _no_gain(standings: Standings) -> str:
    """What the best mean gains over the random baseline, where that does not count."""
    one = standings.between(standings.top, RANDOM)
    if one is None:
        return ""
    gain = estimate(one.gain, bounded=True)
    return f" (better by {gain}, {p_equals(one.p)} after correction)"


def _fastest(section: Section) -> runtimes.Timing | None:
    """The fastest method that uses the model, else the fastest; None if there is only one."""
    timings = runtimes.timings(section)
    if len(timings) < 2:
        return None
    return next((timing for timing in timings if timing.label not in BASELINES), timings[0])


def _speed(section: Section) -> Iterator[str]:
    fastest = _fastest(section)
    if fastest is None:
        return
    baselines = [one for one in runtimes.timings(section) if one.label in BASELINES]
    aside = " that uses the model" if baselines and fastest not in baselines else ""
    name = variant(fastest.label, fastest.engine)
    own = fastest.over_stock
    faster = "" if own is None else f": {factors(own)} faster than the same method on stock"
    yield f"On {section.title}, the fastest method{aside} is {name}{faster}."
