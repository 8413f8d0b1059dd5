"""The sweep over steps and batch sizes of Integrated Gradients: frames to tables of numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.report.data.frames import steps_and_batch
from benchmarks.report.data.runtimes import default_engine
from benchmarks.report.data.section import Section

MAX_ERROR = 0.01
# Repeats agree if the times of their middle eight tenths, each over its node's median of all
# settings, are within this factor. (In a quiet sweep 1.8 is usual; computation graphs of other
# sizes do not gain alike. In one that shared its machine it was 17.)
MAX_SCATTER = 3.0
FALLING = 0.8  # twice the steps, or more, in less than this share of the time cannot be
ALL = "all"  # the batch size that takes all steps at once


@dataclass(frozen=True)
class Setting:
    """One setting of the sweep, n_steps and internal_batch_size: its cost and its error.

    Attributes:
        n_steps: Integration steps.
        batch: Steps taken in one pass.
        status: ``ok``, or what became of it instead.
        values: Medians over the nodes: ``seconds``, ``peak_bytes`` and the quality metrics.
        scatter: How far apart the repeats are, as a factor; see :data:`MAX_SCATTER`. None if there
            is one only.
        engine: The engine that was swept.
        default: The engine that runs if none is asked for; empty where it is not known.
    """

    n_steps: int
    batch: int
    status: str
    values: dict[str, float]
    scatter: float | None = None
    engine: str = ""
    default: str = ""


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
    scatters = _scatters(runtime)
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
        setting = Setting(
            steps,
            batch,
            status,
            values,
            scatter=scatters.get((method, engine, options)),
            engine=str(engine),
            default=default_engine(section, str(method)),
        )
        found.setdefault((str(method), str(engine)), []).append(setting)
    for settings in found.values():
        settings.sort(key=lambda setting: (setting.n_steps, setting.batch))
    return found


def _scatters(runtime: pd.DataFrame) -> dict[tuple[object, ...], float]:
    """How far apart each setting's repeats are; nothing of settings with one repeat."""
    place = ["method", "engine", "options"]
    turn = ["model_seed", "repeat", "node"]
    times = runtime.assign(**{key: runtime[key].fillna(-1) for key in turn})
    times = times.groupby([*place, *turn])["per_node"].median().rename("seconds").reset_index()
    # Nodes differ in size: a time counts by how it stands to the node's other settings.
    usual = times.groupby(["method", "engine", *turn])["seconds"].transform("median")
    times["share"] = times["seconds"] / usual
    found: dict[tuple[object, ...], float] = {}
    for key, shares in times.groupby(place)["share"]:
        if len(shares) > 1:
            low, high = np.quantile(shares, [0.1, 0.9])
            found[key if isinstance(key, tuple) else (key,)] = float(high / low)
    return found


def caution(settings: list[Setting]) -> str:
    """Why the times of a sweep allow no recommendation; empty if they do."""
    timed = [one for one in settings if one.status == "ok" and "seconds" in one.values]
    scatters = [one.scatter for one in timed if one.scatter is not None]
    if scatters and max(np.median(scatters), _first(timed)) > MAX_SCATTER:
        worst = max(np.median(scatters), _first(timed))
        return f"the repeats of one setting are a factor of {worst:.2g} apart"
    for one in timed:
        for other in timed:
            more = other.batch == one.batch and other.n_steps >= 2 * one.n_steps
            if more and other.values["seconds"] < FALLING * one.values["seconds"]:
                return (
                    f"the time falls as the steps rise, from {one.n_steps} to {other.n_steps} "
                    f"at batch size {one.batch}"
                )
    return ""


def _first(timed: list[Setting]) -> float:
    """The scatter of the setting that would be recommended; 1 if it is not known."""
    best = next((one for one in _by_time(timed) if _error(one) < MAX_ERROR), None)
    return 1.0 if best is None or best.scatter is None else best.scatter


def _error(setting: Setting) -> float:
    return setting.values.get("relative_error", float("inf"))


def _by_time(settings: list[Setting]) -> list[Setting]:
    return sorted(settings, key=lambda setting: setting.values["seconds"])


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
    """The settings whose time and relative error are known, the fastest first.

    None if there is a :func:`caution`, and none whose own repeats do not agree.
    """
    if caution(settings):
        return []
    good = [
        setting
        for setting in settings
        if setting.status == "ok"
        and {"seconds", "relative_error"} <= setting.values.keys()
        and (setting.scatter is None or setting.scatter <= MAX_SCATTER)
    ]
    return _by_time(good)


def cheapest(settings: list[Setting], bound: float = MAX_ERROR) -> Setting | None:
    """The fastest setting whose median relative error is below a bound; None if there is none.

    None as well if there is a :func:`caution`.
    """
    return next((one for one in eligible(settings) if _error(one) < bound), None)


def errors_by_steps(settings: list[Setting]) -> dict[int, float]:
    """The median relative error by the number of steps; batch sizes do not change it."""
    found: dict[int, list[float]] = {}
    for one in settings:
        if one.status == "ok" and "relative_error" in one.values:
            found.setdefault(one.n_steps, []).append(one.values["relative_error"])
    return {count: float(np.median(errors)) for count, errors in sorted(found.items())}


def steps_needed(settings: list[Setting], bound: float = MAX_ERROR) -> int | None:
    """From how many steps on all errors that were measured are below a bound, on any engine."""
    needed = None
    for count, error in reversed(errors_by_steps(settings).items()):
        if error >= bound:
            break
        needed = count
    return needed


def sweep_data(settings: list[Setting]) -> pd.DataFrame:
    """The sweep as a table: n_steps, internal_batch_size, status and the medians."""
    rows = [
        {"n_steps": setting.n_steps, "internal_batch_size": setting.batch, "status": setting.status}
        | dict(sorted(setting.values.items()))
        for setting in settings
    ]
    return pd.DataFrame(rows)
