"""Which method and which engine for which question: the parts of ``docs/which.md``.

Each sentence counts marks, or repeats numbers, of the published reports; where these decide
nothing, that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks.report.data import quality, runtimes, steps
from benchmarks.report.data.frames import natural
from benchmarks.report.data.published import Merged, Run, main_sections, newest_first
from benchmarks.report.data.quality import HEADLINE_BUDGET
from benchmarks.report.data.section import BY_HAND, STOCK, Section
from benchmarks.report.render.blocks import (
    NOTHING,
    Block,
    Entry,
    Items,
    Table,
    Text,
    factors,
    seconds,
    share,
)
from benchmarks.report.render.wording import counted, variant
from benchmarks.report.sections.cost import cheapest_setting
from benchmarks.report.sections.first import price
from benchmarks.report.sections.leaderboard import MACHINES, answers
from benchmarks.report.sections.safe_default import decided, marked, safe_default
from benchmarks.report.sections.verdict import HEADLINES, cautions_of, outcome
from benchmarks.report.stats.standings import Standings

Part = Callable[[Sequence[Run], Sequence[Merged], Mapping[str, str]], Iterator[Block]]
DEFAULT_STEPS = 50


def sources(
    runs: Sequence[Run], merged: Sequence[Merged], checksums: Mapping[str, str]
) -> Iterator[Block]:
    """The folders that all parts are made from."""
    used = {name for one in merged for name in one.sources.values()}
    yield Table(
        "The published folders that this page is made from.",
        ("folder", "SHA-256 of manifest and cells", "used for"),
        [
            [Entry(run.name), Entry(checksums[run.name]), Entry(_used_for(run, merged))]
            for run in newest_first(runs)
            if run.name in used or run.signed is False
        ],
    )


def _methods(runs: Sequence[Run]) -> set[str]:
    """The methods that look at the model; metrics, which engines compute as well, are none."""
    return {
        str(entry["name"])
        for run in runs
        for entry in run.manifest.get("methods") or ()
        if entry.get("model_dependent", True)
    }


def _method(label: str) -> str:
    """The method of a label, which may name options in brackets."""
    return label.partition(" (")[0]


def _used_for(run: Run, merged: Sequence[Merged]) -> str:
    found = {
        benchmark for one in merged for benchmark, name in one.sources.items() if name == run.name
    }
    return ", ".join(sorted(found)) or "nothing, as newer ones have all of it"


def in_short(
    runs: Sequence[Run], merged: Sequence[Merged], checksums: Mapping[str, str]
) -> Iterator[Block]:
    """The answer over all tasks, as the page of the published reports begins with it."""
    if mains := main_sections(merged):
        yield Items(answers(mains))
    else:
        yield Text("The published results do not decide: none compares methods in quality.")


def at_a_node(
    runs: Sequence[Run], merged: Sequence[Merged], checksums: Mapping[str, str]
) -> Iterator[Block]:
    """Evidence for the class of a node."""
    yield from _evidence([one for one in main_sections(merged) if one.level == "node"], "node")


def at_a_graph(
    runs: Sequence[Run], merged: Sequence[Merged], checksums: Mapping[str, str]
) -> Iterator[Block]:
    """Evidence for the class of a graph."""
    yield from _evidence([one for one in main_sections(merged) if one.level == "graph"], "graph")


def _evidence(sections: Sequence[Section], level: str) -> Iterator[Block]:
    if not sections:
        yield Text(f"The published results do not decide: none explains the class of a {level}.")
        return
    if decided(sections) < 2:
        yield Text(
            f"The published results decide little here: of {counted(len(sections), 'task')}, "
            f"{counted(decided(sections), 'comparison')} in fidelity+ or fidelity- named a best "
            "method."
        )
    texts = [safe_default(sections)]
    if any(runtimes.timings(one) for one in sections):
        texts.append(price(sections, MACHINES))
    texts += cautions_of(sections)
    yield Items(texts)
    yield Table(
        f"The tasks that explain a {level}, and how their comparison ended.",
        ("task", "best in fidelity+", "best in fidelity-"),
        [
            [
                Entry(one.title),
                *(Entry(outcome(one, _standings(one, name)) or NOTHING) for name in HEADLINES),
            ]
            for one in sections
        ],
    )


def _standings(section: Section, name: str) -> Standings:
    return quality.compare(section, name, HEADLINE_BUDGET, "mask")


def many_nodes(
    runs: Sequence[Run], merged: Sequence[Merged], checksums: Mapping[str, str]
) -> Iterator[Block]:
    """What explaining many nodes by one call gains."""
    rows, methods = [], _methods(runs)
    for section in (one.section for one in merged):
        ratios = runtimes.engine_ratios(section)
        alone = {(one.label, one.engine): one for one in ratios if one.at_once == 1}
        for one in ratios:
            single = alone.get((one.label, one.engine))
            if one.at_once > 1 and single is not None and _method(one.label) in methods:
                texts = [section.title, one.label, one.engine, factors(single.ratio)]
                rows.append(
                    [Entry(text) for text in [*texts, f"{one.at_once:,}", factors(one.ratio)]]
                )
    if not rows:
        yield Text("The published results do not decide: none times many nodes in one call.")
        return
    yield Table(
        "Speed-up over the same method on stock, per node: one node a call, and many nodes in one "
        "call. Geometric means with 95 % intervals.",
        ("task", "method", "engine", "one node a call", "nodes in one call", "many in one call"),
        rows,
    )


def no_gradients(
    runs: Sequence[Run], merged: Sequence[Merged], checksums: Mapping[str, str]
) -> Iterator[Block]:
    """Methods for models that cannot be differentiated."""
    known: dict[str, bool] = {}
    for run in newest_first(runs):
        for entry in run.manifest.get("methods") or ():
            theirs = "beside" in entry  # of another package, which does not say what it needs
            if entry.get("model_dependent", True) and "needs_gradients" in entry and not theirs:
                known.setdefault(str(entry["name"]), bool(entry["needs_gradients"]))
    mains = main_sections(merged)
    names = [name for name, needs in sorted(known.items()) if not needs]
    if not names or not mains:
        yield Text(
            "The published results do not decide: their manifests do not say which methods need "
            "gradients, as those of newer runs do."
        )
        return
    counts, of_all = marked(mains), decided(mains)
    yield Text(f"These look at the model and need no gradients: {', '.join(names)}.")
    best = max(names, key=lambda name: counts.get(name, 0))
    if not counts.get(best):
        yield Text("None of them is best or tied with the best in a published comparison.")
        return
    first = [name for name in names if counts.get(name, 0) == counts[best]]
    needing = max((count for name, count in counts.items() if known.get(name, False)), default=0)
    yield Text(
        f"Of these {' and '.join(first)} {'is' if len(first) == 1 else 'are'} most often best or "
        f"tied with the best: in {counts[best]} of the {counted(of_all, 'comparison')} that name a "
        f"best method. The best count of a method that needs gradients is {needing}."
    )


def one_mask(
    runs: Sequence[Run], merged: Sequence[Merged], checksums: Mapping[str, str]
) -> Iterator[Block]:
    """Methods that are trained once for a model, and what is known of one mask for all nodes."""
    trained = {
        str(entry["name"])
        for run in runs
        for entry in run.manifest.get("methods") or ()
        if entry.get("needs_fit")
    }
    yield Text(
        "The published results do not decide which method gives the best single mask for a whole "
        "graph or model: every metric scores the explanation of one node or graph."
    )
    texts = []
    for name in sorted(trained):
        found = [
            (one.title, standing)
            for one in main_sections(merged)
            if (standing := _standings(one, "fidelity+_prob").get(name)) is not None
        ]
        if found:
            worse = [title for title, standing in found if standing.not_better_than_random]
            text = f"{name} is trained once for a model and then explains each node or graph: "
            text += (
                f"not significantly better than random in fidelity+ on {', '.join(worse)}, "
                f"{len(worse)} of {counted(len(found), 'task')}."
                if worse
                else f"significantly better than random in fidelity+ on each of "
                f"{counted(len(found), 'task')}."
            )
            texts.append(text)
    if texts:
        yield Items(texts)


def engines(
    runs: Sequence[Run], merged: Sequence[Merged], checksums: Mapping[str, str]
) -> Iterator[Block]:
    """Which engine ran where none was asked for, and what it gains."""
    rows, methods = [], _methods(runs)
    for section in (one.section for one in merged):
        scored = section.of("quality")[0]
        ran = dict(zip(scored["method"], scored["engine"], strict=True))
        for one in runtimes.engine_ratios(section):
            name = _method(one.label)
            if one.at_once > 1 or one.engine in (STOCK, BY_HAND) or name not in methods:
                continue
            default = NOTHING if name not in ran else "yes" if ran[name] == one.engine else "no"
            hand = NOTHING if one.over_hand is None else factors(one.over_hand)
            texts = [section.title, one.label, one.engine, default, factors(one.ratio), hand]
            rows.append([Entry(text) for text in texts])
    if not rows:
        yield Text("The published results do not decide: none compares engines.")
        return
    yield Table(
        "Engines, one node a call: speed-ups of the same method, geometric means with 95 % "
        "intervals. Ran by default: whether it ran in the published quality run, where no engine "
        "was asked for; a dash where there is no such run of the task.",
        (
            *("task", "method", "engine", "ran by default"),
            *("over stock", f"over {BY_HAND}"),
        ),
        sorted(rows, key=lambda row: [natural(entry.text) for entry in row[:3]]),
    )


def ig_steps(
    runs: Sequence[Run], merged: Sequence[Merged], checksums: Mapping[str, str]
) -> Iterator[Block]:
    """How many steps Integrated Gradients needs."""
    texts, rows = [], []
    for section in (one.section for one in merged):
        for (method, engine), settings in steps.sweeps(section).items():
            texts.append(
                cheapest_setting(settings, f"{section.title}, for {variant(method, engine)}")
            )
            for count, error in steps.errors_by_steps(settings).items():
                mark = "the default" if count == DEFAULT_STEPS else ""
                rows.append(
                    [Entry(text) for text in (section.title, str(count), share(error), mark)]
                )
    if not rows:
        yield Text("The published results do not decide: none varies the number of steps.")
        return
    yield Items(texts)
    yield Table(
        "Median relative error of the scores to those of 1,000 steps; it does not depend on the "
        "batch size but for rounding.",
        ("task", "steps", "error", "note"),
        rows,
    )


def costs(
    runs: Sequence[Run], merged: Sequence[Merged], checksums: Mapping[str, str]
) -> Iterator[Block]:
    """What one explanation costs with each method, on the engine that runs by default."""
    timed = [one.section for one in merged if runtimes.timings(one.section)]
    if not timed:
        yield Text("The published results do not decide: none times explanations.")
        return
    best: dict[tuple[str, str], runtimes.Timing] = {}
    for section in timed:
        for timing in runtimes.timings(section):  # the fastest first
            known = runtimes.by_default(section, timing.label) or timing
            best.setdefault((timing.method, section.title), known)
    labels = sorted({label for label, _ in best}, key=natural)
    rows = []
    for label in labels:
        row = [Entry(label)]
        for section in timed:
            found = best.get((label, section.title))
            text = f"{seconds(found.seconds)} ({found.engine})" if found else NOTHING
            row.append(Entry(text))
        rows.append(row)
    yield Table(
        "Median time of one explanation on the machine of the run, with the engine that ran in the "
        "published quality run of the task, or, where there is none, the fastest that was timed. "
        "Compare methods within a column; times do not transfer to other machines.",
        ("method", *(section.title for section in timed)),
        rows,
    )


PARTS: dict[str, Part] = {
    "in short": in_short,
    "evidence at a node": at_a_node,
    "evidence at a graph": at_a_graph,
    "many nodes": many_nodes,
    "no gradients": no_gradients,
    "one mask": one_mask,
    "engines": engines,
    "steps": ig_steps,
    "costs": costs,
    "sources": sources,
}
