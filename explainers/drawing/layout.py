"""Where a picture has its nodes: rings around what is explained, or springs for a whole graph."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch_geometric.explain import Explanation

from explainers.drawing.select import Shown, explained_nodes, strengths

# Inches: between neighbours on a ring, between rings at least, of a panel at least and at most.
NEIGHBOURS, RING, SMALLEST, LARGEST = 0.36, 1.05, 3.3, 6.5
GRAPH = 5.0  # of a whole graph at most, inches
MARGIN = 0.4  # around the outermost nodes, inches
DISC = 0.137  # a node's radius where there is room, inches
CROWDED = 1.5  # a ring that would have to grow by more is made of two

BETWEEN = -1  # the two ends of an explained link: the middle of their rings, no node

Positions = dict[int, tuple[float, float]]


def place(networkx: Any, explanations: Sequence[Explanation], parts: Sequence[Shown]) -> Positions:
    """Where every drawn node is, in inches.

    Args:
        networkx: The package.
        explanations: All of the same node, graph or link.
        parts: What is drawn of each.
    """
    edges = explanations[0].edge_index.t().tolist()
    roots = explained_nodes(explanations[0])
    if not roots:
        return _springs(networkx, edges, parts[0].nodes)
    strength: dict[tuple[int, int], float] = {}
    for explanation in explanations:
        for (u, v), score in zip(edges, strengths(explanation.edge_mask), strict=True):
            strength[u, v] = strength.get((u, v), 0.0) + score
    drawn = {node for part in parts for node in part.nodes}
    if len(roots) == 1:
        return _rings(networkx, strength, roots[0], drawn)
    strength |= {(end, BETWEEN): math.inf for end in roots}
    positions = _rings(networkx, strength, BETWEEN, drawn)
    del positions[BETWEEN]
    return positions


def disc(positions: Positions) -> float:
    """The radius of the nodes in inches: smaller where they are close, so that none overlap."""
    nearest = min(
        (math.dist(one, other) for one, other in itertools.combinations(positions.values(), 2)),
        default=math.inf,
    )
    return min(DISC, 0.45 * nearest)


def limits(positions: Positions) -> tuple[tuple[float, float], tuple[float, float]]:
    """The panel's horizontal and vertical range in inches."""
    across, up = zip(*positions.values(), strict=True)
    wider = max(MARGIN, (SMALLEST - (max(across) - min(across))) / 2)
    return (min(across) - wider, max(across) + wider), (min(up) - MARGIN, max(up) + MARGIN)


def size(positions: Positions) -> tuple[float, float]:
    """The panel's width and height in inches."""
    (left, right), (bottom, top) = limits(positions)
    return right - left, top - bottom


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
    unit = 0.5 * max(SMALLEST, min(GRAPH, 1.1 * math.sqrt(len(ordered))))
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
    children = _tree(strength, hops, index, drawn)

    def room(node: int) -> float:
        own = 1 / hops.get(node, beyond) if node in drawn and node != index else 0.0
        return max(own, sum(room(child) for child in children.get(node, [])))

    def put(node: int, middle: float, angle: float) -> None:
        """Gives the node the angle ``middle``, and its children theirs in ``angle`` around it."""
        angles[node] = middle
        below = children.get(node, [])
        if not below:
            return
        share = angle / sum(map(room, below))
        # Clockwise; the strongest child of the explained node is at the top.
        edge = middle + (share * room(below[0]) if node == index else angle) / 2
        for child in below:
            width = share * room(child)
            put(child, edge - width / 2, min(width, math.pi))
            edge -= width

    angles: dict[int, float] = {}
    put(index, math.pi / 2, 2 * math.pi)
    rings: dict[int, dict[int, float]] = {}
    for node in sorted(drawn - {index}):
        rings.setdefault(hops.get(node, beyond), {})[node] = angles[node]
    positions, last = {index: (0.0, 0.0)}, 0.0
    for hop in sorted(rings):
        ring = _ring(rings[hop], max(hop * RING, last + 0.8 * RING))
        last = max(math.hypot(x, y) for x, y in ring.values())
        positions |= ring
    shrink = min(1.0, (LARGEST - 2 * MARGIN) / 2 / (last or 1.0))
    return {node: (shrink * x, shrink * y) for node, (x, y) in positions.items()}


def _ring(angles: Mapping[int, float], radius: float) -> Positions:
    """Nodes at these angles or, where they would overlap, beside them; in inches.

    A ring with too many of them grows; one that would have to grow far is staggered: every other
    node is further out.

    Args:
        angles: Of the nodes.
        radius: At least.
    """
    order = sorted(angles, key=lambda node: (angles[node], node))
    free = [angles[b] - angles[a] for a, b in itertools.pairwise(order)]
    free.append(2 * math.pi + angles[order[0]] - angles[order[-1]])
    cut = free.index(max(free)) + 1  # the circle, at its widest free angle
    wanted = [angles[node] for node in order[cut:]]
    wanted += [angles[node] + 2 * math.pi for node in order[:cut]]
    needed = NEIGHBOURS * len(order) / (2 * math.pi)
    tracks = 1 if needed <= CROWDED * radius else 2
    # Of an odd number the last and the first are on the same track: they need two gaps.
    closing = 1 + (len(order) % 2 if tracks == 2 else 0)
    radius = max(radius, NEIGHBOURS * (len(order) - 1 + closing) / (2 * math.pi) / tracks)
    gap = NEIGHBOURS / tracks / radius
    found = _spread(wanted, gap, 2 * math.pi - closing * gap)
    positions = {}
    for place, (node, angle) in enumerate(zip(order[cut:] + order[:cut], found, strict=True)):
        out = radius + (place % tracks) * NEIGHBOURS
        positions[node] = (out * math.cos(angle), out * math.sin(angle))
    return positions


def _spread(angles: Sequence[float], gap: float, span: float) -> list[float]:
    """The angles nearest to rising ones, by squares, with at least ``gap`` between neighbours.

    That is isotonic regression of the angles less what the gaps before them take. If the result
    takes more than ``span``, all are spread evenly over that.
    """
    blocks: list[tuple[float, int]] = []  # of neighbours that touch: their mean, how many
    for place, angle in enumerate(angles):
        mean, size = angle - place * gap, 1
        while blocks and blocks[-1][0] >= mean:  # pool adjacent violators
            other, more = blocks.pop()
            mean, size = (mean * size + other * more) / (size + more), size + more
        blocks.append((mean, size))
    means = [mean for mean, size in blocks for _ in range(size)]
    found = [mean + place * gap for place, mean in enumerate(means)]
    if found[-1] - found[0] > span:
        found = [angles[0] + span * place / (len(angles) - 1) for place in range(len(angles))]
    return found


def _tree(
    strength: Mapping[tuple[int, int], float],
    hops: Mapping[int, int],
    index: int,
    drawn: set[int],
) -> dict[int, list[int]]:
    """The children of each node on the way from a drawn node to ``index``, the strongest first."""
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
    return children
