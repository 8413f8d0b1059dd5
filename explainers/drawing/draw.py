"""Explanations as pictures: the edges that carry a prediction, and the nodes that they join.

matplotlib and networkx draw; they come with the extra ``draw`` and are imported when asked for.
"""

from __future__ import annotations

import importlib
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.explain import Explanation

from explainers.metrics import ranking

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Shown", "compare", "draw", "shown"]

# Of Okabe and Ito's palette, which the colour-blind can tell apart, the ones on which black text
# can be read; the vermilion is kept for edges. More classes than colours get the next marker.
_COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#BBBBBB")
_MARKERS = "osDh^"
_FOR, _AGAINST = "black", "#D55E00"

# Inches: between neighbours on a ring, between rings at least, of a panel at least and at most.
_NEIGHBOURS, _RING, _SMALLEST, _LARGEST = 0.36, 1.05, 3.3, 5.0
_COLUMNS = 3  # of pictures side by side, before the next row
_RADIUS = 11.0  # of a node, in points

Positions = dict[int, tuple[float, float]]


@dataclass(frozen=True)
class Shown:
    """What a picture shows of an explanation.

    Attributes:
        edges: Positions of the drawn edges in the explanation, the strongest first.
        nodes: Positions of the drawn nodes: the ends of these edges and the explained node; all of
            a graph that is explained as a whole.
        total: How many edges the explanation scores.
        share: Of the sum of all absolute edge scores, what the drawn edges have; 0 if that is 0.
    """

    edges: list[int]
    nodes: list[int]
    total: int
    share: float

    def __str__(self) -> str:
        percent = f"{self.share:.0%} of the absolute score".replace("%", " %")
        share = percent if self.edges else "none has a score"
        return f"{len(self.edges)} of {self.total:,} edges drawn: {share}"


def shown(explanation: Explanation, edges: int = 20) -> Shown:
    """Chooses the ``edges`` edges with the largest absolute scores; never one that scores zero.

    Raises:
        ValueError: ``edges`` is not a whole number from 1, or some scores are NaN or infinite.
    """
    if isinstance(edges, bool) or not isinstance(edges, int) or edges < 1:
        raise ValueError(f"edges is to be a whole number, 1 or more, got {edges!r}")
    scores = _numpy(explanation.edge_mask)
    top = [int(i) for i in ranking(scores)[:edges] if scores[i]]
    index = _index(explanation)
    if index is None:
        nodes = set(range(_node_count(explanation)))
    else:
        nodes = {index, *explanation.edge_index[:, top].flatten().tolist()}
    total = float(np.abs(scores).sum())
    share = float(np.abs(scores[top]).sum()) / total if top else 0.0
    return Shown(top, sorted(nodes), scores.size, share)


def draw(
    explanation: Explanation,
    data: Data | None = None,
    ax: Axes | None = None,
    *,
    edges: int = 20,
    classes: Tensor | Sequence[int] | None = None,
    labels: Sequence[str] | None = None,
    title: str = "",
    note: str = "",
    legend: bool = True,
) -> Axes:
    """Draws an explanation: its strongest edges, and the nodes that they join.

    An edge is the wider and darker, a node the fuller in colour, the larger its absolute score is
    (a node's: summed over its features), relative to the largest in the explanation. Solid black
    edges speak for the explained class, dashed ones against it. The explained node has a thick rim
    and is in the middle; the rings around it are the hops to it.

    Args:
        explanation: Of a method of this library.
        data: The graph; its ``y`` colours the nodes, if it has a class for each.
        ax: Where to draw; None for a new figure of pyplot.
        edges: How many edges to draw at most. The text below says what is left out.
        classes: A class for each node of the graph, [N], in place of ``data.y``; for example the
            model's predictions.
        labels: A text for each node of the graph, [N]; None for its number.
        title: Above the picture, for example the method's name.
        note: A further line below it, for example the fidelity of the drawn edges.
        legend: Whether to explain the colours and lines below the picture.

    Returns:
        The axes.

    Raises:
        ImportError: The extra ``draw`` is not installed.
        ValueError: ``edges``, ``classes`` or ``labels`` cannot be, or scores are NaN.
    """
    matplotlib, networkx = _libraries()
    part = shown(explanation, edges)
    colours = _classes(explanation, data, classes)
    texts = _labels(explanation, labels)
    positions = _positions(networkx, [explanation], [part])
    figure: Figure | None = None
    if ax is None:
        width, height = _size(positions)
        pyplot = importlib.import_module("matplotlib.pyplot")
        figure, ax = pyplot.subplots(figsize=(width, height + 1.3), layout="constrained")
    assert ax is not None
    _panel(matplotlib, ax, explanation, part, positions, colours, texts)
    lines = _words(ax, title, str(part), note)
    if legend:
        handles = _handles(matplotlib, [(explanation, part)], colours)
        style = {"handles": handles, "ncols": min(2, len(handles)), "frameon": False, "fontsize": 8}
        if figure is not None:
            figure.legend(loc="outside lower center", **style)
        else:  # below the lines, whatever else is in the figure
            below = {"bbox_to_anchor": (0.5, 0.0), "borderaxespad": 1.0 + 1.3 * lines}
            ax.legend(loc="upper center", **below, **style).set_in_layout(False)
    return ax


def compare(
    explanations: Mapping[str, Explanation],
    data: Data | None = None,
    *,
    edges: int = 20,
    classes: Tensor | Sequence[int] | None = None,
    labels: Sequence[str] | None = None,
    notes: Mapping[str, str] | None = None,
    title: str = "",
) -> Figure:
    """Draws several explanations of one node side by side; a node has the same place in all.

    Args:
        explanations: By name, for example the method's; all of the same node.
        data: See :func:`draw`, as for ``edges``, ``classes`` and ``labels``.
        edges: How many edges of each.
        classes: A class for each node.
        labels: A text for each node.
        notes: A further line for some of them, by name.
        title: Above all of them.

    Returns:
        A figure that pyplot does not know of.

    Raises:
        ImportError: The extra ``draw`` is not installed.
        ValueError: As :func:`draw`; or no explanation, or of different nodes.
    """
    matplotlib, networkx = _libraries()
    found = list(explanations.values())
    _check_same(explanations)
    parts = [shown(explanation, edges) for explanation in found]
    colours = _classes(found[0], data, classes)
    texts = _labels(found[0], labels)
    positions = _positions(networkx, found, parts)
    width, height = _size(positions)
    columns = min(len(found), _COLUMNS)
    rows = -(-len(found) // columns)
    fit = int(11.5 * width * columns)  # letters of the title in a line
    lines = [part for line in title.splitlines() for part in textwrap.wrap(line, fit)]
    height = rows * (height + 0.75) + 0.35 + 0.2 * len(lines)
    figure: Figure = matplotlib.figure.Figure(
        figsize=(width * columns, height), layout="constrained"
    )
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for ax in panels[len(found) :]:
        ax.set_visible(False)
    for ax, (name, explanation), part in zip(panels, explanations.items(), parts, strict=False):
        _panel(matplotlib, ax, explanation, part, positions, colours, texts)
        _words(ax, name, str(part), (notes or {}).get(name, ""))
    if title:
        figure.suptitle("\n".join(lines), fontsize=11)
    handles = _handles(matplotlib, zip(found, parts, strict=True), colours)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), max(2, int(width * columns / 1.6))),
        frameon=False,
        fontsize=8,
    )
    return figure


# ---------------------------------------------------------------------------------------- checks


def _libraries() -> tuple[Any, Any]:
    try:
        for name in ("figure", "lines", "patches", "patheffects"):
            importlib.import_module(f"matplotlib.{name}")
        importlib.import_module("scipy.optimize")  # networkx places whole graphs with it
        return importlib.import_module("matplotlib"), importlib.import_module("networkx")
    except ImportError as error:
        raise ImportError(
            f"pictures need matplotlib, networkx and scipy ({error}); install them with the extra "
            "`draw`: python -m pip install 'gnn-explainer-bench[draw]'"
        ) from error


def _check_same(explanations: Mapping[str, Explanation]) -> None:
    if not explanations:
        raise ValueError("there is no explanation to draw; give at least one")
    (first, one), *others = explanations.items()
    for name, other in others:
        if (
            _index(one) != _index(other)
            or not torch.equal(_ids(one), _ids(other))
            or not torch.equal(one.edge_index, other.edge_index)
        ):
            raise ValueError(
                f"{first!r} and {name!r} do not explain the same node of the same graph; compare "
                "explanations of one node"
            )


def _classes(
    explanation: Explanation, data: Data | None, classes: Tensor | Sequence[int] | None
) -> list[int] | None:
    """The class of each of the explanation's nodes, or None if there are none."""
    ids = _ids(explanation)
    needed = int(ids.max()) + 1 if ids.numel() else 0
    if classes is None:
        y = None if data is None else data.get("y")
        if (
            data is None
            or _index(explanation) is None  # `y` is of the graphs
            or not isinstance(y, Tensor)
            or y.shape != (data.num_nodes,)
            or y.is_floating_point()
        ):
            return None
        classes = y
    values = torch.as_tensor(classes)
    if values.dim() != 1 or len(values) < needed or values.is_floating_point():
        raise ValueError(
            f"classes is to be one whole number for each node of the graph, [N], got "
            f"{values.dtype} {list(values.shape)}"
        )
    return [int(value) for value in values.cpu()[ids]]


def _labels(explanation: Explanation, labels: Sequence[str] | None) -> list[str]:
    ids = _ids(explanation).tolist()
    if labels is None:
        return [str(node) for node in ids]
    if len(labels) <= max(ids, default=-1):
        raise ValueError(f"{len(labels)} labels, but the graph has a node {max(ids)}; one each")
    return [str(labels[node]) for node in ids]


def _ids(explanation: Explanation) -> Tensor:
    """The nodes' numbers in the graph [n]; an explanation by PyG itself has them all."""
    if "n_id" in explanation:
        return explanation.n_id.cpu()
    return torch.arange(_node_count(explanation))


def _node_count(explanation: Explanation) -> int:
    return int(explanation.num_nodes or 0)


def _index(explanation: Explanation) -> int | None:
    """The explained node's position; None if the whole graph is explained."""
    index = explanation.get("index")
    return None if index is None else int(index)


# ---------------------------------------------------------------------------------------- layout


def _positions(
    networkx: Any, explanations: Sequence[Explanation], parts: Sequence[Shown]
) -> Positions:
    """Where every drawn node is, in inches; explanations of one node only."""
    edges = explanations[0].edge_index.t().tolist()
    index = _index(explanations[0])
    if index is None:
        return _springs(networkx, edges, parts[0].nodes)
    strength: dict[tuple[int, int], float] = {}
    for explanation in explanations:
        for (u, v), score in zip(edges, _scaled(explanation.edge_mask), strict=True):
            strength[u, v] = strength.get((u, v), 0.0) + score
    return _rings(networkx, strength, index, {node for part in parts for node in part.nodes})


def _springs(networkx: Any, edges: Iterable[Sequence[int]], nodes: Sequence[int]) -> Positions:
    """A whole graph: nodes as far from each other as there are hops between them."""
    graph = networkx.Graph(list(edges))
    graph.add_nodes_from(nodes)
    found = dict(networkx.all_pairs_shortest_path_length(graph))
    apart = 1 + max(max(row.values()) for row in found.values())  # components, beside each other
    hops = {u: {v: found[u].get(v, apart) for v in graph} for u in graph}
    ordered = sorted(graph)
    start = networkx.circular_layout(ordered)
    places = networkx.kamada_kawai_layout(graph, dist=hops, pos=start, scale=1.0)
    unit = 0.5 * max(_SMALLEST, min(_LARGEST, 1.1 * math.sqrt(len(ordered))))
    return {node: (unit * float(places[node][0]), unit * float(places[node][1])) for node in nodes}


def _rings(
    networkx: Any, strength: Mapping[tuple[int, int], float], index: int, drawn: set[int]
) -> Positions:
    """The explained node in the middle, each other node on the ring of its hops to it.

    A tree: a node hangs at the nearer node to which its strongest edge leads, and takes a share of
    that one's angle. Nodes that are needed for the tree but not drawn take no room.
    """
    graph = networkx.DiGraph((v, u) for u, v in sorted(strength))
    graph.add_nodes_from(sorted(drawn))
    hops = networkx.single_source_shortest_path_length(graph, index)
    beyond = 1 + max(hops.values())  # cannot reach the explained node; not in a computation graph
    parent: dict[int, int] = {}
    for u, v in sorted(strength, key=lambda edge: (-strength[edge], edge)):
        if u in hops and hops.get(v) == hops[u] - 1:
            parent.setdefault(u, v)
    children: dict[int, list[int]] = {}
    pending, placed = sorted(drawn - {index}), {index}
    while pending:
        node = pending.pop()
        if node not in placed:
            placed.add(node)
            up = parent.get(node, index)
            children.setdefault(up, []).append(node)
            pending.append(up)
    for up, below in children.items():
        below.sort(key=lambda node: (-strength.get((node, up), 0.0), node))

    def room(node: int) -> float:
        own = 1 / hops.get(node, beyond) if node in drawn and node != index else 0.0
        return max(own, sum(room(child) for child in children.get(node, [])))

    def place(node: int, hidden_cache: float, angle: float) -> None:
        hop = hops.get(node, beyond)
        positions[node] = (hop * math.cos(hidden_cache), hop * math.sin(hidden_cache))
        below = children.get(node, [])
        share = angle / sum(map(room, below)) if below else 0.0
        # Clockwise; the strongest child of the explained node is at the top.
        edge = (
            hidden_cache + (share * room(below[0]) if node == index else angle) / 2
            if below
            else 0.0
        )
        for child in below:
            width = share * room(child)
            place(child, edge - width / 2, min(width, math.pi))
            edge -= width

    positions: Positions = {}
    place(index, math.pi / 2, 2 * math.pi)
    reach = max(math.hypot(x, y) for x, y in positions.values()) or 1.0
    unit = max(_RING, _NEIGHBOURS * room(index) / (2 * math.pi))
    unit = min(unit, (_LARGEST - 0.8) / 2 / reach)
    return {node: (unit * x, unit * y) for node, (x, y) in positions.items() if node in drawn}


def _limits(positions: Positions) -> tuple[tuple[float, float], tuple[float, float]]:
    """The panel's horizontal and vertical range in inches."""
    ranges = []
    for values in zip(*positions.values(), strict=True):
        low, high = min(values), max(values)
        ranges.append((low, high))
    (left, right), (bottom, top) = ranges
    wider = max(0.4, (_SMALLEST - (right - left)) / 2)
    return (left - wider, right + wider), (bottom - 0.4, top + 0.4)


def _size(positions: Positions) -> tuple[float, float]:
    (left, right), (bottom, top) = _limits(positions)
    return right - left, top - bottom


# --------------------------------------------------------------------------------------- drawing


def _panel(
    matplotlib: Any,
    ax: Axes,
    explanation: Explanation,
    part: Shown,
    positions: Positions,
    classes: list[int] | None,
    labels: list[str],
) -> None:
    to_indptr = explanation.edge_index.t().tolist()
    signed, scaled = _numpy(explanation.edge_mask), _scaled(explanation.edge_mask)
    index = _index(explanation)

    def line(edge: int, **style: Any) -> None:
        u, v = to_indptr[edge]
        if u == v:
            return  # a self loop: the table has it
        ax.add_patch(
            matplotlib.patches.FancyArrowPatch(
                positions[u], positions[v], shrinkA=_RADIUS, shrinkB=_RADIUS + 1, **style
            )
        )

    if index is None:
        for edge in range(part.total):
            line(edge, arrowstyle="-", color="0.8", linewidth=0.8, zorder=1)
    drawn = {node: positions[node] for node in part.nodes}
    both = {tuple(to_indptr[edge]) for edge in part.edges}
    for rank, edge in enumerate(reversed(part.edges)):  # the strongest on top
        u, v = to_indptr[edge]
        line(
            edge,
            arrowstyle="-|>",
            mutation_scale=8 + 4 * scaled[edge],
            connectionstyle=f"arc3,rad={_bend(u, v, drawn, reverse=(v, u) in both)}",
            zorder=2 + rank / (1 + len(part.edges)),
            **_line(float(signed[edge]), scaled[edge]),
        )
    weights = _node_scores(explanation)
    # The rim of an open circle in the background colour keeps lines off a pale node.
    for node in part.nodes:
        kind = 0 if classes is None else classes[node]
        style: dict[str, Any] = {"s": (2 * _RADIUS) ** 2 * 0.8, "marker": _marker(kind)}
        main = node == index
        ax.scatter(*positions[node], facecolor="white", edgecolor="none", zorder=4, **style)
        ax.scatter(
            *positions[node],
            facecolor=(_colour(kind), 0.25 + 0.75 * weights[node]),
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
    horizontal, vertical = _limits(positions)
    ax.set_xlim(*horizontal)
    ax.set_ylim(*vertical)
    ax.set_aspect("equal")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


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
        if 0 < along < 1 and across < 1.3 * _RADIUS / 72:
            return 4 * _RADIUS / 72 / length  # half of it, times the length, is how far it bulges
    return 0.18 if reverse else 0.0


def _words(ax: Axes, title: str, *lines: str) -> int:
    """The title above and the lines below the panel; returns how many these are."""
    below = list(filter(None, lines))
    ax.set_title(title, fontsize=10, fontweight="bold")
    ax.set_xlabel("\n".join(below), fontsize=8, color="0.25")
    return len(below)


def _handles(
    matplotlib: Any, drawn: Iterable[tuple[Explanation, Shown]], classes: list[int] | None
) -> list[Any]:
    """The legend: what there is in the pictures, and nothing else."""
    kinds: set[int] = set()
    signs: set[bool] = set()
    whole = False
    for explanation, part in drawn:
        kinds |= {classes[node] for node in part.nodes} if classes is not None else set()
        signs |= {bool(explanation.edge_mask[edge] < 0) for edge in part.edges}
        whole |= _index(explanation) is None
    line = matplotlib.lines.Line2D
    round_mark = {"marker": "o", "markersize": 9, "linestyle": "none"}
    handles = [
        line(
            [],
            [],
            label=f"class {kind}",
            color=_colour(kind),
            markeredgecolor="0.45",
            **round_mark | {"marker": _marker(kind)},
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


def _line(score: float, scaled: float) -> dict[str, Any]:
    return {
        "color": _AGAINST if score < 0 else _FOR,
        "linestyle": (0, (3, 1.2)) if score < 0 else "-",
        "linewidth": 0.7 + 2.8 * scaled,
        "alpha": 0.3 + 0.7 * scaled,
    }


def _colour(kind: int) -> str:
    return _COLOURS[kind % len(_COLOURS)]


def _marker(kind: int) -> str:
    return _MARKERS[kind // len(_COLOURS) % len(_MARKERS)]


def _node_scores(explanation: Explanation) -> list[float]:
    """Of each node: the absolute scores of its features, summed and scaled; 1 without any."""
    mask = explanation.get("node_mask")
    if mask is None or mask.size(0) != _node_count(explanation) or not mask.size(1):
        return [1.0] * _node_count(explanation)
    return _scaled(mask.abs().sum(dim=1))


def _scaled(scores: Tensor) -> list[float]:
    """Absolute scores, the largest of them 1; all 0 if there is no other."""
    values = np.abs(_numpy(scores))
    largest = float(values.max(initial=0.0))
    return [float(value) / largest if largest else 0.0 for value in values]


def _numpy(tensor: Tensor) -> Any:
    return tensor.detach().double().cpu().numpy()
