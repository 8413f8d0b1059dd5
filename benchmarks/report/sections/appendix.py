"""How the report ends: what failed, what the numbers mean, how to make them again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from benchmarks.report.data import quality as tables
from benchmarks.report.data.frames import Results
from benchmarks.report.data.metrics import described
from benchmarks.report.data.section import Section
from benchmarks.report.render.blocks import NOTHING, Block, Code, Entry, Heading, Table, Text


def failures(results: Results, sections: Sequence[Section]) -> Iterator[Block]:
    """What failed, how many rows have which status, and where the memory did not suffice."""
    yield Heading("Failures", "failures")
    statuses = pd.concat([results.quality["status"], results.runtime["status"]])
    counts = ", ".join(
        f"{name}: {count:,}" for name, count in statuses.value_counts().sort_index().items()
    )
    yield Text(f"Rows by status: {counts}." if counts else "There is not one row.")
    if results.split:
        count = results.split.total()
        methods = ", ".join(f"{name}: {cells}" for name, cells in sorted(results.split.items()))
        yield Text(
            f"{count:,} {'cell' if count == 1 else 'cells'} in which a batch was split for lack of "
            f"memory ({methods}). Their values stand; their times include the attempts that did "
            "not fit."
        )
    rows = [
        [Entry(section.title), *(Entry(str(value)) for value in row)]
        for section in sections
        for row in tables.failures(section.failed).itertuples(index=False)
    ]
    if rows:
        yield Table(
            "What failed. These rows enter no table and no figure but the marks in the heatmaps.",
            ("task", "benchmark", "method", "engine", "status", "message", "rows"),
            rows,
        )


def meaning(results: Results) -> Iterator[Block]:
    """What the statistics and the metrics say, with their sources."""
    yield Heading("What the numbers mean", "metrics")
    yield Text(
        "The unit is the node: models, repeats and rounds are averaged within a node first, and "
        "methods are compared over the same nodes. Intervals are 95 % percentile bootstrap "
        "intervals of 2,000 resamples with a fixed seed. A method is not distinguishable from the "
        "best if p >= 0.05 in Wilcoxon's signed-rank test, corrected by Holm over the methods, or "
        "if the interval of their difference holds zero; nor does one method beat another then. "
        "The best is chosen by the same data, and with few nodes the test can tell little apart. "
        "A method is better than the floor beyond chance if p < 0.05 in the one-sided test, "
        "corrected in the same way."
    )
    used = {str(name) for name in results.quality["metric"].unique()}
    metrics = described(results.manifest)
    rows = []
    for name in [*(name for name in metrics if name in used), *sorted(used - set(metrics))]:
        known = metrics[name]
        source = known.source or (NOTHING if name not in metrics else "this benchmark")
        text = known.text or "Not described here; its direction is not known to the report."
        rows.append([Entry(known.heading), Entry(text), Entry(source, url=known.url)])
    if rows:
        yield Table(
            "The metrics. ↑: higher is better, ↓: lower.",
            ("metric", "what it says", "source"),
            rows,
        )


def again(results: Results) -> Iterator[Block]:
    """The commands that make the numbers and the report again."""
    yield Heading("How to make it again", "again")
    manifest = results.manifest
    lines: list[str] = []
    for run in (*manifest.get("earlier", ()), manifest):
        checkout = f"git checkout {run['commit']}" if run.get("commit") else ""
        if checkout not in lines:
            lines += [checkout, 'python -m pip install -c constraints.txt -e ".[bench]"']
        # With an empty folder there is nothing to resume; those that follow add to it.
        options = str(run.get("command") or "").split(" ")
        begun = any(line.startswith("pytest") for line in lines)
        lines.append(" ".join(word for word in options if begun or word != "--resume"))
    yield Text("The numbers, from a clone of the repository:")
    yield Code("\n".join(filter(None, lines)))
    yield Text("This report, its tables and figures, from the cells in its folder, without torch:")
    yield Code("python -m benchmarks report FOLDER")
