"""What the report says: the blocks, in order, from a results folder's content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib.figure
import pandas as pd

from benchmarks.report import figures, tables
from benchmarks.report.blocks import (
    NOTHING,
    Block,
    Caution,
    Code,
    Entry,
    Heading,
    Items,
    Picture,
    Table,
    Text,
    estimate,
    factor,
    factors,
    number,
    seconds,
    share,
    size,
)
from benchmarks.report.frames import Results, natural
from benchmarks.report.metrics import METRICS, metric
from benchmarks.report.sections import Section, engines, methods, split
from benchmarks.report.statistics import Standing

FLOOR = "random"  # the method that any other should beat
FLOORS = (FLOOR, "degree", "page_rank")  # cost next to nothing and do not look at the model
_PROB = ("fidelity+_prob", "fidelity-_prob", "characterization_prob")
_ACC = ("fidelity+_acc", "fidelity-_acc", "characterization_acc")
_SCORES = ("gini", "entropy", "mass90", "completeness")
_EDGES = {"mask": "their messages masked", "delete": "the edges deleted"}


def title(results: Results) -> str:
    """The report's title."""
    created = str(results.manifest.get("created") or "")[:10]
    return f"GNN explainer benchmark{f', {created}' if created else ''}"


def compose(results: Results) -> list[Block]:
    """All blocks of the report."""
    sections = split(results)
    palette = figures.Palette(methods(sections), engines(sections))
    blocks = [*_origin(results), *_tasks(results), Heading("Verdict", "verdict")]
    sentences = [sentence for section in sections for sentence in _verdict(section)]
    blocks.append(Items(sentences) if sentences else Text("Nothing was measured."))
    for section in sections:
        blocks += _section(section, palette, results.manifest)
    return [*blocks, *_failures(results, sections), *_explanations(results), *_again(results)]


# ------------------------------------------------------------------------------ where it is from


def _origin(results: Results) -> Iterator[Block]:
    manifest = results.manifest
    if manifest.get("dirty"):
        yield Caution("Made from a changed working tree: not for publication.")
    elif manifest.get("dirty") is None:
        yield Caution("It is not known whether the working tree was clean: not for publication.")
    for problem in results.problems:
        yield Caution(f"Incomplete: {problem}.")
    commit = str(manifest.get("commit") or "unknown")
    if manifest.get("dirty"):
        commit += ", with changes"
    processor, gpu = manifest.get("cpu") or {}, manifest.get("gpu")
    facts = {
        "created": manifest.get("created"),
        "commit": commit,
        "command": manifest.get("command"),
        "profile": manifest.get("profile"),
        "CPU": _join(
            processor.get("model"),
            _counted(processor.get("cores"), "core"),
            _counted(processor.get("threads"), "thread"),
        ),
        "GPU": "no GPU"
        if not gpu
        else _join(
            gpu.get("name"),
            size(gpu.get("memory_bytes")),
            _named("driver", gpu.get("driver")),
            _named("CUDA", gpu.get("cuda")),
        ),
        "system": manifest.get("platform"),
        "Python": manifest.get("python"),
        "versions": _mapping(manifest.get("versions")),
        "settings": _mapping(manifest.get("determinism")),
    }
    rows = [[Entry(name), Entry(str(value or "unknown"))] for name, value in facts.items()]
    yield Table("When, where and with what the numbers were taken.", ("what", "value"), rows)


def _tasks(results: Results) -> Iterator[Block]:
    described: dict[str, list[dict[str, Any]]] = {}
    for entry in results.manifest.get("tasks") or []:
        described.setdefault(str(entry.get("name")), []).append(entry)
    missing = {
        str(entry.get("task")): str(entry.get("message"))
        for entry in results.manifest.get("unavailable") or []
    }
    gone = results.runtime[results.runtime["benchmark"] == "task"]
    missing.update(zip(gone["task"], gone["message"], strict=True))
    if not described and not missing:
        return
    yield Heading("Tasks", "tasks")
    for name, entries in described.items():
        if any(entry.get("stand_in") for entry in entries):
            yield Caution(
                f"{name} is a stand-in: its data are generated in place of real ones, and its "
                "numbers say nothing about those."
            )
    for name, message in sorted(missing.items()):
        yield Caution(f"{name} is unavailable: {message}")
    if described:
        header = (
            *("task", "accuracy", "models", "nodes", "edges", "features", "classes"),
            *("where the data come from", "SHA-256 of the data"),
        )
        yield Table(
            "What is explained. Accuracy is on the test nodes, the mean over the models; in "
            "brackets the lowest and the highest.",
            header,
            [_task(name, entries) for name, entries in described.items()],
        )


def _task(name: str, entries: list[dict[str, Any]]) -> list[Entry]:
    found = [float(entry["accuracy"]) for entry in entries if entry.get("accuracy") is not None]
    accuracy = NOTHING
    if found:
        accuracy = f"{100 * sum(found) / len(found):.1f} %"
        if len(found) > 1:
            accuracy += f" [{100 * min(found):.1f} %, {100 * max(found):.1f} %]"
    first = entries[0]
    counts = [
        f"{first[key]:,}" if isinstance(first.get(key), int) else NOTHING
        for key in ("nodes", "edges", "features", "classes")
    ]
    sums = sorted({str(entry.get("dataset_sha256") or NOTHING) for entry in entries})
    provenance = str(first.get("provenance") or NOTHING)
    texts = [name, accuracy, str(len(entries)), *counts, provenance, ", ".join(sums)]
    return [Entry(text) for text in texts]


# ---------------------------------------------------------------------------------------- verdict


def _verdict(section: Section) -> Iterator[str]:
    for name, word in (("fidelity+_prob", "fidelity+"), ("fidelity-_prob", "fidelity-")):
        standings = tables.compare(section, name, tables.HEADLINE_LEVEL, "mask")
        if standings:
            yield _winner(section, f"{word} (probability, mask) at 10 edges", standings)
    yield from _fastest(section)
    for (method, engine), pairs in tables.sweeps(section).items():
        yield f"On {section.title}, for {_variant(method, engine)}: {_cheapest(pairs)}"
    ratios = tables.engine_ratios(section)
    if ratios:
        top = max(ratios, key=lambda ratio: ratio.ratio.value)
        at_once = f", {top.at_once} nodes at once" if top.at_once > 1 else ""
        yield (
            f"On {section.title}, the engine that gains most over stock is {top.engine} for "
            f"{top.label}{at_once}: {factors(top.ratio)}."
        )


def _winner(section: Section, what: str, standings: dict[str, Standing]) -> str:
    names = sorted(standings, key=natural)
    best = [name for name in names if standings[name].mark == "best"]
    mean = standings[best[0] if best else names[0]].mean
    value = f"{estimate(mean, bounded=True)} ({_counted(mean.n, 'node')})"
    if not best:
        who = f"only {names[0]} has a" if len(names) == 1 else "all methods have the same"
        return f"On {section.title}, {who} {what}: {value}."
    have = "has" if len(best) == 1 else "have"
    sentence = f"On {section.title}, {' and '.join(best)} {have} the best {what}: {value}"
    if mean.n < 2:
        return f"{sentence}; one node allows no comparison."
    tied = [name for name in names if standings[name].mark == "tied"]
    if tied:
        sentence += f"; not distinguishable from the best: {', '.join(tied)}"
    elif len(best) < len(names):
        sentence += "; all others are distinguishably worse"
    if FLOOR in standings and FLOOR not in best:
        floor = estimate(standings[FLOOR].mean, bounded=True)
        sentence += f"; the floor, {FLOOR}: {floor}"
    return f"{sentence}."


def _fastest(section: Section) -> Iterator[str]:
    timings = [timing for timing in tables.timings(section) if timing.speedup is not None]
    reference = tables.reference(section)
    if reference is None or len(timings) < 2:
        return
    explaining = [timing for timing in timings if timing.label not in FLOORS]
    fastest = (explaining or timings)[0]
    aside = " of those that look at the model" if fastest is not timings[0] else ""
    sentence = (
        f"On {section.title}, {_variant(fastest.label, fastest.engine)} is the fastest{aside}"
    )
    if (fastest.label, fastest.engine) == reference:
        yield f"{sentence}."
    else:
        yield f"{sentence}: {factors(fastest.speedup)} as fast as {_variant(*reference)}."


def _cheapest(pairs: Sequence[tables.Pair]) -> str:
    best = tables.cheapest(list(pairs))
    limit = share(tables.MAX_ERROR)
    if best is None:
        return f"no pair of n_steps and internal_batch_size has a median relative error < {limit}."
    return (
        f"the cheapest pair with a median relative error < {limit} is n_steps = {best.n_steps}, "
        f"internal_batch_size = {best.batch}: {seconds(best.values['seconds'])} a node on this "
        f"machine, error {share(best.values['relative_error'])}."
    )


# ----------------------------------------------------------------------------------- a task's part


def _section(section: Section, palette: figures.Palette, manifest: dict[str, Any]) -> list[Block]:
    blocks = [
        *_quality(section, palette),
        *_runtime(section, palette, _machine(section, manifest)),
        *_sweep(section),
        *_engines(section),
        *_scaling(section, palette),
    ]
    return [Heading(section.title, f"task-{section.slug}"), *blocks] if blocks else []


def _quality(section: Section, palette: figures.Palette) -> Iterator[Block]:
    order = tables.ranking(section)
    if not order:
        return
    yield Heading("Quality", f"quality-{section.slug}", 3)
    speeds = _speeds(section)
    level = tables.HEADLINE_LEVEL
    for semantics in tables.SEMANTICS:
        columns = [(name, level, semantics) for name in _PROB]
        caption = f"The 10 edges with the highest absolute score, {_EDGES[semantics]}"
        yield from _comparison(section, order, columns, caption, speeds)
    columns = [(name, level, semantics) for semantics in tables.SEMANTICS for name in _ACC]
    yield from _comparison(section, order, columns, "The same by predicted class")
    columns = [(name, "", "") for name in _SCORES]
    yield from _comparison(section, order, columns, "How concentrated and how complete scores are")
    columns = tables.other_metrics(section)
    yield from _comparison(section, order, columns, "Other metrics")
    yield from _differences(section)
    yield from _picture(
        f"fidelity-{section.slug}",
        f"{section.title}: fidelity against sparsity. Lines are means over the nodes, bands their "
        "95 % intervals. Left in a panel: all edges selected; right: 5 % of them.",
        figures.fidelity(section, palette),
    )
    yield from _picture(
        f"quality-cost-{section.slug}",
        f"{section.title}: quality against cost. Bars are 95 % intervals. A method's quality is "
        "drawn at the time of each of its engines, which are equal up to rounding.",
        figures.quality_and_cost(section, palette),
    )


def _speeds(section: Section) -> dict[str, tuple[str, str]]:
    """For each method the heading and text of its speed, with the engine that was scored."""
    reference = tables.reference(section)
    if reference is None:
        return {}
    rows, _ = section.of("quality")
    scored = {str(row.label): str(row.engine) for row in rows[["label", "engine"]].itertuples()}
    heading = f"speed-up over {_variant(*reference)} ↑"
    return {
        timing.label: (heading, factors(timing.speedup))
        for timing in tables.timings(section)
        if scored.get(timing.label) == timing.engine
    }


def _comparison(
    section: Section,
    order: Sequence[str],
    columns: Sequence[tuple[str, str, str]],
    caption: str,
    speeds: dict[str, tuple[str, str]] | None = None,
) -> Iterator[Block]:
    """A table of methods by metrics; metrics that nobody has are left out."""
    found = {column: tables.compare(section, *column) for column in columns}
    found = {column: standings for column, standings in found.items() if standings}
    if not found:
        return
    several = len({semantics for _, _, semantics in found}) > 1
    header = ["method", *(_heading(*column, named=several) for column in found)]
    rows = []
    for method in order:
        row = [Entry(method)]
        for (name, _, _), standings in found.items():
            row.append(_standing(standings.get(method), bounded=metric(name).bounded))
        if speeds:
            row.append(Entry(speeds[method][1] if method in speeds else NOTHING))
        rows.append(row)
    if speeds:
        header.append(next(iter(speeds.values()))[0])
    counts = sorted({one.mean.n for standings in found.values() for one in standings.values()})
    nodes = (
        _counted(counts[0], "node") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} nodes"
    )
    legend = ""
    if any(one.mark for standings in found.values() for one in standings.values()):
        legend = " Bold: the best; †: not distinguishable from it."
    yield Table(
        f"{section.title}: {caption[0].lower()}{caption[1:]}. {nodes}.{legend}", header, rows
    )


def _heading(name: str, level: str, semantics: str, *, named: bool) -> str:
    shown = level if level and name not in METRICS else ""
    notes = [note for note in (shown, semantics if named else "") if note]
    return metric(name).heading + (f", {', '.join(notes)}" if notes else "")


def _standing(standing: Standing | None, *, bounded: bool) -> Entry:
    if standing is None:
        return Entry(NOTHING)
    return Entry(estimate(standing.mean, bounded=bounded), standing.mark)


def _differences(section: Section) -> Iterator[Block]:
    rows = []
    for name in _PROB:
        standings = tables.compare(section, name, tables.HEADLINE_LEVEL, "mask")
        best = next((one for one in standings if standings[one].difference is None), "")
        others = [one for one in standings if standings[one].difference is not None]
        for method in sorted(others, key=natural):
            standing = standings[method]
            texts = [
                metric(name).title,
                f"{method} - {best}",
                estimate(standing.difference, bounded=True),
                _p(standing.p),
            ]
            rows.append([Entry(text) for text in texts])
    if rows:
        yield Table(
            f"{section.title}: differences to the best at 10 edges, masked; paired over the nodes. "
            "p: Wilcoxon's signed-rank test with Holm's correction.",
            ("metric", "difference", "mean", "p"),
            rows,
        )


def _runtime(section: Section, palette: figures.Palette, machine: str) -> Iterator[Block]:
    timings, fits = tables.timings(section), tables.fits(section)
    if not timings and not fits:
        return
    yield Heading("Time", f"time-{section.slug}", 3)
    reference = tables.reference(section)
    if timings and reference is not None:
        rows = [
            [
                Entry(timing.label),
                Entry(timing.engine),
                Entry("1× (reference)" if pair == reference else factors(timing.speedup)),
                Entry(seconds(timing.seconds)),
                Entry(size(timing.peak_bytes)),
                Entry(str(timing.nodes)),
            ]
            for timing in timings
            for pair in [(timing.label, timing.engine)]
        ]
        yield Table(
            f"{section.title}: time of one explanation. Speed-ups over {_variant(*reference)} are "
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
                [Entry(label), Entry(engine), Entry(seconds(value)), Entry(str(count))]
                for label, engine, value, count in fits
            ],
        )
    yield from _picture(
        f"runtime-{section.slug}",
        f"{section.title}: time of one explanation on this machine ({machine}), logarithmic. "
        "Small markers are nodes, large ones medians.",
        figures.runtime(section, palette),
    )


def _sweep(section: Section) -> Iterator[Block]:
    found = tables.sweeps(section)
    for position, ((method, engine), pairs) in enumerate(found.items()):
        variant = _variant(method, engine)
        anchor = f"sweep-{section.slug}{f'-{position + 1}' if position else ''}"
        yield Heading(f"Steps and batch size of {variant}", anchor, 3)
        sentence = _cheapest(pairs)
        yield Text(sentence[0].upper() + sentence[1:])
        yield from _picture(
            anchor,
            f"{section.title}: {variant} by n_steps and internal_batch_size; medians over the "
            "nodes. Column all: all steps in one pass. Grey: out of memory (oom) or failed. "
            "Framed: the cheapest pair with a median relative error < 1 %.",
            figures.sweep(pairs),
        )


def _engines(section: Section) -> Iterator[Block]:
    ratios = tables.engine_ratios(section)
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
                Entry(f"{ratio.at_once:,}"),
                Entry(factors(ratio.ratio)),
                Entry(factor(ratio.median)),
                Entry(str(ratio.ratio.n)),
                Entry(number(ratio.error)),
                Entry(NOTHING if ratio.over_limit is None else factor(ratio.over_limit)),
            ]
            for ratio in ratios
        ],
    )


def _scaling(section: Section, palette: figures.Palette) -> Iterator[Block]:
    figure = figures.scaling(section, palette)
    if figure is None:
        return
    yield Heading("Scaling", f"scaling-{section.slug}", 3)
    yield from _picture(
        f"scaling-{section.slug}",
        f"{section.title}: cost of one explanation against the size of the problem, medians, both "
        "axes logarithmic. A line that ends early ran out of memory or failed; see Failures.",
        figure,
    )


# --------------------------------------------------------------------------------------- the rest


def _failures(results: Results, sections: Sequence[Section]) -> Iterator[Block]:
    yield Heading("Failures", "failures")
    statuses = pd.concat([results.quality["status"], results.runtime["status"]])
    counts = ", ".join(
        f"{name}: {count:,}" for name, count in statuses.value_counts().sort_index().items()
    )
    yield Text(f"Rows by status: {counts}." if counts else "There is not one row.")
    rows = [
        [Entry(section.title), *(Entry(str(value)) for value in row)]
        for section in sections
        for row in tables.failures(section.failed).itertuples(index=False)
    ]
    if rows:
        yield Table(
            "What failed. These rows enter no table and no figure but the marks in the heatmaps.",
            ("task", "benchmark", "method", "engine", "status", "message", "rows"),
            rows,
        )


def _explanations(results: Results) -> Iterator[Block]:
    yield Heading("What the numbers mean", "metrics")
    yield Text(
        "The unit is the node: models, repeats and rounds are averaged within a node first, and "
        "methods are compared over the same nodes. Intervals are 95 % percentile bootstrap "
        "intervals of 2,000 resamples with a fixed seed. A method is not distinguishable from the "
        "best if p >= 0.05 in Wilcoxon's signed-rank test, corrected by Holm over the methods. "
        "The best is chosen by the same data, and with few nodes the test can tell little apart."
    )
    used = {str(name) for name in results.quality["metric"].unique()}
    rows = []
    for name in [*(name for name in METRICS if name in used), *sorted(used - set(METRICS))]:
        known = metric(name)
        source = known.source or (NOTHING if name not in METRICS else "this benchmark")
        text = known.text or "Not described here; its direction is not known to the report."
        rows.append([Entry(known.heading), Entry(text), Entry(source, url=known.url)])
    if rows:
        yield Table(
            "The metrics. ↑: higher is better, ↓: lower.",
            ("metric", "what it says", "source"),
            rows,
        )


def _again(results: Results) -> Iterator[Block]:
    yield Heading("How to make it again", "again")
    manifest = results.manifest
    lines = [f"git checkout {manifest['commit']}"] if manifest.get("commit") else []
    lines.append('python -m pip install -c constraints.txt -e ".[bench]"')
    if manifest.get("command"):
        lines.append(str(manifest["command"]))
    yield Text("The numbers, from a clone of the repository:")
    yield Code("\n".join(lines))
    yield Text("This report, its tables and figures, from the cells in its folder, without torch:")
    yield Code("python -m benchmarks report FOLDER")


# ----------------------------------------------------------------------------------------- inside


def _picture(name: str, caption: str, figure: matplotlib.figure.Figure | None) -> Iterator[Picture]:
    if figure is not None:
        yield Picture(name, caption, figure)


def _machine(section: Section, manifest: dict[str, Any]) -> str:
    gpu, processor = manifest.get("gpu") or {}, manifest.get("cpu") or {}
    if section.device.startswith("cuda"):
        return str(gpu.get("name") or "an unknown GPU")
    name = str(processor.get("model") or "an unknown CPU")
    return _join(name, _counted(processor.get("threads"), "thread"))


def _variant(method: str, engine: str) -> str:
    return f"{method} on {engine}" if engine else method


def _p(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _counted(count: int | None, word: str) -> str:
    if count is None:
        return ""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _named(name: str, value: object) -> str:
    return f"{name} {value}" if value else ""


def _join(*parts: object) -> str:
    return ", ".join(str(part) for part in parts if part)


def _mapping(content: dict[str, Any] | None) -> str:
    return _join(*(f"{name} {value}" for name, value in (content or {}).items()))
