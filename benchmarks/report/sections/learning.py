"""The methods that learn: with which settings, whether they came to rest, what tuning changes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd

from benchmarks.report.data.frames import natural
from benchmarks.report.data.section import Section, units
from benchmarks.report.render.blocks import (
    NOTHING,
    Block,
    Entry,
    Heading,
    Table,
    Text,
    by_model_and_node,
    estimate,
    measured,
    number,
    seconds,
    share,
)
from benchmarks.report.render.wording import p_value
from benchmarks.report.stats import crossed, standings

# As in the column `other`.
DEFAULTS, TUNED = "library defaults", "tuned"
_STATES = {
    "converged": "converged",
    "collapsed": "collapsed",
    "valid": "counterfactual found",
}
_SCORES = (
    *("area_fidelity+_prob", "area_fidelity-_prob", "fidelity+_prob", "fidelity-_prob"),
    *("auroc", "average_precision"),
)
_SETTING = "setting_"


def learning(section: Section) -> Iterator[Block]:
    """Each method at the library's defaults and tuned, side by side, and what the tuning cost."""
    rows, _ = section.of("tuning")
    if rows.empty:
        return
    yield Heading("Methods that learn", f"learning-{section.slug}", 3)
    names = sorted(rows["method"].unique(), key=natural)
    yield Text(
        "Library defaults are PyG's published settings where PyG has the method. Tuned settings "
        "are chosen on other nodes of the task and on a model trained with another seed: those "
        "with the highest mean of the area under fidelity+ less the area under fidelity- "
        "(probability, masked); the library's defaults where they do as well. Tuning helps only "
        "where its table below says so: what is best elsewhere need not be best here."
    )
    yield _sides(section, rows, names)
    yield from _differences(section, rows, names)
    collapse = list(_collapses(rows, names))
    if collapse:
        yield Text(
            f"On {section.title}, {'; '.join(collapse)}. The ranking of edges in a collapsed mask "
            "rests on differences of less than 0.01, and its scores say little of the method."
        )


def _sides(section: Section, rows: pd.DataFrame, names: list[str]) -> Table:
    shown = [name for name in _SCORES if (rows["metric"] == name).any()]
    states = [name for name in _STATES if (rows["metric"] == name).any()]
    lines = []
    for method in names:
        for which in (DEFAULTS, TUNED):
            own = rows[(rows["method"] == method) & (rows["other"] == which)]
            line = [Entry(method if which == DEFAULTS else f"{method} ({which})")]
            line.append(Entry(_settings(own)))
            for name in states:
                found = own.loc[own["metric"] == name, "value"]
                line.append(measured(share, None if found.empty else float(found.mean())))
            for name in shown:
                nodes = _nodes(own, name)
                line.append(
                    Entry(NOTHING)
                    if nodes.empty
                    else measured(
                        partial(estimate, bounded=True),
                        crossed.mean(nodes, section.metrics[name].limits),
                    )
                )
            line += [
                measured(text, _one(own, name))
                for name, text in (("tuning_seconds", seconds), ("tuning_explanations", number))
            ]
            lines.append(line)
    return Table(
        f"{section.title}: methods that learn. Converged: share of explanations whose training "
        "changed its loss in the last tenth of the epochs by no more than 2 % of the whole "
        "change. Collapsed: share whose edge mask has a range or a Gini index below 0.01. "
        "Fidelity by probability, masked: the area over all edge budgets, and at 20 % of the "
        "edges. Cost of the tuning: its time on this machine, once for all models, and the "
        "explanations that it made.",
        (
            *("method", "settings", *(_STATES[name] for name in states)),
            *(_heading(section, name) for name in shown),
            *("time of the tuning ↓", "explanations made for it ↓"),
        ),
        lines,
    )


def _differences(section: Section, rows: pd.DataFrame, names: list[str]) -> Iterator[Block]:
    """Tuned less default, paired over nodes and models; positive where tuning is better."""
    lines = []
    for method in names:
        own = rows[rows["method"] == method]
        for name in _SCORES:
            values = pd.DataFrame(
                {which: _nodes(own[own["other"] == which], name) for which in (DEFAULTS, TUNED)}
            ).dropna()
            known = section.metrics[name]
            column = standings.Column(values, known.direction, section.equivalence, known.limits)
            found = standings.compare({name: column}, asked=[(TUNED, DEFAULTS)])[name]
            one = found.between(TUNED, DEFAULTS) if len(found) == 2 else None
            if one is not None:
                lines.append(
                    [
                        Entry(method),
                        Entry(_heading(section, name)),
                        measured(partial(estimate, bounded=True), one.gain),
                        measured(p_value, one.p),
                        Entry({TUNED: "tuned", DEFAULTS: "default"}.get(one.winner, "tied")),
                    ]
                )
    if lines:
        yield Table(
            f"{section.title}: what tuning gains over the library's defaults, paired over the "
            f"{units([section])} and models; above zero where tuned is better, also where lower is "
            "better. p: of "
            "a difference beyond the region of practical equivalence, each by itself.",
            ("method", "metric", "gain", "p", "better"),
            lines,
            folded=True,
        )


def _collapses(rows: pd.DataFrame, names: list[str]) -> Iterator[str]:
    """A clause for each method that collapses in more than half of the explanations."""
    for method in names:
        for which in (DEFAULTS, TUNED):
            own = rows[(rows["method"] == method) & (rows["other"] == which)]
            found = own.loc[own["metric"] == "collapsed", "value"]
            if len(found) and found.mean() > 0.5:
                of = "at the library's defaults" if which == DEFAULTS else "tuned"
                yield f"{method} {of} collapses in {share(float(found.mean()))} of its explanations"


def _heading(section: Section, name: str) -> str:
    at = ", 20 %" if name in ("fidelity+_prob", "fidelity-_prob") else ""
    return section.metrics[name].heading + at


def _nodes(rows: pd.DataFrame, name: str) -> pd.Series:
    """One metric by (model, node)."""
    return by_model_and_node(rows[rows["metric"] == name])


def _one(rows: pd.DataFrame, name: str) -> float | None:
    """A number that all models share."""
    found = rows.loc[rows["metric"] == name, "value"]
    return None if found.empty else float(found.iloc[0])


def _settings(rows: pd.DataFrame) -> str:
    found = rows[rows["metric"].str.startswith(_SETTING)].groupby("metric")["value"].first()
    return ", ".join(
        f"{str(name).removeprefix(_SETTING)}={value:g}" for name, value in found.items()
    )
