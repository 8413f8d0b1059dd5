"""How good the explanations of a task are: tables of methods by metrics, and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from benchmarks.report.data import runtimes
from benchmarks.report.data.frames import natural
from benchmarks.report.data.quality import (
    ACC,
    HEADLINE_BUDGET,
    PLACED,
    PROB,
    SCORES,
    SEMANTICS,
    WIDER,
    compare,
    curves,
    distinct_semantics,
    other_metrics,
    ranking,
)
from benchmarks.report.data.section import REGRESSION, Section
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
    picture,
    seconds,
)
from benchmarks.report.render.wording import counted, p_value, variant
from benchmarks.report.stats.standings import Standing

_EDGES = {"mask": "messages masked", "delete": "edges deleted"}


def quality(section: Section, palette: Palette) -> Iterator[Block]:
    """How good the explanations are, and how that compares with their cost."""
    order = ranking(section)
    if not order:
        return
    yield Heading("Quality", f"quality-{section.slug}", 3)
    speeds = _speeds(section, order)
    every = distinct_semantics(section)
    if every != SEMANTICS:
        yield Text(
            "Whether edges are masked or deleted makes no difference here (it does where a layer "
            "weights messages by degree), so results are shown for masked edges only."
        )
    for semantics in every:
        columns = [(name, HEADLINE_BUDGET, semantics) for name in PROB]
        caption = f"The 10 edges with the highest absolute score, {_EDGES[semantics]}"
        if section.mode == REGRESSION:
            caption += f"; fidelity is the change of the {section.changed} over the explained nodes"
        yield from comparison(section, order, columns, caption, speeds)
    wider = [(name, budget, one) for name, budget in WIDER for one in every]
    for columns, caption in (
        (
            [(name, HEADLINE_BUDGET, semantics) for semantics in every for name in ACC],
            "The same 10 edges, fidelity by predicted class",
        ),
        (wider, "Further fidelity metrics, over all sparsities or at 10 edges"),
        ([(name, "", "") for name in SCORES], "Concentration and completeness of the scores"),
        (other_metrics(section), "Other metrics"),
    ):
        yield from comparison(section, order, columns, caption, folded=True)
    yield from _differences(section)
    lines, points = curves(section), runtimes.tradeoffs(section)
    yield from picture(
        f"fidelity-{section.slug}",
        f"{section.title}: fidelity against sparsity. Lines are means over the nodes, bands their "
        "95 % intervals. At the left of a panel all edges are selected, at the right 5 %.",
        fidelity_curves.draw(lines, palette, section.metrics, section.changed),
        lines,
    )
    yield from picture(
        f"quality-cost-{section.slug}",
        f"{section.title}: quality against cost. Bars are 95 % intervals. A method is drawn once "
        "for each of its engines: their scores are equal up to rounding, their times are not.",
        tradeoff.draw(points, palette, section.metrics["fidelity+_prob"].title),
        runtimes.tradeoff_data(points),
    )
    yield from _tradeoffs(section, points)


def _speeds(section: Section, order: Sequence[str]) -> dict[str, Entry]:
    """Each method's speed-up on the engine that was scored; empty if nothing was timed."""
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
    """A table of methods by metrics; metrics that no method has are left out."""
    found = {column: compare(section, *column) for column in columns}
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
    legend = []
    if any(one.mark for standings in found.values() for one in standings.values()):
        legend = ["Bold: the best", "†: tied with the best"]
    if any(one.not_better_than_random for each in found.values() for one in each.values()):
        legend.append("‡: not significantly better than random")
    marks = f" {'; '.join(legend)}." if legend else ""
    yield Table(
        f"{section.title}: {caption[0].lower()}{caption[1:]}. {nodes}.{marks}",
        header,
        rows,
        folded,
    )


def _heading(section: Section, name: str, budget: str, semantics: str, *, named: bool) -> str:
    shown = "" if name in PLACED else budget
    notes = [note for note in (shown, semantics if named else "") if note]
    return section.metrics[name].heading + (f", {', '.join(notes)}" if notes else "")


def _standing(standing: Standing | None, *, bounded: bool) -> Entry:
    if standing is None:
        return Entry(NOTHING)
    mark = " ‡" if standing.not_better_than_random else ""
    text = estimate(standing.mean, bounded=bounded) + mark
    return Entry(text, standing.mark, value=standing.mean.value)


def _differences(section: Section) -> Iterator[Block]:
    rows = []
    for name in PROB:
        standings = compare(section, name, HEADLINE_BUDGET, "mask")
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
            f"{section.title}: differences from the best method at 10 edges, masked; paired over "
            "the nodes. p: Wilcoxon signed-rank test, Holm-corrected.",
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
        f"{section.title}: quality against cost, the fastest first. On the Pareto front are the "
        "methods for which no other is both at least as good and at least as fast.",
        (
            *("method", "engine", "median time of one explanation, this machine"),
            f"{section.metrics['fidelity+_prob'].title}, 10 edges, masked ↑",
            "on the Pareto front",
        ),
        rows,
    )
