"""The report of a results folder: cells to tidy frames, statistics, tables, figures, pages.

It reads the cells and the manifest and nothing else, and it imports no torch: a published report
can be drawn again from its folder. The same cells give the same files, byte for byte.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.harness.cells import write_atomically
from benchmarks.report import content, figures, frames, html, markdown
from benchmarks.report.blocks import Picture

__all__ = ["write"]


def write(folder: Path) -> None:
    """Writes the report of ``folder``, which holds ``cells/`` and ``manifest.json``.

    Makes ``quality.csv``, ``runtime.csv``, ``report.md``, ``report.html`` and ``figures/``; an
    earlier report is replaced. Nothing is written if something cannot be drawn.
    """
    results = frames.load(folder)
    title, blocks = content.title(results), content.compose(results)
    pictures = [block for block in blocks if isinstance(block, Picture)]
    drawn = {picture.name: figures.encode(picture.figure) for picture in pictures}
    page = html.render(title, blocks, {name: svg for name, (svg, _) in drawn.items()})

    write_atomically(folder / "quality.csv", results.quality.to_csv(index=False))
    write_atomically(folder / "runtime.csv", results.runtime.to_csv(index=False))
    place = folder / "figures"
    place.mkdir(exist_ok=True)
    for name, (svg, png) in drawn.items():
        write_atomically(place / f"{name}.svg", svg)
        (place / f"{name}.png").write_bytes(png)
    for path in place.iterdir():  # figures of an earlier report that are no longer in it
        if path.suffix in (".svg", ".png") and path.stem not in drawn:
            path.unlink()
    write_atomically(folder / "report.md", markdown.render(title, blocks))
    write_atomically(folder / "report.html", page)
