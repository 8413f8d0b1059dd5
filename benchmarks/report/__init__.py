"""The report of a results folder: cells to tidy frames, statistics, tables, figures, pages.

It reads the cells and the manifest and nothing else, and it imports no torch: a published report
can be drawn again from its folder. The same cells give the same files, byte for byte.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.report import outline
from benchmarks.report.data import frames
from benchmarks.report.data.section import EQUIVALENCE
from benchmarks.report.figures.encode import encode
from benchmarks.report.render import html, latex, markdown
from benchmarks.report.render.blocks import Picture
from benchmarks.store.atomic import write_atomically

__all__ = ["FORMATS", "write"]

FORMATS = ("html", "md", "latex")


def write(
    folder: Path, formats: Sequence[str] = FORMATS, equivalence: float = EQUIVALENCE
) -> list[Path]:
    """Writes the report of ``folder``, which holds its cells, packed or not, and ``manifest.json``.

    Makes ``quality.csv.gz``, ``runtime.csv``, ``figures/`` and, of ``report.html``, ``report.md``
    and ``report.tex``, those of the formats; an earlier report is replaced. Nothing is written if
    something cannot be drawn. Returns the pages.

    Args:
        folder: A results folder.
        formats: Which pages to write.
        equivalence: Half of the region of practical equivalence, for metrics in [0, 1] or [-1, 1];
            for others a share of the median of the methods' means.
    """
    results = frames.load(folder)
    title, blocks = outline.title(results), outline.compose(results, equivalence)
    pictures = [block for block in blocks if isinstance(block, Picture)]
    drawn = {picture.name: encode(picture.figure) for picture in pictures}
    pages = {}
    if "html" in formats:
        drawings = {name: svg for name, (svg, _) in drawn.items()}
        pages["report.html"] = html.render(title, blocks, drawings)
    if "md" in formats:
        pages["report.md"] = markdown.render(title, blocks)
    if "latex" in formats:
        pages["report.tex"] = latex.render(title, blocks)

    write_atomically(folder / "quality.csv.gz", _compressed(results.quality))
    (folder / "quality.csv").unlink(missing_ok=True)  # of an earlier version
    write_atomically(folder / "runtime.csv", results.runtime.to_csv(index=False))
    place = folder / "figures"
    place.mkdir(exist_ok=True)
    for picture in pictures:
        svg, png = drawn[picture.name]
        write_atomically(place / f"{picture.name}.svg", svg)
        write_atomically(place / f"{picture.name}.png", png)
        if picture.csv:
            write_atomically(place / f"{picture.name}.csv", picture.csv)
    for path in place.iterdir():  # figures of an earlier report that are no longer in it
        if path.suffix in (".svg", ".png", ".csv") and path.stem not in drawn:
            path.unlink()
    for name, page in pages.items():
        write_atomically(folder / name, page)
    return [folder / name for name in pages]


def _compressed(table: pd.DataFrame) -> bytes:
    """The table as CSV, gzipped: a published run's has millions of rows, most of them alike."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6, mtime=0) as file:
        table.to_csv(file, index=False, mode="wb")
    return packed.getvalue()
