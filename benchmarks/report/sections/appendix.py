"""The appendix: what failed, what the numbers mean, how to reproduce them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from benchmarks.report.data import quality
from benchmarks.report.data.frames import Results
from benchmarks.report.data.metrics import described
from benchmarks.report.data.section import EQUIVALENCE, REGRESSION, Section
from benchmarks.report.render.blocks import NOTHING, Block, Code, Entry, Heading, Table, Text, share
from benchmarks.report.render.wording import counted

_OUTPUTS = {
    "binary_classification": (
        ", where the model says yes or no for each output, the explained class is the yes of the "
        "explained output, and the predicted class is yes where its probability is above 1/2; "
        "attributions are of the output as the model returns it."
    ),
    REGRESSION: (
        ", where the model returns real numbers, fidelity is the change of the explained output "
        "and not of a probability: F(G) - F(G without S), and F(G) - F(S), in units of that "
        "output's standard deviation over the explained nodes (sd), signed and without bounds. "
        "Metrics that need probabilities or classes have no value there."
    ),
}


def failures(results: Results, sections: Sequence[Section]) -> Iterator[Block]:
    """What failed, how many rows have which status, and where memory ran out."""
    yield Heading("Failures", "failures")
    statuses = pd.concat([results.quality["status"], results.runtime["status"]])
    counts = ", ".join(
        f"{name}: {count:,}" for name, count in statuses.value_counts().sort_index().items()
    )
    what = "Values and times by status (a cell that failed counts as one)"
    yield Text(f"{what}: {counts}." if counts else "There are no rows.")
    if results.split:
        count = results.split.total()
        methods = ", ".join(f"{name}: {cells}" for name, cells in sorted(results.split.items()))
        yield Text(
            f"In {counted(count, 'cell')} a batch was split because memory ran out ({methods}). "
            "The values are valid; the times include the attempts that did not fit."
        )
    rows = [
        [Entry(section.title), *(Entry(str(value)) for value in row)]
        for section in sections
        for row in quality.failures(section.failed).itertuples(index=False)
    ]
    whole = results.runtime[results.runtime["benchmark"] == "method"]  # before any of its tests
    rows += [
        [Entry("all"), *(Entry(str(value)) for value in row)]
        for row in quality.failures(whole).itertuples(index=False)
    ]
    if rows:
        yield Table(
            "What failed. These rows appear in no other table, and in figures only as marked "
            "cells of the heatmaps.",
            ("task", "benchmark", "method", "engine", "status", "message", "rows"),
            rows,
        )


PROTOCOL = (
    "Replicates are nodes and models: the same nodes are explained under each model. The interval "
    "of a mean or of a mean difference is the 95 % interval of a two-way random-effects model "
    "(variance between models plus variance between nodes less what both count, Student's t with "
    "Satterthwaite's degrees of freedom), so it speaks of other nodes and other trainings of the "
    "model; with one model it is over that model's nodes and says nothing of other models. With "
    "two or three models it is an approximation.",
    "A difference between two methods counts if its interval lies outside of the region of "
    "practical equivalence, ±{margin:g} for metrics in [0, 1] or [-1, 1] and ±{share} of the "
    "median of the methods' means for others; if not, the two are tied: none is shown to be "
    "better. Tied does not mean equal, unless the interval lies within the region.",
    "A method is significantly better than the random baseline if, besides, a permutation test of "
    "the mean difference agrees: signs of whole nodes are flipped, all models of a node together, "
    "in all ways or in 20,000 random ones with a fixed seed. There is no winner where the method "
    "with the best mean is tied with the random baseline, and there are too few nodes where no "
    "outcome of that test could be significant.",
    "P-values are corrected by Holm. The family is all comparisons on one task in fidelity+ and "
    "fidelity- of one kind (budget, semantics, selection), or in one other metric: of each method "
    "with the best mean, of each with the random baseline, and of those that the verdict names. "
    "Verdict, tables, marks and diagrams all take their words from these comparisons. The best "
    "mean is chosen on the same data.",
    "Methods with the same values on a task are one row and one rank, which names them all. Mean "
    "ranks describe an order and test nothing. Times are compared over nodes, after the mean over "
    "rounds and repeats, with 95 % percentile bootstrap intervals from 2,000 resamples.",
)


def meaning(results: Results, equivalence: float = EQUIVALENCE) -> Iterator[Block]:
    """The statistical protocol, and the metrics with their sources."""
    yield Heading("What the numbers mean", "metrics")
    for text in PROTOCOL:
        yield Text(text.format(margin=equivalence, share=share(equivalence)))
    yield from _outputs(results.manifest)
    used = {str(name) for name in results.quality["metric"].unique()}
    metrics = described(results.manifest)
    modes = {entry.get("mode") for entry in results.manifest.get("tasks") or ()}
    rows = []
    for name in [*(name for name in metrics if name in used), *sorted(used - set(metrics))]:
        known = metrics[name]
        source = known.source or (NOTHING if name not in metrics else "this benchmark")
        text = known.text or "Not described here; its direction is not known to the report."
        heading = known.heading
        if known.regression and REGRESSION in modes:
            heading += f"; of a regression: {known.regression}"
        rows.append([Entry(heading), Entry(text), Entry(source, url=known.url)])
    if rows:
        yield Table(
            "The metrics. ↑: higher is better, ↓: lower.",
            ("metric", "what it says", "source"),
            rows,
        )


def _outputs(manifest: dict[str, Any]) -> Iterator[Block]:
    """What probabilities and classes are on tasks whose models return others."""
    for mode, text in _OUTPUTS.items():
        tasks = manifest.get("tasks") or ()
        names = sorted({str(entry.get("name")) for entry in tasks if entry.get("mode") == mode})
        if names:
            yield Text(f"On {', '.join(names)}{text}")


def reproduce(results: Results) -> Iterator[Block]:
    """The commands that reproduce the numbers and the report."""
    yield Heading("How to reproduce", "reproduce")
    manifest = results.manifest
    lines: list[str] = []
    for run in (*manifest.get("earlier", ()), manifest):
        # A folder may come from anywhere, and what is printed here is meant to be pasted.
        commit = re.fullmatch(r"[0-9a-f]{7,64}", str(run.get("commit") or ""))
        checkout = f"git checkout {commit[0]}" if commit else ""
        if checkout not in lines:
            lines += [checkout, 'python -m pip install -c constraints.txt -e ".[bench]"']
        # The first command starts in an empty folder; those that follow resume it.
        options = [shlex.quote(word) for word in _words(str(run.get("command") or ""))]
        begun = any(line.startswith("pytest") for line in lines)
        lines.append(" ".join(word for word in options if begun or word != "--resume"))
    yield Text("The numbers, from a clone of the repository:")
    yield Code("\n".join(filter(None, lines)))
    yield Text("This report, its tables and figures, from the cells in its folder, without torch:")
    yield Code("python -m benchmarks report FOLDER")


def _words(command: str) -> list[str]:
    """A command's words; none if its quotes do not match, as in none that a run has written."""
    try:
        return shlex.split(command)
    except ValueError:
        return []
