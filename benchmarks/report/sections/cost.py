"""What the explanations of a task cost: time, memory, the sweep, the engines, scaling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.report.data import runtimes, steps
from benchmarks.report.data.frames import natural
from benchmarks.report.data.section import BY_HAND, STOCK, Section
from benchmarks.report.data.steps import Setting
from benchmarks.report.figures import node_times, scaling_curves, sweep_heatmaps
from benchmarks.report.figures.palette import Palette
from benchmarks.report.render.blocks import (
    NOTHING,
    Block,
    Choice,
    Entry,
    Heading,
    Option,
    Table,
    Text,
    factor,
    factors,
    measured,
    number,
    picture,
    seconds,
    share,
    size,
)
from benchmarks.report.render.wording import variant

_REFERENCE = Entry("1× (reference)", value=1.0)
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
            "on the same node, with 95 % intervals over the nodes. Absolute times and memory are "
            f"medians on this machine ({machine}) and do not transfer to other machines.",
            (
                *("method", "engine", "speed-up over its own stock ↑"),
                *("median, this machine", "peak memory", "nodes"),
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
        "Small markers are nodes, large ones medians.",
        node_times.draw(times, palette),
        times,
    )


def _over_stock(timing: runtimes.Timing) -> Entry:
    if timing.engine == STOCK:
        return _REFERENCE
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
            "nodes. Column all: all steps in one pass. Empty: not measured, no batch is "
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
        start += f"leave the default, engine {default}; on {swept}, "
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
        f"{seconds(setting.values['seconds'])} per node on this machine, "
        f"error {share(setting.values['relative_error'])}"
    )


def engines(sections: Sequence[Section], manifest: dict[str, Any]) -> Iterator[Block]:
    """Each engine against stock, and against what a user writes by hand, on all tasks."""
    found = [(section, one) for section in sections for one in runtimes.engine_ratios(section)]
    if not found:
        return
    depths = {
        (entry.get("name"), entry.get("model", "gcn")): entry.get("layers")
        for entry in manifest.get("tasks") or ()
    }
    rows = []
    for section, one in found:
        layers = depths.get((section.task, section.model))
        hand = one.over_hand
        row = [
            Entry(section.task if len({s.device for s, _ in found}) == 1 else section.title),
            Entry(section.model.rstrip("0123456789")),
            measured(str, layers) if layers else Entry(NOTHING),
            Entry(one.label),
            Entry(one.engine),
            Entry(f"{one.at_once:,}", value=one.at_once),
            measured(factors, one.ratio),
            _REFERENCE if one.engine == BY_HAND and not hand else measured(factors, hand),
            Entry(f"{one.ratio.n} / {hand.n if hand else NOTHING}", value=one.ratio.n),
            measured(seconds, one.seconds),
            measured(size, one.peak_bytes),
            measured(number, one.over_budget),
            measured(number, one.error),
            measured(factor, one.over_limit),
        ]
        key = (natural(section.task), section.model.rstrip("0123456789"), layers or 0, one.label)
        rows.append(((*key, one.at_once, one.ratio.value), row))
    yield Heading("Engines", "engines")
    header = (
        *("task", "network", "layers", "method", "engine", "nodes at once"),
        *(f"speed-up over {STOCK} ↑", f"speed-up over {BY_HAND} ↑", "nodes"),
    )
    fastest: dict[tuple[Any, ...], list[Entry]] = {}
    for (*place, label, at_once, _), row in sorted(rows, key=lambda pair: pair[0][-1]):
        if row[header.index("engine")].text != BY_HAND:  # the last of them is the fastest
            fastest[*place, label.partition(" (")[0], at_once] = row[: len(header)]
    yield Table(
        "The fastest engine of each method, for one node a call and for many, out of the table "
        "below, which says what is compared.",
        header,
        [row for _, row in sorted(fastest.items(), key=lambda pair: pair[0])],
    )
    yield Table(
        "Speed-up of each engine over two baselines of the same method, by task, network and "
        f"number of message-passing layers, with 95 % intervals over the nodes. {STOCK}: Captum "
        f"and PyG as published, on the whole graph. {BY_HAND}: an exact cut with the whole graph's "
        "norms (a graph by itself where graphs are classified), and for Integrated Gradients "
        "Captum's fastest internal batch; a dash where a method was not written by hand. One node "
        "at once: geometric means of ratios, paired within a repeat on the same random node. Many "
        "at once, streamed unless returned=list: the mean time of a baseline's nodes, one at a "
        "time, over the call's time for one node. Nodes (graphs, where "
        "those are classified): those of the ratio over stock / by hand, a random subset of the "
        "task's; stock explained the first of the others' only, where it takes seconds each. "
        "Time: median for one node on this machine. Peak memory: of the first call, what is "
        "prepared included, and by hand the search for the batch; of the budget: over "
        "memory_budget and what the model itself takes, together. Difference to stock: relative, "
        "of the attributions, the largest. Over limit: time over the least that this machine needs "
        "to compute and write the answer, measured in the same run.",
        (
            *header,
            *("time a node", "peak memory", "of the budget ↓"),
            *("difference to stock ↓", "over limit ↓"),
        ),
        [row for _, row in sorted(rows, key=lambda pair: pair[0])],
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
