"""Two results folders, configuration by configuration: what became slower, what became worse.

Two runs of the same code differ: the machine drifts, and not alike for short and for long calls. A
time is therefore compared with the times of other methods in the same turn of the same two runs,
its *references*: the stock engine's, which is Captum's and PyG's code, where at least three other
methods have one, else all of other methods. How the references scatter among themselves, although
nobody touched them, widens the interval. What moves all of them is the drift, told by itself: the
machine, or code that all share.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats

from benchmarks.report.data.frames import selection
from benchmarks.report.data.manifest import read_manifest
from benchmarks.report.data.metrics import Metrics, described
from benchmarks.report.data.quality import HEADLINE_BUDGET, OTHER_BUDGET
from benchmarks.report.data.runtimes import FIT
from benchmarks.report.data.section import STOCK
from benchmarks.report.stats import estimates as statistics
from benchmarks.report.stats.estimates import Estimate
from benchmarks.store.archive import load_run, require_cells
from benchmarks.store.cell import Cell
from benchmarks.store.codec import spread

TIMED = ("runtime", "engines")  # the sweeps have no other methods to compare with
QUALITY = "quality"
REFERENCES = 3  # fewer do not tell the machine from the code
# A mean is not small in relation to less than this: differences of rounding are no regression.
LEAST = {True: 0.01, False: 1e-3}  # of a metric in [-1, 1]; of any other
_CONFIGURATION = ["benchmark", "task", "device", "method", "engine", "options"]
_WHAT = ["name", "metric", "level", "semantics", "selection"]
_TURN = ["benchmark", "task", "device", "turn"]


@dataclass(frozen=True)
class Change:
    """One configuration in both runs.

    Attributes:
        name: The configuration, in words.
        what: ``time``, or the metric with its level, semantics and selection.
        before: Median time, or mean value, in the first run.
        after: The same in the second.
        change: How much worse it became, 0.1 is a tenth: for a time, second over first, the drift
            taken out, less one; for a metric, the mean paired loss over the size of its mean.
        scatter: How far the references lie apart, as a share; 0 for a metric.
        judged: Whether it can be a regression at all: both runs are comparable, and there were
            references and more than one node.
    """

    name: str
    what: str
    before: float
    after: float
    change: Estimate
    judged: bool
    scatter: float = 0.0

    def beyond(self, limit: float) -> bool:
        """Whether the whole interval is worse than the limit and than the references' scatter.

        The latter speaks only on an unsteady machine, where many configurations stray.
        """
        return self.judged and self.change.low > max(limit, self.scatter)

    def better(self, limit: float) -> bool:
        """The same in the other direction."""
        return self.judged and 1 / (1 + self.change.high) - 1 > max(limit, self.scatter)


@dataclass(frozen=True)
class Comparison:
    """What two runs say of each other.

    Attributes:
        notes: Why something cannot be compared; empty if all can.
        drift: Time of the references, second run over first, or None without times.
        times: The configurations that both have timed.
        quality: The metrics that both have scored.
        only: Configurations that are in one run only: first, second.
    """

    notes: list[str]
    drift: Estimate | None
    times: list[Change]
    quality: list[Change]
    only: tuple[list[str], list[str]]

    def regressions(self, limit: float) -> list[Change]:
        """What became worse than the limit allows, the worst first."""
        found = [change for change in [*self.times, *self.quality] if change.beyond(limit)]
        return sorted(found, key=lambda change: -change.change.value)


@dataclass
class _Run:
    """A folder's cells, by what they are about."""

    cells: dict[str, Cell] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, folder: Path) -> _Run:
        require_cells(folder)
        cells, problems = load_run(folder)
        if not cells:
            raise ValueError(f"{folder}: there is no cell in it; name a folder of a finished run")
        return cls({cell.identity: cell for cell in cells}, [f"{folder}: {p}" for p in problems])


def compare(first: Path, second: Path) -> Comparison:
    """Compares two results folders; see the module's text for how.

    Raises:
        ValueError: One of them is no results folder, or they have no cell in common.
    """
    runs = _Run.load(first), _Run.load(second)
    shared = [key for key in runs[0].cells if key in runs[1].cells]
    if not shared:
        counts = " and ".join(str(len(run.cells)) for run in runs)
        raise ValueError(
            f"{first} and {second} have no configuration in common ({counts} cells): compare runs "
            "of the same benchmarks, tasks and methods"
        )
    pairs = [(runs[0].cells[key], runs[1].cells[key]) for key in shared]
    notes = [*runs[0].problems, *runs[1].problems]
    same_place = _same(pairs, ("machine", "versions"), notes, "times are shown, and judge nothing")
    other = _other_inputs(pairs, notes)
    times, drift = _times(pairs, other, judged=same_place)
    metrics = Metrics(_described(first, notes) | _described(second, notes))
    if not metrics and any(cell.benchmark == QUALITY for cell, _ in pairs):
        notes.append(
            "no manifest describes the metrics: they are not compared; go on with one of the runs "
            "(--resume), which writes the description"
        )
    quality = _quality(pairs, other, metrics)
    return Comparison(notes, drift, times, quality, _only(runs[0], runs[1]))


def _described(folder: Path, notes: list[str]) -> Metrics:
    """The metrics that a run's manifest describes; a note if there is one that cannot be read."""
    try:
        return described(read_manifest(folder))
    except ValueError as error:
        if (folder / "manifest.json").exists():
            notes.append(f"{folder}: {error}")
        return Metrics()


# ------------------------------------------------------------------------- what can be compared


def _same(
    pairs: Sequence[tuple[Cell, Cell]], names: Iterable[str], notes: list[str], so: str
) -> bool:
    """Whether the runs agree in these inputs; a note for each difference."""
    found = set()
    for before, after in pairs:
        for name in names:
            old, new = (cell.inputs.get(name) or {} for cell in (before, after))
            for part in sorted({*old, *new}):
                if old.get(part) != new.get(part):
                    found.add(f"other {name}: {part} {old.get(part)} and {new.get(part)}; {so}")
    notes += sorted(found)
    return not found


def _other_inputs(pairs: Sequence[tuple[Cell, Cell]], notes: list[str]) -> set[tuple[str, Any]]:
    """The tasks and model seeds whose data or weights differ; a note for each."""
    found: dict[tuple[str, Any], str] = {}
    for before, after in pairs:
        for name, what in (("dataset_sha256", "data"), ("checkpoint_sha256", "weights")):
            if before.inputs.get(name) != after.inputs.get(name):
                key = (before.config.get("task", ""), before.config.get("model_seed"))
                found.setdefault(key, f"{key[0]}, model seed {key[1]}: other {what}; left out")
    notes += sorted(found.values())
    return set(found)


def _only(first: _Run, second: _Run) -> tuple[list[str], list[str]]:
    lost, new = (
        sorted({f"{run.cells[key].benchmark}: {_name(run.cells[key])}" for key in keys})
        for run, keys in (
            (first, first.cells.keys() - second.cells.keys()),
            (second, second.cells.keys() - first.cells.keys()),
        )
    )
    # A configuration with more repeats in one run is in both.
    return [name for name in lost if name not in new], [name for name in new if name not in lost]


def _name(cell: Cell) -> str:
    config = cell.config
    names = [str(config.get(part) or "") for part in ("task", "model", "method", "engine")]
    options = ", ".join(
        f"{name}={value}" for name, value in sorted((config.get("options") or {}).items())
    )
    return " ".join(name for name in names if name) + (f" ({options})" if options else "")


# -------------------------------------------------------------------------------------- times


def _times(
    pairs: Sequence[tuple[Cell, Cell]], other: set[tuple[str, Any]], *, judged: bool
) -> tuple[list[Change], Estimate | None]:
    frames = [_seconds([pair[i] for pair in pairs], other) for i in (0, 1)]
    both = pd.concat(frames, axis=1, join="inner", keys=["before", "after"]).dropna()
    if both.empty:
        return [], None
    both["log"] = np.log(both["after"] / both["before"])
    rows = both.reset_index()
    found = []
    for key, group in rows.groupby(_CONFIGURATION, sort=True):
        references = _references(rows, dict(zip(_CONFIGURATION, key, strict=True)))
        adjusted, scatter = _adjust(group, references)
        by_node = adjusted.groupby(group["node"]).mean()
        found.append(
            Change(
                name=str(group["name"].iloc[0]),
                what=f"time ({key[0]})",
                before=float(group["before"].median()),
                after=float(group["after"].median()),
                change=_widened(statistics.mean(by_node), scatter),
                judged=judged and not references.empty and len(by_node) > 1,
                scatter=float(np.expm1(scatter)),
            )
        )
    return found, _drift(rows)


def _seconds(cells: Sequence[Cell], other: set[tuple[str, Any]]) -> pd.Series:
    """The smallest seconds of each turn: what disturbs a measurement only adds to it."""
    rows = [
        {
            **{name: str(cell.config.get(name)) for name in _CONFIGURATION[1:-1]},
            "benchmark": cell.benchmark,
            "options": json.dumps(cell.config.get("options"), sort_keys=True),
            "name": _name(cell),
            "turn": f"{cell.config.get('model_seed')}/{row.get('repeat')}",
            "node": str(row.get("node")),
            "nodes": str(row.get("nodes")),
            "seconds": row["seconds"],
        }
        for cell in cells
        if cell.benchmark in TIMED
        and (cell.config.get("task", ""), cell.config.get("model_seed")) not in other
        for row in cell.runtime
        if row.get("status", cell.status) == "ok"
        and row.get("seconds")
        and row.get("varied") != FIT
    ]
    keys = [*_CONFIGURATION, "name", "turn", "node", "nodes"]
    frame = pd.DataFrame(rows, columns=[*keys, "seconds"])
    return frame.groupby(keys)["seconds"].min()


def _references(rows: pd.DataFrame, configuration: Mapping[str, Any]) -> pd.DataFrame:
    """The rows that a configuration's times are compared with; empty if they are too few."""
    near = rows["method"] != configuration["method"]
    for name in ("benchmark", "task", "device"):
        near &= rows[name] == configuration[name]
    for chosen in (near & (rows["engine"] == STOCK), near):
        if len(rows[chosen].groupby(["method", "engine", "options"])) >= REFERENCES:
            return rows[chosen]
    return rows[:0]


def _adjust(group: pd.DataFrame, references: pd.DataFrame) -> tuple[pd.Series, float]:
    """A configuration's log-ratios without the drift, and how the references scatter (a log)."""
    if references.empty:
        return group["log"], 0.0
    drift = references.groupby("turn")["log"].median()
    apart = references["log"] - references["turn"].map(drift)
    means = apart.groupby([references[name] for name in ("method", "engine", "options")]).mean()
    # A new configuration of the same kind lies within this of the references' mean.
    count = len(means)
    quantile = scipy.stats.t.ppf(0.5 + statistics.CONFIDENCE / 2, count - 1)
    scatter = float(quantile * means.std() * np.sqrt(1 + 1 / count))
    # A turn without references is compared with the drift of all.
    return group["log"] - group["turn"].map(drift).fillna(references["log"].median()), scatter


def _widened(log: Estimate, scatter: float) -> Estimate:
    low = log.value - np.hypot(log.value - log.low, scatter)
    high = log.value + np.hypot(log.high - log.value, scatter)
    value, low, high = np.expm1([log.value, low, high])
    return Estimate(float(value), float(low), float(high), log.n)


def _drift(rows: pd.DataFrame) -> Estimate:
    """Second run over first: the median over the configurations, mean over the turns."""
    stock = rows[rows["engine"] == STOCK]
    enough = len(stock.groupby(["method", "options"])) >= REFERENCES
    by_turn = (stock if enough else rows).groupby(_TURN)["log"].median()
    return statistics.geometric_mean(by_turn)


# ------------------------------------------------------------------------------------ quality


def _quality(
    pairs: Sequence[tuple[Cell, Cell]], other: set[tuple[str, Any]], metrics: Metrics
) -> list[Change]:
    found = []
    values = [_values([pair[i] for pair in pairs], other, metrics) for i in (0, 1)]
    both = pd.concat(values, axis=1, join="inner", keys=["before", "after"]).dropna()
    for key, group in _headlines(both).groupby(level=_WHAT, sort=True):
        # The same models in both runs: whether the code changed on them is asked, not whether it
        # would have on others, so models are averaged here and nodes are what is resampled.
        name, metric, *conditions = key
        known = metrics[str(metric)]
        sign = -1.0 if known.direction == "up" else 1.0
        by_node = group.groupby(level="node").mean()
        size = max(abs(float(by_node["before"].mean())), LEAST[known.bounded])
        losses = sign * (by_node["after"] - by_node["before"]) / size
        found.append(
            Change(
                name=str(name),
                what=", ".join(str(part) for part in (metric, *conditions) if part),
                before=float(by_node["before"].mean()),
                after=float(by_node["after"].mean()),
                change=statistics.mean(losses),
                judged=len(by_node) > 1,
            )
        )
    return found


def _headlines(both: pd.DataFrame) -> pd.DataFrame:
    """The values at the headline's budget, at ten edges where it is in one run only."""
    keys = [both.index.get_level_values(name) for name in _WHAT if name != "level"]
    levels = both.index.get_level_values("level")
    has_headline = pd.Series(levels == HEADLINE_BUDGET).groupby(keys).transform("any").to_numpy()
    return both[~((levels == OTHER_BUDGET) & has_headline)]


def _values(cells: Sequence[Cell], other: set[tuple[str, Any]], metrics: Metrics) -> pd.Series:
    """The metrics with a direction, at the budgets of :func:`_headlines` or without one."""
    keys = [*_WHAT, "model", "node"]
    rows = [
        {
            "name": _name(cell),
            "metric": row["metric"],
            "level": row.get("level") or "",
            "semantics": row.get("semantics") or "",
            "selection": selection(row),
            "model": str(cell.config.get("model_seed")),
            "node": str(row.get("node")),
            "value": row.get("value"),
        }
        for cell in cells
        if cell.benchmark == QUALITY
        and (cell.config.get("task", ""), cell.config.get("model_seed")) not in other
        for row in spread(cell.quality)
        if metrics[row["metric"]].direction
        and metrics[row["metric"]].compared
        and row.get("level") in ("", None, HEADLINE_BUDGET, OTHER_BUDGET)
    ]
    frame = pd.DataFrame(rows, columns=[*keys, "value"]).astype({"value": "float64"})
    return frame.groupby(keys)["value"].mean()
