"""The first screen of a run that measured what explanations cost: sentences, a figure a task."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pandas as pd

from benchmarks.report.data import runtimes, steps
from benchmarks.report.data.growth import Growth, growths
from benchmarks.report.data.section import BASELINES, Section, benchmarks_of, units
from benchmarks.report.data.steps import Setting
from benchmarks.report.figures import default_times
from benchmarks.report.figures.palette import Palette
from benchmarks.report.figures.scaling_curves import AXES, number
from benchmarks.report.render.blocks import Picture, Text, factor, factors, picture, seconds, share
from benchmarks.report.render.wording import counted, listed, variant
from benchmarks.report.sections import engines

BENCHMARKS = {"runtime", "ig_sweep", "scaling"}
_FEW = 4  # tasks that a sentence names each
_NOTABLE = 1.1  # times as long as on another engine


def alone(sections: Sequence[Section]) -> bool:
    """Whether a run measured what explanations cost, and did nothing else."""
    found = benchmarks_of(sections)
    return bool(found & BENCHMARKS) and found <= BENCHMARKS | {engines.BENCHMARK}


def answers(sections: Sequence[Section]) -> list[str]:
    """What it comes to, in a few sentences: times, steps, engines and growth."""
    found = [_times(sections), _faster_engines(sections), _integrated_gradients(sections)]
    found += [*engines.answers(sections)]
    found += [_growth(section) for section in sections]
    return [text for text in found if text]


def _times(sections: Sequence[Section]) -> str:
    """The range over the methods that look at the model, on each task."""
    timed = {section.title: _that_look(section) for section in sections}
    timed = {title: known for title, known in timed.items() if known}
    if not timed:
        if any(runtimes.timings(section) for section in sections):
            return "Time: which engine runs by default is not known; the parts below have all."
        return ""
    parts = [f"{_ends([_time(one) for one in known])} on {at}" for at, known in timed.items()]
    if len(timed) > _FEW:
        every = [(one, f", {at}") for at, known in timed.items() for one in known]
        every.sort(key=lambda pair: pair[0].seconds)
        parts = [f"{_ends([_time(*pair) for pair in every])} on {len(timed)} tasks"]
    names = {one.method for known in timed.values() for one in known}
    training = any(runtimes.fits(section) for section in sections)
    return (
        f"Time of one explanation on this machine, median over the {units(sections)}, with the "
        "engine that runs by default"
        f"{', without the training that some methods need' if training else ''}: of "
        f"{counted(len(names), 'method')} that look{'s' if len(names) == 1 else ''} at the model "
        f"{'; '.join(parts)}."
    )


def _that_look(section: Section) -> list[runtimes.Timing]:
    aside = section.baselines | set(BASELINES)
    return [one for one in runtimes.defaults(section) if one.method not in aside]


def _time(one: runtimes.Timing, where: str = "") -> str:
    return f"{seconds(one.seconds)} ({variant(one.label, one.engine)}{where})"


def _ends(texts: Sequence[str]) -> str:
    """The first and the last, which may be one."""
    return " to ".join(dict.fromkeys((texts[0], texts[-1])))


def _faster_engines(sections: Sequence[Section]) -> str:
    """For which methods another engine was faster than the one that runs by default."""
    parts = []
    for section in sections:
        known = _that_look(section)
        gains = []
        for one in known:
            own = [
                (ratio.value, other, ratio)
                for other in runtimes.timings(section)
                if other.method == one.method and other.engine != one.engine
                if (ratio := runtimes.time_ratio(section, *(_row(it) for it in (one, other))))
                if ratio.low > 1 and ratio.value >= _NOTABLE
            ]
            gains += [max(own, key=lambda gain: gain[0])] if own else []
        if gains:
            _, top, ratio = max(gains, key=lambda gain: gain[0])
            parts.append(
                f"on {section.title} for {len(gains)} of {counted(len(known), 'method')}, most for "
                f"{variant(top.label, top.engine)}: {factors(ratio)}"
            )
    return f"Another engine was faster than the default {'; '.join(parts)}." if parts else ""


def _row(one: runtimes.Timing) -> tuple[str, str]:
    return one.label, one.engine


def _integrated_gradients(sections: Sequence[Section]) -> str:
    """Which steps and batch size to take, on the engine that runs and on the one that was swept."""
    found = [
        (section, settings) for section in sections for settings in steps.sweeps(section).values()
    ]
    if not found:
        return ""
    left, needed = [], []
    for section, settings in found:
        default, count = settings[0].default, steps.steps_needed(settings)
        if default not in ("", settings[0].engine):
            left.append(f"{section.title} (engine {default})")
        errors, usual = steps.errors_by_steps(settings), _steps_timed(section)
        if count is not None:
            text = f"{count} steps on {section.title}"
            if usual in errors:
                text += f" (the {usual} that were timed: {share(errors[usual])})"
            needed.append(text)
    texts = []
    if left:
        texts.append(f"leave internal_batch_size out on {listed(left)}, where it has no use.")
    if needed:
        texts.append(
            f"A median error below {share(steps.MAX_ERROR)}, relative to 1,000 steps, takes on any "
            f"engine {listed(needed)}."
        )
    return " ".join(["Integrated Gradients:", *texts, *_for_the_swept_engine(found)])


def _for_the_swept_engine(found: Sequence[tuple[Section, list[Setting]]]) -> Iterator[str]:
    """The cheapest settings, or why none is recommended."""
    cheapest: dict[str, list[str]] = {}
    for section, settings in found:
        engine, best = settings[0].engine, steps.cheapest(settings)
        if why := steps.caution(settings):
            yield (
                f"No batch size is recommended for engine {engine} on {section.title}: {why}. "
                "Measure again on a quiet machine."
            )
        elif best is None:
            yield f"On {section.title}, no setting of engine {engine} has such an error."
        else:
            cheapest.setdefault(engine, []).append(
                f"{best.n_steps} and {best.batch} on {section.title} "
                f"({seconds(best.values['seconds'])})"
            )
    for engine, said in cheapest.items():
        yield (
            f"On engine {engine} the cheapest n_steps and internal_batch_size for that error are "
            f"{listed(said)}."
        )


def _steps_timed(section: Section) -> int | None:
    """The n_steps of the times that the first screen tells; None where they are not known."""
    method = "integrated_gradients"
    _, rows = section.of("runtime")
    rows = rows[rows["method"] == method]
    rows = rows[rows["engine"] == runtimes.default_engine(section, method)]
    found = {json.loads(str(options)).get("n_steps") for options in rows["options"].unique()}
    return found.pop() if len(found) == 1 else None


def _growth(section: Section) -> str:
    """What the time of one explanation grows with, and what it hardly grows with."""
    found = growths(section)
    said = []
    for what in [name for name in AXES if name in found]:
        every = found[what]
        flat = [one for one in every if one.flat]
        rest = [one for one in every if not one.flat]
        top = max(one.high for one in every)
        low = min(one.low for one in every)
        if flat:
            but = listed([_grown(one, top) for one in rest])
            text = f"hardly, at most {factor(flat[-1].ratio)}{f', but {but}' if but else ''}"
        else:
            text = _ends([_grown(one, top) for one in every if one.high == top])
        said.append(
            f"{AXES[what][0].upper()}{AXES[what][1:]}, {number(low)} to {number(top)}: {text}."
        )
    if not said:
        return ""
    return f"How the time grows on {section.title} graphs. {' '.join(said)}"


def _grown(one: Growth, top: float) -> str:
    until = "" if one.high == top else f" up to {number(one.high)}"
    return f"{factor(one.ratio)}{until} ({variant(one.method, one.engine)})"


def front(sections: Sequence[Section], palette: Palette) -> Iterator[Picture | Text]:
    """A figure for each task: the time of one explanation by default, the fastest method first."""
    found = {section: default_data(section) for section in sections if _that_look(section)}
    for section, rows in found.items():
        others = {one.method for one in runtimes.timings(section)} - set(rows["method"])
        aside = f" Not timed on it, or it is not known: {listed(sorted(others))}." if others else ""
        count = counted(int(rows["nodes"].max()), section.unit)
        yield from picture(
            f"default-times-{section.slug}",
            f"{section.title}: time of one explanation with the engine that runs by default; "
            f"{count}.{aside}",
            default_times.draw(rows, palette, section.title),
            rows,
            half=True,
        )
    if found:
        yield Text(
            "Markers, and the times at the right, are medians; bars go from the fastest of the "
            f"{units(found)} to the slowest. Shapes are engines, baselines are grey: they do not "
            "look at the model. Other engines are in the part of each task."
        )


def default_data(section: Section) -> pd.DataFrame:
    """What such a figure shows: method, engine, seconds, fastest, slowest, nodes."""
    times = runtimes.node_seconds(section)
    rows = []
    for one in runtimes.defaults(section):
        own = times[(times["method"] == one.label) & (times["engine"] == one.engine)]["seconds"]
        rows.append((one.method, one.engine, one.seconds, own.min(), own.max(), one.nodes))
    columns = ["method", "engine", "seconds", "fastest", "slowest", "nodes"]
    return pd.DataFrame(rows, columns=columns)
