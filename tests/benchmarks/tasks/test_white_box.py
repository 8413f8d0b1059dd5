"""White-box tasks: the truth is held against the networks' own games."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks
from torch_geometric.utils import k_hop_subgraph

import explainers
from benchmarks import tasks
from benchmarks.tasks._white_box import (
    BLUE,
    COLOURS,
    DEGREE,
    HEADS,
    RED,
    TWO_COLOURS,
    YELLOW,
    WhiteBox,
    labels,
    truth,
)
from explainers import metrics
from explainers.metrics.ground_truth import average_precision

NAMES = [
    f"white-box-{head}{variant}"
    for head in HEADS
    for variant in ("", ":gated", ":scale-free", ":gcn", ":gated-scale-free", ":gated-gcn")
]


def game(model, x, edge_index, node, kept):
    """The output of class 1 at ``node`` given each coalition of ``kept`` [M, E], [M].

    By PyG's masks, on copies of the whole graph side by side.
    """
    found = []
    for part in kept.split(max(1, 300_000 // edge_index.size(1))):
        shift = len(x) * torch.arange(len(part)).repeat_interleave(edge_index.size(1))
        together = edge_index.repeat(1, len(part)) + shift
        mask = torch.nn.Parameter(part.float().flatten(), requires_grad=False)
        set_masks(model, mask, together, apply_sigmoid=False)
        output = model(x.repeat(len(part), 1), together)
        clear_masks(model)
        found.append(output.view(len(part), len(x), -1)[:, node, 1])
    return torch.cat(found)


def inside(node, edge_index):
    """The computation graph's edges: those into the node and into its neighbours."""
    near = k_hop_subgraph(node, 1, edge_index)[0]
    return torch.isin(edge_index[1], near).nonzero().view(-1)


@pytest.mark.parametrize("name", NAMES)
def test_the_network_says_what_counting_says(name):
    task = tasks.load(name)
    assert task.accuracy == 1
    assert torch.equal(task.data.y[task.nodes], torch.ones(len(task.nodes), dtype=torch.int64))
    assert task.architecture == ("gcn" if "gcn" in name else "graph_conv")
    degrees = task.data.edge_index[1].bincount()
    assert ("scale-free" in name) == (int(degrees.max()) > DEGREE)
    assert ("scale-free" in name) or bool((degrees == DEGREE).all())


def smallest(task, count):
    """Explained nodes with few edges, their computation graphs' edges and which are right."""
    edge_index = task.data.edge_index
    sizes = [len(inside(int(node), edge_index)) for node in task.nodes]
    for position in np.argsort(sizes, kind="stable")[:count]:
        node = int(task.nodes[position])
        yield node, inside(node, edge_index), task.ground_truth[node]


@pytest.mark.parametrize("name", NAMES)
def test_dummies_change_nothing(name):
    """Outputs are the same to the last bit, whichever of the other edges are there."""
    task = tasks.load(name)
    x, edge_index = task.data.x, task.data.edge_index
    generator = torch.Generator().manual_seed(0)
    for node, edges, right in smallest(task, 3):
        assert not right[~torch.isin(torch.arange(len(right)), edges)].any()
        chance = torch.tensor([0.2, 0.5, 0.8, 1.0]).repeat(25)[:, None]
        one = torch.rand(100, len(right), generator=generator) < chance
        other = one.where(right, torch.rand(100, len(right), generator=generator) < 0.5)
        given = game(task.model, x, edge_index, node, one)
        assert torch.equal(given, game(task.model, x, edge_index, node, other))
        assert len(given.unique()) > 1  # not constant: the right ones move it


@pytest.mark.parametrize("name", NAMES)
def test_every_right_edge_changes_the_output_of_some_coalition(name):
    task = tasks.load(name)
    x, edge_index = task.data.x, task.data.edge_index
    generator = torch.Generator().manual_seed(0)
    ((node, _, right),) = smallest(task, 1)
    # Half of the edges into the node and few of the others: coalitions in which one walk decides.
    few = torch.tensor([0.03, 0.06, 0.1, 0.2, 0.3]).repeat(8)[:, None]
    chance = torch.where(edge_index[1] == node, torch.tensor(0.5), few)

    def changes(edge):
        kept = torch.rand(chance.shape, generator=generator) < chance
        kept[:, edge] = True
        given = game(task.model, x, edge_index, node, kept)
        kept[:, edge] = False
        return bool((given != game(task.model, x, edge_index, node, kept)).any())

    for edge in right.nonzero().view(-1).tolist():
        assert any(changes(edge) for _ in range(20)), edge


PETERSEN = [
    *((i, (i + 1) % 5) for i in range(5)),
    *((i, i + 5) for i in range(5)),
    *((i + 5, (i + 2) % 5 + 5) for i in range(5)),
]


def shapley(model, x, edge_index, node, edges):
    """Shapley values of ``edges``, by all coalitions: their definition."""
    count = len(edges)
    kept = torch.ones(2**count, edge_index.size(1), dtype=torch.bool)
    subsets = torch.tensor(list(itertools.product([False, True], repeat=count)))
    kept[:, edges] = subsets
    value = game(model, x, edge_index, node, kept).double()
    size = subsets.sum(dim=1)
    weight = torch.tensor(
        [1 / (count * math.comb(count - 1, s)) for s in range(count)], dtype=torch.float64
    )
    # The first player's bit is the highest.
    values = []
    for player in range(count):
        without = (~subsets[:, player]).nonzero().view(-1)
        with_it = without + 2 ** (count - 1 - player)
        values.append(float((weight[size[without]] * (value[with_it] - value[without])).sum()))
    return np.array(values)


@pytest.mark.parametrize("gcn", [False, True])
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_shapley_values_rank_every_right_edge_above_every_dummy(head, gated, gcn):
    """On Petersen's graph: three neighbours each, 12 edges in a computation graph."""
    pairs = torch.tensor(PETERSEN).t()
    edge_index = torch.cat([pairs, pairs.flip(0)], dim=1)
    found = 0
    for seed in range(20):
        colour = torch.from_numpy(np.random.RandomState(seed).randint(len(COLOURS), size=10))
        counted = colour == RED
        if head in TWO_COLOURS:
            counted |= colour == YELLOW
        passes = colour == BLUE if gated else torch.ones(10, dtype=torch.bool)
        right = truth(edge_index, counted, passes)
        y = labels(head, edge_index, colour, passes)
        model = WhiteBox(head, 3, gated=gated, gcn=gcn).requires_grad_(False)
        x = torch.nn.functional.one_hot(colour, len(COLOURS)).float()
        assert torch.equal(model(x, edge_index).argmax(dim=1), y)
        for node in y.nonzero().view(-1).tolist()[:1]:
            edges = inside(node, edge_index)
            assert len(edges) == 12
            scores = np.abs(shapley(model, x, edge_index, node, edges))
            marks = right[node, edges].numpy()
            assert (scores[~marks] == 0).all()
            assert (scores[marks] > 1e-6).all()
            assert average_precision(scores, marks) == 1
            found += not marks.all()
    assert found >= 3


@pytest.mark.parametrize("method", ["degree", "page_rank"])
@pytest.mark.parametrize("name", [name for name in NAMES if "scale-free" not in name])
def test_structure_alone_finds_nothing_on_regular_graphs(name, method):
    task = tasks.load(name)
    nodes = task.nodes[:10].tolist()
    explanations = explainers.load(method).explain(task.model, task.data, nodes)
    rows = metrics.evaluate(
        task.model,
        task.data,
        explanations,
        metrics=["ground_truth"],
        at=["k=10"],
        truth=task.ground_truth,
    )
    values = [row["value"] for row in rows if row["metric"] == "auroc"]
    assert values == [0.5] * len(values)
    assert values or "gated" not in name


def test_truth_by_hand():
    """0 (red) -> 1 (blue) -> 2 -> 3, and 4 (red) -> 5 (white) -> 2; both ways each."""
    pairs = torch.tensor([[0, 1], [1, 2], [2, 3], [4, 5], [5, 2]]).t()
    edge_index = torch.cat([pairs, pairs.flip(0)], dim=1)
    colour = torch.tensor([RED, BLUE, 3, 3, RED, 3])
    gated = truth(edge_index, colour == RED, colour == BLUE)
    free = truth(edge_index, colour == RED, torch.ones(6, dtype=torch.bool))

    def of(marks, node):
        return {tuple(edge) for edge in edge_index[:, marks[node]].t().tolist()}

    assert of(gated, 2) == {(0, 1), (1, 2)}
    assert of(free, 2) == {(0, 1), (1, 2), (4, 5), (5, 2)}
    assert of(gated, 0) == {(0, 1), (1, 0)}  # its own colour comes back
    assert of(gated, 3) == set()
    assert of(gated, 4) == set()
    assert labels("count", edge_index, colour, colour == BLUE).tolist() == [1, 0, 1, 0, 0, 0]
    assert labels("and", edge_index, colour, colour == BLUE).tolist() == [0] * 6
