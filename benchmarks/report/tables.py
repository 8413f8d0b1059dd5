"""Frames to tables of numbers: comparisons of methods, times, engines, the sweep of IG."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from benchmarks.report import statistics
from benchmarks.report.frames import natural, steps_and_batch
from benchmarks.report.metrics import METRICS, metric
from benchmarks.report.sections import FLOOR, PREFERRED, STOCK, Section
from benchmarks.report.statistics import Estimate, Standing

HEADLINE_LEVEL = "k=10"
SEMANTICS = ("mask", "delete")
FIT = "fit"  # the cost of training an explainer; no part of the cost of one explanation
MAX_ERROR = 0.01
ALL = "all"  # the batch size that takes all steps at once


@dataclass(frozen=True)
class Timing:
    """What one explanation costs with one method and engine.

    Attributes:
        method: The method.
        label: The method, with the options that tell its variants apart.
        engine: Its engine.
        seconds: Median over the nodes.
        peak_bytes: Median over the nodes, or None where it was not measured.
        nodes: Nodes that were timed.
        speedup: Time of the reference over this one's, paired; None where nothing pairs.
    """

    method: str
    label: str
    engine: str
    seconds: float
    peak_bytes: float | None
    nodes: int
    speedup: Estimate | None


@dataclass(frozen=True)
class Tradeoff:
    """Quality against cost of one method and engine.

    Attributes:
        label: The method.
        engine: The engine.
        seconds: Median time of one explanation.
        fidelity: Fidelity+ by probability at ten edges, masked.
        front: Whether no other is both at least as good and at least as fast (the Pareto front).
    """

    label: str
    engine: str
    seconds: float
    fidelity: Estimate
    front: bool


@dataclass(frozen=True)
class EngineRatio:
    """How much faster than stock an engine explains the same nodes.

    Attributes:
        label: The method.
        engine: The engine.
        at_once: Nodes explained by one call.
        ratio: Stock's time over this engine's, both for one node; geometric mean.
        median: The median of the same ratios.
        error: Largest difference to stock over the nodes, or None where it was not measured.
        over_limit: Median of the time over the least that the machine needs, or None.
    """

    label: str
    engine: str
    at_once: int
    ratio: Estimate
    median: float
    error: float | None
    over_limit: float | None


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


# ---------------------------------------------------------------------------------------- quality


def node_values(section: Section, name: str, level: str, semantics: str) -> pd.DataFrame:
    """One metric as nodes by methods, over the nodes and models that all methods have."""
    if (name, level, semantics) not in section.scores:
        return pd.DataFrame()
    rows = section.scores[name, level, semantics]
    # A metric of a whole task has no node; it counts as one unit.
    rows = rows.assign(unit=rows["node"].fillna(-1), model=rows["model_seed"].fillna(-1))
    values = rows.pivot_table(index=["model", "unit"], columns="label", values="value")
    return statistics.paired(values).groupby(level="unit").mean()


@lru_cache(maxsize=512)
def compare(section: Section, name: str, level: str, semantics: str) -> dict[str, Standing]:
    """The methods by one metric; empty if nobody has it."""
    values, direction = node_values(section, name, level, semantics), metric(name).direction
    standings = statistics.compare(values, direction)
    return statistics.against_floor(standings, values, direction, FLOOR)


def ranking(section: Section) -> list[str]:
    """The methods of the quality benchmark, best first by fidelity+; those without it last."""
    rows, _ = section.of("quality")
    standings = compare(section, "fidelity+_prob", HEADLINE_LEVEL, "mask")
    return sorted(
        (str(name) for name in rows["label"].unique()),
        key=lambda name: (
            -standings[name].mean.value if name in standings else np.inf,
            natural(name),
        ),
    )


def other_metrics(section: Section) -> list[tuple[str, str, str]]:
    """Metric, level, semantics of what no other table shows: metrics that the report learns of.

    Of the levels, the headline's is taken where there is one, else the first.
    """
    levels: dict[tuple[str, str], list[str]] = {}
    for name, level, semantics in section.scores:
        if name not in METRICS:
            levels.setdefault((name, semantics), []).append(level)
    return [
        (name, HEADLINE_LEVEL if HEADLINE_LEVEL in found else min(found, key=natural), semantics)
        for (name, semantics), found in levels.items()
    ]


@lru_cache(maxsize=16)
def semantics(section: Section) -> tuple[str, ...]:
    """How edges were taken away: ``SEMANTICS``, or only the first where both gave the same.

    They do where no layer weighs messages by degrees. Values are kept to five digits.
    """
    masked, deleted = (
        {key[:2]: rows for key, rows in section.scores.items() if key[2] == one}
        for one in SEMANTICS
    )
    keys = ["label", "model_seed", "node"]
    for key, rows in deleted.items():
        both = rows.merge(masked.get(key, rows.iloc[:0]), on=keys, how="outer")
        if not np.allclose(both["value_x"], both["value_y"], rtol=1e-3, atol=1e-4):
            return SEMANTICS
    return SEMANTICS[:1] if deleted else SEMANTICS


def curve(section: Section, name: str, semantics: str) -> pd.DataFrame:
    """A metric at the levels that are shares of the edges: method, sparsity, mean, low, high, n."""
    parts = []
    for key in section.scores:
        share = re.fullmatch(r"f=([\d.]+)%", key[1])
        if (key[0], key[2]) != (name, semantics) or share is None:
            continue
        values = node_values(section, *key)
        measured = section.scores.get(("sparsity", key[1], ""))
        nominal = 1 - float(share[1]) / 100
        sparsity = nominal if measured is None else float(measured["value"].mean())
        for label in values.columns:
            mean = statistics.mean(values[label])
            parts.append((str(label), sparsity, mean.value, mean.low, mean.high, mean.n))
    return pd.DataFrame(parts, columns=["method", "sparsity", "mean", "low", "high", "n"])


def curves(section: Section) -> pd.DataFrame:
    """Fidelity against sparsity: metric, semantics and the columns of :func:`curve`."""
    parts = [
        curve(section, name, one).assign(metric=name, semantics=one)
        for name in ("fidelity+_prob", "fidelity-_prob")
        for one in semantics(section)
    ]
    # An empty frame would take the numbers' type from the others.
    found = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    order = ["metric", "semantics", "method", "sparsity"]
    return found[[*order, "mean", "low", "high", "n"]].sort_values(order, ignore_index=True)


# ---------------------------------------------------------------------------------------- runtime


def node_seconds(section: Section) -> pd.DataFrame:
    """Seconds of one explanation: method, engine, node, seconds; the median over its rounds."""
    rows = _explanations(section).drop(columns=["method", "node"])
    rows = rows.rename(columns={"label": "method", "unit": "node"})
    keys = ["method", "engine", "node"]
    return rows.groupby(keys, sort=True)["per_node"].median().rename("seconds").reset_index()


def reference(section: Section) -> tuple[str, str] | None:
    """Method and engine that the times are compared with; None if nothing was timed.

    Integrated gradients on the stock engine; without it the first method by name, on its stock
    engine where it has one.
    """
    rows = _explanations(section)[["method", "label", "engine"]].drop_duplicates()
    preferred = [
        (label, engine)
        for method, label, engine in rows.itertuples(index=False)
        if (method, engine) == PREFERRED
    ]
    return min(
        ((str(label), str(engine)) for _, label, engine in rows.itertuples(index=False)),
        default=None,
        key=lambda pair: (pair not in preferred, pair[1] != STOCK, natural(pair[0])),
    )


@lru_cache(maxsize=16)
def timings(section: Section) -> list[Timing]:
    """What each method and engine costs, the fastest first."""
    rows, against = _explanations(section), reference(section)
    found = []
    for (label, engine), group in rows.groupby(["label", "engine"], sort=True):
        peaks = group["peak_bytes"].dropna().astype("float64")
        found.append(
            Timing(
                method=str(group["method"].iloc[0]),
                label=str(label),
                engine=str(engine),
                seconds=float(group.groupby("unit")["per_node"].median().median()),
                peak_bytes=float(peaks.median()) if len(peaks) else None,
                nodes=int(group["unit"].nunique()),
                speedup=against and time_ratio(section, against, (str(label), str(engine))),
            )
        )
    return sorted(found, key=lambda timing: (timing.seconds, timing.label, timing.engine))


def time_ratio(
    section: Section, first: tuple[str, str], second: tuple[str, str]
) -> Estimate | None:
    """Time of one method and engine over that of another, paired; None where nothing pairs."""
    rows = _explanations(section)
    keys = ["model", "turn", "unit"]
    logs = [
        np.log(
            rows[(rows["label"] == label) & (rows["engine"] == engine)]
            .groupby(keys)["per_node"]
            .median()
        )
        for label, engine in (first, second)
    ]
    by_node = (logs[0] - logs[1]).dropna().groupby(level="unit").mean()
    return statistics.geometric_mean(by_node) if len(by_node) else None


def costs(section: Section, label: str) -> list[Timing]:
    """What a method of the quality benchmark costs, the fastest first: one timing for each engine.

    An engine that was timed in several variants (batch sizes, which change no score), but not in
    the one that was scored, costs what its fastest variant does.
    """
    rows = section.of("quality")[0]
    methods = set(rows.loc[rows["label"] == label, "method"])
    same = [timing for timing in timings(section) if timing.method in methods]
    fastest: dict[str, Timing] = {}
    for timing in [*(one for one in same if one.label == label), *same]:
        fastest.setdefault(timing.engine, timing)
    return sorted(fastest.values(), key=lambda timing: timing.seconds)


def tradeoffs(section: Section) -> list[Tradeoff]:
    """Each method and engine by cost and quality, the fastest first."""
    standings = compare(section, "fidelity+_prob", HEADLINE_LEVEL, "mask")
    points = [
        (timing.seconds, -one.mean.value, label, timing.engine, one.mean)
        for label, one in standings.items()
        for timing in costs(section, label)
    ]
    found: list[Tradeoff] = []
    best = -np.inf
    for cost, _, label, engine, mean in sorted(points, key=lambda point: point[:4]):
        found.append(Tradeoff(label, engine, cost, mean, front=mean.value > best))
        best = max(best, mean.value)
    return found


def tradeoff_data(points: list[Tradeoff]) -> pd.DataFrame:
    """The same as a table: method, engine, seconds, fidelity, low, high, front."""
    columns = ["method", "engine", "seconds", "fidelity", "low", "high", "front"]
    rows = [
        (one.label, one.engine, one.seconds, mean.value, mean.low, mean.high, one.front)
        for one in points
        for mean in [one.fidelity]
    ]
    return pd.DataFrame(rows, columns=columns)


def fits(section: Section) -> list[tuple[str, str, float, int]]:
    """Label, engine, median seconds and number of the trainings that some methods need first."""
    _, rows = section.of("runtime")
    rows = rows[rows["varied"] == FIT]
    return [
        (str(label), str(engine), float(group["seconds"].median()), len(group))
        for (label, engine), group in rows.groupby(["label", "engine"], sort=True)
    ]


def _explanations(section: Section) -> pd.DataFrame:
    _, rows = section.of("runtime")
    return _with_units(rows[rows["varied"] != FIT])


def _with_units(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(
        unit=rows["node"].fillna(-1),
        model=rows["model_seed"].fillna(-1),
        turn=rows["repeat"].fillna(-1),
    )


# ---------------------------------------------------------------------------------------- engines


def engine_ratios(section: Section) -> list[EngineRatio]:
    """Each engine against stock, paired within a repeat."""
    quality, rows = section.of("engines")
    rows = _with_units(rows[rows["varied"] != FIT]).assign(at_once=rows["nodes"].fillna(1))
    errors = quality[quality["metric"] == "equality_error"]
    limits = quality[quality["metric"] == "over_limit"]
    found = []
    keys = ["method", "label", "engine", "at_once"]
    for (method, label, engine, at_once), group in rows.groupby(keys, sort=True):
        stock = rows[(rows["method"] == method) & (rows["engine"] == STOCK)]
        if (stock["label"] == label).any():
            stock = stock[stock["label"] == label]
        stock = stock[stock["at_once"] == stock["at_once"].min()]
        if group.index.isin(stock.index).all():
            continue
        logs = _paired_logs(stock, group)
        if logs.empty:
            continue
        same = (errors["method"] == method) & (errors["engine"] == engine)
        differences = errors[same & errors["options"].isin(group["options"])]["value"]
        same = (limits["method"] == method) & (limits["engine"] == engine)
        over = limits[same & limits["options"].isin(group["options"])]["value"]
        found.append(
            EngineRatio(
                label=str(label),
                engine=str(engine),
                at_once=int(str(at_once)),
                ratio=statistics.geometric_mean(logs),
                median=float(np.exp(logs.median())),
                error=float(differences.max()) if len(differences) else None,
                over_limit=float(over.median()) if len(over) else None,
            )
        )
    return found


def _paired_logs(stock: pd.DataFrame, other: pd.DataFrame) -> pd.Series:
    """Logarithms of the ratios stock / other, one for each unit.

    A call for several nodes need not be about stock's node; it is paired with stock's times in the
    same repeat then.
    """
    keys = ["model", "turn", "unit"]
    reference = np.log(stock.groupby(keys)["per_node"].median())
    times = np.log(other.groupby(keys)["per_node"].median())
    logs = (reference - times).dropna()
    if logs.empty:
        turns = ["model", "turn"]
        logs = reference.groupby(level=turns).mean() - times.groupby(level=turns).mean()
        return logs.dropna().groupby(level="turn").mean()
    return logs.groupby(level="unit").mean()


# ------------------------------------------------------------------------------------------ sweep


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


# ---------------------------------------------------------------------------------------- scaling


def scaling(section: Section) -> pd.DataFrame:
    """Medians: varied, at, method, engine, seconds (of one node), peak_bytes."""
    _, rows = section.of("scaling")
    rows = rows[(rows["varied"] != "") & rows["at"].notna()]
    rows = rows.assign(peak_bytes=rows["peak_bytes"].astype("float64"))
    keys = ["varied", "method", "engine", "at"]
    medians = rows.groupby(keys, sort=True)[["per_node", "peak_bytes"]].median()
    return medians.rename(columns={"per_node": "seconds"}).reset_index()


# --------------------------------------------------------------------------------------- failures


def failures(section_rows: pd.DataFrame) -> pd.DataFrame:
    """Counts of what is not ok, by benchmark, method, engine, status and message."""
    keys = ["benchmark", "method", "engine", "status", "message"]
    return section_rows.groupby(keys, sort=True).size().rename("rows").reset_index()
