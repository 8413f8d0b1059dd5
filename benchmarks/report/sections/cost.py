"""What explanations cost: the answer on the first screen; of each task time, sweep, scaling."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pandas as pd

from benchmarks.report.data import runtimes, steps
from benchmarks.report.data.growth import Growth, growths
from benchmarks.report.data.section import BASELINES, STOCK, Section, benchmarks_of, units
from benchmarks.report.data.steps import Setting
from benchmarks.report.figures import default_times, node_times, scaling_curves, sweep_heatmaps
from benchmarks.report.figures.palette import Palette
from benchmarks.report.render.blocks import (
    Block,
    Choice,
    Entry,
    Heading,
    Option,
    Picture,
    Table,
    Text,
    factor,
    factors,
    measured,
    picture,
    seconds,
    share,
    size,
)
from benchmarks.report.render.wording import counted, listed, variant
from benchmarks.report.sections import engines

BENCHMARKS = {"runtime", "ig_sweep", "scaling"}
_FEW = 4  # tasks that a sentence names each
_BOUNDS = (0.1, 0.05, 0.01, 0.001, 0.0001)


# ------------------------------------------------------------------------------- the first screen


def alone(sections: Sequence[Section]) -> bool:
    """Whether a run measured what explanations cost, and did nothing else."""
    found = benchmarks_of(sections)
    return bool(found & BENCHMARKS) and found <= BENCHMARKS | {engines.BENCHMARK}


def answers(sections: Sequence[Section]) -> list[str]:
    """What it comes to, in a few sentences: times, steps, engines and growth."""
    found = [_times(sections), _integrated_gradients(sections), *engines.answers(sections)]
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
        "Time of one explanation on this machine, with the engine that runs by default, over "
        f"{counted(len(names), 'method')} that look{'s' if len(names) == 1 else ''} at the model"
        f"{', training aside' if training else ''}: {'; '.join(parts)}."
    )


def _that_look(section: Section) -> list[runtimes.Timing]:
    aside = section.baselines | set(BASELINES)
    return [one for one in runtimes.defaults(section) if one.method not in aside]


def _time(one: runtimes.Timing, where: str = "") -> str:
    return f"{seconds(one.seconds)} ({variant(one.label, one.engine)}{where})"


def _ends(texts: Sequence[str]) -> str:
    """The first and the last, which may be one."""
    return " to ".join(dict.fromkeys((texts[0], texts[-1])))


def _integrated_gradients(sections: Sequence[Section]) -> str:
    """Which steps and batch size to take, on the engine that runs and on the one that was swept."""
    found = [
        (section, settings) for section in sections for settings in steps.sweeps(section).values()
    ]
    if not found:
        return ""
    parts = []
    left = [
        f"{section.title} ({settings[0].default})"
        for section, settings in found
        if settings[0].default not in ("", settings[0].engine)
    ]
    if left:
        parts.append(
            "leave internal_batch_size out where the engine that runs by default has no use for "
            f"it, on {listed(left)}"
        )
    needed = []
    for section, settings in found:
        count, errors = steps.steps_needed(settings), steps.errors_by_steps(settings)
        usual = _steps_timed(section)
        if count is not None:
            left_by = f", where {usual}, as timed, leave {share(errors[usual])}"
            own = left_by if usual is not None and usual in errors else ""
            needed.append(f"{count} on {section.title}{own}")
    if needed:
        parts.append(
            f"for a median relative error below {share(steps.MAX_ERROR)}, on any engine, n_steps "
            f"has to be at least {listed(needed)}"
        )
    advice: dict[str, list[str]] = {}
    for section, settings in found:
        best, why = steps.cheapest(settings), steps.caution(settings)
        where = f"engine {settings[0].engine}"
        if why:
            said = (
                f"no setting is recommended on {section.title}, measure again on a quiet machine: "
                f"{why}"
            )
        elif best is None:
            said = f"no setting has such an error on {section.title}"
        else:
            said = (
                f"the cheapest such setting is n_steps = {best.n_steps}, internal_batch_size = "
                f"{best.batch} on {section.title} ({seconds(best.values['seconds'])})"
            )
        advice.setdefault(where, []).append(said)
    parts += [f"with {where}, {', '.join(said)}" for where, said in advice.items()]
    return f"Steps and batch size of Integrated Gradients: {'; '.join(parts)}."


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
    hardly, more = [], []
    for what in [name for name in scaling_curves.AXES if name in found]:
        every = found[what]
        flat = [one for one in every if one.flat]
        rest = [one for one in every if not one.flat]
        top = max(one.high for one in every)
        whole = [one for one in every if one.high == top]
        sizes = f"{scaling_curves.AXES[what]} ({min(one.low for one in whole):,g} to {top:,g}: "
        if flat:
            but = "".join(f"; {_grown(one, top)}" for one in rest)
            hardly.append(f"{sizes}at most {factor(flat[-1].ratio)}{but})")
        else:
            more.append(f"{sizes}{_ends([_grown(one, top) for one in whole])})")
    parts = [
        f"{verb} with {listed(some)}"
        for verb, some in (("hardly grows", hardly), ("grows", more))
        if some
    ]
    return f"On {section.title} graphs, the time {'; it '.join(parts)}." if parts else ""


def _grown(one: Growth, top: float) -> str:
    until = "" if one.high == top else f" up to {one.high:,g}"
    return f"{variant(one.method, one.engine)} {factor(one.ratio)}{until}"


def front(sections: Sequence[Section], palette: Palette) -> Iterator[Picture]:
    """A figure for each task: the time of one explanation by default, the fastest method first."""
    for section in sections:
        rows = default_data(section)
        if rows.empty:
            continue
        others = {one.method for one in runtimes.timings(section)} - set(rows["method"])
        aside = f" Not timed on it: {listed(sorted(others))}." if others else ""
        count = counted(int(rows["nodes"].max()), section.unit)
        yield from picture(
            f"default-times-{section.slug}",
            f"{section.title}: time of one explanation with the engine that runs by default, "
            f"logarithmic. Markers, and the times at the right: medians of {count}; bars: from the "
            f"fastest {section.unit} to the slowest. Grey: baselines, which do not look at the "
            f"model.{aside}",
            default_times.draw(rows, palette, section.title),
            rows,
            half=True,
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


# ---------------------------------------------------------------------------------- a task's part


def runtime(section: Section, palette: Palette, machine: str) -> Iterator[Block]:
    """Time and memory of one explanation."""
    timings, fits = runtimes.timings(section), runtimes.fits(section)
    if not timings and not fits:
        return
    yield Heading("Time", f"time-{section.slug}", 3)
    if timings:
        rows = [
            [
                Entry(timing.label),
                Entry(timing.engine),
                _over_stock(timing),
                measured(seconds, timing.seconds),
                measured(size, timing.peak_bytes),
                measured(str, timing.nodes),
            ]
            for timing in timings
        ]
        yield Table(
            f"{section.title}: time of one explanation. Speed-ups are over the same method on "
            "stock, never over another method: geometric means of ratios, paired within a repeat "
            f"on the same {section.unit}, with 95 % intervals over the {units([section])}. "
            "Absolute times "
            "and memory are "
            f"medians on this machine ({machine}) and do not transfer to other machines.",
            (
                *("method", "engine", "speed-up over its own stock ↑"),
                *("median, this machine", "peak memory", units([section])),
            ),
            rows,
        )
    if fits:
        yield Table(
            f"{section.title}: time of the training that some methods need before their first "
            f"explanation, not part of the times above; medians on this machine ({machine}).",
            ("method", "engine", "median, this machine", "trainings"),
            [
                [Entry(label), Entry(engine), measured(seconds, value), measured(str, count)]
                for label, engine, value, count in fits
            ],
        )
    times = runtimes.node_seconds(section)
    yield from picture(
        f"runtime-{section.slug}",
        f"{section.title}: time of one explanation on this machine ({machine}), logarithmic. "
        f"Small markers are {units([section])}, large ones medians.",
        node_times.draw(times, palette, units([section])),
        times,
    )


def _over_stock(timing: runtimes.Timing) -> Entry:
    if timing.engine == STOCK:
        return Entry("1× (reference)", value=1.0)
    return measured(factors, timing.over_stock)


def sweep(section: Section) -> Iterator[Block]:
    """Integrated Gradients by its steps and batch size: what accuracy costs."""
    found = steps.sweeps(section)
    for position, ((method, engine), settings) in enumerate(found.items()):
        name = variant(method, engine)
        anchor = f"sweep-{section.slug}{f'-{position + 1}' if position else ''}"
        yield Heading(f"Steps and batch size of {name}", anchor, 3)
        yield Text(cheapest_setting(settings))
        yield from _recommended(settings)
        yield from picture(
            anchor,
            f"{section.title}: {name} by n_steps and internal_batch_size; medians over the "
            f"{units([section])}. Column all: all steps in one pass. Empty: not measured, no batch "
            "is "
            "larger than the steps. Grey: out of memory (oom) or failed. "
            "Framed: the cheapest setting with a median relative error below 1 %.",
            sweep_heatmaps.draw(settings),
            steps.sweep_data(settings),
        )


def _recommended(settings: list[Setting]) -> Iterator[Block]:
    eligible = steps.eligible(settings)
    if not eligible:
        return
    options = [Option(one.values["relative_error"], _recommendation(one)) for one in eligible]
    none = "No setting that was measured has an error below this bound."
    yield Choice("median relative error below", steps.MAX_ERROR, options, none)
    rows = []
    for bound in _BOUNDS:
        best = steps.cheapest(settings, bound)
        if best is not None:
            rows.append(
                [
                    Entry(f"{100 * bound:g} %", value=bound),
                    measured(str, best.n_steps),
                    measured(str, best.batch),
                    measured(seconds, best.values["seconds"]),
                    measured(share, best.values["relative_error"]),
                ]
            )
    if rows:
        yield Table(
            "The cheapest setting for each bound on the median relative error to 1,000 steps.",
            ("error below", "n_steps", "internal_batch_size", "median, this machine", "error"),
            rows,
        )


def cheapest_setting(settings: list[Setting], place: str = "") -> str:
    """A sentence: which setting of the sweep to choose.

    Args:
        settings: Those that were measured, of one method and engine.
        place: What they were measured on, to begin the sentence with; may be empty.
    """
    best, caution = steps.cheapest(settings), steps.caution(settings)
    start = f"On {place}, " if place else ""
    limit = f"a median relative error below {share(steps.MAX_ERROR)}"
    swept, default = (settings[0].engine, settings[0].default) if settings else ("", "")
    if default and default != swept:
        needed = steps.steps_needed(settings)
        least = f", with n_steps = {needed} or more" if needed else ""
        start += f"leave the default, engine {default}{least}; on {swept}, "
    if caution:
        sentence = f"{start}no setting is recommended: {caution}. Measure again on a quiet machine."
    elif best is None:
        sentence = f"{start}no setting of n_steps and internal_batch_size has {limit}."
    else:
        sentence = f"{start}the cheapest setting with {limit} is {_recommendation(best)}."
    return sentence[0].upper() + sentence[1:]


def _recommendation(setting: Setting) -> str:
    return (
        f"n_steps = {setting.n_steps}, internal_batch_size = {setting.batch}: "
        f"{seconds(setting.values['seconds'])} an explanation on this machine, "
        f"error {share(setting.values['relative_error'])}"
    )


def scaling(section: Section, palette: Palette) -> Iterator[Block]:
    """Cost against the size of the problem."""
    medians = runtimes.scaling(section)
    figure = scaling_curves.draw(medians, palette)
    if figure is None:
        return
    yield Heading("Scaling", f"scaling-{section.slug}", 3)
    yield from picture(
        f"scaling-{section.slug}",
        f"{section.title}: cost of one explanation against the size of the problem, medians, both "
        "axes logarithmic. Where a line ends early, larger sizes were not measured, as the profile "
        "has it, or they ran out of memory or failed, which is listed under Failures.",
        figure,
        medians,
    )
