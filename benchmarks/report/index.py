"""``results/index.html``: the published reports and one leaderboard over their tasks.

And the parts of a page of prose, such as ``docs/which.md``, that are made of the same folders.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd

from benchmarks.report.data import frames, published
from benchmarks.report.data.frames import natural
from benchmarks.report.data.published import USED, Run
from benchmarks.report.data.quality import ORDERED
from benchmarks.report.data.section import EQUIVALENCE, UNAVAILABLE, split
from benchmarks.report.render import html, markdown
from benchmarks.report.sections.first import GENERATED, REPLICATION
from benchmarks.report.sections.guide import PARTS
from benchmarks.report.sections.leaderboard import TITLE, leaderboard
from benchmarks.store.atomic import write_atomically

PAGE = "index.html"
_COUNTED = {"quality", "engines", "runtime"}  # of these alone a page says how many were explained
_PART = re.compile(r"(<!-- from results: (.+?) -->\n).*?(<!-- end -->)", flags=re.DOTALL)


def write(root: Path, guide: Path | None = None, equivalence: float = EQUIVALENCE) -> list[Path]:
    """Writes ``root/index.html`` and the marked parts of a page of prose; returns both.

    Args:
        root: The folder whose folders are results folders.
        guide: A Markdown page. What stands between ``<!-- from results: NAME -->`` and
            ``<!-- end -->`` is replaced by the part ``NAME`` of
            :data:`benchmarks.report.sections.guide.PARTS`.
        equivalence: Half of the region of practical equivalence.

    Raises:
        ValueError: ``root`` has no results folder, or the page has no part, or one that is
            unknown. Nothing is written then.
    """
    places = published.folders(root)
    if not places:
        raise ValueError(f"{root}: there is no results folder in it; name one such as results")
    text = guide.read_text(encoding="utf-8") if guide else ""
    names = [name for _, name, _ in _PART.findall(text)]
    unknown = [name for name in names if name not in PARTS]
    if guide and (unknown or not names):
        found = (
            f"has the part {unknown[0]!r}" if unknown else "has no part <!-- from results: ... -->"
        )
        raise ValueError(f"{guide}: it {found}; the parts are {', '.join(PARTS)}")
    runs = [_read(place, equivalence) for place in places]
    sums = {place.name: published.checksum(place) for place in places}
    merged = published.merge(runs)
    command = f"python -m benchmarks report --index {root.name}"
    blocks = list(leaderboard(runs, merged, sums, command))
    page = html.render(TITLE, blocks, {})
    parts = {name: markdown.body(PARTS[name](runs, merged, sums)) for name in dict.fromkeys(names)}
    write_atomically(root / PAGE, page)
    if guide is None:
        return [root / PAGE]
    new = _PART.sub(lambda match: f"{match[1]}\n{parts[match[2]]}\n\n{match[3]}", text)
    write_atomically(guide, new)
    return [root / PAGE, guide]


def _read(folder: Path, equivalence: float) -> Run:
    results = frames.load(folder)
    places = ["benchmark", "task", "model"]
    every = pd.concat([one[places] for one in (results.quality, results.runtime)])
    every = every[~every["benchmark"].isin(UNAVAILABLE)].drop_duplicates()
    named = every[~every["task"].isin(["", GENERATED])]
    own = named[named["benchmark"] != REPLICATION]  # which has variants of the others
    kinds = (own if len(own) else named).groupby("task")["model"].unique()
    # Only what the page shows or compares by: a published run has millions of rows.
    scores = results.quality[results.quality["benchmark"].isin(USED)]
    scores = scores[(scores["benchmark"] != "quality") | scores["metric"].isin(ORDERED)]
    times = results.runtime[results.runtime["benchmark"].isin(USED)]
    sections = split(replace(results, quality=scores, runtime=times), equivalence)
    asked = frozenset(every["benchmark"])
    return Run(
        name=folder.name,
        manifest=results.manifest,
        sections=sections,
        measured=sections if asked & _COUNTED else split(results, equivalence),
        tasks=[
            task if len(kinds[task]) < 2 else f"{task} ({', '.join(sorted(kinds[task]))})"
            for task in sorted(kinds.index, key=natural)
        ],
        asked=asked,
        problems=results.problems,
    )
