"""Several threads that explain with one model get what one thread gets."""

from __future__ import annotations

import random
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch_geometric.datasets import KarateClub
from torch_geometric.nn import GCN, GraphSAGE

import explainers

METHODS = {
    "saliency": {},
    "input_x_gradient": {},
    "integrated_gradients": {"n_steps": 5},
    "occlusion": {},
    "gnn_explainer": {"epochs": 3},
    "gradient_shap": {"n_samples": 3},
    "shapley_sampling": {"n_samples": 1},
}
THREADS = 4
MODELS = {
    "gcn of three layers": lambda: GCN(5, 8, 3, 3),
    "gcn of two layers": lambda: GCN(5, 8, 2, 3),
    "sage": lambda: GraphSAGE(5, 8, 2, 3),
}


@pytest.fixture(autouse=True)
def _threads_that_change_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def data():
    data = KarateClub()[0]
    data.x = torch.randn(34, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return data


@pytest.fixture(params=MODELS)
def model(request):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MODELS[request.param]().double().eval()


def same(one, other):
    torch.testing.assert_close(one.node_mask, other.node_mask, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(one.edge_mask, other.edge_mask, rtol=1e-9, atol=1e-9)
    assert torch.equal(one.e_id, other.e_id)


@pytest.mark.parametrize("name", METHODS)
def test_four_threads_get_what_one_gets(name, model, data):
    engine = "stock" if isinstance(model, GraphSAGE) else None
    nodes = [0, 11, 16, 33] * 2 if engine else range(34)  # `stock` takes long for a node
    method = explainers.load(name, engine=engine, **METHODS[name])
    expected = [method.explain(model, data, node)[0] for node in nodes]

    def explain(node):
        return explainers.load(name, engine=engine, **METHODS[name]).explain(model, data, node)[0]

    with ThreadPoolExecutor(THREADS) as pool:
        for one, other in zip(pool.map(explain, nodes), expected, strict=True):
            same(one, other)


def test_the_first_explanation_in_four_threads(data):
    """Nothing is prepared yet."""
    for seed in range(5):
        torch.manual_seed(seed)
        model = GCN(5, 8, 3, 3).double().eval()
        twin = GCN(5, 8, 3, 3).double().eval()
        twin.load_state_dict(model.state_dict())
        expected = explainers.load("saliency").explain(twin, data, list(range(8)))
        method = explainers.load("saliency")
        with ThreadPoolExecutor(THREADS) as pool:
            found = pool.map(lambda v, m=model, s=method: s.explain(m, data, v)[0], range(8))
            for one, other in zip(found, expected, strict=True):
                same(one, other)


def test_a_thousand_calls_of_a_server(model, data):
    """One method object for each kind, any node, in any order; the model predicts meanwhile."""
    served = [
        explainers.load("saliency"),
        explainers.load("input_x_gradient"),
        explainers.load("saliency", engine="batched"),
        explainers.load("integrated_gradients", n_steps=3),
    ]
    expected = [method.explain(model, data, list(range(34))) for method in served]
    with torch.no_grad():
        output = model(data.x, data.edge_index)
    draw = random.Random(0)
    calls = [(draw.randrange(len(served)), draw.randrange(34)) for _ in range(1000)]

    def serve(call):
        which, node = call
        with torch.no_grad():
            predicted = model(data.x, data.edge_index)
        return served[which].explain(model, data, node)[0], predicted

    with ThreadPoolExecutor(THREADS) as pool:
        for (which, node), (one, predicted) in zip(calls, pool.map(serve, calls), strict=True):
            same(one, expected[which][node])
            assert torch.equal(predicted, output)
