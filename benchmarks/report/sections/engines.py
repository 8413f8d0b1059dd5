"""The engines beside stock and beside what a user writes by hand, by task, network and depth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.report.data import runtimes
from benchmarks.report.data.frames import natural
from benchmarks.report.data.section import BY_HAND, STOCK, Section, benchmarks_of, units
from benchmarks.report.render.blocks import (
    NOTHING,
    Block,
    Entry,
    Heading,
    Table,
    factor,
    factors,
    measured,
    number,
    seconds,
    size,
)
from benchmarks.report.render.wording import counted

BENCHMARK = "engines"
_REFERENCE = Entry("1× (reference)", value=1.0)
_HEADER = (
    *("task", "network", "layers", "method", "engine", "at once"),
    *(f"speed-up over {STOCK} ↑", f"speed-up over {BY_HAND} ↑", "explained"),
)
COLUMNS = (
    *_HEADER,
    *("time of one", "peak memory", "of the budget ↓"),
    *("difference to stock ↓", "over limit ↓"),
)
_CURVE = "fidelity_curve"  # as the benchmark names it
_ANSWERED = ("integrated_gradients", "gnn_explainer", "saliency")
# Task, network, layers, method with its options, nodes at once, speed-up over stock.
_Place = tuple[Any, str, int, str, int, float]


def alone(sections: Sequence[Section]) -> bool:
    """Whether a run compared engines, and did nothing else."""
    return benchmarks_of(sections) == {BENCHMARK}


def answers(sections: Sequence[Section]) -> list[str]:
    """What it comes to for each method, one explanation a call, in a sentence."""
    said = []
    for name in _ANSWERED:
        best: dict[str, runtimes.EngineRatio] = {}
        for section in sections:
            for one in runtimes.engine_ratios(section):
                ours = one.engine not in (STOCK, BY_HAND) and one.at_once == 1
                if ours and one.label.partition(" (")[0] == name and one.over_hand:
                    known = best.get(section.title)
                    if known is None or one.ratio.value > known.ratio.value:
                        best[section.title] = one
        if best:
            over = [one.ratio.value for one in best.values()]
            hand = [one.over_hand.value for one in best.values() if one.over_hand]
            said.append(
                f"{name}, one explanation a call on the fastest engine: {_range(over)} as fast as "
                f"Captum and PyG as published ({STOCK}) and {_range(hand)} as fast as {BY_HAND}; "
                f"{counted(len(best), 'pair')} of a task and a network."
            )
    return said


def _range(values: Sequence[float]) -> str:
    low, high = factor(min(values)), factor(max(values))
    return low if low == high else f"{low} to {high}"


def fastest(sections: Sequence[Section], manifest: dict[str, Any]) -> Iterator[Table]:
    """The fastest engine of each method, one explanation a call and many."""
    found: dict[tuple[Any, ...], list[Entry]] = {}
    rows = _rows(sections, manifest)
    for (*place, label, at_once, _), row in sorted(rows, key=lambda pair: pair[0][-1]):
        if row[_HEADER.index("engine")].text != BY_HAND:  # the last of them is the fastest
            found[*place, label.partition(" (")[0], at_once] = row[: len(_HEADER)]
    if found:
        yield Table(
            "The fastest engine of each method, for one explanation a call and for many at once. "
            f"Explained: the {units(sections)} of the ratio over {STOCK} / {BY_HAND}; a dash: not "
            f"written by hand.{_options(sections)} The table of all engines says what is compared.",
            _HEADER,
            [row for _, row in sorted(found.items(), key=lambda pair: pair[0])],
        )


def engines(sections: Sequence[Section], manifest: dict[str, Any]) -> Iterator[Block]:
    """Each engine against stock, and against what a user writes by hand, on all tasks."""
    rows = _rows(sections, manifest)
    if not rows:
        return
    yield Heading("Engines", "engines")
    if not alone(sections):  # else it stands on the first screen
        yield from fastest(sections, manifest)
    yield Table(
        "Speed-up of each engine over two baselines of the same method, by task, network and "
        f"number of message-passing layers, with 95 % intervals over the {units(sections)}. "
        f"{STOCK}: Captum "
        f"and PyG as published, on the whole graph. {BY_HAND}: an exact cut with the whole graph's "
        "norms (around both ends of a link; a graph by itself where graphs are classified), and "
        "for Integrated Gradients "
        "Captum's fastest internal batch; a dash where a method was not written by hand. One "
        "a call: geometric means of ratios, paired within a repeat on the same random one. Many "
        "a call, streamed unless returned=list: the mean time of a baseline, one at a "
        f"time, over the call's for one. Explained: the {units(sections)} of the ratio over "
        "stock / by hand, a random subset of the "
        "task's; stock explained the first of the others' only, where it takes seconds each. "
        "Time: median of one on this machine. Peak memory: of a call after the first; in runs "
        "before December 2026 of the first, what is prepared, and by hand the search for the "
        "batch, included. Of the budget: over "
        "memory_budget and what the model itself takes, together. Difference to stock: relative, "
        "of the attributions, the largest. Over limit: time over the least that this machine needs "
        f"to compute and write the answer, measured in the same run.{_options(sections)}",
        COLUMNS,
        [row for _, row in sorted(rows, key=lambda pair: pair[0])],
    )


def _options(sections: Sequence[Section]) -> str:
    """What an option in a method's name means, and what is no method, where there are such."""
    labels = {one.label for section in sections for one in runtimes.engine_ratios(section)}
    said = ""
    if any("(internal_batch_size=None" in label for label in labels):
        said += " internal_batch_size=None: as many steps in a batch as the memory budget takes."
    if any(label.startswith(_CURVE) for label in labels):
        said += f" {_CURVE} is no method: it is both fidelities of a given explanation at ten edge "
        said += "budgets."
    return said


def _rows(
    sections: Sequence[Section], manifest: dict[str, Any]
) -> list[tuple[_Place, list[Entry]]]:
    found = [(section, one) for section in sections for one in runtimes.engine_ratios(section)]
    depths = {
        (entry.get("name"), entry.get("model", "gcn")): entry.get("layers")
        for entry in manifest.get("tasks") or ()
    }
    rows: list[tuple[_Place, list[Entry]]] = []
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
    return rows
