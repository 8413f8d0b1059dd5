"""What all figures share: the style, panels, legends and logarithmic axes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

_STYLE = {
    **sns.axes_style("whitegrid"),
    **sns.plotting_context("notebook", font_scale=0.85),
    "font.family": ["sans-serif"],
    # The first comes with matplotlib, which measures with it; others have the same widths.
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "axes.titlesize": 11,
    "legend.frameon": False,
    "svg.hashsalt": "gnn-explainer-bench",
    "svg.fonttype": "none",  # texts that can be searched, read aloud and copied, and are small
    "text.parse_math": False,  # a dollar sign in a method's name is one
    "savefig.dpi": 150,
}


@contextmanager
def style() -> Iterator[None]:
    """The style of a report; every figure is made, and encoded, inside it."""
    # From matplotlib's own defaults: a reader's settings must not change a report.
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def grid(rows: int, columns: int, panel: tuple[float, float], **sharing: Any) -> tuple[Figure, Any]:
    """A figure with panels of the given width and height in inches, and their axes."""
    # Not pyplot's: it would keep the figures, and ask for a display.
    figure = Figure(figsize=(panel[0] * columns, panel[1] * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **sharing)


def legend(figure: Figure, handles: list[Line2D]) -> None:
    """A legend below the panels; the figure grows by its height."""
    # Beside the panels it would shrink them; names are long. Wide figures take more columns.
    columns = min(len(handles), max(1, int(figure.get_figwidth() // 2.6)))
    lines = -(-len(handles) // columns)
    figure.set_figheight(figure.get_figheight() + 0.2 + 0.24 * lines)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=3.2)


def logarithmic(
    axis: Axes, which: str, values: Iterable[float], text: Callable[[float], str]
) -> None:
    """A logarithmic axis with readable numbers: 1, 2, 5 within few decades, else powers of ten.

    Args:
        axis: The panel.
        which: ``x`` or ``y``.
        values: What is drawn; at least one is positive.
        text: How a number is written.
    """
    found = np.array([value for value in values if value > 0], dtype=float)
    decades = float(np.log10(found.max() / found.min()))
    getattr(axis, f"set_{which}scale")("log")
    one = getattr(axis, f"{which}axis")
    one.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)))
    one.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
    one.set_minor_locator(NullLocator())
    margin = max(0.08, 0.06 * decades)
    limits = found.min() / 10**margin, found.max() * 10**margin
    if decades < 0.3:  # so close to each other that no tick might be between them
        limits = found.min() / 2.2, found.max() * 2.2
    getattr(axis, f"set_{which}lim")(*limits)


def stepped(name: str) -> Colormap:
    """A colour map in 64 steps, closer than eyes tell apart: a bar has a shape for each."""
    return mpl.colormaps[name].resampled(64)


def vector_bars(figure: Figure) -> None:
    """Colour bars as shapes: as images, which they are by default, a report's page refuses them."""
    for axis in figure.axes:
        for drawn in axis.collections:
            bar = getattr(drawn, "colorbar", None)
            if bar is not None:
                bar.solids.set(rasterized=False, edgecolor="face")
