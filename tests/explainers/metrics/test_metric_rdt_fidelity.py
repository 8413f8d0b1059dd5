"""RDT-fidelity: what is drawn, by hand, and in the limits where nothing or all is noise."""

import numpy as np
import pytest
import torch

import explainers
from explainers import metrics
from explainers.metrics.rdt_fidelity import DRAWS, draw, rdt_fidelity

from ..conftest import predict, random_batch, random_graph_model


def test_by_hand(make_case):
    stays = np.zeros((2, DRAWS), dtype=bool)
    stays[0, :5] = stays[1] = True
    drawn = np.where(stays.reshape(-1, 1), [0.4, 0.6], [0.6, 0.4])
    case = make_case(scores=[2, 1], sizes=[1, 2], full=[0.2, 0.8], drawn=drawn)
    assert rdt_fidelity(case)["rdt_fidelity"].tolist() == [5 / DRAWS, 1]
    assert rdt_fidelity(make_case(scores=[1], sizes=[1], numbers=True, drawn=[[1.0]])) == {}
    with pytest.raises(ValueError, match="NaN or infinite; RDT-fidelity needs them"):
        rdt_fidelity(make_case(scores=[1], sizes=[1], drawn=np.full((DRAWS, 2), np.nan)))


def test_the_ends_of_selected_edges_keep_their_features(make_case):
    given = {"scores": [3, 2, 1], "edge_index": [[0, 2, 3], [1, 1, 2]], "sizes": [1, 2, 3]}
    case = make_case(**given, node_scores=np.zeros((5, 0)), index=4)
    kept = draw(case, np.random.default_rng(0)).reshape(3, DRAWS, 5)
    assert (kept == kept[:, :1]).all()  # no scores are equal: every draw selects the same
    assert kept[:, 0].tolist() == [
        [True, True, False, False, True],
        [True, True, True, False, True],
        [True, True, True, True, True],
    ]
    of_graph = draw(make_case(**given, node_scores=np.zeros((5, 0))), np.random.default_rng(0))
    assert not of_graph[:, 4].any()
    tied = make_case(**given, node_scores=np.zeros((5, 0)), orders=np.array([[0, 1, 2], [2, 1, 0]]))
    first = draw(tied, np.random.default_rng(0)).reshape(3, DRAWS, 5)[0]
    assert (first[::2] == [True, True, False, False, False]).all()
    assert (first[1::2] == [False, False, True, True, False]).all()


@pytest.mark.parametrize("engine", ["analytic", "batched", "stock"])
def test_noise_by_hand_on_the_whole_graph(graph, model, engine):
    """The same draws, written into the whole graph's features, one after the other."""
    nodes = [0, 4, 11]
    explanations = explainers.load("integrated_gradients", n_steps=5).explain(model, graph, nodes)
    options = {"at": ["k=1", "f=50%"], "metrics": ["rdt_fidelity"], "selections": ["signed"]}
    rows = metrics.evaluate(model, graph, explanations, engine=engine, **options)
    assert {row["semantics"] for row in rows} == {"mask"}
    found = {(row["node"], row["level"]): row["value"] for row in rows}
    squeezed = metrics.evaluate(
        model, graph, explanations, engine=engine, memory_budget=1, **options
    )
    assert squeezed == rows
    for node, explanation in zip(nodes, explanations, strict=True):
        n, columns = len(explanation.n_id), graph.num_features
        draws = np.random.default_rng([0, node, 2]).random((2 * DRAWS, n, columns))
        order = explanation.edge_mask.argsort(descending=True)
        for k, level in enumerate(options["at"]):
            chosen = order[: metrics.size(level, len(order))]
            ends = explanation.edge_index[:, chosen].flatten().tolist()
            other = [i for i in range(n) if i not in {*ends, int(explanation.index)}]
            stays = []
            for noise in draws[k * DRAWS : (k + 1) * DRAWS]:
                noisy = graph.clone()
                rows_of = torch.from_numpy((noise * graph.num_nodes).astype(np.int64))
                drawn = graph.x.gather(0, rows_of)
                noisy.x = graph.x.clone()
                noisy.x[explanation.n_id[other]] = drawn[other]
                stays.append(
                    predict(model, noisy)[node].argmax() == predict(model, graph)[node].argmax()
                )
            assert found[node, level] == pytest.approx(np.mean(stays))
    both = metrics.evaluate(
        model, graph, explanations, **(options | {"selections": ["absolute", "signed"]})
    )
    assert [row for row in both if row["selection"] == "signed"] == rows
    assert any(0 < value < 1 for value in found.values())


def test_nothing_is_noise_where_all_edges_are_selected():
    data, model = random_batch(2), random_graph_model(2)
    explanations = explainers.load("saliency").explain(model, data, [0, 4])
    rows = metrics.evaluate(model, data, explanations, at=["f=100%"], metrics=["rdt_fidelity"])
    for row in rows:
        one = explanations[[0, 4].index(row["node"])]
        if len(one.edge_index.unique()) == len(one.n_id):
            assert row["value"] == 1
