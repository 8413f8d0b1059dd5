"""Mean ranks of the methods, and which differences between them are critical."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from benchmarks.report import figures, statistics, tables
from benchmarks.report.blocks import Block
from benchmarks.report.metrics import metric
from benchmarks.report.sections import Section
from benchmarks.report.wording import picture

_RANKED = (
    ("fidelity+_prob", tables.HEADLINE_LEVEL, "mask"),
    ("fidelity-_prob", tables.HEADLINE_LEVEL, "mask"),
    ("auroc", "", ""),
)


def ranks(section: Section, palette: figures.Palette) -> Iterator[Block]:
    """A critical-difference diagram for each of the main metrics, one below the other."""
    found = {}
    for key in _RANKED:
        known = metric(key[0])
        ranked = statistics.ranks(tables.node_values(section, *key), known.direction)
        if ranked is not None:
            found[known.title + (", 10 edges, masked" if key[1] else "")] = ranked
    yield from picture(
        f"ranks-{section.slug}",
        f"{section.title}: mean ranks over the nodes, the best (1) on the left, after Demsar "
        "(2006). Bars join methods that cannot be told apart: their ranks differ by less than "
        "CD, the critical difference of Nemenyi's test at 0.05, or Friedman's test finds no "
        "difference at all.",
        figures.ranks(found, palette),
        pd.DataFrame(
            [
                (title, method, rank, one.distance, one.n)
                for title, one in found.items()
                for method, rank in one.means.items()
            ],
            columns=["metric", "method", "mean_rank", "critical_difference", "n"],
        ),
    )
