"""Hamiache-Navarro values: published ones, the iterated associated game, and Shapley's."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

import explainers
from explainers.methods.gstarx import bits, growth, hamiache_navarro

from ..conftest import random_graph, random_graph_model, random_model
from .by_hand import output
from .test_myerson import components

# Graphs whose players are worth 1 together and nothing otherwise, with their values: the authors'
# (github.com/ShichangZh/GStarX, utils.py), where they are expected of the iterated associated game.
PUBLISHED = [
    (4, "01 02 03 12", [4 / 9, 7 / 36, 7 / 36, 1 / 6]),
    (4, "01 02 03 12 13", [5 / 18, 5 / 18, 2 / 9, 2 / 9]),
    (5, "01 02 03 12 13 24", [7 / 36, 7 / 36, 10 / 27, 7 / 54, 1 / 9]),
    (5, "01 02 03 04 12 13 34 24", [3 / 14, *[11 / 56] * 4]),
    (5, "01 02 03 14", [5 / 12, 11 / 36, 7 / 72, 7 / 72, 1 / 12]),
]


def links(count, edges):
    neighbours = [0] * count
    for a, b in edges:
        neighbours[a] |= 1 << b
        neighbours[b] |= 1 << a
    return neighbours


def values(count, edges, worth):
    """Of a connected graph, for ``worth`` of frozen sets."""
    everyone = (1 << count) - 1
    sets, rates = growth(links(count, edges), everyone)
    inside = np.array([[some >> i & 1 for i in range(count)] for some in sets], dtype=float)
    known = np.array([worth(frozenset(bits(some))) for some in sets])
    whole = worth(frozenset(range(count)))
    return hamiache_navarro(inside.reshape(len(sets), count), rates, known, whole)


def limit(nodes, edges, worth, share):
    """What the single nodes are worth after many associated games, as defined."""
    edge_index = torch.tensor(edges).view(-1, 2).t()
    sets = [
        frozenset(some)
        for size in range(1, len(nodes) + 1)
        for some in itertools.combinations(nodes, size)
    ]
    parts = {some: [frozenset(p) for p in components(set(some), edge_index)] for some in sets}
    around = {
        some: {b for a, b in edges if a in some} | {a for a, b in edges if b in some}
        for some in sets
    }
    game = {some: sum(worth(part) for part in parts[some]) for some in sets}
    for _ in range(5000):
        claimed = {
            some: game[some]
            + share
            * sum(game[some | {j}] - game[some] - game[frozenset([j])] for j in around[some] - some)
            for some in sets
            if len(parts[some]) == 1
        }
        later = {some: sum(claimed[part] for part in parts[some]) for some in sets}
        change = max(abs(later[some] - game[some]) for some in sets)
        game = later
        if change < 1e-15:
            break
    return [game[frozenset([node])] for node in nodes]


@pytest.mark.parametrize(("count", "edges", "expected"), PUBLISHED)
def test_published_values(count, edges, expected):
    edges = [(int(a), int(b)) for a, b in edges.split()]
    found = values(count, edges, lambda some: float(len(some) == count))
    assert found == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("edges", [one[1] for one in PUBLISHED])
def test_the_limit_of_associated_games_whatever_the_share(edges):
    edges = [(int(a), int(b)) for a, b in edges.split()]
    count = 1 + max(map(max, edges))
    draws = {}
    generator = np.random.default_rng(count)

    def worth(some):
        return draws.setdefault(some, generator.normal())

    found = values(count, edges, worth)
    assert found.sum() == pytest.approx(worth(frozenset(range(count))))
    for share in (0.1, 0.25):
        assert found == pytest.approx(limit(range(count), edges, worth, share), abs=1e-12)


def test_where_all_are_neighbours_it_is_the_shapley_value():
    count = 5
    draws = np.random.default_rng(0).normal(size=2**count)
    draws[0] = 0

    def worth(some):
        return draws[sum(1 << i for i in some)]

    shapley = [
        sum(
            (worth({*some, i}) - worth(some)) / (count * math.comb(count - 1, size))
            for size in range(count)
            for some in itertools.combinations([j for j in range(count) if j != i], size)
        )
        for i in range(count)
    ]
    found = values(count, list(itertools.combinations(range(count), 2)), worth)
    assert found == pytest.approx(shapley, abs=1e-12)


def expected(model, data, index, nodes, target):
    """The limit, of worths by plain calls of the model."""
    nothing = output(model, data, [], index, target)
    inside = [(a, b) for a, b in data.edge_index.t().tolist() if {a, b} <= set(nodes) and a != b]
    return limit(
        nodes, inside, lambda some: output(model, data, some, index, target) - nothing, 0.1
    )


@pytest.mark.parametrize("engine", ["stock", "batched"])
def test_exact_values_of_graphs_and_nodes(engine):
    method = explainers.load("gstarx", engine=engine)
    graph = random_graph(1, nodes=6, edges=7)
    data, model = Batch.from_data_list([graph]), random_graph_model(1)
    (found,) = method.explain(model, data, 0)
    assert len(list(components(set(range(6)), data.edge_index))) > 1
    wanted = torch.tensor(expected(model, data, 0, range(6), int(found.target))).double()
    torch.testing.assert_close(found.node_mask.sum(dim=1), wanted)
    torch.testing.assert_close(found.edge_mask, wanted[found.edge_index].mean(dim=0))

    data, model = random_graph(2, nodes=6, edges=14), random_model(2)
    (found,) = method.explain(model, data, 0)
    nodes = found.n_id.tolist()
    assert len(nodes) > 3
    wanted = torch.tensor(expected(model, data, 0, nodes, int(found.target))).double()
    torch.testing.assert_close(found.node_mask.sum(dim=1), wanted)


def test_means_over_small_games():
    """A path: the nearest three of each node leave no choice."""
    path = torch.stack([torch.arange(4), torch.arange(1, 5)])
    x = torch.randn(5, 5, generator=torch.Generator().manual_seed(0)).double()
    graph = Data(x=x, edge_index=torch.cat([path, path.flip(0)], dim=1))
    data, model = Batch.from_data_list([graph]), random_graph_model(0)
    (found,) = explainers.load("gstarx", game_nodes=3).explain(model, data, 0)
    games = [(0, 1, 2), (0, 1, 2), (1, 2, 3), (2, 3, 4), (2, 3, 4)]
    sums, times = torch.zeros(5).double(), torch.zeros(5).double()
    for nodes in games:
        own = expected(model, data, 0, nodes, int(found.target))
        sums[list(nodes)] += torch.tensor(own).double()
        times[list(nodes)] += 1
    torch.testing.assert_close(found.node_mask.sum(dim=1), sums / times)


def test_bad_options():
    with pytest.raises(ValueError, match="game_nodes"):
        explainers.load("gstarx", game_nodes=1)
