"""Cost against the size of the problem."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from benchmarks.report.figures.palette import Palette
from benchmarks.report.figures.style import grid, legend, logarithmic, style
from benchmarks.report.render.blocks import seconds, size

AXES = {
    "graph_nodes": "nodes in the graph",
    "degree": "mean degree",
    "layers": "layers of the network",
    "n_steps": "integration steps",
}


def number(at: float) -> str:
    """A size: ``1,000,000``, ``2.5``."""
    return f"{at:,.10g}"


def draw(medians: pd.DataFrame, palette: Palette) -> Figure | None:
    """Time and memory of one explanation by what is varied; see ``runtimes.scaling``."""
    if medians.empty:
        return None
    found = {str(name) for name in medians["varied"]}
    varied = [name for name in AXES if name in found] + sorted(found - set(AXES))
    measures: list[tuple[str, str, Callable[[float], str]]] = [
        ("seconds", "time of one explanation", seconds),
        ("peak_bytes", "peak memory", size),
    ]
    measures = [one for one in measures if (medians[one[0]] > 0).any()]
    with style():
        figure, axes = grid(len(measures), len(varied), (4.2, 3.4), sharex="col", sharey="row")
        for i, (name, title, text) in enumerate(measures):
            shown = medians[medians[name] > 0]
            for j, what in enumerate(varied):
                axis, rows = axes[i, j], shown[shown["varied"] == what]
                for (method, engine), line in rows.groupby(["method", "engine"], sort=True):
                    axis.plot(
                        line["at"],
                        line[name],
                        linestyle=palette.dash(str(method)),
                        marker=palette.marker(str(engine)),
                        **palette.marks(str(method)),
                    )
                places = sorted(set(medians[medians["varied"] == what]["at"]))
                logarithmic(axis, "x", places, number)
                if len(places) <= 6:
                    axis.xaxis.set_major_locator(FixedLocator(places))
                if i == len(measures) - 1:
                    axis.set_xlabel(AXES.get(what, what))
            logarithmic(axes[i, 0], "y", shown[name], text)
            axes[i, 0].set_ylabel(title)
        legend(
            figure,
            palette.method_handles(str(name) for name in medians["method"])
            + palette.engine_handles(str(name) for name in medians["engine"]),
        )
    return figure
