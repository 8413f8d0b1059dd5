"""The two frames cut into sections, one for each task, model and device; labels of the methods."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.report.data.frames import Results, natural
from benchmarks.report.data.metrics import Metrics, described

STOCK = "stock"
BY_HAND = "k-hop by hand"  # stands among the engines; see benchmarks/measures/by_hand.py
CLASSES, REGRESSION = "multiclass_classification", "regression"
RANDOM = "random"  # the random baseline: any method should be better
BASELINES = (RANDOM, "degree", "page_rank")  # cost next to nothing and ignore the model
# The rows of a task or a method that could not be had: nothing was measured.
UNAVAILABLE = ("task", "method")
# Half of the region of practical equivalence, for metrics in [0, 1] or [-1, 1].
EQUIVALENCE = 0.01
# Options that make no variant of a method: a seed is a repetition, and how many nodes are explained
# at once has a column of its own.
_NO_VARIANT = ("seed", "bulk")
# What is explained, in words, by the task level.
UNITS = {"node": "node", "graph": "graph", "edge": "link"}
# Tasks that classify graphs, in runs from before their manifests said so.
_GRAPH_TASKS = ("mutag", "mutagenicity", "ba-2motif")
# Benchmarks that vary options on purpose; there the options are an axis, not part of a name.
_SWEEPS = ("ig_sweep", "scaling", "completeness", "calibration", "explained_output")


class Key(NamedTuple):
    """What a value is: the metric, the edge budget, how edges are removed, how they are selected.

    ``selection`` is ``signed`` (the edges with the highest scores), ``absolute`` (the highest
    absolute scores) or empty, where no order of the edges matters.
    """

    name: str
    budget: str
    semantics: str
    selection: str


@dataclass(frozen=True, eq=False)
class Section:
    """What was measured on one task, with one kind of model, on one device.

    Attributes:
        task: The task's name.
        title: The task; the kind of model if the task has several, the device if the run has.
        slug: For file names and anchors; no other section has it.
        model: The kind of the model's layers.
        device: ``cpu`` or ``cuda``.
        quality: The rows that are ok, with the column ``label``.
        runtime: The rows that are ok, with ``label`` and ``per_node``, the seconds of one node.
        failed: The rows of both frames that are not ok.
        metrics: What the manifest says of the metrics; of a regression, in its terms.
        mode: What the model returns, as PyG names it; ``regression`` for real numbers.
        baselines: The methods that do not look at the model, as the manifest says.
        engines: The engines of each method in the order in which the library tries them, as the
            manifest says.
        motif: Whether the task's ground truth is declared to be given away by the structure.
        trivial: How many models are no more accurate than the most frequent class everywhere.
        level: What is explained: ``node``, ``graph`` or, a link, ``edge``.
        equivalence: Half of the region of practical equivalence, for metrics in [0, 1] or [-1, 1].
    """

    task: str
    title: str
    slug: str
    model: str
    device: str
    quality: pd.DataFrame
    runtime: pd.DataFrame
    failed: pd.DataFrame
    metrics: Metrics
    mode: str = CLASSES
    baselines: frozenset[str] = frozenset()
    engines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    motif: bool = False
    trivial: int = 0
    level: str = "node"
    equivalence: float = EQUIVALENCE

    @property
    def unit(self) -> str:
        """What is explained, in a word: ``node``, ``graph`` or ``link``."""
        return UNITS[self.level]

    @property
    def changed(self) -> str:
        """Of what a fidelity is the change."""
        return "output, in standard deviations" if self.mode == REGRESSION else "probability"

    def of(self, benchmark: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows of one benchmark: quality and runtime."""
        if benchmark not in self._of:
            self._of[benchmark] = (
                self.quality[self.quality["benchmark"] == benchmark],
                self.runtime[self.runtime["benchmark"] == benchmark],
            )
        return self._of[benchmark]

    @cached_property
    def _of(self) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
        return {}

    @cached_property
    def scores(self) -> dict[Key, pd.DataFrame]:
        """The rows of the quality benchmark by what they are."""
        columns = ["metric", "level", "semantics", "selection"]
        groups = self.of("quality")[0].groupby(columns, sort=True)
        return {Key(*map(str, key)): rows for key, rows in groups}


def split(results: Results, equivalence: float = EQUIVALENCE) -> list[Section]:
    """The sections, in the order of the tasks' names.

    Args:
        results: What a folder holds.
        equivalence: Half of the region of practical equivalence.
    """
    quality, runtime = results.quality.copy(), results.runtime.copy()
    runtime = runtime[~runtime["benchmark"].isin(UNAVAILABLE)]
    for frame in (quality, runtime):
        frame["label"] = labels(frame)
    nodes = runtime["nodes"].fillna(1).astype("float64")
    runtime["per_node"] = runtime["seconds"] / nodes.where(nodes >= 1, 1.0)
    place = ["task", "model", "device"]
    found = sorted(
        set(pd.concat([quality[place], runtime[place]]).itertuples(index=False, name=None))
    )
    tasks = results.manifest.get("tasks") or ()
    methods = results.manifest.get("methods") or ()
    metrics = described(results.manifest)
    baselines = frozenset(
        str(entry.get("name")) for entry in methods if not entry.get("model_dependent", True)
    )
    engines = {
        str(entry.get("name")): tuple(map(str, entry.get("engines") or ())) for entry in methods
    }
    motifs = {entry.get("name") for entry in tasks if entry.get("motif")}
    kinds = {(task, model) for task, model, _ in found}
    several_models = {task for task, _ in kinds if sum(one == task for one, _ in kinds) > 1}
    several_devices = len({device for *_, device in found}) > 1
    rows = [frame.groupby(place, sort=False).indices for frame in (quality, runtime)]
    nothing = np.array([], dtype=np.intp)
    sections: list[Section] = []
    for task, model, device in found:
        positions = [one.get((task, model, device), nothing) for one in rows]
        scores, times = quality.iloc[positions[0]], runtime.iloc[positions[1]]
        suffix = [model] * (task in several_models) + [device] * several_devices
        title = f"{task} ({', '.join(suffix)})" if suffix else task
        mode = _mode(results, task, model)
        sections.append(
            Section(
                task=task,
                title=title,
                slug=_slug(title, {section.slug for section in sections}),
                model=model,
                device=device,
                quality=scores[(scores["status"] == "ok") & scores["value"].notna()],
                runtime=times[(times["status"] == "ok") & (times["seconds"] > 0)],
                failed=pd.concat(
                    [scores[scores["status"] != "ok"], times[times["status"] != "ok"]],
                    ignore_index=True,
                ),
                metrics=metrics.of_regression() if mode == REGRESSION else metrics,
                mode=mode,
                baselines=baselines,
                engines=engines,
                motif=task in motifs,
                trivial=_trivial(results, task, model),
                level=_level(results, task),
                equivalence=equivalence,
            )
        )
    return sections


def _entries(results: Results, task: str, model: str) -> list[dict[str, Any]]:
    """What the manifest says of a task with one kind of model: an entry for each model trained."""
    return [
        entry
        for entry in results.manifest.get("tasks") or ()
        if (entry.get("name"), entry.get("model", "gcn")) == (task, model)
    ]


def _mode(results: Results, task: str, model: str) -> str:
    """What the model returns, as PyG names it."""
    entries = _entries(results, task, model)
    return str(entries[-1].get("mode") or CLASSES) if entries else CLASSES


def _trivial(results: Results, task: str, model: str) -> int:
    """How many models are no more accurate than the most frequent class everywhere."""
    entries = _entries(results, task, model)
    values: list[tuple[Any, Any]] = [
        (entry.get("accuracy"), entry.get("most_frequent")) for entry in entries
    ]
    return sum(None not in pair and pair[0] <= pair[1] for pair in values)


def _level(results: Results, task: str) -> str:
    """What is explained of a task: ``node``, ``graph`` or, a link, ``edge``."""
    entries = results.manifest.get("tasks") or ()
    known = [entry.get("task_level") for entry in entries if entry.get("name") == task]
    said = next((level for level in known if level in ("node", "graph", "edge")), None)
    return said or ("graph" if task in _GRAPH_TASKS else "node")


def units(sections: Iterable[Section]) -> str:
    """What is explained: ``nodes``, ``graphs`` or ``links``; where tasks differ, joined by or."""
    words = {section.unit for section in sections}
    return " or ".join(f"{word}s" for word in UNITS.values() if word in words)


def labels(frame: pd.DataFrame) -> pd.Series:
    """The method of each row, with the options in which its variants differ.

    Options that differ between two engines of a method, such as the batch size that an engine
    prefers, do not make variants: variants differ within one benchmark, method and engine.
    """
    named = frame["method"].copy()
    for (benchmark, _, _), rows in frame.groupby(["benchmark", "method", "engine"], sort=True):
        if benchmark in _SWEEPS:
            continue
        parsed = {text: json.loads(text) for text in rows["options"].unique()}
        names = sorted({name for options in parsed.values() for name in options})
        differing = [
            name
            for name in names
            if name not in _NO_VARIANT
            and len({json.dumps(options.get(name)) for options in parsed.values()}) > 1
        ]
        suffixes = {
            text: ", ".join(f"{name}={options[name]}" for name in differing if name in options)
            for text, options in parsed.items()
        }
        suffix = rows["options"].map(suffixes)
        named.loc[rows.index] = rows["method"] + suffix.map(lambda text: text and f" ({text})")
    return named


def method_labels(sections: list[Section]) -> list[str]:
    """All labels of a report, and the methods that they are variants of, in natural order."""
    found = {
        str(name)
        for section in sections
        for frame in (section.quality, section.runtime)
        for column in ("label", "method")
        for name in frame[column].unique()
    }
    return sorted(found, key=natural)


def engine_names(sections: list[Section]) -> list[str]:
    """All engines of a report, stock first."""
    found = {str(name) for section in sections for name in section.runtime["engine"].unique()}
    return sorted(found, key=lambda name: (name != STOCK, natural(name)))


def _slug(title: str, taken: set[str]) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "task"
    slug, number = plain, 1
    while slug in taken:
        number += 1
        slug = f"{plain}-{number}"
    return slug


def benchmarks_of(sections: Sequence[Section]) -> set[str]:
    """The names of all benchmarks that the sections have cells of."""
    return {
        str(name)
        for section in sections
        for frame in (section.quality, section.runtime)
        for name in frame["benchmark"].unique()
    }
