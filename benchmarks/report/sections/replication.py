"""Published results, and ours beside them: whether this benchmark measures what others measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from benchmarks.replication.published import BENCHMARK, PUBLISHED, SOURCES, Published, Setup
from benchmarks.report.data.metrics import Metrics
from benchmarks.report.data.section import Section, benchmarks_of
from benchmarks.report.figures import published_numbers
from benchmarks.report.render.blocks import (
    Block,
    Entry,
    Heading,
    Picture,
    Table,
    Text,
    estimate,
    number,
    picture,
)
from benchmarks.report.stats import crossed
from benchmarks.report.stats.estimates import Estimate

CLOSE = 0.05  # of metrics in [0, 1]


def alone(sections: Sequence[Section]) -> bool:
    """Whether a run measured published numbers again, and did nothing else."""
    return benchmarks_of(sections) == {BENCHMARK}


def answers(sections: Sequence[Section]) -> list[str]:
    """How many published numbers come out again, in three sentences."""
    rows = numbers(sections)
    if rows.empty:
        return ["No published number was measured."]
    said = []
    for column, how in (
        ("theirs", "Measured as their authors did"),
        ("ours", "As this benchmark measures"),
    ):
        gaps = rows[column] - rows["published"]
        worst = rows.iloc[int(gaps.abs().to_numpy().argmax())]
        said.append(
            f"{how}: {(gaps.abs() <= CLOSE).sum()} of {len(rows)} published numbers come out "
            f"within {CLOSE:.2f}; the largest difference is {gaps.abs().max():.3f} "
            f"({worst['what']}: {number(worst[column], bounded=True)}, published "
            f"{number(worst['published'], bounded=True)})."
        )
    several = rows.dropna(subset=["low", "high"])
    if len(several):
        inside = several["published"].between(several["low"], several["high"]).sum()
        said.append(
            f"Of {len(several)} that were measured as their authors did, on several models, the "
            f"published number lies within the 95 % interval over these models in {inside}."
        )
    return said


def front(sections: Sequence[Section]) -> Iterator[Picture]:
    """Each published number beside ours, and beside what their way of measuring gives."""
    rows = numbers(sections)
    yield from picture(
        "replication",
        "Published numbers, the same measured as their authors did (bar: 95 % interval over the "
        "models, where there are several), and as this benchmark measures. Motif and test nodes: "
        "AUROC of the pooled edges; their nodes: PR-AUC; k=10: characterization at ten edges. The "
        "table has the steps between the two.",
        published_numbers.draw(rows),
        rows,
    )


def numbers(sections: Sequence[Section]) -> pd.DataFrame:
    """What was published and measured: what, published, ours, theirs, low, high.

    ``ours`` is measured in the first set-up, ``theirs`` in the last, with the interval over the
    models; numbers of which one is missing are left out.
    """
    rows = []
    for published in PUBLISHED:
        ours = measured(sections, published, published.setups[0])
        theirs = measured(sections, published, published.setups[-1])
        if ours and theirs:
            what = f"{published.method}, {published.data}, {published.level}"
            both = (ours.value, theirs.value, theirs.low, theirs.high)
            rows.append((what, published.value, *both))
    return pd.DataFrame(rows, columns=["what", "published", "ours", "theirs", "low", "high"])


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
                Entry(number(published.value, bounded=True), value=published.value),
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
    """Our number in a set-up, with the interval over the models; None if there is none.

    As everywhere in a report, Student's t: percentiles of a bootstrap of five are too narrow.
    """
    values: list[float] = []
    for section in sections:
        rows, _ = section.of(BENCHMARK)
        same = rows["method"] == published.method
        same &= rows["metric"] == published.metric
        same &= rows["level"] == published.level
        same &= rows["semantics"] == setup.semantics
        if section.task == setup.task:
            values += rows[same].groupby("model_seed")["value"].mean().tolist()
    if not values:
        return None
    models = pd.MultiIndex.from_product([range(len(values)), [0]])
    limits = sections[0].metrics[published.metric].limits
    found = crossed.mean(pd.Series(values, index=models), limits)
    return replace(found, n=len(values))
