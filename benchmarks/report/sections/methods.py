"""What the methods are, by what they say of themselves."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.report.data.frames import Results, natural
from benchmarks.report.render.blocks import Block, Entry, Heading, Table


def methods(results: Results) -> Iterator[Block]:
    """A table of the manifest's methods; nothing if it has none, as in older runs."""
    described = results.manifest.get("methods") or []
    if not described:
        return
    yield Heading("Methods", "methods")
    rows = []
    for entry in sorted(described, key=lambda one: natural(str(one.get("name")))):
        seen = "model and class" if entry.get("target_dependent", True) else "model"
        texts = [
            str(entry.get("name")),
            seen if entry.get("model_dependent", True) else "neither: a baseline",
            " and ".join(entry.get("granularity") or []),
            "signed" if entry.get("signed") else "unsigned",
            "no" if entry.get("deterministic", True) else "yes",
            "yes" if entry.get("needs_fit") else "no",
            ", ".join(entry.get("engines") or []),
            str(entry.get("citation") or ""),
        ]
        rows.append([Entry(text) for text in texts])
    yield Table(
        "What explains. Looks at: on what the scores depend, besides the graph. Signed: a negative "
        "score speaks against the class. Seed: whether random numbers enter. Trained first: "
        "whether it is fitted to a model before it explains.",
        ("method", "looks at", "scores", "sign", "seed", "trained first", "engines", "source"),
        rows,
    )
