"""Frames to tables of numbers: the sweep over the steps and batch sizes of Integrated Gradients."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.report.data.frames import steps_and_batch
from benchmarks.report.data.section import Section

MAX_ERROR = 0.01
ALL = "all"  # the batch size that takes all steps at once


@dataclass(frozen=True)
class Pair:
    """One pair of the sweep: what n_steps and internal_batch_size cost and what they leave.

    Attributes:
        n_steps: Integration steps.
        batch: Steps taken in one pass.
        status: ``ok``, or what became of it instead.
        values: Medians over the nodes: ``seconds``, ``peak_bytes`` and the quality metrics.
    """

    n_steps: int
    batch: int
    status: str
    values: dict[str, float]


def sweeps(section: Section) -> dict[tuple[str, str], list[Pair]]:
    """The pairs of the sweep for each method and engine, in order of n_steps, then batch size."""
    quality, runtime = section.of("ig_sweep")
    failed = section.failed[section.failed["benchmark"] == "ig_sweep"]
    columns = ["method", "engine", "options", "node", "metric", "value", "status"]
    parts = [
        quality[columns],
        runtime.assign(metric="seconds", value=runtime["per_node"])[columns],
        runtime.assign(metric="peak_bytes", value=runtime["peak_bytes"].astype("float64"))[columns],
        failed[columns],
    ]
    rows = pd.concat([part for part in parts if len(part)] or [quality[columns]])
    found: dict[tuple[str, str], list[Pair]] = {}
    for (method, engine, options), group in rows.groupby(["method", "engine", "options"]):
        steps, batch = steps_and_batch(json.loads(str(options)))
        if not isinstance(steps, int) or not isinstance(batch, int):
            continue
        ok = group[(group["status"] == "ok") & group["value"].notna()]
        by_node = ok.groupby(["metric", ok["node"].fillna(-1)])["value"].median()
        medians = by_node.groupby(level="metric").median()
        values = {str(name): float(value) for name, value in medians.items()}
        # One metric that is undefined for one node does not take the pair with it.
        status = "ok" if "seconds" in values else "error"
        if "oom" in set(group["status"]):
            status = "oom"
        pair = Pair(steps, batch, status, values)
        found.setdefault((str(method), str(engine)), []).append(pair)
    for pairs in found.values():
        pairs.sort(key=lambda pair: (pair.n_steps, pair.batch))
    return found


def sweep_grid(pairs: list[Pair], name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One value of the sweep and the statuses, n_steps by internal_batch_size.

    The last column is ``all``: the batch size that equals n_steps. Such a pair stands in its
    number's column too, if that is a batch size for other numbers of steps as well.
    """
    sizes = {pair.batch for pair in pairs if pair.batch != pair.n_steps}
    columns: list[str] = [str(size) for size in sorted(sizes)]
    if any(pair.batch == pair.n_steps for pair in pairs):
        columns.append(ALL)
    index = sorted({pair.n_steps for pair in pairs})
    values = pd.DataFrame(np.nan, index=index, columns=columns)
    statuses = pd.DataFrame("", index=index, columns=columns, dtype=object)
    for pair in pairs:
        places = [str(pair.batch)] if pair.batch in sizes else []
        places += [ALL] if pair.batch == pair.n_steps else []
        for place in places:
            statuses.loc[pair.n_steps, place] = pair.status
            if pair.status == "ok":
                values.loc[pair.n_steps, place] = pair.values.get(name, np.nan)
    return values, statuses


def eligible(pairs: list[Pair]) -> list[Pair]:
    """The pairs whose time and relative error are known, the fastest first."""
    good = [
        pair
        for pair in pairs
        if pair.status == "ok" and {"seconds", "relative_error"} <= pair.values.keys()
    ]
    return sorted(good, key=lambda pair: pair.values["seconds"])


def cheapest(pairs: list[Pair], bound: float = MAX_ERROR) -> Pair | None:
    """The fastest pair whose median relative error is below a bound; None if there is none."""
    good = (pair for pair in eligible(pairs) if pair.values["relative_error"] < bound)
    return next(good, None)


def sweep_data(pairs: list[Pair]) -> pd.DataFrame:
    """The sweep as a table: n_steps, internal_batch_size, status and the medians."""
    rows = [
        {"n_steps": pair.n_steps, "internal_batch_size": pair.batch, "status": pair.status}
        | dict(sorted(pair.values.items()))
        for pair in pairs
    ]
    return pd.DataFrame(rows)
