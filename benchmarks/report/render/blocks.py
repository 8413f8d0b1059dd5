"""What a report is made of, before it is HTML, LaTeX or Markdown: headings, texts, tables, figures.

Below the blocks stand the functions that write numbers as text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import matplotlib.figure
import pandas as pd

from benchmarks.report.data.frames import natural
from benchmarks.report.stats.estimates import Estimate

NOTHING = "–"


@dataclass(frozen=True)
class Entry:
    """A table's cell.

    Attributes:
        text: What it shows.
        mark: How it stands out: ``best``, ``tied`` (with the best) or empty.
        url: Where it leads, if anywhere.
        value: The number that its column is sorted by; None to sort by the text.
    """

    text: str
    mark: str = ""
    url: str = ""
    value: float | None = None


@dataclass(frozen=True)
class Heading:
    """A heading.

    Attributes:
        text: What it says.
        anchor: Unique in the report.
        level: 2 or 3; 1 is the title.
        folded: Of level 2: whether what is below it opens on demand on a screen.
        detailed: Of level 2: whether what is below it is too long for a short page.
    """

    kind: ClassVar[str] = "heading"
    text: str
    anchor: str
    level: int = 2
    folded: bool = False
    detailed: bool = False


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Caution:
    """A paragraph that must not be overlooked."""

    kind: ClassVar[str] = "caution"
    text: str


@dataclass(frozen=True)
class Items:
    """A list."""

    kind: ClassVar[str] = "items"
    texts: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Lines for a shell."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Table:
    """A table; the first column names the rows.

    Attributes:
        caption: What it shows.
        header: The columns' names.
        rows: Its cells.
        folded: Whether it holds details, and opens on demand on a screen.
    """

    kind: ClassVar[str] = "table"
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Entry]]
    folded: bool = False


@dataclass(frozen=True)
class Picture:
    """A figure, kept as ``figures/<name>.svg`` and ``.png``; what it shows as ``<name>.csv``.

    Attributes:
        name: Of its files.
        caption: What it shows.
        figure: The drawing.
        data: What it shows, as a table.
        half: Whether two stand side by side on a wide screen.
    """

    kind: ClassVar[str] = "picture"
    name: str
    caption: str
    figure: matplotlib.figure.Figure = field(repr=False)
    data: pd.DataFrame | None = field(default=None, repr=False)
    half: bool = False

    @property
    def csv(self) -> str:
        """The data as CSV, five significant digits as stored; empty if there are none."""
        if self.data is None:
            return ""
        return self.data.to_csv(index=False, float_format="%.5g", lineterminator="\n")


@dataclass(frozen=True)
class Option:
    """A setting that can be chosen: its error, and the sentence that recommends it."""

    error: float
    text: str


@dataclass(frozen=True)
class Choice:
    """The cheapest of several options whose error is below a bound that the reader sets.

    Attributes:
        label: What the bound is for.
        bound: Its initial value.
        options: What there is to choose from, the cheapest first.
        none: What to say if no option is accurate enough.
    """

    kind: ClassVar[str] = "choice"
    label: str
    bound: float
    options: Sequence[Option]
    none: str


Block = Heading | Text | Caution | Items | Code | Table | Picture | Choice


def picture(
    name: str,
    caption: str,
    figure: matplotlib.figure.Figure | None,
    data: pd.DataFrame | None = None,
    *,
    half: bool = False,
) -> Iterator[Picture]:
    """The figure's block, with the data that it shows; nothing if there is no figure."""
    if figure is not None:
        yield Picture(name, caption, figure, data, half)


def by_method(
    rows: pd.DataFrame, names: Sequence[str], entry: Callable[[str, pd.Series], Entry]
) -> list[list[Entry]]:
    """A table's rows, one for each method: its label, then an entry for each metric.

    Args:
        rows: Of a benchmark's quality.
        names: The metrics.
        entry: Called with a metric's name and its values (at least one), the mean at each (model,
            node).
    """
    table = []
    for label, group in sorted(rows.groupby("label"), key=lambda pair: natural(str(pair[0]))):
        line = [Entry(str(label))]
        for name in names:
            values = by_model_and_node(group[group["metric"] == name])
            line.append(Entry(NOTHING) if values.empty else entry(name, values))
        table.append(line)
    return table


def by_model_and_node(rows: pd.DataFrame) -> pd.Series:
    """The mean value of rows of quality at each (model, node); -1 where a row has none."""
    keys = [rows[name].fillna(-1).rename(name) for name in ("model_seed", "node")]
    return rows.groupby(keys)["value"].mean()


# ------------------------------------------------------------------------------- numbers as text


def measured(text: Callable[[Any], str], value: Estimate | float | None) -> Entry:
    """A number as a table's cell: written by ``text``, sorted by its value."""
    return Entry(text(value), value=value.value if isinstance(value, Estimate) else value)


def number(value: float | None, *, bounded: bool = False) -> str:
    """Three decimals for a bounded metric, else two significant digits; a dash for none."""
    if value is None or not math.isfinite(value):
        return NOTHING
    text = f"{value:.3f}" if bounded else f"{value:.2g}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return text.lstrip("-") if float(text) == 0 else text


def estimate(value: Estimate | None, *, bounded: bool = False) -> str:
    """``value [low, high]``; without the interval if there is none."""
    if value is None:
        return NOTHING
    text = number(value.value, bounded=bounded)
    if not math.isfinite(value.low):
        return text
    return f"{text} [{number(value.low, bounded=bounded)}, {number(value.high, bounded=bounded)}]"


def factor(value: float | None) -> str:
    """``12.3×``: three significant digits, a comma between thousands."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:,.0f}×" if value >= 100 else f"{value:.3g}×"


def factors(value: Estimate | None) -> str:
    """``12.3× [11.9×, 13.0×]``."""
    if value is None:
        return NOTHING
    if not math.isfinite(value.low):
        return factor(value.value)
    return f"{factor(value.value)} [{factor(value.low)}, {factor(value.high)}]"


def seconds(value: float | None) -> str:
    """A time in the unit that suits it."""
    return _with_unit(value, (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)))


def size(value: float | None) -> str:
    """Bytes in the unit that suits them: powers of 1,000, not of 1,024."""
    return _with_unit(value, (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0)))


def share(value: float | None) -> str:
    """A share in per cent: two significant digits or one decimal."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{100 * value:.2g} %" if abs(value) < 0.1 else f"{100 * value:.1f} %"


def _with_unit(value: float | None, units: Sequence[tuple[str, float]]) -> str:
    if value is None or not math.isfinite(value):
        return NOTHING
    # The half-unit of rounding: 999.7 ms is printed as 1 s.
    fits = (unit for unit in units if abs(value) >= 0.9995 * unit[1])
    name, scale = next(fits, units[-1])
    scaled = value / scale
    text = f"{scaled:,.0f}" if abs(scaled) >= 99.95 else f"{scaled:.3g}"
    return f"{text} {name}"
