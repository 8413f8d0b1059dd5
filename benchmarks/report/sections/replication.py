"""Published results, and ours beside them: whether this benchmark measures what others measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.replication.published import BENCHMARK, PUBLISHED, SOURCES, Published, Setup
from benchmarks.report.data.metrics import Metrics
from benchmarks.report.data.section import Section
from benchmarks.report.render.blocks import Block, Entry, Heading, Table, Text, estimate, number
from benchmarks.report.stats import estimates as statistics
from benchmarks.report.stats.estimates import Estimate


def replication(sections: Sequence[Section]) -> Iterator[Block]:
    """Every published result that was measured again, whatever came out."""
    metrics = sections[0].metrics if sections else Metrics()
    rows = []
    for published, setup in ((row, setup) for row in PUBLISHED for setup in row.setups):
        ours = measured(sections, published, setup)
        if ours is None:
            continue
        names = metrics[published.metric].title, published.level
        gap = ours.value - published.value
        rows.append(
            [
                Entry(f"{published.method}, {published.data}"),
                Entry(", ".join(names)),
                Entry(setup.name),
                Entry(estimate(ours, bounded=True), value=ours.value),
                Entry(
                    number(published.value, bounded=True),
                    url=published.source.url,
                    value=published.value,
                ),
                Entry(f"{gap:+.3f}", value=gap),
                Entry(str(ours.n), value=ours.n),
                Entry(published.source.short, url=published.source.url),
            ]
        )
    if not rows:
        return
    yield Heading("Replication of published results", "replication")
    yield Table(
        "Numbers that others have published, measured again on the same data: as this benchmark "
        "measures (ours), then step by step as they did, each set-up with all changes of those "
        "above it. Measured is the mean over the models, in brackets the 95 % interval over them "
        "where there are several.",
        ("what", "metric", "set-up", "measured", "published", "difference", "models", "source"),
        rows,
    )
    used = {entry[-1].text for entry in rows}
    for source in SOURCES:
        if source.short in used:
            yield Text(f"{source.short}: {source.name}. What differs: {source.differs}")


def measured(sections: Sequence[Section], published: Published, setup: Setup) -> Estimate | None:
    """Our number in a set-up, over the models; None if there is none."""
    values: list[float] = []
    for section in sections:
        rows, _ = section.of(BENCHMARK)
        same = rows["method"] == published.method
        same &= rows["metric"] == published.metric
        same &= rows["level"] == published.level
        same &= rows["semantics"] == setup.semantics
        if section.task == setup.task:
            values += rows[same].groupby("model_seed")["value"].mean().tolist()
    return statistics.mean(values) if values else None
