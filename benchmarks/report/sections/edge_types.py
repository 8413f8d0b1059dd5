"""Explanations of heterogeneous graphs by edge type; only where a run has such tasks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd

from benchmarks.report.data.frames import natural
from benchmarks.report.data.section import Section
from benchmarks.report.render.blocks import (
    NOTHING,
    Block,
    Entry,
    Heading,
    Table,
    Text,
    by_model_and_node,
    estimate,
    measured,
    number,
)
from benchmarks.report.stats import crossed

EDGES = "computation_graph_edges"
# What has a table, and what it says of it.
TABLES = {
    "type_share": "share of the absolute scores that each edge type has",
    "fidelity+_prob": "fidelity+ if only edges of one type are selected from",
    "fidelity-_prob": "fidelity- if only edges of one type are selected from",
    "auroc": "AUROC of the ground truth against the other edges of the same type",
    "average_precision": "average precision of the ground truth among the edges of the same type",
}


def edge_types(section: Section) -> Iterator[Block]:
    """A table for each metric: methods by edge types."""
    rows, _ = section.of("edge_types")
    if rows.empty:
        return
    yield Heading("Edge types", f"edge-types-{section.slug}", 3)
    yield Text(
        "The graph has edges of several types, written as source, relation, target. Everywhere "
        "else edges of all types are selected from together. Here each type is taken by itself: "
        "20 % of its edges in a computation graph are selected, and the edges of other types stay "
        "as they are, also for fidelity-. Selected by signed score for fidelity, by absolute score "
        "against the ground truth; edges are masked. Means over models and nodes whose computation "
        "graph has edges of the type."
    )
    sizes = rows[rows["metric"] == EDGES].groupby("other")["value"].mean()
    types = sorted(map(str, rows["other"].unique()), key=natural)
    yield Table(
        f"{section.title}: edge types, and the mean number of their edges in a computation graph.",
        ("edge type", "edges"),
        [[Entry(name), measured(number, sizes.get(name))] for name in types],
    )
    for metric, what in TABLES.items():
        own = rows[rows["metric"] == metric]
        if not own.empty:
            yield _table(section, own, metric, what)


def _table(section: Section, rows: pd.DataFrame, metric: str, what: str) -> Table:
    said = section.metrics[metric]
    shown = partial(estimate, bounded=True)
    types = sorted(map(str, rows["other"].unique()), key=natural)
    lines = []
    for label in sorted(map(str, rows["label"].unique()), key=natural):
        line = [Entry(label)]
        for name in types:
            values = rows[(rows["label"] == label) & (rows["other"] == name)]
            mean = None if values.empty else crossed.mean(by_model_and_node(values), said.limits)
            line.append(measured(shown, mean) if mean is not None else Entry(NOTHING))
        lines.append(line)
    arrow = {"up": " ↑", "down": " ↓"}.get(said.direction, "")
    return Table(f"{section.title}: {what}{arrow}.", ("method", *types), lines)
