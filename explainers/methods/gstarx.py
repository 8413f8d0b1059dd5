"""GStarX: Hamiache-Navarro values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from explainers.engines.base import Attribution, Problem
from explainers.methods._perturbation import PerturbationMethod, shared
from explainers.methods._seeded import generators
from explainers.methods._subgraphs import ConnectedGame

GAMES = 20  # games whose sets of nodes are computed together

Floats = NDArray[np.float64]


@dataclass(kw_only=True)
class GStarX(PerturbationMethod):
    """Hamiache-Navarro (HN) values of the nodes: neighbours share what they gain by joining.

    Zhang et al., arXiv:2201.12380. The worth of nodes is as in ``myerson``: of a connected part the
    output with its subgraph alone less that with nothing, of others the sum over their parts. The
    HN value is the value of the nodes by themselves at the limit of associated games, where each
    connected part claims a share t of what it gains by each of its neighbours::

        w'(S) = w(S) + t * sum_j (w(S + j) - w(S) - w(j)),    j among the neighbours of S

    The limit is the same for all small t, and computed without iterating. Where all nodes are
    neighbours it is the Shapley value. The authors' code takes t = 0.01 and at most 128 steps, and
    explains probabilities less their mean over the data.

    Exact on computation graphs of up to ``game_nodes`` nodes. On larger ones, as in the authors'
    code, a node's value is the mean over small games: for each node one with as many of the nodes
    nearest to it, those of the last step at random; for a node, of the games that have it. The
    values of each component of a graph add up to what it is worth, where they are exact. A node's
    value is shared equally by its features that are not zero; an edge has the mean of its ends'
    values. Edges between the same nodes have the same score: no white-box task is promised.

    Args:
        game_nodes: See above; the authors take 10. A game has up to 2^game_nodes connected sets.
        seed: Of the random choices.
    """

    deterministic: ClassVar[bool] = False
    slow: ClassVar[bool] = True
    citation: ClassVar[str] = "Zhang et al. 2022, arXiv:2201.12380"

    game_nodes: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("game_nodes", 2)
        self.at_least("seed", 0)

    def attribute(self, problem: Problem) -> Attribution:
        """The values; of an edge the mean of its ends'."""
        game = ConnectedGame(problem)
        count = game.graph.count
        if count <= self.game_nodes:
            players = [(1 << count) - 1]
        else:
            (generator,) = generators(self.seed, problem.owners)
            near = (_nearest(game, node, self.game_nodes, generator) for node in range(count))
            players = [some for some in near if game.counts(some)]
        values, times = np.zeros(count), np.zeros(count)
        for start in range(0, len(players), GAMES):
            for some, found in _played(game, players[start : start + GAMES]):
                values[some] += found
                times[some] += 1
        nodes = torch.from_numpy(values / np.maximum(times, 1)).to(problem.edge_mask)
        return shared(problem, nodes, nodes[problem.graphs.edge_index].mean(dim=0))


def growth(neighbours: Sequence[int], component: int) -> tuple[list[int], Floats]:
    """How sets grow: the connected sets [C] but the last, and for each first player how it passes.

    A set grows from one player, at each step by any of its neighbours with equal probability, up to
    the component.

    Args:
        neighbours: Of each player, as the bits of a number.
        component: The m players, as bits; connected.

    Returns:
        The sets, as bits, and the probabilities [C, m] that a set is passed from each first player,
        over the number of the set's neighbours.
    """
    players = bits(component)
    place = {player: i for i, player in enumerate(players)}
    kind = np.int64 if len(players) < 63 else object
    single = np.array([1 << i for i in range(len(players))], dtype=kind)
    near = np.array(
        [
            sum(1 << place[other] for other in bits(neighbours[player] & component))
            for player in players
        ],
        dtype=kind,
    )
    # A layer is the connected sets of one size, by places among the players, with what is near
    # them and the probabilities that they are passed.
    layer, around, passed = single, near, np.eye(len(players))
    inside, rates = [], []
    for _ in players[1:]:
        joining = around & ~layer
        each = (joining[:, None] & single != 0).astype(np.bool_)
        rate = passed / each.sum(axis=1, keepdims=True)
        inside.append((layer[:, None] & single != 0).astype(np.bool_))
        rates.append(rate)
        row, player = each.nonzero()
        grown = layer[row] | single[player]
        layer, first, to = np.unique(grown, return_index=True, return_inverse=True)
        around = around[row[first]] | near[player[first]]
        passed = np.zeros((len(layer), len(players)))
        np.add.at(passed, to, rate[row])
    members = np.concatenate([np.zeros((0, len(players)), dtype=np.bool_), *inside])
    # As bits of the whole graph's numbers, which no type of NumPy's may hold.
    sets = members.astype(object) @ np.array([1 << player for player in players], dtype=object)
    return sets.tolist(), np.concatenate([np.zeros((0, len(players))), *rates])


def hamiache_navarro(inside: Floats, rates: Floats, worth: Floats, whole: float) -> Floats:
    """The HN values [m] of the players of one component, without iterating.

    They are those numbers p that add up to the component's worth, and for which the expected sum of
    (w(S) - p(S)) / |N(S)| over the sets that are passed (:func:`growth`) is the same whoever is the
    first; N(S) are the neighbours of S, and p(S) is the sum over its members.

    For a sum of l(S) w(S) over the connected sets is kept from one game to its associated game if,
    for sets S of several, |N(S)| l(S) is the sum of l(S - j) over the members j without whom S is
    connected, and the |N(i)| l(i) of the single players add up to zero. So |N(S)| l(S) flows from
    the players through growing sets as probability does, and the sums that are kept are the
    component's worth and the differences between first players of what is above. They are the same
    in the limit, where p(S) is the worth of S.

    Args:
        inside: 1 where a player is a member of a set, else 0, [C, m].
        rates: See :func:`growth`, [C, m].
        worth: Of the sets, [C].
        whole: Of the component.
    """
    ones = np.ones((rates.shape[1], 1))
    system = np.block([[rates.T @ inside, ones], [ones.T, np.zeros((1, 1))]])
    # Unknown are the values and what the expected sum is.
    values: Floats = np.linalg.solve(system, np.append(rates.T @ worth, whole))[:-1]
    return values


def bits(some: int) -> list[int]:
    """The members of a set that is the bits of a number."""
    found = []
    while some:
        lowest = some & -some
        found.append(lowest.bit_length() - 1)
        some ^= lowest
    return found


def _played(game: ConnectedGame, players: Sequence[int]) -> Iterator[tuple[list[int], Floats]]:
    """The players of each game's parts, and their values; all sets are computed together."""
    graph = game.graph
    parts = [part for some in players for part in graph.parts(some)]
    grown = [growth(graph.neighbours, part) if game.counts(part) else None for part in parts]
    wanted = [
        some
        for part, one in zip(parts, grown, strict=True)
        if one is not None
        for some in (part, *one[0])
        if game.counts(some)
    ]
    known = game.worth(wanted)
    for part, one in zip(parts, grown, strict=True):
        members = bits(part)
        if one is None:
            yield members, np.zeros(len(members))
            continue
        sets, rates = one
        inside = graph.rows(sets)[:, members].astype(np.float64)
        worth = np.array([known.get(some, 0.0) for some in sets])
        yield members, hamiache_navarro(inside, rates, worth, known[part])


def _nearest(game: ConnectedGame, start: int, size: int, generator: np.random.Generator) -> int:
    """The nodes nearest to one by steps of either direction, itself among them, as bits."""
    found = level = 1 << start
    while level:
        reached = 0
        for node in bits(level):
            reached |= game.graph.neighbours[node]
        level = reached & ~found
        room = size - found.bit_count()
        if level.bit_count() > room:
            chosen = generator.permutation(bits(level))[:room]
            return found | sum(1 << int(node) for node in chosen)
        found |= level
    return found


METHOD = GStarX
