"""Twitch EN, the graph that the suite follows: known explanations, and equality in float32."""

import pytest
import torch

import benchmarks.tasks
import explainers
import explainers.metrics


@pytest.fixture(scope="module")
def twitch():
    try:
        return benchmarks.tasks.load("twitch-en")
    except benchmarks.tasks.Unavailable as error:
        pytest.skip(f"Twitch EN is unavailable: {error}")


def edge(explanation, position):
    return {int(node) for node in explanation.n_id[explanation.edge_index[:, position]]}


@pytest.mark.parametrize("engine", ["analytic", "batched"])
@pytest.mark.parametrize("node", [0, 101])
def test_equal_to_stock(twitch, engine, node):
    (stock,) = explainers.load("integrated_gradients", engine="stock").explain(
        twitch.model, twitch.data, node
    )
    (ours,) = explainers.load("integrated_gradients", engine=engine).explain(
        twitch.model, twitch.data, node
    )
    assert torch.equal(ours.e_id, stock.e_id)
    for mask in ("node_mask", "edge_mask"):
        wrong = (ours[mask] - stock[mask]).abs().max() / stock[mask].abs().max()
        assert float(wrong) < 1e-5


def test_node_0_is_explained_by_82(twitch):
    (explanation,) = explainers.load("integrated_gradients").explain(twitch.model, twitch.data, 0)
    assert explanation.n_id.tolist() == [0, 82, 1484, 5354]
    assert edge(explanation, int(explanation.edge_mask.abs().argmax())) == {0, 82}


def test_node_101_is_carried_by_5398_and_2849(twitch):
    (explanation,) = explainers.load("integrated_gradients").explain(twitch.model, twitch.data, 101)
    into = explanation.edge_index[1] == explanation.index
    sources = explanation.n_id[explanation.edge_index[0, into]]
    assert set(sources.tolist()) == {5398, 2849}
    assert edge(explanation, int(explanation.edge_mask.abs().argmax())) == {101, 5398}


def test_the_headline_of_integrated_gradients_by_each_selection(twitch):
    """Fidelity+ and fidelity- at ten edges over 60 nodes: by signed score they are far better."""
    nodes = [int(node) for node in twitch.nodes[:60]]
    explanations = explainers.load("integrated_gradients").explain(twitch.model, twitch.data, nodes)
    options = {"at": ["k=10"], "metrics": ["fidelity"], "semantics": ["mask"]}
    rows = explainers.metrics.evaluate(twitch.model, twitch.data, explanations, **options)
    for selection, expected in (("absolute", (0.094, 0.057)), ("signed", (0.143, 0.021))):
        for name, value in zip(("fidelity+_prob", "fidelity-_prob"), expected, strict=True):
            own = [
                row["value"]
                for row in rows
                if (row["metric"], row["selection"]) == (name, selection)
            ]
            assert len(own) == 60
            assert sum(own) / 60 == pytest.approx(value, abs=0.001)
