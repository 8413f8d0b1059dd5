"""One explanation on one pair of axes: its edges, its nodes, and what the legend says of them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch_geometric.explain import Explanation

from explainers.drawing.layout import DISC, Positions, disc, limits
from explainers.drawing.select import Shown, explained_nodes, node_strengths, strengths
from explainers.drawing.view import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of Okabe and Ito's palette, which the colour-blind can tell apart, the ones on which black text
# can be read; the vermilion is kept for edges. More classes than colours get the next marker.
COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#BBBBBB")
MARKERS = "osDh^"
FOR, AGAINST, RIGHT = "black", "#D55E00", "#CBB8EE"
LINK: dict[str, Any] = {"color": "0.35", "linestyle": ":", "linewidth": 1.6, "zorder": 1.2}
# Of edge types: dark enough for a line, and none is a node's.
RELATIONS = ("#0072B2", "#D55E00", "#007A5A", "#7B3294", "#4D4D4D", "#C51B7D", "#8C510A")
ASIDE = 0.18  # how much an edge is curved beside another one between the same nodes
POINTS = 72  # an inch
LETTERS = 17.6  # of a line below the panel, an inch


def panel(
    matplotlib: Any,
    ax: Axes,
    view: View,
    part: Shown,
    positions: Positions,
) -> None:
    """Draws what is shown of an explanation onto ``ax``, an inch for a unit of the positions.

    Args:
        matplotlib: The package, with its submodules imported.
        ax: Where.
        view: The explanation.
        part: What is shown of it.
        positions: Of the drawn nodes.
    """
    _edges(matplotlib, ax, view, part, positions)
    _nodes(matplotlib, ax, view, part, positions)
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
    drawn: Sequence[tuple[View, Shown]],
) -> list[Any]:
    """The entries of the legend: what there is in the pictures, and nothing else.

    Args:
        matplotlib: The package.
        drawn: Explanations of one node and what is shown of them.
    """
    view = drawn[0][0]
    classes, names, typed = view.classes, view.names, view.edge_types is not None
    kinds: set[int] = set()
    signs: set[bool] = set()
    marked, explained = False, 0
    relations: set[int] = set()
    for one, part in drawn:
        explanation = one.explanation
        marked |= bool(_marked(explanation, part, one.right))
        relations |= {one.edge_types[edge] for edge in part.edges} if one.edge_types else set()
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
            **round_mark | {"marker": shape(kind) if typed else marker(kind)},
        )
        for kind in sorted(kinds)
    ]
    if explained:
        rim = {"markeredgecolor": "black", "markeredgewidth": 2.0, "color": "white"}
        label = "explained node" if explained == 1 else "ends of the explained link"
        handles.append(line([], [], label=label, **round_mark | rim))
    if explained == 2:
        handles.append(line([], [], label="explained link", **LINK))
    for kind in sorted(relations):
        style = {"color": relation_colour(matplotlib, view, kind), "linewidth": 2.1}
        handles.append(line([], [], label=view.edge_names[kind], **style))
    if True in signs:
        grey = {"color": "0.25"} if typed else {}  # colours are types then
        for label, score in (("for the explained class", 1.0), ("against it", -1.0)):
            handles.append(line([], [], label=label, **_line(score, 0.5) | grey))
    elif signs:
        handles.append(line([], [], label="wider, darker: higher score", **_line(1.0, 0.5)))
    if marked:
        handles.append(line([], [], label="ground truth", color=RIGHT, linewidth=6))
    return handles


def shape(kind: int) -> str:
    """The marker of a node type."""
    return MARKERS[kind % len(MARKERS)]


def relation_colour(matplotlib: Any, view: View, kind: int) -> Any:
    """The colour of an edge type: the same in all pictures of a graph."""
    count = len(view.edge_names)
    if count <= len(RELATIONS):
        return RELATIONS[kind]
    return matplotlib.colormaps["turbo"]((kind + 0.5) / count)


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
    view: View,
    part: Shown,
    positions: Positions,
) -> None:
    explanation, right = view.explanation, view.right
    ends = explanation.edge_index.t().tolist()
    strength = strengths(explanation.edge_mask)
    radius = disc(positions)
    drawn = {node: positions[node] for node in part.nodes}
    both = {tuple(ends[edge]) for edge in part.edges}
    beside: dict[int, int] = {}  # how many drawn edges of other types have the same ends
    for place, edge in enumerate(part.edges):
        beside[edge] = sum(ends[other] == ends[edge] for other in part.edges[:place])

    styles = {edge: _style(matplotlib, view, edge, strength[edge]) for edge in part.edges}

    def arrow(edge: int, *, bent: bool = True, **style: Any) -> None:
        u, v = ends[edge]
        if u == v:
            return  # a self loop: the table has it
        bend = _bend(u, v, drawn, radius, reverse=(v, u) in both) if bent else 0.0
        bend += ASIDE * beside.get(edge, 0)
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
            **styles[edge],
        )


def _nodes(
    matplotlib: Any,
    ax: Axes,
    view: View,
    part: Shown,
    positions: Positions,
) -> None:
    explanation, classes, labels = view.explanation, view.classes, view.labels
    mark = marker if view.edge_types is None else shape
    roots = explained_nodes(explanation)
    strength = node_strengths(explanation)
    diameter = 2 * POINTS * disc(positions)
    for node in part.nodes:
        kind = 0 if classes is None else classes[node]
        style: dict[str, Any] = {"s": diameter**2, "marker": mark(kind)}
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
    return ASIDE if reverse else 0.0


def _style(matplotlib: Any, view: View, edge: int, strength: float) -> dict[str, Any]:
    style = _line(float(view.explanation.edge_mask[edge]), strength)
    if view.edge_types is not None:  # pale colours could not be distinguished
        style["color"] = relation_colour(matplotlib, view, view.edge_types[edge])
        style["alpha"] = 0.6 + 0.4 * strength
    return style


def _line(score: float, strength: float) -> dict[str, Any]:
    return {
        "color": AGAINST if score < 0 else FOR,
        "linestyle": (0, (3, 1.2)) if score < 0 else "-",
        "linewidth": 0.7 + 2.8 * strength,
        "alpha": 0.3 + 0.7 * strength,
    }
