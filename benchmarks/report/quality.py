"""How good the explanations of a task are: tables of methods by metrics, and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.report import figures, tables
from benchmarks.report.blocks import (
    NOTHING,
    Block,
    Entry,
    Heading,
    Table,
    estimate,
    factors,
)
from benchmarks.report.frames import natural
from benchmarks.report.metrics import METRICS, metric
from benchmarks.report.sections import FLOOR, Section
from benchmarks.report.statistics import Standing
from benchmarks.report.wording import (
    counted,
    p_value,
    picture,
    variant,
)

_PROB = ("fidelity+_prob", "fidelity-_prob", "characterization_prob")
_ACC = ("fidelity+_acc", "fidelity-_acc", "characterization_acc")
_SCORES = ("gini", "entropy", "mass90", "completeness")
_EDGES = {"mask": "their messages masked", "delete": "the edges deleted"}


def quality(section: Section, palette: figures.Palette) -> Iterator[Block]:
    """How good the explanations are, and how that compares with their cost."""
    order = tables.ranking(section)
    if not order:
        return
    yield Heading("Quality", f"quality-{section.slug}", 3)
    speeds = _speeds(section)
    level = tables.HEADLINE_LEVEL
    for semantics in tables.SEMANTICS:
        columns = [(name, level, semantics) for name in _PROB]
        caption = f"The 10 edges with the highest absolute score, {_EDGES[semantics]}"
        yield from comparison(section, order, columns, caption, speeds)
    columns = [(name, level, semantics) for semantics in tables.SEMANTICS for name in _ACC]
    yield from comparison(section, order, columns, "The same by predicted class")
    columns = [(name, "", "") for name in _SCORES]
    yield from comparison(section, order, columns, "How concentrated and how complete scores are")
    columns = tables.other_metrics(section)
    yield from comparison(section, order, columns, "Other metrics")
    yield from _differences(section)
    yield from picture(
        f"fidelity-{section.slug}",
        f"{section.title}: fidelity against sparsity. Lines are means over the nodes, bands their "
        "95 % intervals. Left in a panel: all edges selected; right: 5 % of them.",
        figures.fidelity(section, palette),
    )
    yield from picture(
        f"quality-cost-{section.slug}",
        f"{section.title}: quality against cost. Bars are 95 % intervals. A method's quality is "
        "drawn at the time of each of its engines, which are equal up to rounding.",
        figures.quality_and_cost(section, palette),
    )


def _speeds(section: Section) -> dict[str, tuple[str, str]]:
    """For each method the heading and text of its speed, with the engine that was scored."""
    reference = tables.reference(section)
    if reference is None:
        return {}
    rows, _ = section.of("quality")
    scored = {str(row.label): str(row.engine) for row in rows[["label", "engine"]].itertuples()}
    heading = f"speed-up over {variant(*reference)} ↑"
    return {
        timing.label: (heading, factors(timing.speedup))
        for timing in tables.timings(section)
        if scored.get(timing.label) == timing.engine
    }


def comparison(
    section: Section,
    order: Sequence[str],
    columns: Sequence[tuple[str, str, str]],
    caption: str,
    speeds: dict[str, tuple[str, str]] | None = None,
) -> Iterator[Block]:
    """A table of methods by metrics; metrics that nobody has are left out."""
    found = {column: tables.compare(section, *column) for column in columns}
    found = {column: standings for column, standings in found.items() if standings}
    if not found:
        return
    several = len({semantics for _, _, semantics in found}) > 1
    header = ["method", *(_heading(*column, named=several) for column in found)]
    rows = []
    for method in order:
        row = [Entry(method)]
        for (name, _, _), standings in found.items():
            row.append(_standing(standings.get(method), bounded=metric(name).bounded))
        if speeds:
            row.append(Entry(speeds[method][1] if method in speeds else NOTHING))
        rows.append(row)
    if speeds:
        header.append(next(iter(speeds.values()))[0])
    counts = sorted({one.mean.n for standings in found.values() for one in standings.values()})
    nodes = counted(counts[0], "node") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} nodes"
    legend = ""
    if any(one.mark for standings in found.values() for one in standings.values()):
        legend = " Bold: the best; †: not distinguishable from it."
    if any(one.at_floor for standings in found.values() for one in standings.values()):
        legend += f" ‡: not better than the floor, {FLOOR}, beyond chance."
    yield Table(
        f"{section.title}: {caption[0].lower()}{caption[1:]}. {nodes}.{legend}", header, rows
    )


def _heading(name: str, level: str, semantics: str, *, named: bool) -> str:
    shown = level if level and name not in METRICS else ""
    notes = [note for note in (shown, semantics if named else "") if note]
    return metric(name).heading + (f", {', '.join(notes)}" if notes else "")


def _standing(standing: Standing | None, *, bounded: bool) -> Entry:
    if standing is None:
        return Entry(NOTHING)
    floor = " ‡" if standing.at_floor else ""
    return Entry(estimate(standing.mean, bounded=bounded) + floor, standing.mark)


def _differences(section: Section) -> Iterator[Block]:
    rows = []
    for name in _PROB:
        standings = tables.compare(section, name, tables.HEADLINE_LEVEL, "mask")
        best = next((one for one in standings if standings[one].difference is None), "")
        others = [one for one in standings if standings[one].difference is not None]
        for method in sorted(others, key=natural):
            standing = standings[method]
            texts = [
                metric(name).title,
                f"{method} - {best}",
                estimate(standing.difference, bounded=True),
                p_value(standing.p),
            ]
            rows.append([Entry(text) for text in texts])
    if rows:
        yield Table(
            f"{section.title}: differences to the best at 10 edges, masked; paired over the nodes. "
            "p: Wilcoxon's signed-rank test with Holm's correction.",
            ("metric", "difference", "mean", "p"),
            rows,
        )
