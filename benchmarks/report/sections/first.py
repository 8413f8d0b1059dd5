"""The first screen: what was asked, three sentences that answer, and a forest plot a task.

The sentences say what the protocol found, see :mod:`benchmarks.report.stats.standings`: they count
its marks and compare nothing anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.report.data import quality, runtimes
from benchmarks.report.data.frames import Results, natural
from benchmarks.report.data.quality import HEADLINE_BUDGET
from benchmarks.report.data.section import (
    BASELINES,
    RANDOM,
    UNAVAILABLE,
    Section,
    benchmarks_of,
    units,
)
from benchmarks.report.figures import forest
from benchmarks.report.figures.mean_ranks import signs
from benchmarks.report.figures.palette import Palette
from benchmarks.report.render.blocks import (
    Block,
    Items,
    Picture,
    Text,
    estimate,
    picture,
    seconds,
)
from benchmarks.report.render.wording import counted, join, listed, machine
from benchmarks.report.sections import engines, peers, reliability, screens
from benchmarks.report.sections.safe_default import headline, safe_default, safe_methods
from benchmarks.report.sections.sample import nodes_and_models
from benchmarks.report.sections.verdict import HEADLINES, cautions_of, outcome
from benchmarks.report.stats.standings import (
    TIE,
    WINNER,
    Standing,
    Standings,
    short,
)

GENERATED = "generated"  # the task of the benchmark of scaling
_IN_FRONT = 4  # tasks: with more, a page of forest plots and sentences is no summary
REPLICATION = "calibration"  # as cells name its benchmark; it has tasks of its own
_ASKED = {
    "quality": {"quality"},
    "cost": {"runtime", "engines", "ig_sweep", "scaling"},
    "reliability": {*reliability.BENCHMARKS},
    "replication": {REPLICATION},
    "other packages": {peers.BENCHMARK},
}
_DATA = [
    *("metric", "method", "mean", "low", "high", "mark", "not_better_than_random"),
    *("nodes", "models", "engine", "seconds"),
]


def asked(results: Results) -> str:
    """What a run asked, for the title: its tasks, and what was measured on them."""
    places = pd.concat(
        [frame[["benchmark", "task", "model"]] for frame in (results.quality, results.runtime)]
    ).drop_duplicates()
    places = places[~places["benchmark"].isin(UNAVAILABLE)]
    own = places[places["benchmark"] != REPLICATION]
    names = sorted(set((own if len(own) else places)["task"]), key=natural)
    names = [name for name in names if name != GENERATED] or names
    if not names:
        return ""
    rest = f" and {len(names) - 3} more tasks" if len(names) > 4 else ""
    shown = names[:3] if rest else names
    models = places[places["task"].isin(names) & (places["model"] != "")]
    most = int(models.groupby("task")["model"].nunique().max()) if len(models) else 0
    kinds = f" ({most} kinds of model)" if most > 1 else ""
    found = set(places["benchmark"])
    what = [name for name, benchmarks in _ASKED.items() if found & benchmarks]
    return f"{', '.join(shown)}{rest}{kinds}{': ' if what else ''}{', '.join(what)}"


def first(
    sections: Sequence[Section], palette: Palette, manifest: dict[str, Any]
) -> Iterator[Block]:
    """The question, where it was put, the answer in three sentences, and the forest plots."""
    if not sections:
        return
    yield Text(f"{_question(sections)} {_facts(sections, manifest)}")
    ahead = in_front(sections, manifest)
    screen = screens.of(sections)
    if screen is None:
        said = [safe_default(sections), _best(sections), price(sections)]
        faster, safe = engines.answers(sections), safe_methods(sections)
        own = [text for text in faster if text.partition(",")[0] in safe]
        yield Items([*said, *(own or faster)[:1]])
    else:
        if said := screen.answers(sections):
            yield Items(said)
        yield from screen.shown(sections, ahead, palette, manifest)
    plots = [block for section in ahead for block in plot(section, palette)]
    yield from plots
    if plots:
        timed = any(plot.data["seconds"].notna().any() for plot in plots if plot.data is not None)
        time = (
            "; at the right the time of one explanation on the engine that runs by default"
            if timed
            else ""
        )
        yield Text(
            "Forest plots: methods are sorted by fidelity+, bars are 95 % intervals over "
            f"{units(sections)} and models, the dashed line is the random baseline, baselines are "
            f"grey{time}."
            + ("" if shown_whole(sections) else " Other tasks have theirs in their parts below.")
        )
    cautions = list(cautions_of(sections))
    if cautions and not benchmarks_of(sections) <= _ASKED["cost"]:  # they are of quality
        yield Items(cautions)


def shown_whole(sections: Sequence[Section]) -> bool:
    """Whether there are so few tasks that all is said of each of them before the parts."""
    return len(sections) <= _IN_FRONT


def in_front(sections: Sequence[Section], manifest: dict[str, Any]) -> list[Section]:
    """Those whose forest plots stand in front.

    Of many, a few that name a best method, those first that the run began with.
    """
    if shown_whole(sections):
        return list(sections)
    begun = [entry.get("name") for entry in manifest.get("tasks") or ()]

    def later(one: Section) -> tuple[bool, int]:
        named = any(headline(one, name).tied for name in HEADLINES)
        return not named, begun.index(one.task) if one.task in begun else len(begun)

    return sorted(sections, key=later)[:_IN_FRONT]


def _question(sections: Sequence[Section]) -> str:
    if any(quality.replicates(section)[0] for section in sections):
        return (
            "Which method explains these models' predictions best, how sure is that, and what does "
            "it cost?"
        )
    screen = screens.of(sections)
    return screen.question if screen else "What was measured of these models' explanations?"


def _facts(sections: Sequence[Section], manifest: dict[str, Any]) -> str:
    """Tasks, nodes x models, machine and commit."""
    machines = dict.fromkeys(machine(section, manifest) for section in sections)
    commit = str(manifest.get("commit") or "")[:7]
    tasks = _number_of_tasks(sections)
    parts = join(
        counted(tasks, "task") if tasks else "",
        nodes_and_models(sections),
        "; ".join(machines),
        f"commit {commit}" if commit else "",
    )
    return f"Measured on {parts}."


def _number_of_tasks(sections: Sequence[Section]) -> int:
    """Those of replication alone count only where there are no others."""
    found: dict[str, set[str]] = {}
    for section in sections:
        for frame in (section.quality, section.runtime):
            found.setdefault(section.task, set()).update(frame["benchmark"].unique())
    found.pop(GENERATED, None)
    return sum(names != {REPLICATION} for names in found.values()) or len(found)


# ------------------------------------------------------------------------------------ sentences


def _best(sections: Sequence[Section]) -> str:
    """Which method is best on each task, and how sure that is."""
    winners: list[str] = []
    ties: list[tuple[int, str]] = []
    others: dict[str, list[str]] = {}
    for section in sections:
        standings = headline(section, "fidelity+_prob")
        said = outcome(section, standings)
        if standings.outcome in (WINNER, TIE):
            value = estimate(standings[standings.top].mean, bounded=True)
            sure = "" if standings.outcome == TIE else worse(section, standings)
            winners.append(f"on {section.title} {said}, {value}{sure}")
            if standings.outcome == TIE:
                ties.append((len(standings.tied), section.title))
        elif said:
            others.setdefault(said, []).append(section.title)
    if len(winners) > _IN_FRONT and len(ties) > 1:
        low, *_, high = sorted(size for size, _ in ties)
        size = str(low) if low == high else f"{low} to {high}"
        tied = f"ties of {size} methods on {listed([at for _, at in ties])}"
        winners = [*(text for text in winners if "-way tie)" not in text), tied]
    parts = winners + [f"{said} on {', '.join(names)}" for said, names in others.items()]
    if not parts:
        return "Best in fidelity+: no task was compared."
    keys = (quality.find(one, "fidelity+_prob", HEADLINE_BUDGET, "mask") for one in sections)
    at = {quality.conditions(key) for key in keys if key}
    where = f" at {at.pop()}" if len(at) == 1 else ""
    return f"Best in fidelity+{where}: {'; '.join(parts)}."


def worse(section: Section, standings: Standings) -> str:
    """How many methods the best one was compared with, where all are significantly worse."""
    aside = {*BASELINES, *section.baselines}
    others = sum(aside.isdisjoint(one.names) for one in standings.distinct) - 1
    return f", significantly better than the {counted(others, 'other method')}" if others else ""


def price(sections: Sequence[Section], where: str = "this machine") -> str:
    """What the safe default costs on the engine that runs by default; ``where`` it was timed."""
    timed = {
        method: [(one, timing) for one in sections if (timing := runtimes.by_default(one, method))]
        for method in dict.fromkeys([*safe_methods(sections), *_ranked(sections)])
    }
    method = next((name for name, found in timed.items() if found), None)
    if method is None:
        return "Cost: the time of one explanation on the default engine was not measured."
    safe = safe_methods(sections)
    missing = "" if not safe or method in safe else f"the time of {safe[0]} was not measured; "
    texts = [
        f"{seconds(timing.seconds)} on {one.title} (engine {timing.engine})"
        for one, timing in timed[method]
    ]
    if len(texts) > 4:
        times = [timing.seconds for _, timing in timed[method]]
        engines = ", ".join(sorted({timing.engine for _, timing in timed[method]}))
        texts = [
            f"{seconds(min(times))} to {seconds(max(times))} on {len(texts)} tasks "
            f"(default engines: {engines})"
        ]
    return f"Cost on {where}: {missing}one explanation with {method} takes {', '.join(texts)}."


def _ranked(sections: Sequence[Section]) -> list[str]:
    """All methods that look at the model, the best first on the first task that has any."""
    names = [name for section in sections for name in quality.ranking(section)]
    return [name for name in dict.fromkeys(names) if name not in BASELINES]


# ---------------------------------------------------------------------------------- forest plots


def forest_data(section: Section) -> pd.DataFrame:
    """What a forest plot shows, in the order of its rows: sorted by fidelity+.

    Methods that are the same share a row.
    """
    every = {name: headline(section, name) for name in HEADLINES}
    every = {name: standings for name, standings in every.items() if standings}
    if not every:
        return pd.DataFrame(columns=[*_DATA, "shown"])
    sort_by = next(iter(every))
    up = -1 if section.metrics[sort_by].direction != "down" else 1
    order = sorted(every[sort_by].distinct, key=lambda one: up * one.mean.value)
    rows = []
    for name, standings in every.items():
        for row in order:
            standing = standings.get(row.names[0])
            if standing is None:
                continue
            timings = [timing for one in row.names if (timing := runtimes.by_default(section, one))]
            timing = min(timings, key=lambda one: one.seconds, default=None)
            mean = standing.mean
            rows.append(
                (
                    section.metrics[name].title,
                    row.title,
                    *(mean.value, mean.low, mean.high, standing.mark),
                    _not_better(standing),
                    *(standings.nodes, standings.models),
                    timing.engine if timing else "",
                    timing.seconds if timing else np.nan,
                    short(row.title) + signs(row.mark, not_better=_not_better(row)),
                )
            )
    return pd.DataFrame(rows, columns=[*_DATA, "shown"])


def _not_better(standing: Standing) -> bool:
    return standing.not_better_than_random and RANDOM not in standing.names


def plot(section: Section, palette: Palette) -> Iterator[Picture]:
    """The task's forest plot; nothing if no method was compared."""
    rows = forest_data(section)
    if rows.empty:
        return
    standings = next(one for name in HEADLINES if (one := headline(section, name)))
    said = outcome(section, standings, brief=True)
    title = f"{section.title}: {said}" if said else section.title
    key = next(
        key for name in HEADLINES if (key := quality.find(section, name, HEADLINE_BUDGET, "mask"))
    )
    yield from picture(
        f"forest-{section.slug}",
        f"{section.title}: {' and '.join(rows['metric'].unique())}, {quality.conditions(key)}, "
        f"masked; {counted(standings.nodes, section.unit)} × {counted(standings.models, 'model')}. "
        f"Marks, of {rows['metric'].iloc[0]}: *: best, †: tied with the best (not significantly "
        "worse), ‡: not significantly better than random.",
        forest.draw(rows, palette, title),
        rows.drop(columns="shown"),
        half=True,
    )
