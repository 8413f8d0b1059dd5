"""Methods that learn, of models whose outputs are no classes: against PyG, which is told the aim.

PyG takes the outcome or the number to come out from the user; ours are the model's own.
"""

import copy

import pytest
import torch
from torch_geometric.explain import Explainer
from torch_geometric.explain import PGExplainer as PyGPGExplainer

import explainers
from explainers.engines import batched, stock
from explainers.methods.gnn_explainer import initial_masks
from explainers.methods.graph_mask import OPEN, _Lesson
from explainers.methods.pg_explainer import PGExplainer, _Learned, _Noise
from explainers.prepare import prepare

from ..conftest import Stack, difference, predict, random_graph, random_model
from .test_gnn_explainer import _Started

NODES = [0, 4, 5, 10]  # with edges, and outcomes of both kinds


def said(kind):
    mode, return_type = kind.split()
    mode = {"binary": "binary_classification"}.get(mode, mode)
    return {"mode": mode, "task_level": "node", "return_type": return_type}


class Probability(Stack):
    def forward(self, x, edge_index):
        return super().forward(x, edge_index).sigmoid()


def model_of(kind, columns=1):
    model = random_model(3, classes=columns, output="none")
    model.layers[-1].bias.data += 1.2  # so that some outputs are above 0, and some below
    return Probability(model.layers, "none").double().eval() if "probs" in kind else model


def published(kind):
    """For PyG: the same network before its sigmoid; it takes probabilities as float32 only."""
    return model_of(kind.replace("probs", "raw"))


def aims(kind, output):
    """What should come out: the number, or the outcome that is more likely than not."""
    if kind == "regression raw":
        return output
    return (output > (0.5 if "probs" in kind else 0)).double()


KINDS = ["regression raw", "binary raw", "binary probs"]


@pytest.mark.parametrize("engine", ["batched", "stock"])
@pytest.mark.parametrize("kind", KINDS)
def test_gnn_explainer_keeps_the_models_own_outcome(kind, engine):
    data, model = random_graph(3), model_of(kind)
    aim = aims(kind, predict(model, data))
    assert "regression" in kind or 0 < float(aim[NODES].mean()) < 1
    options = {"epochs": 25, "lr": 0.05}
    method = explainers.load("gnn_explainer", engine=engine, seed=3, **options)
    for explanation in method.explain(model, data, NODES, model_config=said(kind)):
        node = explanation.n_id[explanation.index].view(1)
        (problem,) = stock.Stock().problems(prepare(model, data, said(kind)), node, node * 0, 2**28)
        masks = torch.zeros_like(data.x), torch.zeros(data.num_edges).double()
        for mask, rows, own in zip(
            masks,
            (explanation.n_id, explanation.e_id),
            initial_masks(problem, seed=3),
            strict=True,
        ):
            mask[rows] = own
        explainer = Explainer(
            published(kind),
            _Started(*masks, **options),
            explanation_type="phenomenon",
            node_mask_type="attributes",
            edge_mask_type="object",
            model_config=said(kind.replace("probs", "raw")),
        )
        theirs = explainer(data.x, data.edge_index, target=aim, index=node)
        full = explainers.to_full(explanation, data)
        torch.testing.assert_close(full[0], theirs.node_mask, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(full[1], theirs.edge_mask, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("engine", ["batched", "stock"])
@pytest.mark.parametrize("kind", KINDS)
def test_pg_explainer_is_trained_on_the_models_own_outcome(kind, engine):
    data, model = random_graph(3), model_of(kind)
    aim = aims(kind, predict(model, data))
    network = prepare(model, data, said(kind))
    options = {"epochs": 5, "lr": 0.03}
    start = _Learned(network, PGExplainer(seed=3, **options))
    algorithm = PyGPGExplainer(**options)
    explainer = Explainer(
        published(kind),
        algorithm,
        explanation_type="phenomenon",
        edge_mask_type="object",
        model_config=said(kind.replace("probs", "raw")),
    )
    algorithm.mlp = copy.deepcopy(start.algorithm.mlp)
    algorithm.optimizer = torch.optim.Adam(algorithm.mlp.parameters(), lr=0.03)
    noise = {node: _Noise(network, torch.tensor([node]), 3, 5) for node in NODES}
    assert all(len(drawn.e_id) for drawn in noise.values())  # else PyG's loss is NaN
    for epoch in range(5):
        for node, drawn in noise.items():
            uniform = torch.full((data.num_edges,), 0.5).double()
            uniform[drawn.e_id] = drawn.uniform[epoch]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(torch, "rand_like", lambda _, one=uniform: one)
                algorithm.train(
                    epoch, explainer.model, data.x, data.edge_index, target=aim, index=node
                )
    method = explainers.load("pg_explainer", engine=engine, seed=3, **options)
    method.fit(model, data, NODES, said(kind))
    for node in (0, 4):
        (explanation,) = method.explain(model, data, node, model_config=said(kind))
        theirs = explainer(data.x, data.edge_index, target=aim, index=node).edge_mask
        torch.testing.assert_close(
            explanation.edge_mask, theirs[explanation.e_id], rtol=1e-6, atol=0
        )


@pytest.mark.parametrize("kind", ["binary raw", "binary probs", "regression raw"])
def test_gnn_explainer_of_one_of_several_columns(kind):
    """As if the model had that column alone, on both engines."""
    data, model = random_graph(3), model_of(kind, columns=3)

    class Alone(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x, edge_index):
            return self.model(x, edge_index)[:, 1:2]

    for engine in ("batched", "stock"):
        method = explainers.load("gnn_explainer", engine=engine, epochs=10, lr=0.05)
        found = method.explain(model, data, NODES, [1] * len(NODES), said(kind))
        alone = method.explain(Alone().eval(), data, NODES, model_config=said(kind))
        assert max(map(difference, found, alone)) < 1e-6


@pytest.mark.parametrize("kind", ["binary raw", "binary probs"])
def test_the_divergence_of_a_binary_output_is_of_both_outcomes(kind):
    data, model = random_graph(3), model_of(kind)
    network = prepare(model, data, said(kind))
    method = explainers.load("graph_mask")
    method.engine = "batched"
    gates = method._new_gates(network)
    for linear in gates:  # gates that are shut: nothing but baselines arrives
        torch.nn.init.constant_(linear.last.bias, -1000 - OPEN)
        torch.nn.init.zeros_(linear.baseline)
    for node in NODES:
        index = torch.tensor([node])
        (problem,) = batched.Batched().problems(network, index, index * 0, 2**28)
        _, divergence = _Lesson(problem, 0).gated(gates, 0)
        with torch.no_grad():
            outputs = (
                predict(model, data)[node],
                problem.predict(problem.x[None], torch.zeros_like(problem.edge_mask)[None]).view(
                    -1
                ),
            )
        p, q = (
            torch.distributions.Bernoulli(**{"probs" if "probs" in kind else "logits": one})
            for one in outputs
        )
        expected = torch.distributions.kl_divergence(p, q)
        torch.testing.assert_close(divergence.detach().view(1), expected)


@pytest.mark.parametrize("name", ["pg_explainer", "graph_mask"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_learned_for_one_of_several_columns_is_refused(name, kind, graph):
    method, model = explainers.load(name), model_of(kind, columns=2)
    assert not method.supports(model, graph, said(kind))
    message = "2 independent outputs" if name == "pg_explainer" else "graph_mask does not support"
    with pytest.raises(ValueError, match=message):
        method.explain(model, graph, 0, 1, said(kind))
    with pytest.raises(ValueError, match=message):
        method.fit(model, graph, model_config=said(kind))


def test_graph_mask_has_no_divergence_of_a_real_number(graph):
    kind = "regression raw"
    message = "divergence that it allows is one of probabilities, .* use another method"
    with pytest.raises(ValueError, match=message):
        explainers.load("graph_mask").explain(model_of(kind), graph, 0, model_config=said(kind))
