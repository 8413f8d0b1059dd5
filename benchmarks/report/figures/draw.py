"""The figures. Each function draws one from a section's tables, or returns None if it lacks data.

A method has the same colour, and an engine the same marker, in all figures of a report.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from benchmarks.report.data import quality as tables
from benchmarks.report.data import runtimes, steps
from benchmarks.report.data.metrics import Metrics
from benchmarks.report.render.blocks import seconds, share, size
from benchmarks.report.stats import estimates as statistics

_COLOURS = sns.color_palette("colorblind")
_COLOURS[8] = (0.0, 0.0, 0.0)  # its yellow is hardly seen on white
_DASHES: Sequence[Any] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
_MARKERS = "osD^vPXph*"
_STYLE = {
    **sns.axes_style("whitegrid"),
    **sns.plotting_context("notebook", font_scale=0.85),
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same on every machine
    "axes.titlesize": 11,
    "legend.frameon": False,
    "svg.hashsalt": "gnn-explainer-bench",
    "svg.fonttype": "path",
    "text.parse_math": False,  # a dollar sign in a method's name is one
    "savefig.dpi": 150,
}
_AXES = {
    "graph_nodes": "nodes in the graph",
    "degree": "mean degree",
    "layers": "layers of the network",
    "n_steps": "integration steps",
}
_GREY = "0.35"


@dataclass(frozen=True)
class Palette:
    """Which colour, dash and marker stand for whom, in all figures of a report.

    Attributes:
        methods: All methods; neighbours differ in their dashes, too. The eleventh has the first
            one's colour, and so on, but other dashes and hollow markers, the twenty-first half
            filled ones.
        engines: All engines.
    """

    methods: Sequence[str]
    engines: Sequence[str]

    def colour(self, method: str) -> tuple[float, float, float]:
        """A method's colour."""
        return _COLOURS[self.methods.index(method) % len(_COLOURS)]

    def dash(self, method: str) -> Any:
        """A method's line style."""
        return _DASHES[self.methods.index(method) % len(_DASHES)]

    def marks(self, method: str) -> dict[str, Any]:
        """How a method's markers are filled and framed, whatever their shape."""
        colour = self.colour(method)
        turn = self.methods.index(method) // len(_COLOURS) % 3
        hollow = turn == 1
        return {
            "fillstyle": "left" if turn == 2 else "full",
            "markerfacecoloralt": "white",
            "color": colour,
            "markerfacecolor": "white" if hollow else colour,
            "markeredgecolor": colour if hollow else "black",
            "markeredgewidth": 2.0 if hollow else 1.0,
        }

    def marker(self, engine: str) -> str:
        """An engine's marker."""
        return _MARKERS[self.engines.index(engine) % len(_MARKERS)]

    def method_handles(self, shown: Iterable[str]) -> list[Line2D]:
        """The legend's lines for the methods."""
        shown = set(shown)
        return [
            _handle(name, marker="o", linestyle=self.dash(name), **self.marks(name))
            for name in self.methods
            if name in shown
        ]

    def engine_handles(self, shown: Iterable[str]) -> list[Line2D]:
        """The legend's markers for the engines."""
        shown = set(shown)
        return [
            _handle(f"engine {name}", marker=self.marker(name), color=_GREY, linestyle="none")
            for name in self.engines
            if name in shown
        ]


def encode(figure: Figure) -> tuple[str, bytes]:
    """The figure as SVG and PNG; the same figure gives the same bytes."""
    with _style():
        drawn, painted = io.BytesIO(), io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(painted, format="png", metadata={"Software": None})
    return drawn.getvalue().decode(), painted.getvalue()


def fidelity(curves: pd.DataFrame, palette: Palette, metrics: Metrics) -> Figure | None:
    """Fidelity+ and fidelity- against sparsity, under mask and delete; see ``tables.curves``."""
    if curves.empty:
        return None
    rows = list(curves["metric"].unique())
    columns = [one for one in tables.SEMANTICS if (curves["semantics"] == one).any()]
    with _style():
        figure, axes = _grid(len(rows), len(columns), (5.2, 3.4), sharex=True, sharey="row")
        for i, name in enumerate(rows):
            for j, semantics in enumerate(columns):
                here = (curves["metric"] == name) & (curves["semantics"] == semantics)
                _curves(axes[i, j], curves[here], palette)
                axes[i, j].set_title(f"{metrics[name].heading}, edges {_done(semantics)}")
                axes[i, j].set_ylabel("change of probability" if j == 0 else "")
                if i == len(rows) - 1:
                    axes[i, j].set_xlabel("sparsity (share of edges not selected)")
        _legend(figure, palette.method_handles(set(curves["method"])))
    return figure


def runtime(times: pd.DataFrame, palette: Palette) -> Figure | None:
    """Seconds of one explanation: every node, and the median; see ``runtimes.node_seconds``."""
    if times.empty:
        return None
    medians = times.groupby(["method", "engine"])["seconds"].median()
    order = list(medians.groupby(level="method").min().sort_values(kind="stable").index)
    with _style():
        engines = [name for name in palette.engines if name in set(times["engine"])]
        height = 1.4 + len(order) * max(0.36, 0.2 * len(engines))
        figure, axes = _grid(1, 1, (8.0, height))
        axis = axes[0, 0]
        for (label, engine), rows in times.groupby(["method", "engine"], sort=True)["seconds"]:
            here = [one for one in engines if (label, one) in medians.index]
            offset = (here.index(str(engine)) - (len(here) - 1) / 2) * 0.8 / len(engines)
            place = order.index(label) + offset
            style: dict[str, Any] = {
                "marker": palette.marker(str(engine)),
                "linestyle": "none",
                **palette.marks(str(label)),
            }
            nodes = style | {"markersize": 4, "markeredgewidth": 0.5, "alpha": 0.4}
            axis.plot(rows, [place] * len(rows), **nodes)
            axis.plot([rows.median()], [place], markersize=9, **style)
        axis.set_yticks(range(len(order)), order)
        axis.set_ylim(len(order) - 0.5, -0.5)
        axis.grid(axis="y", visible=False)
        for edge in range(1, len(order)):
            axis.axhline(edge - 0.5, color="0.9", linewidth=0.8)
        _log(axis, "x", times["seconds"], seconds)
        axis.set_xlabel("time of one explanation (small: nodes, large: their median)")
        _legend(figure, palette.engine_handles(engines))
    return figure


def quality_and_cost(points: Sequence[runtimes.Tradeoff], palette: Palette) -> Figure | None:
    """Fidelity+ at ten edges against the time of one explanation, with the Pareto front."""
    if not points:
        return None
    with _style():
        figure, axes = _grid(1, 1, (8.0, 4.6))
        axis = axes[0, 0]
        front = [(point.seconds, point.fidelity.value) for point in points if point.front]
        line = {"color": _GREY, "linestyle": "--", "linewidth": 1.2}
        axis.step(*zip(*front, strict=True), where="post", **line)
        for point in points:
            mean, bounds = point.fidelity, None
            if np.isfinite(mean.low):
                bounds = [[mean.value - mean.low], [mean.high - mean.value]]
            axis.errorbar(
                [point.seconds],
                [mean.value],
                yerr=bounds,
                marker=palette.marker(point.engine),
                markersize=9,
                elinewidth=1.5,
                **palette.marks(point.label),
            )
        _log(axis, "x", [point.seconds for point in points], seconds)
        axis.set_xlabel("median time of one explanation")
        axis.set_ylabel("fidelity+ (prob), 10 edges, masked ↑")
        _legend(
            figure,
            palette.method_handles(point.label for point in points)
            + palette.engine_handles(point.engine for point in points)
            + [_handle("Pareto front", **line)],
        )
    return figure


def sweep(pairs: list[steps.Pair]) -> Figure | None:
    """Heatmaps over n_steps and internal_batch_size: time, memory, errors; the best is framed."""
    fastest = min(
        (pair.values["seconds"] for pair in pairs if pair.status == "ok"), default=float("nan")
    )
    panels: list[tuple[str, str, float, Callable[[float], str]]] = [
        ("seconds", f"time, relative to the fastest ({seconds(fastest)})", fastest, _times),
        ("peak_bytes", "peak memory", 1.0, size),
        ("relative_error", "relative error (to 1,000 steps)", 1.0, share),
        ("convergence_delta", "convergence delta (units of the output)", 1.0, _power),
    ]
    known = {name for pair in pairs for name in pair.values}
    panels = [panel for panel in panels if panel[0] in known]
    if not panels:
        return None
    with _style():
        columns = min(2, len(panels))
        lines = -(-len(panels) // columns)
        figure, axes = _grid(lines, columns, (6.6, 3.6))
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        for axis, (name, title, unit, text) in zip(axes.flat, panels, strict=False):
            values, statuses = steps.sweep_grid(pairs, name)
            _heatmap(axis, values / unit, statuses, text)
            axis.set_title(title)
            if (best := steps.cheapest(pairs)) is not None:
                _frame(axis, values, best)
    return figure


def scaling(medians: pd.DataFrame, palette: Palette) -> Figure | None:
    """Time and memory of one explanation against the problem's size; see ``runtimes.scaling``."""
    if medians.empty:
        return None
    found = {str(name) for name in medians["varied"]}
    varied = [name for name in _AXES if name in found] + sorted(found - set(_AXES))
    measures: list[tuple[str, str, Callable[[float], str]]] = [
        ("seconds", "time of one explanation", seconds),
        ("peak_bytes", "peak memory", size),
    ]
    measures = [one for one in measures if (medians[one[0]] > 0).any()]
    with _style():
        figure, axes = _grid(len(measures), len(varied), (4.2, 3.4), sharex="col", sharey="row")
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
                _log(axis, "x", places, lambda at: f"{at:,g}")
                if len(places) <= 6:
                    axis.xaxis.set_major_locator(FixedLocator(places))
                if i == len(measures) - 1:
                    axis.set_xlabel(_AXES.get(what, what))
            _log(axes[i, 0], "y", shown[name], text)
            axes[i, 0].set_ylabel(title)
        _legend(
            figure,
            palette.method_handles(str(name) for name in medians["method"])
            + palette.engine_handles(str(name) for name in medians["engine"]),
        )
    return figure


def ranks(found: Mapping[str, statistics.Ranks], palette: Palette) -> Figure | None:
    """Critical-difference diagrams by title: an axis of ranks, methods below it, bars that join."""
    if not found:
        return None
    with _style():
        heights = [1.0 + 0.28 * (len(one.means) // 2 + len(one.groups)) for one in found.values()]
        figure = Figure(figsize=(8.0, sum(heights)), layout="constrained")
        axes = figure.subplots(len(found), 1, squeeze=False, height_ratios=heights)
        for axis, (title, one) in zip(axes[:, 0], found.items(), strict=True):
            _critical_differences(axis, one, palette)
            axis.set_title(f"{title} (CD = {one.distance:.2f}, Friedman: {_probability(one.p)})")
    return figure


def overview(ranks: pd.DataFrame) -> Figure:
    """Heatmaps of methods by tasks, one for each metric; see ``ranks.overview``."""
    titles = list(ranks["metric"].unique())
    marks = ranks["at_floor"].map(lambda below: " ‡" if below else "")
    shown = ranks.assign(text=ranks["mean_rank"].map("{:.1f}".format) + marks).pivot(
        index="method", columns=["metric", "task"]
    )
    means, texts = shown["mean_rank"], shown["text"].fillna("")
    order = sorted(means.index, key=lambda method: float(np.nanmean(means.loc[method])))
    widths = [means[title].shape[1] for title in titles]
    with _style():
        size = 2.4 + 0.72 * sum(widths), 1.8 + 0.3 * len(means)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(1, len(titles), squeeze=False, sharey=True, width_ratios=widths)
        for axis, title in zip(axes[0], titles, strict=True):
            sns.heatmap(
                means[title].loc[order],
                ax=axis,
                cmap="crest",
                vmin=1,
                vmax=ranks["mean_rank"].max(),
                annot=texts[title].loc[order].to_numpy(),
                fmt="",
                annot_kws={"fontsize": 8},
                cbar=False,
                linewidths=0.8,
            )
            axis.set(title=title.replace(", 10 edges", ",\n10 edges"), xlabel="", ylabel="")
            axis.grid(visible=False)
            axis.tick_params(axis="both", rotation=0, length=0)
            for label in axis.get_xticklabels():
                label.set(rotation=40, ha="right", rotation_mode="anchor")
    return figure


def agreement(matrices: Mapping[str, pd.DataFrame]) -> Figure | None:
    """Heatmaps of methods by methods, by title."""
    if not matrices:
        return None
    with _style():
        size = 1.6 + 0.42 * max(len(square) for square in matrices.values())
        figure, axes = _grid(1, len(matrices), (size + 0.4, size + 0.6))
        for axis, (title, square) in zip(axes[0], matrices.items(), strict=True):
            sns.heatmap(
                square.astype(float),
                ax=axis,
                cmap="vlag",
                vmin=-1,
                vmax=1,
                annot=True,
                fmt=".2f",
                annot_kws={"fontsize": 7},
                square=True,
                cbar=False,
                linewidths=0.5,
            )
            axis.set(title=title, xlabel="", ylabel="")
            axis.tick_params(axis="x", rotation=90)
            axis.tick_params(axis="y", rotation=0)
    return figure


# ----------------------------------------------------------------------------------------- inside


@contextmanager
def _style() -> Iterator[None]:
    # From matplotlib's own defaults: a reader's settings must not change a report.
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def _grid(
    rows: int, columns: int, panel: tuple[float, float], **sharing: Any
) -> tuple[Figure, Any]:
    # Not pyplot's: it would keep the figures, and ask for a display.
    figure = Figure(figsize=(panel[0] * columns, panel[1] * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **sharing)


def _handle(label: str, **style: Any) -> Line2D:
    return Line2D([], [], label=label, **style)


def _legend(figure: Figure, handles: list[Line2D]) -> None:
    # Beside the panels they would shrink them; names are long. Wide figures take more columns.
    columns = min(len(handles), max(1, int(figure.get_figwidth() // 2.6)))
    lines = -(-len(handles) // columns)
    figure.set_figheight(figure.get_figheight() + 0.2 + 0.24 * lines)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=3.2)


def _done(semantics: str) -> str:
    return {"mask": "masked", "delete": "deleted"}[semantics]


def _probability(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def _critical_differences(axis: Axes, one: statistics.Ranks, palette: Palette) -> None:
    names, k = list(one.means), len(one.means)
    left = (k + 1) // 2  # the better half is named on the left
    groups = one.groups
    top = 0.4 + 0.3 * len(groups)
    for line, group in enumerate(groups):
        ends = [one.means[group[0]] - 0.04, one.means[group[-1]] + 0.04]
        axis.plot(ends, [0.35 + 0.3 * line] * 2, color=_GREY, linewidth=3.5)
    for place, name in enumerate(names):
        better = place < left
        depth = top + 0.45 * (place if better else k - 1 - place)
        end, side = (0.6, "right") if better else (k + 0.4, "left")
        rank, colour = one.means[name], palette.colour(name)
        axis.plot([rank, rank, end], [0, depth, depth], color=colour, linewidth=1.2)
        shift = -0.05 if better else 0.05
        axis.text(end + shift, depth, f"{name} {rank:.2f}", ha=side, va="center", fontsize=9)
    axis.set_xlim(1 - 0.45 * k, k + 0.45 * k)
    axis.set_ylim(top + 0.45 * left, -0.6)
    axis.plot([1, k], [0, 0], color="black", linewidth=1)
    for rank in range(1, k + 1):
        axis.plot([rank, rank], [0, -0.08], color="black", linewidth=1)
        axis.text(rank, -0.12, str(rank), ha="center", va="bottom", fontsize=8)
    axis.set_axis_off()


def _power(value: float) -> str:
    return f"{value:.1e}"


def _times(value: float) -> str:
    return f"{value:.2g}" if value < 99.5 else f"{value:,.0f}"


def _curves(axis: Axes, values: pd.DataFrame, palette: Palette) -> None:
    axis.axhline(0, color=_GREY, linewidth=0.8)
    shown = [name for name in palette.methods if (values["method"] == name).any()]
    for name in shown:
        line = values[values["method"] == name].sort_values("sparsity")
        marks = palette.marks(name) | {"marker": "o", "markersize": 4, "markeredgewidth": 0.8}
        axis.plot(line["sparsity"], line["mean"], linestyle=palette.dash(name), **marks)
        axis.fill_between(
            line["sparsity"],
            line["low"],
            line["high"],
            color=palette.colour(name),
            alpha=0.13 if len(shown) <= 6 else 0.05,  # many bands would hide the lines
            linewidth=0,
        )


def _log(axis: Axes, which: str, values: Iterable[float], text: Callable[[float], str]) -> None:
    """A logarithmic axis with readable numbers: 1, 2, 5 within few decades, else powers of ten."""
    found = np.array([value for value in values if value > 0], dtype=float)
    decades = float(np.log10(found.max() / found.min()))
    getattr(axis, f"set_{which}scale")("log")
    one = getattr(axis, f"{which}axis")
    one.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)))
    one.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
    one.set_minor_locator(NullLocator())
    margin = max(0.08, 0.06 * decades)
    limits = found.min() / 10**margin, found.max() * 10**margin
    if decades < 0.3:  # so near to each other that no tick might be between them
        limits = found.min() / 2.2, found.max() * 2.2
    getattr(axis, f"set_{which}lim")(*limits)


def _heatmap(
    axis: Axes, values: pd.DataFrame, statuses: pd.DataFrame, text: Callable[[float], str]
) -> None:
    found = values.to_numpy()[np.isfinite(values.to_numpy())]
    positive = found[found > 0]
    norm: Normalize | None = None
    shaded = values
    if len(positive) and positive.min() < positive.max():
        norm = LogNorm(positive.min(), positive.max())
        shaded = values.clip(lower=positive.min())  # a zero has no logarithm
    sns.heatmap(
        shaded,
        ax=axis,
        cmap="crest",
        norm=norm,
        annot=values.map(text).to_numpy(),
        fmt="",
        annot_kws={"fontsize": 8},
        cbar=False,
        linewidths=0.8,
    )
    axis.grid(visible=False)
    for i, row in enumerate(statuses.to_numpy()):
        for j, status in enumerate(row):
            if status not in ("", "ok"):
                axis.add_patch(Rectangle((j, i), 1, 1, facecolor="0.88", edgecolor="white"))
                axis.text(j + 0.5, i + 0.5, status, ha="center", va="center", fontsize=8)
    axis.set_xlabel("internal_batch_size")
    axis.set_ylabel("n_steps")
    axis.tick_params(axis="both", rotation=0, length=0)


def _frame(axis: Axes, values: pd.DataFrame, pair: steps.Pair) -> None:
    columns = [str(pair.batch), *([steps.ALL] if pair.batch == pair.n_steps else [])]
    for column in columns:
        if column in values.columns:
            corner = list(values.columns).index(column), list(values.index).index(pair.n_steps)
            axis.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="black", linewidth=2.2))
