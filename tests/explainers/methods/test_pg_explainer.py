"""PGExplainer against PyG's own, trained and run by PyG's Explainer."""

import copy

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.explain import Explainer
from torch_geometric.explain import PGExplainer as PyGPGExplainer

import explainers
from explainers.methods.pg_explainer import PGExplainer, _Learned, _Noise
from explainers.prepare import prepare

from ..conftest import (
    Stack,
    predict,
    random_batch,
    random_graph,
    random_graph_model,
    random_model,
)

ENGINES = explainers.load("pg_explainer").engines
KINDS = {"log_softmax": "log_probs", "softmax": "probs", "none": "raw"}


def pygs(model, ours, level, output, *, epochs, lr):
    """PyG's own, with the first weights of ``ours``."""
    algorithm = PyGPGExplainer(epochs=epochs, lr=lr)
    explainer = Explainer(
        model,
        algorithm,
        explanation_type="phenomenon",
        edge_mask_type="object",
        model_config={
            "mode": "multiclass_classification",
            "task_level": level,
            "return_type": KINDS[output],
        },
    )
    algorithm.mlp = copy.deepcopy(ours.algorithm.mlp)
    algorithm.optimizer = torch.optim.Adam(algorithm.mlp.parameters(), lr=lr)
    return explainer


def train(explainer, epoch, uniform, *graph, **options):
    """One step of PyG's, with given noise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "rand_like", lambda _: uniform)
        explainer.algorithm.train(epoch, explainer.model, *graph, **options)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("output", KINDS)
def test_equal_to_pygs_from_the_same_weights_and_noise(engine, output):
    data, model = random_graph(3, nodes=30, edges=90), random_model(3, output=output)
    network = prepare(model, data)
    noise = {v: _Noise(network, torch.tensor([v]), 3, 5) for v in (2, 5, 0, 7, 9, 12)}
    # Without an edge PyG's loss is NaN and its step one of momentum alone; we take none.
    noise = {v: drawn for v, drawn in noise.items() if len(drawn.e_id)}
    training = list(noise)
    # Edges into the border, which the prediction does not depend on but PyG's loss does.
    fields = network.cut(torch.tensor(training))
    assert sum(len(drawn.e_id) for drawn in noise.values()) > len(fields.e_id)
    assert any(len(drawn.e_id) < data.num_edges for drawn in noise.values())
    start = _Learned(network, PGExplainer(epochs=5, lr=0.03, seed=3))
    other = random_model(3, output=output)
    explainer = pygs(other, start, "node", output, epochs=5, lr=0.03)
    target = predict(model, data).argmax(dim=-1)
    for epoch in range(5):
        for node in training:
            uniform = torch.rand(data.num_edges).double()
            uniform[noise[node].e_id] = noise[node].uniform[epoch]
            train(explainer, epoch, uniform, data.x, data.edge_index, target=target, index=node)
    method = explainers.load("pg_explainer", engine=engine, epochs=5, lr=0.03, seed=3)
    method.fit(model, data, training)
    for node in (0, 4, 9):
        (explanation,) = method.explain(model, data, node)
        theirs = explainer(data.x, data.edge_index, target=target, index=node).edge_mask
        torch.testing.assert_close(
            explanation.edge_mask, theirs[explanation.e_id], rtol=1e-6, atol=0
        )


@pytest.mark.parametrize("engine", ENGINES)
def test_equal_to_pygs_on_graphs(engine):
    data, model = random_batch(3, graphs=5), random_graph_model(3)
    network, training = prepare(model, data), [3, 0, 1]
    noise = {g: _Noise(network, torch.tensor([g]), 3, 5) for g in training}
    start = _Learned(network, PGExplainer(epochs=5, lr=0.03, seed=3))
    explainer = pygs(random_graph_model(3), start, "graph", "log_softmax", epochs=5, lr=0.03)
    target = predict(model, data).argmax(dim=-1)
    alone = [data.get_example(g) for g in range(5)]
    batch = [torch.zeros(graph.num_nodes, dtype=torch.long) for graph in alone]
    for epoch in range(5):
        for g in training:
            graph = alone[g].x, alone[g].edge_index
            options = {"target": target[g].view(1), "batch": batch[g]}
            train(explainer, epoch, noise[g].uniform[epoch], *graph, **options)
    method = explainers.load("pg_explainer", engine=engine, epochs=5, lr=0.03, seed=3)
    method.fit(model, data, training)
    for g, explanation in zip((2, 0), method.explain(model, data, [2, 0]), strict=True):
        graph = alone[g].x, alone[g].edge_index
        theirs = explainer(*graph, target=target[g].view(1), batch=batch[g]).edge_mask
        torch.testing.assert_close(explanation.edge_mask, theirs, rtol=1e-6, atol=0)


def test_first_weights_and_noise_have_pygs_distribution(graph, model):
    network = prepare(model, graph)
    torch.manual_seed(0)
    algorithm = PyGPGExplainer(epochs=1)
    algorithm.mlp(torch.zeros(1, 9))  # now that the width is known, the weights are drawn
    ours = _Learned(network, PGExplainer(epochs=1, lr=0.003, seed=0)).algorithm.mlp
    for mine, pygs in zip(ours.parameters(), algorithm.mlp.parameters(), strict=True):
        assert mine.shape == pygs.shape
        assert float(mine.detach().abs().max()) == pytest.approx(
            float(pygs.detach().abs().max()), rel=0.2 if mine.numel() > 1 else 20
        )
    uniform = _Noise(network, torch.tensor([0]), 0, 1000).uniform
    assert 0 <= float(uniform.min()) < 0.01
    assert 0.99 < float(uniform.max()) < 1


def test_finds_the_edge_that_matters():
    """Node 4i gets a message that decides its class and one that says nothing."""
    count = 60
    generator = torch.Generator().manual_seed(0)
    centre = torch.arange(count) * 4
    x = torch.zeros(4 * count, 3, dtype=torch.float64)
    x[centre + 1, torch.randint(2, (count,), generator=generator)] = 5.0
    x[centre + 3, 2] = 5.0
    # Sources get a message of their own, so that their embeddings say what they send.
    source = torch.stack([centre + 1, centre + 3], dim=1).flatten()
    edges = [torch.stack([source, centre.repeat_interleave(2)]), torch.stack([source, source])]
    data = Data(x=x, edge_index=torch.cat(edges, dim=1))
    model = random_model(0, "gcn no loops", 1, features=3, classes=3).requires_grad_(False)
    model.layers[0].lin.weight.copy_(torch.eye(3))
    model.layers[0].bias.copy_(torch.tensor([0.0, 0.0, -9.0]))
    method = explainers.load("pg_explainer", epochs=40, lr=0.02)
    method.fit(model, data, centre[:20])
    for explanation in method.explain(model, data, centre[40:]):
        found = explanation.n_id[explanation.edge_index[0, explanation.edge_mask.argmax()]]
        assert int(found) % 4 == 1


def test_fit_on_chosen_nodes_is_this_objects_alone(graph, model):
    mine = explainers.load("pg_explainer", epochs=2)
    other = explainers.load("pg_explainer", epochs=2)
    (default,) = other.explain(model, graph, 0)
    mine.fit(model, graph, [0, 1])
    (chosen,) = mine.explain(model, graph, 0)
    assert not torch.equal(chosen.edge_mask, default.edge_mask)
    (again,) = other.explain(model, graph, 0)
    assert torch.equal(again.edge_mask, default.edge_mask)
    mine.fit(model, graph)
    (back,) = mine.explain(model, graph, 0)
    assert torch.equal(back.edge_mask, default.edge_mask)


@pytest.mark.parametrize("engine", ENGINES)
def test_nodes_without_edges_teach_nothing(engine, graph, model):
    method = explainers.load("pg_explainer", engine=engine, epochs=2)
    method.fit(model, graph, [11, 0])  # 11 has no edges
    (with_it,) = method.explain(model, graph, 0)
    method.fit(model, graph, [0])
    (without,) = method.explain(model, graph, 0)
    assert torch.equal(with_it.edge_mask, without.edge_mask)
    method.fit(model, graph, [11])
    assert method.explain(model, graph, 0)[0].edge_mask.isfinite().all()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_layer_that_is_run_twice_is_two_hops(engine):
    """PyG's hop count sees modules, not passes, and would leave the second hop out."""

    class Twice(Stack):
        def forward(self, x, edge_index):
            return super().forward(self.layers[0](x, edge_index).relu(), edge_index)

    data = random_graph(0)
    model = Twice(random_model(0, depth=1, classes=5).layers).double().eval()
    method = explainers.load("pg_explainer", engine=engine, epochs=2, training_nodes=4)
    (explanation,) = method.explain(model, data, 3)
    assert explanation.n_id.numel() > 3
    assert (explanation.edge_mask > 0).all()


def test_what_was_learned_goes_with_the_model(graph):
    import gc
    import weakref

    model = random_model(0)
    explainers.load("pg_explainer", epochs=1).explain(model, graph, 0)
    network = weakref.ref(prepare(model, graph))
    del model
    gc.collect()
    assert network() is None


def test_bad_nodes_to_fit(graph, model):
    with pytest.raises(ValueError, match="node 12 is out of range"):
        explainers.load("pg_explainer").fit(model, graph, [12])
