"""Methods that learn: whether they came to rest, and whether their masks tell edges apart."""

import pytest
import torch
from torch_geometric.explain import PGExplainer as PyGPGExplainer

import explainers
from explainers.engines import batched
from explainers.methods._learning import collapsed, converged, moments, settled
from explainers.prepare import prepare

from ..conftest import random_graph, random_model

SMALL = {
    "gnn_explainer": {"epochs": 20},
    "pg_explainer": {"epochs": 10, "training_nodes": 4},
    "graph_mask": {"epochs": 10, "training_nodes": 3},
}
ENGINES = [(name, engine) for name in SMALL for engine in explainers.load(name).engines]


def problem_of(model, data, *nodes):
    place = torch.tensor(nodes)
    (problem,) = batched.Batched().problems(prepare(model, data), place, place * 0, 2**28)
    return problem


def test_a_falling_line_has_not_come_to_rest_and_an_exponential_has():
    epochs = torch.arange(200.0)
    assert not converged(1 - epochs / 200)
    assert converged(torch.exp(-epochs / 20))
    assert converged(torch.ones(200))
    # 0.2 of the change is to come in the last tenth: the loss went up again.
    assert not converged(torch.exp(-epochs / 20) + 0.2 * (epochs >= 190))
    assert not converged(torch.exp(-epochs[:9]))  # too few


def test_the_change_in_the_last_tenth_by_hand():
    first, last = torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.0])
    assert settled(first, torch.tensor([0.019, 0.021]), last).tolist() == [True, False]
    assert moments(200) == (1, 179, 199)
    assert moments(1) == (0, 0, 0)


def test_what_is_collapsed_by_hand():
    data, model = random_graph(0), random_model(0)
    problem = problem_of(model, data, 0, 3, 11)  # 11 has no edges
    first, second, none = problem.graphs.edge_counts
    assert (first, second) > (2, 2)
    assert none == 0
    apart = torch.linspace(0, 1, first)
    alike = torch.full((second,), 1e-10)
    assert collapsed(problem, torch.cat([apart, alike])).tolist() == [False, True, False]
    # In a range of 0.009; with one far from all others.
    narrow, wide = (0.5 + width * torch.linspace(0, 1, second) for width in (0.009, 0.2))
    assert collapsed(problem, torch.cat([apart, narrow]))[1]
    assert not collapsed(problem, torch.cat([apart, wide]))[1]


def test_one_edge_apart_from_a_thousand_alike_is_a_collapse():
    data, model = random_graph(0, nodes=60, edges=2000), random_model(0)
    problem = problem_of(model, data, 0)
    assert len(problem.edge_mask) > 1000
    mask = torch.full_like(problem.edge_mask, 0.9)
    mask[0] = 0.5  # a range of 0.4, a Gini index of 0.0004
    assert collapsed(problem, mask).tolist() == [True]


@pytest.mark.parametrize(("name", "engine"), ENGINES)
def test_every_explanation_says_it(name, engine, graph, model):
    method = explainers.load(name, engine=engine, **SMALL[name])
    for explanation in method.explain(model, graph, [0, 3, 11]):
        for state in (explanation.converged, explanation.collapsed):
            assert state.dtype == torch.bool
            assert state.shape == ()


# A weight of the size under which no edge is worth keeping; and settings that leave edges apart.
# Of so small a graph, PGExplainer soon sends all edges to the same end.
CLOSED = {
    "gnn_explainer": {"epochs": 400, "lr": 0.1, "edge_size": 1e4},
    "pg_explainer": {"epochs": 10, "lr": 0.05, "edge_size": 1e4},
    "graph_mask": {"epochs": 10, "lr": 0.1, "penalty": 1e4},
}
APART = {
    "gnn_explainer": {"epochs": 20},
    "pg_explainer": {"epochs": 1},
    "graph_mask": {"epochs": 10},
}


@pytest.mark.parametrize(("name", "engine"), ENGINES)
def test_a_huge_weight_of_the_size_closes_all_edges_and_is_found_out(name, engine, graph, model):
    closed = explainers.load(name, engine=engine, **{**SMALL[name], **CLOSED[name]})
    (explanation,) = closed.explain(model, graph, 0)
    assert float(explanation.edge_mask.max()) < 0.02
    assert bool(explanation.collapsed)
    apart = explainers.load(name, engine=engine, **{**SMALL[name], **APART[name]})
    assert not bool(apart.explain(model, graph, 0)[0].collapsed)


def test_the_method_says_how_its_training_went(graph, model):
    method = explainers.load("pg_explainer", epochs=40, training_nodes=4, edge_size=5.0)
    assert (method.losses, method.converged) == ((), None)
    method.fit(model, graph)
    assert len(method.losses) == 40
    assert method.losses[-1] < method.losses[0]
    assert method.converged is True
    (explanation,) = method.explain(model, graph, 0)
    assert bool(explanation.converged)
    short = explainers.load("pg_explainer", epochs=5, training_nodes=4)
    assert not bool(short.explain(model, graph, 0)[0].converged)
    assert short.converged is False


@pytest.mark.parametrize("name", ["pg_explainer", "graph_mask"])
def test_without_a_training_node_with_edges_nothing_has_converged(name, graph, model):
    method = explainers.load(name, epochs=10)
    method.fit(model, graph, [11])
    assert (method.losses, method.converged) == ((), None)
    assert not bool(method.explain(model, graph, 0)[0].converged)


def test_gnn_explainer_comes_to_rest_if_it_takes_long_enough(graph, model):
    for epochs, expected in ((20, False), (600, True)):
        runs = [
            explainers.load("gnn_explainer", engine=engine, epochs=epochs, lr=0.05)
            for engine in ("batched", "stock")
        ]
        for run in runs:
            (explanation,) = run.explain(model, graph, 0)
            assert bool(explanation.converged) is expected


def test_losses_of_both_engines_are_the_same(graph, model, monkeypatch):
    """PyG's own loss, and ours with its penalties from their derivatives."""
    import explainers.methods.gnn_explainer as module

    seen = []

    def watched(*losses):
        seen.append(losses)
        return settled(*losses)

    monkeypatch.setattr(module, "settled", watched)
    for engine in ("batched", "stock"):
        explainers.load("gnn_explainer", engine=engine, epochs=30, lr=0.05).explain(model, graph, 0)
    for ours, pygs in zip(*seen, strict=True):
        torch.testing.assert_close(ours, pygs, rtol=1e-6, atol=1e-9)


def test_over_seeds_it_is_said_of_all(graph, model, monkeypatch):
    import explainers.methods.gnn_explainer as module

    said = iter([True, True, True, False])
    monkeypatch.setattr(module, "settled", lambda *losses: torch.tensor([next(said)]))
    method = explainers.load("gnn_explainer", epochs=10)
    for expected in (True, False):
        (explanation,) = method.explain(model, graph, 0, seeds=2)
        assert bool(explanation.converged) is expected


@pytest.mark.parametrize("engine", explainers.load("gnn_explainer").engines)
def test_no_word_of_edges_that_are_not_attributed(engine, graph, model):
    method = explainers.load("gnn_explainer", engine=engine, epochs=3, mask_type="node")
    (explanation,) = method.explain(model, graph, 0)
    assert "converged" in explanation
    assert "collapsed" not in explanation


def test_pygs_own_settings_stay_as_they_are(graph, model):
    """PyG keeps what its constructor is given in the class, for all explainers to come."""
    before = dict(PyGPGExplainer.coeffs)
    method = explainers.load("pg_explainer", epochs=1, edge_size=7.0, edge_ent=0.0)
    method.explain(model, graph, 0)
    assert PyGPGExplainer.coeffs == before
    assert explainers.load("pg_explainer").edge_size == before["edge_size"]
    assert explainers.load("pg_explainer").edge_ent == before["edge_ent"]


@pytest.mark.parametrize("option", ["edge_size", "edge_ent"])
def test_bad_weights(option):
    with pytest.raises(ValueError, match=f"{option} must be 0 or more, got -1"):
        explainers.load("pg_explainer", **{option: -1})
    if option == "edge_size":
        with pytest.raises(ValueError, match="edge_size must be 0 or more, got nan"):
            explainers.load("gnn_explainer", edge_size=float("nan"))
