"""How good the explanations of a task are: tables of methods by metrics, and figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from benchmarks.report.data import runtimes
from benchmarks.report.data.frames import natural
from benchmarks.report.data.quality import (
    ACC,
    AREA,
    HEADLINE_BUDGET,
    PLACED,
    PROB,
    SATURATED,
    SCORES,
    SELECTIONS,
    SEMANTICS,
    WIDER,
    compare,
    conditions,
    curves,
    distinct_semantics,
    find,
    other_metrics,
    ranking,
    tied_nodes,
    two_selections,
)
from benchmarks.report.data.section import Key, Section, units
from benchmarks.report.figures import fidelity_curves, tradeoff
from benchmarks.report.figures.palette import Palette
from benchmarks.report.render.blocks import (
    NOTHING,
    Block,
    Entry,
    Heading,
    Table,
    Text,
    estimate,
    factors,
    measured,
    number,
    picture,
    seconds,
    share,
)
from benchmarks.report.render.wording import counted, p_value
from benchmarks.report.stats.standings import NO_WINNER, SAME, TOO_FEW, Standing, Standings

_EDGES = {"mask": "messages masked", "delete": "edges deleted"}
# Metric, budget, semantics and, where it is not the metric's own, the selection.
Columns = Sequence[tuple[str, str, str] | tuple[str, str, str, str]]


def quality(section: Section, palette: Palette) -> Iterator[Block]:
    """How good the explanations are, and how that compares with their cost."""
    order = ranking(section)
    if not order:
        return
    yield Heading("Quality", f"quality-{section.slug}", 3)
    yield from _saturated(section)
    speeds = _speeds(section, order)
    every = distinct_semantics(section)
    if every != SEMANTICS:
        yield Text(
            "Whether edges are masked or deleted makes no difference here (it does where a layer "
            "weights messages by degree), so results are shown for masked edges only."
        )
    for semantics in every:
        yield from comparison(
            section, order, _headline(semantics), _caption(section, semantics), speeds
        )
    if two_selections(section):
        other = _other_selection(section)
        for semantics in every:
            second = [(*column, other) for column in _headline(semantics)]
            caption = _caption(section, semantics, other)
            yield from comparison(section, order, second, caption, folded=True)
    for columns, caption in (
        (
            [(name, HEADLINE_BUDGET, semantics) for semantics in every for name in ACC],
            "The fidelity of the predicted class",
        ),
        (
            [(name, budget, one) for name, budget in WIDER for one in every],
            "Further fidelity metrics",
        ),
        ([(name, "", "") for name in SCORES], "Concentration and completeness of the scores"),
        (other_metrics(section), "Other metrics"),
    ):
        yield from comparison(section, order, columns, caption, folded=True)
    yield from _differences(section)
    yield from _figures(section, palette)


def _saturated(section: Section) -> Iterator[Block]:
    tied = tied_nodes(section)
    if tied is not None and tied > SATURATED:
        yield Text(
            f"This task is saturated: at {share(tied)} of the {units([section])} all methods, "
            "random choice of "
            f"edges included, lie within {section.equivalence:g} of each other in fidelity+ at the "
            "budget of the tables. They tell few methods apart."
        )


def _headline(semantics: str) -> list[tuple[str, str, str]]:
    return [
        *((name, HEADLINE_BUDGET, semantics) for name in PROB),
        *((name, "", semantics) for name in AREA),
    ]


def _other_selection(section: Section) -> str:
    """The selection that the headline does not show."""
    headline = find(section, PROB[0], HEADLINE_BUDGET, "mask") or find(section, AREA[0], "", "mask")
    shown = headline.selection if headline else SELECTIONS[0]
    return SELECTIONS[1] if shown == SELECTIONS[0] else SELECTIONS[0]


def _caption(section: Section, semantics: str, selection: str | None = None) -> str:
    keys = (
        find(section, name, budget, one, selection) for name, budget, one in _headline(semantics)
    )
    key = next((key for key in keys if key), None)
    selected = f"fidelity by {section.changed}"
    if key:
        selected += f", {conditions(key)}"
    if selection is not None:
        selected = f"The second variant: {selected}"
    return f"{selected}, {_EDGES[semantics]}"


def _figures(section: Section, palette: Palette) -> Iterator[Block]:
    lines, points = curves(section), runtimes.tradeoffs(section)
    by_default = runtimes.tradeoffs_by_default(section)
    key = find(section, "fidelity+_prob", HEADLINE_BUDGET, "mask")
    shown = find(section, "fidelity+_prob", "f=100%", "mask") or key
    by = f" Edges are selected by {shown.selection} score." if shown and shown.selection else ""
    yield from picture(
        f"fidelity-{section.slug}",
        f"{section.title}: fidelity against sparsity.{by} Lines are means over the "
        f"{units([section])} and models, bands their 95 % intervals. At the left of a panel all "
        "edges are selected, at the "
        "right 5 %. Drawn are the baselines and, of more than "
        f"{fidelity_curves.SHOWN} methods, those with the highest fidelity+ at a fifth of the "
        "edges; the data have all.",
        fidelity_curves.draw(lines, palette, section.metrics, section.changed),
        lines,
    )
    title = section.metrics["fidelity+_prob"].title
    quality_of = f"{title}, {conditions(key) if key else NOTHING}, masked ↑"
    yield from picture(
        f"quality-cost-{section.slug}",
        f"{section.title}: quality against cost. Bars are 95 % intervals. Each method is drawn on "
        "the engine that runs by default; the table has the others, whose scores are equal up to "
        "rounding.",
        tradeoff.draw(by_default, palette, quality_of),
        runtimes.tradeoff_data(by_default),
    )
    yield from _tradeoffs(section, points, quality_of)


def _speeds(section: Section, order: Sequence[str]) -> dict[str, Entry]:
    """Each method's speed-up over its own stock, on the engine that was scored."""
    rows, _ = section.of("quality")
    pairs = rows[["label", "engine"]].drop_duplicates(keep="last")
    scored = {str(row.label): str(row.engine) for row in pairs.itertuples()}
    return {
        label: measured(factors, timing.over_stock)
        for label in order
        for timing in runtimes.costs(section, label)
        if scored[label] == timing.engine and timing.over_stock is not None
    }


def comparison(
    section: Section,
    order: Sequence[str],
    columns: Columns,
    caption: str,
    speeds: dict[str, Entry] | None = None,
    *,
    folded: bool = False,
) -> Iterator[Block]:
    """A table of methods by metrics; metrics that no method has are left out."""
    keys = {key: None for column in columns if (key := find(section, *column)) is not None}
    found = {key: compare(section, *key) for key in keys}
    found = {key: standings for key, standings in found.items() if standings}
    if not found:
        return
    header = ["method", *_headings(section, list(found), caption)]
    rows = []
    for methods in _rows(order, list(found.values())):
        row = [Entry(SAME.join(methods))]
        for key, standings in found.items():
            standing = standings.get(methods[0])
            row.append(_standing(standing, bounded=section.metrics[key.name].bounded))
        if speeds:
            row.append(_fastest(speeds, methods))
        rows.append(row)
    if speeds:
        header.append("speed-up over its own stock ↑")
    shown = (
        f"{section.title}: {caption[0].lower()}{caption[1:]}. {_sample(section, found.values())}."
    )
    yield Table(" ".join([shown, *_legend(section, found)]), header, rows, folded)


def _rows(order: Sequence[str], found: Sequence[Standings]) -> Iterator[tuple[str, ...]]:
    """The methods of each row: those that are the same by all metrics of a table share one."""
    done: set[str] = set()
    for method in order:
        groups = {standings[method].names for standings in found if method in standings}
        if method in done:
            continue
        # By some metrics a method may lack values that another has.
        methods = groups.pop() if len(groups) == 1 else (method,)
        done.update(methods)
        yield tuple(sorted(methods, key=natural))


def _fastest(speeds: Mapping[str, Entry], methods: Sequence[str]) -> Entry:
    known = [speeds[method] for method in methods if method in speeds]
    return max(known, key=lambda entry: entry.value or 0.0, default=Entry(NOTHING))


def _sample(section: Section, found: Iterable[Standings]) -> str:
    """How many nodes, graphs or links and models stand behind a table."""
    texts = []
    for counts, word in (
        ({one.nodes for one in found}, section.unit),
        ({one.models for one in found}, "model"),
    ):
        low, high = min(counts), max(counts)
        texts.append(counted(high, word) if low == high else f"{low} to {high:,} {word}s")
    return " × ".join(texts)


def _legend(section: Section, found: Mapping[Key, Standings]) -> Iterator[str]:
    """What the marks of a table mean, and where there are none although there could be."""
    every = [one for standings in found.values() for one in standings.values()]
    marks = []
    if any(one.mark for one in every):
        marks = ["Bold: the best", "†: tied with the best (not significantly worse)"]
    if any(one.not_better_than_random for one in every):
        marks.append("‡: not significantly better than random")
    if marks:
        yield f"{'; '.join(marks)}."
    for outcome, text in (
        (NO_WINNER, "No winner, the best mean is tied with the random baseline's"),
        (TOO_FEW, f"Too few {units([section])} for a comparison"),
    ):
        names = [key for key, standings in found.items() if standings.outcome == outcome]
        if names:
            yield f"{text}: {', '.join(_headings(section, names, '', arrows=False))}."


def _headings(
    section: Section, keys: Sequence[Key], caption: str, *, arrows: bool = True
) -> list[str]:
    """The columns' names, with the conditions that neither the caption nor all of them share."""
    several = len({key.semantics for key in keys}) > 1
    found = []
    for key in keys:
        known, shown = section.metrics[key.name], conditions(key)
        notes = []
        placed = key.name in PLACED and (not caption or _said(key, caption))
        if shown and not placed and key.name not in AREA and key.budget:
            notes.append(shown)
        if several and key.semantics:
            notes.append(key.semantics)
        title = known.heading if arrows else known.title
        found.append(", ".join([title, *notes]))
    return found


def _said(key: Key, caption: str) -> bool:
    return conditions(key) in caption


def _standing(standing: Standing | None, *, bounded: bool) -> Entry:
    if standing is None:
        return Entry(NOTHING)
    mark = " ‡" if standing.not_better_than_random else ""
    text = estimate(standing.mean, bounded=bounded) + mark
    return Entry(text, standing.mark, value=standing.mean.value)


def _differences(section: Section) -> Iterator[Block]:
    rows = []
    family = 0
    for name in PROB[:2]:
        standings = compare(section, name, HEADLINE_BUDGET, "mask")
        family = max(family, standings.family)
        others = [one for one in standings.distinct if one.difference is not None]
        for standing in sorted(others, key=lambda one: natural(one.title)):
            rows.append(
                [
                    Entry(section.metrics[name].title),
                    Entry(f"{standing.title} - {standings[standings.top].title}"),
                    measured(partial(estimate, bounded=True), standing.difference),
                    measured(p_value, standing.p),
                ]
            )
    if rows:
        margin = number(section.equivalence)
        yield Table(
            f"{section.title}: differences from the method with the best mean, masked; paired over "
            f"{units([section])} and models. p: of a difference of more than {margin}, corrected "
            "by Holm over "
            f"the {family} comparisons of this task in fidelity+ and fidelity-.",
            ("metric", "difference", "mean", "p"),
            rows,
            folded=True,
        )


def _tradeoffs(
    section: Section, points: Sequence[runtimes.Tradeoff], quality_of: str
) -> Iterator[Block]:
    if not points:
        return
    rows = []
    for point in points:
        mark = "best" if point.front else ""
        rows.append(
            [
                Entry(point.label),
                Entry(point.engine),
                measured(seconds, point.seconds),
                measured(partial(estimate, bounded=True), point.fidelity),
                Entry("yes" if point.front else "no", mark),
            ]
        )
    yield Table(
        f"{section.title}: quality against cost, the fastest first. On the Pareto front are the "
        "methods for which no other is both at least as good and at least as fast.",
        (
            *("method", "engine", "median time of one explanation, this machine"),
            *(quality_of, "on the Pareto front"),
        ),
        rows,
    )
