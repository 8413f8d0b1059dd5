"""What the methods cost, on which engine and at what size: frames to tables of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from benchmarks.report.data.quality import HEADLINE_BUDGET, compare
from benchmarks.report.data.section import BY_HAND, STOCK, Section
from benchmarks.report.stats import estimates
from benchmarks.report.stats.estimates import Estimate

_TRIED = ["benchmark", "method", "engine"]
FIT = "fit"  # the cost of training an explainer; no part of the cost of one explanation


@dataclass(frozen=True)
class Timing:
    """What one explanation costs with one method and engine.

    Attributes:
        method: The method.
        label: The method, with the options in which its variants differ.
        engine: Its engine.
        seconds: Median over the nodes.
        peak_bytes: Median over the nodes, or None where it was not measured.
        nodes: Nodes that were timed.
        over_stock: Time of the same method on stock over this one's, paired; None where nothing
            pairs, and for stock itself.
    """

    method: str
    label: str
    engine: str
    seconds: float
    peak_bytes: float | None
    nodes: int
    over_stock: Estimate | None


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
    """How much faster than the two baselines an engine explains the same nodes.

    Attributes:
        label: The method.
        engine: The engine.
        at_once: Nodes explained by one call.
        ratio: Stock's time over this engine's, both for one node; see :func:`engine_ratios`.
        over_hand: The time by hand over this engine's, likewise; None where it was not measured.
        seconds: Median time of one node.
        peak_bytes: Peak memory of the first call; None where it was not measured.
        over_budget: The same over the budget and what the model itself takes, or None.
        error: Largest difference from stock over the nodes, or None where it was not measured.
        over_limit: Median of the time over the least time that the machine needs, or None.
    """

    label: str
    engine: str
    at_once: int
    ratio: Estimate
    over_hand: Estimate | None
    seconds: float
    peak_bytes: float | None
    over_budget: float | None
    error: float | None
    over_limit: float | None


def node_seconds(section: Section) -> pd.DataFrame:
    """Seconds of one explanation: method, engine, node, seconds; the median over its rounds."""
    rows = _explanations(section).drop(columns=["method", "node"])
    rows = rows.rename(columns={"label": "method", "unit": "node"})
    keys = ["method", "engine", "node"]
    return rows.groupby(keys, sort=True)["per_node"].median().rename("seconds").reset_index()


@lru_cache(maxsize=16)
def timings(section: Section) -> list[Timing]:
    """What each method and engine costs, the fastest first."""
    rows = _explanations(section)
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
                over_stock=_over_stock(section, rows, group),
            )
        )
    return sorted(found, key=lambda timing: (timing.seconds, timing.label, timing.engine))


def _over_stock(section: Section, rows: pd.DataFrame, group: pd.DataFrame) -> Estimate | None:
    """Time of the same method on stock over that of a group, one method on one engine."""
    own = _baseline(rows, group, STOCK)
    if own.empty or own.index.isin(group.index).all():
        return None
    label, engine = str(group["label"].iloc[0]), str(group["engine"].iloc[0])
    return time_ratio(section, (str(own["label"].iloc[0]), STOCK), (label, engine))


def _baseline(rows: pd.DataFrame, group: pd.DataFrame, engine: str) -> pd.DataFrame:
    """The rows of the group's own method on a baseline: of its variant if that was timed there."""
    same = rows[(rows["method"] == group["method"].iloc[0]) & (rows["engine"] == engine)]
    variant = same[same["label"] == group["label"].iloc[0]]
    return variant if len(variant) else same


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
    return estimates.geometric_mean(by_node) if len(by_node) else None


@lru_cache(maxsize=64)
def _scored(section: Section) -> dict[str, tuple[set[str], set[str]]]:
    """Of each label of the quality benchmark, which may have 100,000 rows: methods and engines."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    rows = section.of("quality")[0][["label", "method", "engine"]].drop_duplicates()
    for label, method, engine in rows.itertuples(index=False):
        methods, engines = found.setdefault(str(label), (set(), set()))
        methods.add(str(method))
        engines.add(str(engine))
    return found


def costs(section: Section, label: str) -> list[Timing]:
    """What a method of the quality benchmark costs, the fastest first: one timing for each engine.

    An engine that was timed in several variants (batch sizes, which change no score), but not in
    the one that was scored, costs what its fastest variant does.
    """
    methods, _ = _scored(section).get(label, ((), ()))
    same = [timing for timing in timings(section) if timing.method in methods]
    fastest: dict[str, Timing] = {}
    for timing in [*(one for one in same if one.label == label), *same]:
        fastest.setdefault(timing.engine, timing)
    return sorted(fastest.values(), key=lambda timing: timing.seconds)


def by_default(section: Section, label: str) -> Timing | None:
    """What a method costs on the engine that runs unless another is named, if that was timed.

    Quality is measured on that engine.
    """
    _, engines = _scored(section).get(label, ((), ()))
    return next((one for one in costs(section, label) if one.engine in engines), None)


@lru_cache(maxsize=256)
def default_engine(section: Section, method: str) -> str:
    """The engine that runs a method unless another is named; empty where it is not known.

    Quality is measured on that engine. Where it was not measured, it is the first that was tried of
    those that the library would try. But it tries ``hoisted`` late for some methods where graphs
    are classified, and which methods these are was not recorded.
    """
    scored = section.of("quality")[0]
    ran = {str(name) for name in scored.loc[scored["method"] == method, "engine"]}
    if ran:
        return ran.pop() if len(ran) == 1 else ""
    rows = pd.concat([one[_TRIED] for one in (section.runtime, section.failed)])
    rows = rows[rows["benchmark"].isin(("runtime", "engines")) & (rows["method"] == method)]
    tried = {str(name) for name in rows["engine"]} - {BY_HAND}
    known = [name for name in section.engines.get(method, ()) if name in tried]
    if len(tried) == 1:
        known = [*tried]
    elif known[:1] == ["hoisted"] and section.level == "graph":
        return ""
    return known[0] if known else ""


def defaults(section: Section) -> list[Timing]:
    """What each method costs on the engine that runs by default, the fastest first.

    Of one that was timed there in several variants, the fastest.
    """
    found: dict[str, Timing] = {}
    for timing in timings(section):
        if timing.engine == default_engine(section, timing.method):
            found.setdefault(timing.method, timing)
    return list(found.values())


def tradeoffs_by_default(section: Section) -> list[Tradeoff]:
    """Each method once, on the engine that runs by default; methods that are the same, once."""
    standings = compare(section, "fidelity+_prob", HEADLINE_BUDGET, "mask")
    points = []
    for one in standings.distinct:
        timed = [timing for name in one.names if (timing := by_default(section, name))]
        if timed:
            fastest = min(timed, key=lambda timing: timing.seconds)
            points.append((fastest.seconds, -one.mean.value, one.title, fastest.engine, one.mean))
    return _with_front(points)


def tradeoffs(section: Section) -> list[Tradeoff]:
    """Each method and engine by cost and quality, the fastest first."""
    standings = compare(section, "fidelity+_prob", HEADLINE_BUDGET, "mask")
    points = [
        (timing.seconds, -one.mean.value, label, timing.engine, one.mean)
        for label, one in standings.items()
        for timing in costs(section, label)
    ]
    return _with_front(points)


def _with_front(points: list[tuple[float, float, str, str, Estimate]]) -> list[Tradeoff]:
    """Points (seconds, worth to be sorted by, label, engine, mean), the fastest first."""
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


@lru_cache(maxsize=64)
def engine_ratios(section: Section) -> list[EngineRatio]:
    """Each engine against stock and against ``k-hop by hand``.

    Both baselines explain one node a call. So does the engine: geometric means of the ratios,
    paired within a repeat on the same node, so over the nodes that both explained. Many in one
    call, by an engine or by hand: the mean time of the baseline's nodes, over the median time of
    the call for one of its nodes.
    """
    quality, rows = section.of("engines")
    rows = _with_units(rows[rows["varied"] != FIT]).assign(at_once=rows["nodes"].fillna(1))
    found = []
    keys = ["method", "label", "engine", "at_once"]
    for (method, label, engine, at_once), group in rows.groupby(keys, sort=True):
        stock = _baseline(rows, group, STOCK)
        if group.index.isin(stock[stock["at_once"] == stock["at_once"].min()].index).all():
            continue
        ratio = _over(stock, group)
        if ratio is None:
            continue
        own = quality[
            (quality["method"] == method)
            & (quality["engine"] == engine)
            & quality["options"].isin(group["options"])
        ]
        values = {str(name): one["value"] for name, one in own.groupby("metric")}
        peaks = group["peak_bytes"].dropna().astype("float64")
        reference = engine == BY_HAND and at_once == 1
        by_hand = None if reference else _over(_baseline(rows, group, BY_HAND), group)
        found.append(
            EngineRatio(
                label=str(label),
                engine=str(engine),
                at_once=int(str(at_once)),
                ratio=ratio,
                over_hand=by_hand,
                seconds=float(group.groupby("unit")["per_node"].median().median()),
                peak_bytes=float(peaks.median()) if len(peaks) else None,
                over_budget=_of(values, "over_budget", "max"),
                error=_of(values, "equality_error", "max"),
                over_limit=_of(values, "over_limit", "median"),
            )
        )
    return found


def _of(values: dict[str, pd.Series], name: str, statistic: str) -> float | None:
    return float(values[name].agg(statistic)) if name in values else None


def _over(baseline: pd.DataFrame, group: pd.DataFrame) -> Estimate | None:
    """Time of a baseline, one node a call, over that of a group."""
    alone = baseline[baseline["at_once"] == baseline["at_once"].min()]
    if alone.empty:
        return None
    if group["at_once"].iloc[0] > 1:
        by_node = alone.groupby("unit")["per_node"].median()
        return estimates.mean(by_node / group.groupby("turn")["per_node"].median().median())
    keys = ["model", "turn", "unit"]
    reference, times = (np.log(one.groupby(keys)["per_node"].median()) for one in (alone, group))
    logs = (reference - times).dropna().groupby(level="unit").mean()
    return estimates.geometric_mean(logs) if len(logs) else None


def scaling(section: Section) -> pd.DataFrame:
    """Medians: varied, at, method, engine, seconds (of one node), peak_bytes."""
    _, rows = section.of("scaling")
    rows = rows[(rows["varied"] != "") & rows["at"].notna()]
    rows = rows.assign(peak_bytes=rows["peak_bytes"].astype("float64"))
    keys = ["varied", "method", "engine", "at"]
    medians = rows.groupby(keys, sort=True)[["per_node", "peak_bytes"]].median()
    return medians.rename(columns={"per_node": "seconds"}).reset_index()
