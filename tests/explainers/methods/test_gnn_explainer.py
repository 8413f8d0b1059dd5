"""GNNExplainer against PyG's own, run by PyG's Explainer."""

import pytest
import torch
from torch_geometric.explain import Explainer
from torch_geometric.explain import GNNExplainer as PyGGNNExplainer
from torch_geometric.explain.config import MaskType

import explainers
from explainers.engines import batched, stock
from explainers.methods.gnn_explainer import initial_masks
from explainers.prepare import prepare

from ..conftest import random_batch, random_graph, random_graph_model, random_model


class _Started(PyGGNNExplainer):
    """PyG's, with given initial masks."""

    def __init__(self, node_mask, edge_mask, **options):
        super().__init__(**options)
        self.start = node_mask, edge_mask

    def _initialize_masks(self, x, edge_index):
        self.node_mask, self.edge_mask = (torch.nn.Parameter(mask.clone()) for mask in self.start)


@pytest.mark.parametrize("engine", explainers.load("gnn_explainer").engines)
@pytest.mark.parametrize("output", ["log_softmax", "softmax", "none"])
def test_equal_to_pygs_from_the_same_start(engine, output):
    data, model = random_graph(3), random_model(3, output=output)
    nodes = torch.tensor([0, 5])
    method = explainers.load("gnn_explainer", engine=engine, epochs=25, lr=0.05, seed=3)
    ours = method.explain(model, data, nodes)
    network = prepare(model, data)
    for node, explanation in zip(nodes, ours, strict=True):
        (problem,) = stock.Stock().problems(network, node.view(1), node.view(1) * 0, 1)
        node_mask, edge_mask = torch.randn(12, 5).double(), torch.randn(data.num_edges).double()
        fields = problem.graphs
        node_mask[fields.n_id], edge_mask[fields.e_id] = initial_masks(problem, seed=3)
        kinds = {"log_softmax": "log_probs", "softmax": "probs", "none": "raw"}
        explainer = Explainer(
            random_model(3, output=output),
            _Started(node_mask, edge_mask, epochs=25, lr=0.05),
            explanation_type="model",
            node_mask_type="attributes",
            edge_mask_type="object",
            model_config={
                "mode": "multiclass_classification",
                "task_level": "node",
                "return_type": kinds[output],
            },
        )
        theirs = explainer(data.x, data.edge_index, index=int(node))
        full = explainers.to_full(explanation, data)
        torch.testing.assert_close(full[0], theirs.node_mask, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(full[1], theirs.edge_mask, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("engine", explainers.load("gnn_explainer").engines)
@pytest.mark.parametrize("output", ["log_softmax", "softmax", "none"])
def test_graphs_equal_to_pygs_from_the_same_start(engine, output):
    data, model = random_batch(3), random_graph_model(3, output=output)
    method = explainers.load("gnn_explainer", engine=engine, epochs=25, lr=0.05, seed=3)
    network = prepare(model, data)
    kinds = {"log_softmax": "log_probs", "softmax": "probs", "none": "raw"}
    for explanation in method.explain(model, data, [0, 5, 11]):
        number = torch.tensor([explanation.graph])
        (problem,) = stock.Stock().problems(network, number, number * 0, 1)
        explainer = Explainer(
            random_graph_model(3, output=output),
            _Started(*initial_masks(problem, seed=3), epochs=25, lr=0.05),
            explanation_type="model",
            node_mask_type="attributes",
            edge_mask_type="object",
            model_config={
                "mode": "multiclass_classification",
                "task_level": "graph",
                "return_type": kinds[output],
            },
        )
        graph = data.get_example(int(explanation.graph))
        theirs = explainer(graph.x, graph.edge_index)
        torch.testing.assert_close(explanation.node_mask, theirs.node_mask, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(explanation.edge_mask, theirs.edge_mask, rtol=1e-6, atol=1e-6)


def test_initial_masks_have_pygs_distribution():
    data, model = random_graph(0, nodes=60, edges=3000, features=40), random_model(0, features=40)
    network = prepare(model, data)
    (problem,) = stock.Stock().problems(network, torch.tensor([0]), torch.tensor([0]), 1)
    algorithm = PyGGNNExplainer()
    torch.manual_seed(0)
    algorithm._initialize_homogeneous_masks(
        MaskType("attributes"), MaskType("object"), 60, 40, data.num_edges, "cpu"
    )
    node_mask, edge_mask = initial_masks(problem, seed=0)
    assert float(node_mask.std()) == pytest.approx(
        float(algorithm.node_mask.detach().std()), rel=0.1
    )
    assert float(edge_mask.std()) == pytest.approx(
        float(algorithm.edge_mask.detach().std()), rel=0.1
    )
    data.batch = torch.arange(60).div(30, rounding_mode="floor")
    data.edge_index = data.edge_index[:, data.batch[data.edge_index].diff(dim=0)[0] == 0]
    network = prepare(random_graph_model(0, features=40), data)
    (problem,) = batched.Batched().problems(network, torch.tensor([0]), torch.tensor([0]), 1)
    _, edge_mask = initial_masks(problem, seed=0)
    algorithm._initialize_homogeneous_masks(
        MaskType("attributes"), MaskType("object"), 30, 40, 10 * len(edge_mask), "cpu"
    )
    assert float(edge_mask.std()) == pytest.approx(
        float(algorithm.edge_mask.detach().std()), rel=0.1
    )


@pytest.mark.parametrize("engine", explainers.load("gnn_explainer").engines)
def test_masks_are_shares_and_unused_entries_are_zero(engine, graph, model):
    graph.x[:, 2] = 0  # a feature that is never there has no gradient
    method = explainers.load("gnn_explainer", engine=engine, epochs=5)
    (explanation,) = method.explain(model, graph, 0)
    assert (explanation.node_mask[:, 2] == 0).all()
    assert ((explanation.edge_mask >= 0) & (explanation.edge_mask <= 1)).all()
    assert (explanation.node_mask[:, 0] > 0).any()
