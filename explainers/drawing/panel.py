"""One explanation on one pair of axes: its edges, its nodes, and what the legend says of them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch_geometric.explain import Explanation

from explainers.drawing.layout import DISC, Positions, disc, limits
from explainers.drawing.select import Shown, explained_nodes, node_strengths, strengths

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of Okabe and Ito's palette, which the colour-blind can tell apart, the ones on which black text
# can be read; the vermilion is kept for edges. More classes than colours get the next marker.
COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#BBBBBB")
MARKERS = "osDh^"
FOR, AGAINST, RIGHT = "black", "#D55E00", "#CBB8EE"
LINK: dict[str, Any] = {"color": "0.35", "linestyle": ":", "linewidth": 1.6, "zorder": 1.2}
POINTS = 72  # an inch
LETTERS = 17.6  # of a line below the panel, an inch


def panel(
    matplotlib: Any,
    ax: Axes,
    explanation: Explanation,
    part: Shown,
    positions: Positions,
    classes: list[int] | None,
    labels: list[str],
    right: list[bool],
) -> None:
    """Draws what is shown of an explanation onto ``ax``, an inch for a unit of the positions.

    Args:
        matplotlib: The package, with its submodules imported.
        ax: Where.
        explanation: What is explained.
        part: What is shown of it.
        positions: Of the drawn nodes.
        classes: Of the explanation's nodes, or None.
        labels: Of the explanation's nodes.
        right: Of the explanation's edges, whether they belong to the ground truth.
    """
    _edges(matplotlib, ax, explanation, part, positions, right)
    _nodes(matplotlib, ax, explanation, part, positions, classes, labels)
    horizontal, vertical = limits(positions)
    ax.set_xlim(*horizontal)
    ax.set_ylim(*vertical)
    ax.set_aspect("equal")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def captions(ax: Axes, width: float, title: str, *lines: str) -> int:
    """The title above and the lines below a panel of ``width`` inches; how many the latter are."""
    below = wrapped(lines, width)
    ax.set_title(title, fontsize=10, fontweight="bold")
    ax.set_xlabel("\n".join(below), fontsize=8, color="0.25")
    return len(below)


def wrapped(lines: Iterable[str], width: float) -> list[str]:
    """The lines below a panel of ``width`` inches, folded where they are longer than it."""
    return [part for line in lines for part in textwrap.wrap(line, int(LETTERS * width))]


def legend_handles(
    matplotlib: Any,
    drawn: Iterable[tuple[Explanation, Shown]],
    classes: list[int] | None,
    names: Sequence[str],
    right: list[bool],
) -> list[Any]:
    """The entries of the legend: what there is in the pictures, and nothing else.

    Args:
        matplotlib: The package.
        drawn: Explanations and what is shown of them.
        classes: Of their nodes, or None.
        names: Of the classes; none for numbers.
        right: Of their edges, whether they belong to the ground truth.
    """
    kinds: set[int] = set()
    signs: set[bool] = set()
    marked, explained = False, 0
    for explanation, part in drawn:
        marked |= bool(_marked(explanation, part, right))
        kinds |= {classes[node] for node in part.nodes} if classes is not None else set()
        signs |= {bool(explanation.edge_mask[edge] < 0) for edge in part.edges}
        explained = max(explained, len(explained_nodes(explanation)))
    line = matplotlib.lines.Line2D
    round_mark = {"marker": "o", "markersize": 9, "linestyle": "none"}
    handles = [
        line(
            [],
            [],
            label=names[kind] if kind < len(names) else f"class {kind}",
            color=colour(kind),
            markeredgecolor="0.45",
            **round_mark | {"marker": marker(kind)},
        )
        for kind in sorted(kinds)
    ]
    if explained:
        rim = {"markeredgecolor": "black", "markeredgewidth": 2.0, "color": "white"}
        label = "explained node" if explained == 1 else "ends of the explained link"
        handles.append(line([], [], label=label, **round_mark | rim))
    if explained == 2:
        handles.append(line([], [], label="explained link", **LINK))
    if True in signs:
        handles.append(line([], [], label="for the explained class", **_line(1.0, 0.5)))
        handles.append(line([], [], label="against it", **_line(-1.0, 0.5)))
    elif signs:
        handles.append(line([], [], label="wider, darker: higher score", **_line(1.0, 0.5)))
    if marked:
        handles.append(line([], [], label="ground truth", color=RIGHT, linewidth=6))
    return handles


def colour(kind: int) -> str:
    """The colour of a class."""
    return COLOURS[kind % len(COLOURS)]


def marker(kind: int) -> str:
    """The marker of a class: another one each time that the colours begin again."""
    return MARKERS[kind // len(COLOURS) % len(MARKERS)]


def _marked(explanation: Explanation, part: Shown, right: list[bool]) -> list[int]:
    """The edges of the ground truth between drawn nodes, whether they are drawn or not."""
    nodes = set(part.nodes)
    ends = explanation.edge_index.t().tolist()
    return [e for e, (u, v) in enumerate(ends) if right[e] and u in nodes and v in nodes]


def _edges(
    matplotlib: Any,
    ax: Axes,
    explanation: Explanation,
    part: Shown,
    positions: Positions,
    right: list[bool],
) -> None:
    ends = explanation.edge_index.t().tolist()
    strength = strengths(explanation.edge_mask)
    radius = disc(positions)
    drawn = {node: positions[node] for node in part.nodes}
    both = {tuple(ends[edge]) for edge in part.edges}

    def arrow(edge: int, *, bent: bool = True, **style: Any) -> None:
        u, v = ends[edge]
        if u == v:
            return  # a self loop: the table has it
        bend = _bend(u, v, drawn, radius, reverse=(v, u) in both) if bent else 0.0
        ax.add_patch(
            matplotlib.patches.FancyArrowPatch(
                positions[u],
                positions[v],
                shrinkA=POINTS * radius,
                shrinkB=POINTS * radius + 1,
                connectionstyle=f"arc3,rad={bend}",
                **style,
            )
        )

    if not explained_nodes(explanation):
        for edge in range(part.total):
            arrow(edge, bent=False, arrowstyle="-", color="0.8", linewidth=0.8, zorder=1)
    if len(ends_of_link := explained_nodes(explanation)) == 2:
        ax.plot(*zip(*(positions[end] for end in ends_of_link), strict=True), **LINK)
    for edge in _marked(explanation, part, right):
        # As a drawn edge lies; else straight, so that it can be told that the edge is not drawn.
        bent = tuple(ends[edge]) in both
        arrow(edge, bent=bent, arrowstyle="-", color=RIGHT, linewidth=6, zorder=1.5)
    for rank, edge in enumerate(reversed(part.edges)):  # the strongest on top
        arrow(
            edge,
            arrowstyle="-|>",
            mutation_scale=(8 + 4 * strength[edge]) * (0.5 + 0.5 * radius / DISC),
            zorder=2 + rank / (1 + len(part.edges)),
            **_line(float(explanation.edge_mask[edge]), strength[edge]),
        )


def _nodes(
    matplotlib: Any,
    ax: Axes,
    explanation: Explanation,
    part: Shown,
    positions: Positions,
    classes: list[int] | None,
    labels: list[str],
) -> None:
    roots = explained_nodes(explanation)
    strength = node_strengths(explanation)
    diameter = 2 * POINTS * disc(positions)
    for node in part.nodes:
        kind = 0 if classes is None else classes[node]
        style: dict[str, Any] = {"s": diameter**2, "marker": marker(kind)}
        main = node in roots
        # A disc in the background colour keeps lines off a pale node.
        ax.scatter(*positions[node], facecolor="white", edgecolor="none", zorder=4, **style)
        ax.scatter(
            *positions[node],
            facecolor=(colour(kind), 0.25 + 0.75 * strength[node]),
            edgecolor="black" if main else "0.45",
            linewidth=2.4 if main else 0.7,
            zorder=5,
            **style,
        )
        ax.annotate(
            labels[node],
            positions[node],
            ha="center",
            va="center",
            fontsize=max(4.0, min(0.38, 1.6 / len(labels[node] or "0")) * diameter),
            fontweight="bold" if main else "normal",
            zorder=6,
            path_effects=[matplotlib.patheffects.withStroke(linewidth=1.6, foreground="white")],
        )


def _bend(u: int, v: int, positions: Positions, radius: float, *, reverse: bool) -> float:
    """How much an edge is curved: around a node on its way, and aside from its reverse."""
    start, end = np.array(positions[u]), np.array(positions[v])
    way = end - start
    length = float(np.hypot(*way))
    if not length:
        return 0.0
    for node in positions.keys() - {u, v}:
        beside = np.array(positions[node]) - start
        along = float(beside @ way) / length**2
        across = abs(float(way[0] * beside[1] - way[1] * beside[0])) / length
        if 0 < along < 1 and across < 1.05 * radius:
            return 4 * radius / length  # half of it, times the length, is how far it bulges
    return 0.18 if reverse else 0.0


def _line(score: float, strength: float) -> dict[str, Any]:
    return {
        "color": AGAINST if score < 0 else FOR,
        "linestyle": (0, (3, 1.2)) if score < 0 else "-",
        "linewidth": 0.7 + 2.8 * strength,
        "alpha": 0.3 + 0.7 * strength,
    }
