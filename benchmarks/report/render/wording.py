"""Phrases that several parts of the report share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import matplotlib.figure
import pandas as pd

from benchmarks.report.data.frames import natural
from benchmarks.report.data.section import Section
from benchmarks.report.render.blocks import NOTHING, Entry, Picture


def picture(
    name: str,
    caption: str,
    figure: matplotlib.figure.Figure | None,
    data: pd.DataFrame | None = None,
) -> Iterator[Picture]:
    """The figure's block, with the data that it shows; nothing if there is no figure."""
    if figure is not None:
        yield Picture(name, caption, figure, data)


def by_method(
    rows: pd.DataFrame, names: Sequence[str], entry: Callable[[str, pd.Series], Entry]
) -> list[list[Entry]]:
    """A table's rows, a method each: its label, and for each metric what ``entry`` makes of it.

    Args:
        rows: Of a benchmark's quality.
        names: The metrics.
        entry: Called with a metric's name and the mean of each node, of which there is one or more.
    """
    table = []
    for label, group in sorted(rows.groupby("label"), key=lambda pair: natural(str(pair[0]))):
        line = [Entry(str(label))]
        for name in names:
            nodes = group[group["metric"] == name].groupby("node")["value"].mean()
            line.append(Entry(NOTHING) if nodes.empty else entry(name, nodes))
        table.append(line)
    return table


def machine(section: Section, manifest: dict[str, Any]) -> str:
    """The processor or GPU that a section's times were taken on."""
    gpu, processor = manifest.get("gpu") or {}, manifest.get("cpu") or {}
    if section.device.startswith("cuda"):
        return str(gpu.get("name") or "an unknown GPU")
    name = str(processor.get("model") or "an unknown CPU")
    return join(name, counted(processor.get("threads"), "thread"))


def variant(method: str, engine: str) -> str:
    """A method and its engine."""
    return f"{method} on {engine}" if engine else method


def p_value(value: float | None) -> str:
    """A p-value with three decimals."""
    if value is None:
        return NOTHING
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def counted(count: int | None, word: str) -> str:
    """``1 node``, ``2 nodes``; empty for None."""
    if count is None:
        return ""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def named(name: str, value: object) -> str:
    """A value with its name; empty without a value."""
    return f"{name} {value}" if value else ""


def join(*parts: object) -> str:
    """The parts that are not empty, with commas."""
    return ", ".join(str(part) for part in parts if part)


def mapping(content: dict[str, Any] | None) -> str:
    """Names and values, with commas."""
    return join(*(f"{name} {value}" for name, value in (content or {}).items()))
