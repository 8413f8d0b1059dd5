"""Counterfactual validity and size: by hand, and against edges taken away one after the other."""

import numpy as np
import pytest
import torch
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks

import explainers
from explainers import metrics
from explainers.metrics.counterfactual import counterfactual

from ..conftest import predict


@pytest.mark.parametrize(
    ("flips", "expected"),
    [
        ([False, False, False], {"counterfactual_validity": 0}),
        ([False, True, True], {"counterfactual_validity": 1, "counterfactual_size": 1}),
        # The largest selection does not flip it, and budgets come in any order.
        ([False, True, False], {"counterfactual_validity": 1, "counterfactual_size": 2}),
        ([True, True, False], {"counterfactual_validity": 1, "counterfactual_size": 2}),
    ],
)
def test_by_hand(make_case, flips, expected):
    without = [[0.6, 0.4] if flip else [0.4, 0.6] for flip in flips]
    case = make_case(scores=[3, 2, 1], sizes=[3, 2, 1], full=[0.3, 0.7], without=without)
    assert counterfactual(case) == expected


def test_what_has_none(make_case):
    assert counterfactual(make_case(scores=[], sizes=[0, 0])) == {}
    case = make_case(scores=[1], sizes=[1], full=[0.2], without=[[0.1]], numbers=True)
    assert counterfactual(case) == {}
    with pytest.raises(ValueError, match="NaN or infinite; counterfactuals need them"):
        counterfactual(make_case(scores=[1], sizes=[1], without=[[np.nan, 1]]))


def test_prefixes_of_the_ranking(graph, model):
    nodes = list(range(10))
    explanations = explainers.load("integrated_gradients", n_steps=5).explain(model, graph, nodes)
    most = max(len(one.edge_mask) for one in explanations)
    rows = metrics.evaluate(
        model,
        graph,
        explanations,
        at=[f"k={k}" for k in range(1, most + 1)],
        metrics=["counterfactual"],
        semantics=["mask"],
        selections=["signed"],
    )
    found = {(row["node"], row["metric"]): row["value"] for row in rows}
    sizes = {}
    for node, explanation in zip(nodes, explanations, strict=True):
        before = int(predict(model, graph)[node].argmax())
        kept = torch.ones(graph.num_edges, dtype=torch.float64)
        for k, edge in enumerate(explanation.edge_mask.argsort(descending=True, stable=True)):
            kept[explanation.e_id[edge]] = 0
            set_masks(model, kept, graph.edge_index, apply_sigmoid=False)
            after = int(predict(model, graph)[node].argmax())
            clear_masks(model)
            if after != before:
                sizes[node] = k + 1
                break
    assert sizes
    assert {n: v for (n, name), v in found.items() if name.endswith("size")} == sizes
    valid = {n for (n, name), v in found.items() if name.endswith("validity") and v}
    assert valid == set(sizes)
