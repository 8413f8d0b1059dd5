"""The page about all published reports: which there are, and one leaderboard over their tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.report.data import quality
from benchmarks.report.data.frames import natural
from benchmarks.report.data.published import Merged, Run, main_sections, newest_first
from benchmarks.report.data.quality import HEADLINE_BUDGET
from benchmarks.report.data.randomisation import TRUTH
from benchmarks.report.data.section import BASELINES, RANDOM, Section, units
from benchmarks.report.render.blocks import (
    NOTHING,
    Block,
    Caution,
    Code,
    Entry,
    Heading,
    Items,
    Table,
    Text,
    estimate,
    number,
)
from benchmarks.report.render.wording import counted, join, machine
from benchmarks.report.sections.first import price, worse
from benchmarks.report.sections.provenance import provenance_cautions
from benchmarks.report.sections.safe_default import counts, decided, safe_default
from benchmarks.report.sections.sample import nodes_and_models
from benchmarks.report.sections.verdict import HEADLINES, cautions_of, outcome, warnings
from benchmarks.report.stats.standings import (
    NO_WINNER,
    TIE,
    TOO_FEW,
    WINNER,
    Standing,
    Standings,
)

TITLE = "Published results: GNN explainers compared"
_ASKS = {
    "quality": "which method explains best",
    "randomisation": "whether scores depend on the trained weights",
    "stability": "whether they are stable",
    "agreement": "whether methods agree",
    "axioms": "whether methods keep the axioms",
    "f_fidelity": "whether the order of the methods holds by F-Fidelity",
    "explained_output": "whether it holds for other explained outputs",
    "runtime": "what an explanation costs",
    "engines": "how much faster the engines are",
    "counterfactual": "how many deleted edges change the class",
    "peers": "how the explainers of other packages compare",
    "ig_sweep": "how many steps Integrated Gradients needs",
    "scaling": "how cost grows with the graph",
    "calibration": "whether published results are replicated",
}
MACHINES = "the machines of these runs"
_OLD = "selected edges by absolute score only"


def leaderboard(
    runs: Sequence[Run], merged: Sequence[Merged], checksums: Mapping[str, str], command: str
) -> Iterator[Block]:
    """All blocks of the page.

    Args:
        runs: The published results folders.
        merged: Their sections, see :func:`benchmarks.report.data.published.merge`.
        checksums: SHA-256 of each folder's manifest and cells.
        command: What makes the page.
    """
    yield Text(
        "Which method explains the predictions of graph neural networks best, how sure is that, "
        f"and what does it cost? This page draws {counted(len(runs), 'published report')} together."
    )
    mains = main_sections(merged)
    if mains:
        yield Items(answers(mains))
    yield Heading("Leaderboard", "leaderboard")
    if not mains:
        yield Text("No published folder has measured the quality of explanations.")
    yield from _old_protocol(runs, merged)
    yield from _table(mains, "fidelity+_prob", count=True)
    cautions = list(cautions_of(mains))
    if cautions:
        yield Items(cautions)
    yield from _table(mains, "fidelity-_prob", folded=True)
    for name in TRUTH:
        yield from _table([one for one in mains if _has(one, name)], name, folded=True)
    others = [one.section for one in merged if "quality" in one.sources]
    others = [one for one in others if one not in mains]
    for name in HEADLINES:
        yield from _table(others, name, folded=True, what="of other kinds of model")
    yield from _reports(runs, merged)
    yield from _inputs(runs, checksums, command)


def answers(mains: Sequence[Section]) -> list[str]:
    """What it comes to over all tasks, in three sentences."""
    return [safe_default(mains), _endings(mains), price(mains, MACHINES)]


def _standings(section: Section, name: str) -> Standings:
    return quality.compare(section, name, _budget(name), _how(name))


def _has(section: Section, name: str) -> bool:
    return bool(_standings(section, name))


def _old_protocol(runs: Sequence[Run], merged: Sequence[Merged]) -> Iterator[Block]:
    """A caution where the leaderboard itself is of the older protocol."""
    shown = {one.sources["quality"] for one in merged if "quality" in one.sources}
    if any(run.signed is False for run in runs if run.name in shown):
        yield Caution(
            f"The runs of this leaderboard {_OLD}, as all did before signed scores were evaluated, "
            "so methods with a sign may be better than shown. It is replaced by the first "
            "published run that selects by signed score."
        )


# ------------------------------------------------------------------------------------ the tables


def _table(
    sections: Sequence[Section],
    name: str,
    *,
    count: bool = False,
    folded: bool = False,
    what: str = "",
) -> Iterator[Block]:
    """Methods by tasks in one metric, with the marks of the tasks' own reports."""
    found = {section: one for section in sections if (one := _standings(section, name))}
    if not found:
        return
    found_best = counts(sections)
    labels = sorted(
        {label for standings in found.values() for label in standings},
        key=lambda label: (
            _is_baseline(label, sections),
            -found_best.get(label, (0, 0))[0],
            natural(label),
        ),
    )
    header = ["method", *(["best or tied ↑"] if count else []), *map(_heading, found)]
    rows = []
    for label in labels:
        row = [Entry(_named(label, sections))]
        if count:
            best, of = found_best.get(label, (0, 0))
            row.append(Entry(f"{best} of {of}", value=best) if of else Entry(NOTHING))
        row += [_entry(one.get(label), interval=folded) for one in found.values()]
        rows.append(row)
    caption = _caption(found, name, what, count=count)
    yield Table(caption, header, rows, folded)


def _is_baseline(label: str, sections: Sequence[Section]) -> bool:
    return label in BASELINES or any(label in one.baselines for one in sections)


def _named(label: str, sections: Sequence[Section]) -> str:
    if label == RANDOM:
        return f"{label} (random baseline)"
    return f"{label} (baseline)" if _is_baseline(label, sections) else label


def _heading(section: Section) -> str:
    return f"{section.title} (caution)" if any(warnings(section)) else section.title


def _entry(standing: Standing | None, *, interval: bool) -> Entry:
    if standing is None:
        return Entry(NOTHING)
    mean = standing.mean
    text = estimate(mean, bounded=True) if interval else number(mean.value, bounded=True)
    sign = " ‡" if standing.not_better_than_random else ""
    return Entry(text + sign, standing.mark, value=mean.value)


def _caption(found: Mapping[Section, Standings], name: str, what: str, *, count: bool) -> str:
    keys = (quality.find(one, name, _budget(name), _how(name)) for one in found)
    conditions = {quality.conditions(key) for key in keys if key}
    parts = [
        next(iter(found)).metrics[name].heading + (f" {what}" if what else ""),
        *(conditions if len(conditions) == 1 else ()),
        *(["masked"] if name in HEADLINES else []),
        f"means {'' if count else 'and 95 % intervals '}over {nodes_and_models(list(found))}",
    ]
    text = f"{', '.join(parts)}."
    for ending, said in (
        (NO_WINNER, "No winner, the best mean is tied with the random baseline's"),
        (TOO_FEW, f"Too few {units(found)} for a comparison"),
    ):
        names = [one.title for one, standings in found.items() if standings.outcome == ending]
        if names:
            text += f" {said}: {', '.join(names)}."
    if not count:
        return text
    text += (
        " Bold: the best; †: tied with the best (not significantly worse); ‡: not significantly "
        "better than random; as in each task's report. Best or tied: in how many of the "
        "comparisons that name a best method and that the method is in; there are "
        f"{decided(list(found))} (fidelity+ and fidelity- of each task). This count over tasks is "
        "not tested."
    )
    if any(any(warnings(one)) for one in found):
        text += " Caution: see the sentences below the table."
    return text


def _budget(name: str) -> str:
    return HEADLINE_BUDGET if name in HEADLINES else ""


def _how(name: str) -> str:
    return "mask" if name in HEADLINES else ""


def _endings(sections: Sequence[Section]) -> str:
    """On which tasks there is a winner, a tie, or none that is better than random."""
    winners: list[str] = []
    several = "several tied with the best"
    endings: dict[str, list[str]] = {several: []}
    for section in sections:
        standings = _standings(section, "fidelity+_prob")
        said = outcome(section, standings)
        if standings.outcome == WINNER:
            winners.append(f"{said} on {section.title}{worse(section, standings)}")
        elif said:
            said = several if standings.outcome == TIE else said
            endings.setdefault(said, []).append(section.title)
    rest = [f"{said} on {', '.join(names)}" for said, names in endings.items() if names]
    parts = [*winners, *rest]
    return f"Best in fidelity+: {'; '.join(parts) or 'no task was compared'}."


# ----------------------------------------------------------------------------------- the reports


def _reports(runs: Sequence[Run], merged: Sequence[Merged]) -> Iterator[Block]:
    yield Heading("Published reports", "reports")
    shown = {one.sources["quality"] for one in merged if "quality" in one.sources}
    rows = []
    for run in _as_asked(runs):
        manifest = run.manifest
        made = [manifest, *reversed(manifest.get("earlier") or ())]
        commits = dict.fromkeys(str(one.get("commit") or "")[:7] for one in made)
        machines = dict.fromkeys(machine(section, manifest) for section in run.measured)
        rows.append(
            [
                Entry(run.name, url=f"{run.name}/report.html"),
                Entry("; ".join(text for name, text in _ASKS.items() if name in run.asked)),
                Entry(", ".join(run.tasks) or NOTHING),
                Entry(nodes_and_models(run.measured) or NOTHING),
                Entry("; ".join(machines) or NOTHING),
                Entry(join(*commits) or NOTHING),
                Entry(str(manifest.get("created") or NOTHING)[:10]),
            ]
        )
    yield Table(
        "The published reports, the newest day first: what each asks, on which tasks, and with "
        "which code. Explained × models counts what was scored, or else timed.",
        ("report", "asks", "tasks", "explained × models", "machine", "commit", "date"),
        rows,
    )
    for run in newest_first(runs):
        notes = [text.text for text in provenance_cautions(run.manifest, run.problems)]
        entries = run.manifest.get("tasks") or ()
        stand_ins = sorted({str(one.get("name")) for one in entries if one.get("stand_in")})
        if stand_ins:
            notes.append(f"Generated data stand in for the real ones: {', '.join(stand_ins)}.")
        if run.signed is False and run.name not in shown:
            notes.append(f"It {_OLD}, as older runs did, and is not in the leaderboard.")
        if notes:
            yield Caution(f"{run.name}: {' '.join(notes)}")


def _as_asked(runs: Sequence[Run]) -> list[Run]:
    """The newest day first; of a day those first whose question stands first."""
    places = {name: place for place, name in enumerate(_ASKS)}

    def first(run: Run) -> int:
        return min((places[name] for name in run.asked if name in places), default=len(places))

    ordered = sorted(newest_first(runs), key=first)
    return sorted(ordered, key=lambda one: str(one.manifest.get("created"))[:10], reverse=True)


def _inputs(runs: Sequence[Run], checksums: Mapping[str, str], command: str) -> Iterator[Block]:
    yield Heading("How this page is made", "made", folded=True)
    yield Text(
        "From the cells and the manifests of the folders below, by the statistics of the reports "
        "(docs/statistics.md). Of each task the leaderboard takes the folder with the most nodes × "
        "models, of equals the newest; nothing is averaged over folders. Times are of the newest "
        "folder that has them."
    )
    yield Code(command)
    yield Table(
        "SHA-256 of each folder's manifest and cells.",
        ("folder", "SHA-256"),
        [[Entry(run.name), Entry(checksums[run.name])] for run in runs],
    )
