"""Counterfactuals by rankings, by searches and by trying all sets: against plain calls."""

import itertools

import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import SimpleConv

import explainers
from benchmarks.measures.counterfactual import (
    BY_ALL,
    BY_RANKING,
    BY_SET,
    EVERY,
    SMALL,
    fewest_deletions,
    lengths,
    of_sets,
    scored,
)
from benchmarks.tasks import load
from explainers.metrics import evaluate

WEIGHTS = [0.04, 0.1, 0.2, 0.1, 0.15, -0.02]  # of a star's edges: 0.57, the second class


class Sum(torch.nn.Module):
    """The second class's probability is the sum of what the neighbours send."""

    def __init__(self):
        super().__init__()
        self.conv = SimpleConv(aggr="sum")

    def forward(self, x, edge_index):
        one = self.conv(x, edge_index).clamp(1e-6, 1 - 1e-6)
        return torch.cat([1 - one, one], dim=1).log()


def star(scores, metric, weights=WEIGHTS, **options):
    """The values of a star's centre, whose edges have these weights and scores."""
    count = len(weights)
    x = torch.tensor([0.0, *weights], dtype=torch.float64)[:, None]
    data = Data(
        x=x, edge_index=torch.stack([torch.arange(1, count + 1), torch.zeros(count).long()])
    )
    (explanation,) = explainers.load("saliency").explain(Sum(), data, [0])
    explanation.edge_mask = torch.tensor(scores, dtype=torch.float64)
    rows = evaluate(
        Sum(),
        data,
        [explanation],
        at=["f=100%"],
        semantics=["delete"],
        selections=["signed"],
        metrics=[metric],
        **options,
    )
    return {row["metric"]: row["value"] for row in rows}


@pytest.mark.parametrize(
    ("scores", "size"),
    [
        (WEIGHTS, 1),  # without 0.2 it is 0.37
        ([9, 1, 2, 3, 8, 5.0], 2),  # 0.53, 0.38
        ([-1, -2, -3, -4, -5, 6.0], 3),  # 0.59, 0.55, 0.45
    ],
)
@pytest.mark.parametrize("engine", ["batched", "stock"])
def test_the_shortest_prefix_by_hand(scores, size, engine):
    found = star(scores, BY_RANKING, engine=engine)
    assert found == {"flip_validity": 1, "flip_size": size}


def test_where_no_deletion_changes_the_class_there_is_no_size():
    weights = [0.1, 0.2]  # the first class, whatever is deleted
    assert star([1.0, 2.0], BY_RANKING, weights) == {"flip_validity": 0}
    assert star([1.0, 2.0], BY_ALL, weights) == {"fewest_validity": 0}


def test_a_set_is_taken_as_it_is():
    assert star([0, 1, 0, 0, 0, 0.0], BY_SET) == {"flip_validity": 1, "flip_size": 1}
    assert star([0, 1, 0, 1, 1, 0.0], BY_SET) == {"flip_validity": 1, "flip_size": 3}
    assert star([1, 0, 0, 0, 0, 1.0], BY_SET) == {"flip_validity": 0}


def test_the_fewest_by_hand():
    # 0.9: no two of them leave less than a half.
    weights = [0.15, 0.15, 0.15, 0.15, 0.15, 0.15]
    assert star([0.0] * 6, BY_ALL, weights) == {"fewest_validity": 1, "fewest_size": 3}
    assert star([0.0] * 6, BY_ALL) == {"fewest_validity": 1, "fewest_size": 1}
    with pytest.raises(ValueError, match="all are tried up to 15"):
        star([0.0] * (SMALL + 1), BY_ALL, [0.1] * (SMALL + 1))


def test_the_lengths():
    assert lengths(0).tolist() == []
    assert lengths(3).tolist() == [1, 2, 3]
    many = lengths(10_000)
    assert many[:EVERY].tolist() == list(range(1, EVERY + 1))
    assert many[-1] == 10_000
    assert len(many) < 350
    assert (np.diff(many) >= 1).all()
    assert (many[EVERY:] <= np.ceil(1.02 * many[EVERY - 1 : -1])).all()


def test_against_plain_calls_of_the_model():
    task = load("karate")
    nodes = task.nodes[:12].tolist()

    def class_without(node, edges):
        keep = torch.ones(task.data.num_edges, dtype=torch.bool)
        keep[edges] = False
        with torch.no_grad():
            return int(task.model(task.data.x, task.data.edge_index[:, keep])[node].argmax())

    explanations = explainers.load("random").explain(*task.arguments(nodes))  # no equal scores
    values = {(r["node"], r["metric"]): r["value"] for r in scored(task, explanations, BY_RANKING)}
    flipped = 0
    for node, one in zip(nodes, explanations, strict=True):
        order = one.e_id[one.edge_mask.argsort(descending=True)]
        size = next(
            (k for k in lengths(len(order)) if class_without(node, order[:k]) != one.target), None
        )
        assert values[node, "flip_validity"] == (size is not None)
        assert values.get((node, "flip_size")) == size
        flipped += size is not None
    assert 0 < flipped < len(nodes)

    searched = explainers.load("cf_explainer", epochs=60).explain(*task.arguments(nodes))
    rows = scored(task, of_sets(searched), BY_SET)
    own = {row["node"]: row["value"] for row in rows if row["metric"] == "flip_validity"}
    for node, one in zip(nodes, searched, strict=True):
        changes = class_without(node, one.e_id[one.selected_edges]) != one.target
        assert own[node] == changes == bool(one.valid)
    assert 0 < sum(own.values()) < len(nodes)
    assert of_sets(explanations) == []

    small = {(r["node"], r["metric"]): r["value"] for r in fewest_deletions(task, explanations)}
    some = [one for one in explanations if len(one.e_id) <= 10]
    assert some
    for one in some:
        node = int(one.n_id[one.index])
        sizes = [
            k
            for k in range(1, len(one.e_id) + 1)
            for edges in itertools.combinations(one.e_id.tolist(), k)
            if class_without(node, list(edges)) != one.target
        ]
        assert small.get((node, "fewest_size")) == (min(sizes) if sizes else None)
