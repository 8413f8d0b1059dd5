"""The sweep over steps and batch sizes of Integrated Gradients: frames to tables of numbers."""

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
class Setting:
    """One setting of the sweep, n_steps and internal_batch_size: its cost and its error.

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


def sweeps(section: Section) -> dict[tuple[str, str], list[Setting]]:
    """The settings swept for each method and engine, in order of n_steps, then batch size."""
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
    found: dict[tuple[str, str], list[Setting]] = {}
    for (method, engine, options), group in rows.groupby(["method", "engine", "options"]):
        steps, batch = steps_and_batch(json.loads(str(options)))
        if not isinstance(steps, int) or not isinstance(batch, int):
            continue
        ok = group[(group["status"] == "ok") & group["value"].notna()]
        by_node = ok.groupby(["metric", ok["node"].fillna(-1)])["value"].median()
        medians = by_node.groupby(level="metric").median()
        values = {str(name): float(value) for name, value in medians.items()}
        # One metric that is undefined for one node does not take the setting with it.
        status = "ok" if "seconds" in values else "error"
        if "oom" in set(group["status"]):
            status = "oom"
        setting = Setting(steps, batch, status, values)
        found.setdefault((str(method), str(engine)), []).append(setting)
    for settings in found.values():
        settings.sort(key=lambda setting: (setting.n_steps, setting.batch))
    return found


def sweep_grid(settings: list[Setting], name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One value of the sweep and the statuses, n_steps by internal_batch_size.

    The last column is ``all``: the batch size that equals n_steps. Such a setting stands in its
    number's column too, if that is a batch size for other numbers of steps as well.
    """
    sizes = {setting.batch for setting in settings if setting.batch != setting.n_steps}
    columns: list[str] = [str(size) for size in sorted(sizes)]
    if any(setting.batch == setting.n_steps for setting in settings):
        columns.append(ALL)
    index = sorted({setting.n_steps for setting in settings})
    values = pd.DataFrame(np.nan, index=index, columns=columns)
    statuses = pd.DataFrame("", index=index, columns=columns, dtype=object)
    for setting in settings:
        places = [str(setting.batch)] if setting.batch in sizes else []
        places += [ALL] if setting.batch == setting.n_steps else []
        for place in places:
            statuses.loc[setting.n_steps, place] = setting.status
            if setting.status == "ok":
                values.loc[setting.n_steps, place] = setting.values.get(name, np.nan)
    return values, statuses


def eligible(settings: list[Setting]) -> list[Setting]:
    """The settings whose time and relative error are known, the fastest first."""
    good = [
        setting
        for setting in settings
        if setting.status == "ok" and {"seconds", "relative_error"} <= setting.values.keys()
    ]
    return sorted(good, key=lambda setting: setting.values["seconds"])


def cheapest(settings: list[Setting], bound: float = MAX_ERROR) -> Setting | None:
    """The fastest setting whose median relative error is below a bound; None if there is none."""
    good = (setting for setting in eligible(settings) if setting.values["relative_error"] < bound)
    return next(good, None)


def sweep_data(settings: list[Setting]) -> pd.DataFrame:
    """The sweep as a table: n_steps, internal_batch_size, status and the medians."""
    rows = [
        {"n_steps": setting.n_steps, "internal_batch_size": setting.batch, "status": setting.status}
        | dict(sorted(setting.values.items()))
        for setting in settings
    ]
    return pd.DataFrame(rows)
