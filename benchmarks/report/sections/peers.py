"""Explainers of other packages beside this library's: quality, time and whether they agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import nan
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.report.data.frames import natural
from benchmarks.report.data.section import Section, benchmarks_of, units
from benchmarks.report.render.blocks import (
    NOTHING,
    Block,
    Entry,
    Heading,
    Table,
    Text,
    by_model_and_node,
    estimate,
    factors,
    measured,
    seconds,
)
from benchmarks.report.render.wording import counted
from benchmarks.report.stats import crossed, estimates
from benchmarks.report.stats.estimates import Estimate

BENCHMARK = "peers"
# As in the columns `other` and `varied`.
THEIRS, OURS, TRAINING = "theirs", "ours", "training"
_BOTH = (THEIRS, OURS)
QUALITY = ("fidelity+_prob", "fidelity-_prob", "auroc", "average_precision")
_OVERALL = ("fidelity+_prob", "auroc")
_SPEARMAN, _DIFFERENCE = "peer_spearman", "peer_difference"


def overall(sections: Sequence[Section], manifest: Mapping[str, Any]) -> Iterator[Block]:
    """Methods by tasks: how much faster ours are, how much better, and whether they agree."""
    with_peers = [section for section in sections if _methods(section)]
    if not with_peers:
        return
    methods = sorted({name for one in with_peers for name in _methods(one)}, key=natural)
    about = _about(manifest)
    yield Heading("Other packages", "peers")
    yield Text(
        "Each method of another package explains the same predictions of the same model as this "
        "library's method beside it (ours), node after node, in turn. Of the other's time counts "
        "what its own code takes, of ours the whole call, checks included. A dash: it does not "
        "take the model, or the package was not installed."
    )
    yield _by_task(
        "How many times faster ours is (below 1: slower): geometric mean of the ratios over the "
        "nodes, with 95 % interval. Training that is done once for a model is not counted.",
        with_peers,
        methods,
        about,
        lambda section, name: measured(factors, ratio(section, name)),
    )
    for metric in _OVERALL:
        if any((one.of(BENCHMARK)[0]["metric"] == metric).any() for one in with_peers):
            yield _by_task(
                f"By how much {with_peers[0].metrics[metric].title} of ours is higher than of the "
                "other: mean of the differences at the same nodes, with 95 % interval.",
                with_peers,
                methods,
                about,
                partial(_gain, metric),
            )
    yield _by_task(
        "Spearman's rank correlation of the scores: 1 for the same order. Methods that draw random "
        "numbers differ by those, too.",
        with_peers,
        methods,
        about,
        lambda section, name: _mean(section, name, _SPEARMAN),
    )
    notes = [[Entry(name), Entry(about[name][1])] for name in methods if about[name][1]]
    if notes:
        yield Table("What sets methods apart from ours.", ("method", "difference"), notes)


def alone(sections: Sequence[Section]) -> bool:
    """Whether a run compared with other packages, and did nothing else."""
    return benchmarks_of(sections) == {BENCHMARK}


def answers(sections: Sequence[Section]) -> list[str]:
    """What it comes to, in two sentences."""
    pairs = [(section, name) for section in sections for name in _methods(section)]
    ratios = [one for one in (ratio(*pair) for pair in pairs) if one is not None]
    known = [one for one in ratios if np.isfinite(one.low)]
    sure = sum(one.low > 1 for one in known), sum(one.high < 1 for one in known)
    metric = "fidelity+_prob"
    gains = [gain(metric, *pair) for pair in pairs]
    shown = [one for one in gains if one is not None and np.isfinite(one.low)]
    better = sum(one.low > 0 for one in shown), sum(one.high < 0 for one in shown)
    found = []
    if known:
        median = factors(Estimate(float(np.median([one.value for one in ratios])), nan, nan, 1))
        found.append(
            f"Time: this library is faster in {sure[0]} of {counted(len(known), 'pair')} of "
            f"another package's method and a task, slower in {sure[1]}; in the others the 95 % "
            f"interval of the ratio includes 1. The other's time over ours has the median {median}."
        )
    if shown:
        title = sections[0].metrics[metric].title
        found.append(
            f"{title}: ours is higher in {better[0]} of {counted(len(shown), 'pair')}, lower in "
            f"{better[1]}; in the others the 95 % interval of the difference includes 0. The "
            "intervals are not corrected for the number of pairs."
        )
    return found


def peers(section: Section, manifest: Mapping[str, Any]) -> Iterator[Block]:
    """The values themselves, of one task."""
    methods = _methods(section)
    if not methods:
        return
    rows, _ = section.of(BENCHMARK)
    about = _about(manifest)
    shown = [name for name in QUALITY if (rows["metric"] == name).any()]
    yield Heading("Other packages", f"peers-{section.slug}", 3)
    yield Table(
        f"{section.title}: other packages' methods and ours beside them, at 20 % of the edges; "
        f"means over the {units([section])} and models.",
        (
            *("method", "ours", units([section])),
            *(f"{section.metrics[name].heading}, {which}" for name in shown for which in _BOTH),
        ),
        [
            [
                Entry(name),
                Entry(about[name][0]),
                Entry(str(_nodes(section, name)), value=_nodes(section, name)),
                *(_mean(section, name, metric, which) for metric in shown for which in _BOTH),
            ]
            for name in methods
        ],
    )
    yield Table(
        f"{section.title}: time of one explanation, medians over the {units([section])}, and "
        "agreement of the "
        "scores.",
        (
            *("method", "ours", "time, theirs", "time, ours", "theirs over ours"),
            *("training, theirs", "training, ours"),
            *(section.metrics[name].title for name in (_SPEARMAN, _DIFFERENCE)),
        ),
        [
            [
                Entry(name),
                Entry(about[name][0]),
                *(measured(seconds, _time(section, name, which)) for which in _BOTH),
                measured(factors, ratio(section, name)),
                *(
                    measured(seconds, _time(section, name, f"{TRAINING}, {which}"))
                    for which in _BOTH
                ),
                *(_mean(section, name, metric) for metric in (_SPEARMAN, _DIFFERENCE)),
            ]
            for name in methods
        ],
    )


def ratio(section: Section, method: str) -> Estimate | None:
    """The seconds of theirs over those of ours; None without."""
    times = section.of(BENCHMARK)[1]
    times = times[(times["method"] == method) & times["varied"].isin(_BOTH)]
    if times.empty:
        return None
    keys = ["node", "model_seed", "varied"]
    medians = np.log(times.groupby(keys)["seconds"].median()).unstack("varied")
    if not {*_BOTH} <= {*medians.columns}:
        return None
    logs = (medians[THEIRS] - medians[OURS]).dropna()
    # A node under several models is one unit.
    return estimates.geometric_mean(logs.groupby("node").mean()) if len(logs) else None


def _methods(section: Section) -> list[str]:
    """The peers that were measured there, or that failed."""
    failed = section.failed[section.failed["benchmark"] == BENCHMARK]["method"]
    found = {*section.of(BENCHMARK)[0]["method"], *failed}
    return sorted(map(str, found), key=natural)


def _about(manifest: Mapping[str, Any]) -> _About:
    entries = manifest.get("methods") or ()
    return _About(
        {
            str(one.get("name")): (str(one.get("beside") or ""), str(one.get("note") or ""))
            for one in entries
        }
    )


class _About(dict[str, tuple[str, str]]):
    """Of each method the one that it is compared with, and what sets them apart, if known."""

    def __missing__(self, name: str) -> tuple[str, str]:
        return "", ""


def _by_task(
    caption: str,
    sections: Sequence[Section],
    methods: Sequence[str],
    about: Mapping[str, tuple[str, str]],
    entry: Callable[[Section, str], Entry],
) -> Table:
    return Table(
        caption,
        ("method", "ours", *(section.title for section in sections)),
        [
            [
                Entry(name),
                Entry(about[name][0]),
                *(_or_status(section, name, entry(section, name)) for section in sections),
            ]
            for name in methods
        ],
    )


def _or_status(section: Section, method: str, entry: Entry) -> Entry:
    """The entry, or how the method failed if it has measured nothing."""
    if entry.value is not None:
        return entry
    failed = section.failed[section.failed["benchmark"] == BENCHMARK]
    statuses = failed.loc[failed["method"] == method, "status"].unique()
    return Entry(", ".join(sorted(map(str, statuses)))) if len(statuses) else Entry(NOTHING)


def _values(section: Section, method: str, metric: str, which: str | None) -> pd.Series:
    """Its values at each (model, node), by the selection that its headline has."""
    rows = section.of(BENCHMARK)[0]
    rows = rows[(rows["method"] == method) & (rows["metric"] == metric)]
    if which is not None:
        rows = rows[rows["other"] == which]
        headline = rows[rows["selection"] == section.metrics[metric].selection]
        rows = headline if len(headline) else rows
    return by_model_and_node(rows)


def _mean(section: Section, method: str, metric: str, which: str | None = None) -> Entry:
    values = _values(section, method, metric, which)
    if values.empty:
        return Entry(NOTHING)
    known = section.metrics[metric]
    return measured(partial(estimate, bounded=known.bounded), crossed.mean(values, known.limits))


def gain(metric: str, section: Section, method: str) -> Estimate | None:
    """By how much the metric of ours is higher at the same nodes; None without."""
    theirs, ours = (_values(section, method, metric, which) for which in _BOTH)
    gains = (ours - theirs).dropna()
    return None if gains.empty else crossed.mean(gains)


def _gain(metric: str, section: Section, method: str) -> Entry:
    return measured(partial(estimate, bounded=True), gain(metric, section, method))


def _nodes(section: Section, method: str) -> int:
    rows = section.of(BENCHMARK)[1]
    return int(rows.loc[rows["method"] == method, "node"].nunique())


def _time(section: Section, method: str, which: str) -> float | None:
    times = section.of(BENCHMARK)[1]
    times = times[(times["method"] == method) & (times["varied"] == which)]
    if times.empty:
        return None
    keys = times["node"].fillna(-1)
    return float(times.groupby(keys)["seconds"].median().median())
