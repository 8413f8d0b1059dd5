"""One explanation on one pair of axes: its edges, its nodes, and what the legend says of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from torch_geometric.explain import Explanation

from explainers.drawing.layout import Positions, limits
from explainers.drawing.select import Shown, explained_node, node_strengths, strengths

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of Okabe and Ito's palette, which the colour-blind can tell apart, the ones on which black text
# can be read; the vermilion is kept for edges. More classes than colours get the next marker.
COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#BBBBBB")
MARKERS = "osDh^"
FOR, AGAINST = "black", "#D55E00"
RADIUS = 11.0  # of a node, in points


def panel(
    matplotlib: Any,
    ax: Axes,
    explanation: Explanation,
    part: Shown,
    positions: Positions,
    classes: list[int] | None,
    labels: list[str],
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
    """
    _edges(matplotlib, ax, explanation, part, positions)
    _nodes(matplotlib, ax, explanation, part, positions, classes, labels)
    horizontal, vertical = limits(positions)
    ax.set_xlim(*horizontal)
    ax.set_ylim(*vertical)
    ax.set_aspect("equal")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def captions(ax: Axes, title: str, *lines: str) -> int:
    """The title above and the lines below the panel; returns how many these are."""
    below = list(filter(None, lines))
    ax.set_title(title, fontsize=10, fontweight="bold")
    ax.set_xlabel("\n".join(below), fontsize=8, color="0.25")
    return len(below)


def legend_handles(
    matplotlib: Any, drawn: Iterable[tuple[Explanation, Shown]], classes: list[int] | None
) -> list[Any]:
    """The entries of the legend: what there is in the pictures, and nothing else."""
    kinds: set[int] = set()
    signs: set[bool] = set()
    whole = False
    for explanation, part in drawn:
        kinds |= {classes[node] for node in part.nodes} if classes is not None else set()
        signs |= {bool(explanation.edge_mask[edge] < 0) for edge in part.edges}
        whole |= explained_node(explanation) is None
    line = matplotlib.lines.Line2D
    round_mark = {"marker": "o", "markersize": 9, "linestyle": "none"}
    handles = [
        line(
            [],
            [],
            label=f"class {kind}",
            color=colour(kind),
            markeredgecolor="0.45",
            **round_mark | {"marker": marker(kind)},
        )
        for kind in sorted(kinds)
    ]
    if not whole:
        rim = {"markeredgecolor": "black", "markeredgewidth": 2.0, "color": "white"}
        handles.append(line([], [], label="explained node", **round_mark | rim))
    if True in signs:
        handles.append(line([], [], label="for the explained class", **_line(1.0, 0.5)))
        handles.append(line([], [], label="against it", **_line(-1.0, 0.5)))
    elif signs:
        handles.append(line([], [], label="wider, darker: higher score", **_line(1.0, 0.5)))
    return handles


def colour(kind: int) -> str:
    """The colour of a class."""
    return COLOURS[kind % len(COLOURS)]


def marker(kind: int) -> str:
    """The marker of a class: another one each time that the colours begin again."""
    return MARKERS[kind // len(COLOURS) % len(MARKERS)]


def _edges(
    matplotlib: Any, ax: Axes, explanation: Explanation, part: Shown, positions: Positions
) -> None:
    ends = explanation.edge_index.t().tolist()
    strength = strengths(explanation.edge_mask)

    def arrow(edge: int, **style: Any) -> None:
        u, v = ends[edge]
        if u == v:
            return  # a self loop: the table has it
        ax.add_patch(
            matplotlib.patches.FancyArrowPatch(
                positions[u], positions[v], shrinkA=RADIUS, shrinkB=RADIUS + 1, **style
            )
        )

    if explained_node(explanation) is None:
        for edge in range(part.total):
            arrow(edge, arrowstyle="-", color="0.8", linewidth=0.8, zorder=1)
    drawn = {node: positions[node] for node in part.nodes}
    both = {tuple(ends[edge]) for edge in part.edges}
    for rank, edge in enumerate(reversed(part.edges)):  # the strongest on top
        u, v = ends[edge]
        arrow(
            edge,
            arrowstyle="-|>",
            mutation_scale=8 + 4 * strength[edge],
            connectionstyle=f"arc3,rad={_bend(u, v, drawn, reverse=(v, u) in both)}",
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
    index = explained_node(explanation)
    strength = node_strengths(explanation)
    for node in part.nodes:
        kind = 0 if classes is None else classes[node]
        style: dict[str, Any] = {"s": (2 * RADIUS) ** 2 * 0.8, "marker": marker(kind)}
        main = node == index
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
            fontsize=7.5,
            fontweight="bold" if main else "normal",
            zorder=6,
            path_effects=[matplotlib.patheffects.withStroke(linewidth=1.6, foreground="white")],
        )


def _bend(u: int, v: int, positions: Positions, *, reverse: bool) -> float:
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
        if 0 < along < 1 and across < 1.3 * RADIUS / 72:
            return 4 * RADIUS / 72 / length  # half of it, times the length, is how far it bulges
    return 0.18 if reverse else 0.0


def _line(score: float, strength: float) -> dict[str, Any]:
    return {
        "color": AGAINST if score < 0 else FOR,
        "linestyle": (0, (3, 1.2)) if score < 0 else "-",
        "linewidth": 0.7 + 2.8 * strength,
        "alpha": 0.3 + 0.7 * strength,
    }
