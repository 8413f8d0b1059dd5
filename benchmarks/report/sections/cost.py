"""What the explanations of a task cost: time, memory, the sweep, scaling."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.report.data import runtimes, steps
from benchmarks.report.data.section import STOCK, Section, units
from benchmarks.report.data.steps import Setting
from benchmarks.report.figures import node_times, scaling_curves, sweep_heatmaps
from benchmarks.report.figures.palette import Palette
from benchmarks.report.render.blocks import (
    Block,
    Choice,
    Entry,
    Heading,
    Option,
    Table,
    Text,
    factors,
    measured,
    picture,
    seconds,
    share,
    size,
)
from benchmarks.report.render.wording import variant

_BOUNDS = (0.1, 0.05, 0.01, 0.001, 0.0001)


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
