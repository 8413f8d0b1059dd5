"""How good the explanations of a task are: tables of methods by metrics, and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from benchmarks.report.data import quality as tables
from benchmarks.report.data import runtimes
from benchmarks.report.data.frames import natural
from benchmarks.report.data.section import FLOOR, Section
from benchmarks.report.figures import draw as figures
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
    seconds,
)
from benchmarks.report.render.wording import counted, p_value, picture, variant
from benchmarks.report.stats.estimates import Standing

_EDGES = {"mask": "their messages masked", "delete": "the edges deleted"}


def quality(section: Section, palette: figures.Palette) -> Iterator[Block]:
    """How good the explanations are, and how that compares with their cost."""
    order = tables.ranking(section)
    if not order:
        return
    yield Heading("Quality", f"quality-{section.slug}", 3)
    speeds = _speeds(section, order)
    level = tables.HEADLINE_LEVEL
    every = tables.semantics(section)
    if every != tables.SEMANTICS:
        yield Text(
            "Whether edges are masked or deleted makes no difference here (it does where a layer "
            "weighs messages by degrees): what is said of masked edges is true of deleted ones."
        )
    for semantics in every:
        columns = [(name, level, semantics) for name in tables.PROB]
        caption = f"The 10 edges with the highest absolute score, {_EDGES[semantics]}"
        yield from comparison(section, order, columns, caption, speeds)
    wider = [(name, at, one) for name, at in tables.WIDER for one in every]
    for columns, caption in (
        (
            [(name, level, semantics) for semantics in every for name in tables.ACC],
            "The 10 edges, by predicted class",
        ),
        (wider, "More kinds of fidelity, over all sparsities or of the 10 edges"),
        (
            [(name, "", "") for name in tables.SCORES],
            "How concentrated and how complete scores are",
        ),
        (tables.other_metrics(section), "Other metrics"),
    ):
        yield from comparison(section, order, columns, caption, folded=True)
    yield from _differences(section)
    curves, points = tables.curves(section), runtimes.tradeoffs(section)
    yield from picture(
        f"fidelity-{section.slug}",
        f"{section.title}: fidelity against sparsity. Lines are means over the nodes, bands their "
        "95 % intervals. Left in a panel: all edges selected; right: 5 % of them.",
        figures.fidelity(curves, palette, section.metrics),
        curves,
    )
    yield from picture(
        f"quality-cost-{section.slug}",
        f"{section.title}: quality against cost. Bars are 95 % intervals. A method's quality is "
        "drawn at the time of each of its engines, which are equal up to rounding.",
        figures.quality_and_cost(points, palette),
        runtimes.tradeoff_data(points),
    )
    yield from _tradeoffs(section, points)


def _speeds(section: Section, order: Sequence[str]) -> dict[str, Entry]:
    """The methods' speeds with the engine that was scored; empty if nothing was timed."""
    rows, _ = section.of("quality")
    scored = {str(row.label): str(row.engine) for row in rows[["label", "engine"]].itertuples()}
    return {
        label: measured(factors, timing.speedup)
        for label in order
        for timing in runtimes.costs(section, label)
        if scored[label] == timing.engine
    }


def comparison(
    section: Section,
    order: Sequence[str],
    columns: Sequence[tuple[str, str, str]],
    caption: str,
    speeds: dict[str, Entry] | None = None,
    *,
    folded: bool = False,
) -> Iterator[Block]:
    """A table of methods by metrics; metrics that nobody has are left out."""
    found = {column: tables.compare(section, *column) for column in columns}
    found = {column: standings for column, standings in found.items() if standings}
    if not found:
        return
    several = len({semantics for _, _, semantics in found}) > 1
    header = ["method", *(_heading(section, *column, named=several) for column in found)]
    rows = []
    for method in order:
        row = [Entry(method)]
        for (name, _, _), standings in found.items():
            row.append(_standing(standings.get(method), bounded=section.metrics[name].bounded))
        if speeds:
            row.append(speeds.get(method, Entry(NOTHING)))
        rows.append(row)
    reference = runtimes.reference(section)
    if speeds and reference is not None:
        header.append(f"speed-up over {variant(*reference)} ↑")
    counts = sorted({one.mean.n for standings in found.values() for one in standings.values()})
    nodes = counted(counts[0], "node") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} nodes"
    legend = ""
    if any(one.mark for standings in found.values() for one in standings.values()):
        legend = " Bold: the best; †: not distinguishable from it."
    if any(one.at_floor for standings in found.values() for one in standings.values()):
        legend += f" ‡: not better than the floor, {FLOOR}, beyond chance."
    yield Table(
        f"{section.title}: {caption[0].lower()}{caption[1:]}. {nodes}.{legend}",
        header,
        rows,
        folded,
    )


def _heading(section: Section, name: str, level: str, semantics: str, *, named: bool) -> str:
    shown = "" if name in tables.PLACED else level
    notes = [note for note in (shown, semantics if named else "") if note]
    return section.metrics[name].heading + (f", {', '.join(notes)}" if notes else "")


def _standing(standing: Standing | None, *, bounded: bool) -> Entry:
    if standing is None:
        return Entry(NOTHING)
    floor = " ‡" if standing.at_floor else ""
    text = estimate(standing.mean, bounded=bounded) + floor
    return Entry(text, standing.mark, value=standing.mean.value)


def _differences(section: Section) -> Iterator[Block]:
    rows = []
    for name in tables.PROB:
        standings = tables.compare(section, name, tables.HEADLINE_LEVEL, "mask")
        best = next((one for one in standings if standings[one].difference is None), "")
        others = [one for one in standings if standings[one].difference is not None]
        for method in sorted(others, key=natural):
            standing = standings[method]
            rows.append(
                [
                    Entry(section.metrics[name].title),
                    Entry(f"{method} - {best}"),
                    measured(partial(estimate, bounded=True), standing.difference),
                    measured(p_value, standing.p),
                ]
            )
    if rows:
        yield Table(
            f"{section.title}: differences to the best at 10 edges, masked; paired over the nodes. "
            "p: Wilcoxon's signed-rank test with Holm's correction.",
            ("metric", "difference", "mean", "p"),
            rows,
            folded=True,
        )


def _tradeoffs(section: Section, points: Sequence[runtimes.Tradeoff]) -> Iterator[Block]:
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
        f"{section.title}: quality against cost, the fastest first. On the Pareto front are those "
        "to which none is both at least as good and at least as fast.",
        (
            *("method", "engine", "median time of one explanation, this machine"),
            *("fidelity+ (prob), 10 edges, masked ↑", "on the Pareto front"),
        ),
        rows,
    )
