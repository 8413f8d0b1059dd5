"""What the explanations of a task cost: time, memory, the sweep, the engines, scaling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.report.data import runtimes, steps
from benchmarks.report.data.section import Section
from benchmarks.report.figures import draw as figures
from benchmarks.report.render.blocks import (
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
    seconds,
    share,
    size,
)
from benchmarks.report.render.wording import picture, variant

_BOUNDS = (0.1, 0.05, 0.01, 0.001, 0.0001)


def runtime(section: Section, palette: figures.Palette, machine: str) -> Iterator[Block]:
    """Time and memory of one explanation."""
    timings, fits = runtimes.timings(section), runtimes.fits(section)
    if not timings and not fits:
        return
    yield Heading("Time", f"time-{section.slug}", 3)
    reference = runtimes.reference(section)
    if timings and reference is not None:
        rows = [
            [
                Entry(timing.label),
                Entry(timing.engine),
                Entry("1× (reference)", value=1.0)
                if (timing.label, timing.engine) == reference
                else measured(factors, timing.speedup),
                measured(seconds, timing.seconds),
                measured(size, timing.peak_bytes),
                measured(str, timing.nodes),
            ]
            for timing in timings
        ]
        yield Table(
            f"{section.title}: time of one explanation. Speed-ups over {variant(*reference)} are "
            "geometric means of ratios that are paired within a repeat, on the same node, with "
            "95 % intervals over the nodes. Absolute times and memory are medians on this machine "
            f"({machine}) and hold for no other.",
            ("method", "engine", "speed-up ↑", "median, this machine", "peak memory", "nodes"),
            rows,
        )
    if fits:
        yield Table(
            f"{section.title}: training that comes before the first explanation, not part of the "
            f"times above; median on this machine ({machine}).",
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
        figures.runtime(times, palette),
        times,
    )


def sweep(section: Section) -> Iterator[Block]:
    """Integrated Gradients by its steps and batch size: what accuracy costs."""
    found = steps.sweeps(section)
    for position, ((method, engine), pairs) in enumerate(found.items()):
        name = variant(method, engine)
        anchor = f"sweep-{section.slug}{f'-{position + 1}' if position else ''}"
        yield Heading(f"Steps and batch size of {name}", anchor, 3)
        sentence = cheapest_pair(pairs)
        yield Text(sentence[0].upper() + sentence[1:])
        yield from _recommended(pairs)
        yield from picture(
            anchor,
            f"{section.title}: {name} by n_steps and internal_batch_size; medians over the "
            "nodes. Column all: all steps in one pass. Grey: out of memory (oom) or failed. "
            "Framed: the cheapest pair with a median relative error < 1 %.",
            figures.sweep(pairs),
            steps.sweep_data(pairs),
        )


def _recommended(pairs: list[steps.Pair]) -> Iterator[Block]:
    eligible = steps.eligible(pairs)
    if not eligible:
        return
    options = [Option(pair.values["relative_error"], _recommendation(pair)) for pair in eligible]
    none = "No pair that was measured has so small an error."
    yield Choice("median relative error below", steps.MAX_ERROR, options, none)
    rows = []
    for bound in _BOUNDS:
        best = steps.cheapest(pairs, bound)
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
            "The cheapest pair for each bound of the median relative error to 1,000 steps.",
            ("error below", "n_steps", "internal_batch_size", "median, this machine", "error"),
            rows,
        )


def cheapest_pair(pairs: Sequence[steps.Pair]) -> str:
    """A sentence: which pair of the sweep to take."""
    best = steps.cheapest(list(pairs))
    limit = share(steps.MAX_ERROR)
    if best is None:
        return f"no pair of n_steps and internal_batch_size has a median relative error < {limit}."
    recommended = _recommendation(best)
    return f"the cheapest pair with a median relative error < {limit} is {recommended}."


def _recommendation(pair: steps.Pair) -> str:
    return (
        f"n_steps = {pair.n_steps}, internal_batch_size = {pair.batch}: "
        f"{seconds(pair.values['seconds'])} a node on this machine, "
        f"error {share(pair.values['relative_error'])}"
    )


def engines(section: Section) -> Iterator[Block]:
    """Each engine against stock."""
    ratios = runtimes.engine_ratios(section)
    if not ratios:
        return
    yield Heading("Engines", f"engines-{section.slug}", 3)
    yield Table(
        f"{section.title}: how much faster than the stock engine, for one node; ratios stock / "
        "engine, paired within a repeat, with 95 % intervals. Beside it the largest relative "
        "difference of the attributions to stock's, over all nodes. Time over limit: over the "
        "least that this machine needs to compute and write the answer, measured in the same run.",
        (
            *("method", "engine", "nodes at once", "speed-up, geometric mean ↑"),
            *("median", "pairs", "largest difference to stock ↓", "time over limit ↓"),
        ),
        [
            [
                Entry(ratio.label),
                Entry(ratio.engine),
                Entry(f"{ratio.at_once:,}", value=ratio.at_once),
                measured(factors, ratio.ratio),
                measured(factor, ratio.median),
                measured(str, ratio.ratio.n),
                measured(number, ratio.error),
                measured(factor, ratio.over_limit),
            ]
            for ratio in ratios
        ],
    )


def scaling(section: Section, palette: figures.Palette) -> Iterator[Block]:
    """Cost against the size of the problem."""
    medians = runtimes.scaling(section)
    figure = figures.scaling(medians, palette)
    if figure is None:
        return
    yield Heading("Scaling", f"scaling-{section.slug}", 3)
    yield from picture(
        f"scaling-{section.slug}",
        f"{section.title}: cost of one explanation against the size of the problem, medians, both "
        "axes logarithmic. A line that ends early ran out of memory or failed; see Failures.",
        figure,
        medians,
    )
