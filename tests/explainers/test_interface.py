"""The library's front door: discovery, PyG's Explainer, whole-graph masks."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
import torch
from torch_geometric.data import Batch
from torch_geometric.explain import Explainer

import explainers
from explainers import _discovery
from explainers.engines.base import Attribution
from explainers.methods import Method

from .conftest import (
    random_batch,
    random_graph,
    random_graph_model,
    random_link_model,
    random_links,
    suited,
)


def test_available_is_what_there_is():
    names = explainers.available()
    assert names == sorted(names)
    wanted = {"gnn_explainer", "input_x_gradient", "integrated_gradients", "random", "saliency"}
    assert wanted <= set(names)
    assert not any(name.startswith("_") for name in names)


def test_the_library_does_not_know_the_harness():
    code = "import explainers, explainers.metrics, sys; sys.exit('benchmarks' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_captum_is_loaded_by_what_runs_it_only():
    """It brings matplotlib, and takes longer to load than an explanation takes."""
    code = (
        "import sys, torch, explainers, torch_geometric as pyg; "
        "model = pyg.nn.GCN(2, 3, 2, 2); data = pyg.data.Data(x=torch.randn(3, 2), "
        "edge_index=torch.tensor([[0, 1], [1, 2]])); "
        "[explainers.load(name).explain(model, data, 2) for name in "
        "('integrated_gradients', 'saliency', 'input_x_gradient', 'gnn_explainer', 'occlusion', "
        "'shapley_sampling', 'kernel_shap', 'lime')]; "
        "print({'captum', 'matplotlib'} & {*sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def explainer(model, algorithm, level="node", **changes):
    settings = {
        "explanation_type": "model",
        "node_mask_type": "attributes",
        "edge_mask_type": "object",
        "model_config": {
            "mode": "multiclass_classification",
            "task_level": level,
            "return_type": "log_probs",
        },
    }
    return Explainer(model, algorithm, **(settings | changes))


@pytest.mark.parametrize("name", explainers.available())
def test_as_algorithm_in_pygs_explainer(name, graph):
    model = suited(name)
    explanation = explainer(model, explainers.as_algorithm(name))(
        graph.x, graph.edge_index, index=3
    )
    (ours,) = explainers.load(name).explain(model, graph, 3)
    node_mask, edge_mask = explainers.to_full(ours, graph)
    assert torch.equal(explanation.node_mask, node_mask)
    assert torch.equal(explanation.edge_mask, edge_mask)
    assert explanation.validate()


@pytest.mark.parametrize("name", explainers.available())
def test_as_algorithm_for_graphs(name):
    data, model = random_batch(0), suited(name, level="graph")
    graph = data.get_example(4)
    alone = Batch.from_data_list([graph])
    (ours,) = explainers.load(name).explain(model, alone, 0)
    algorithm = explainers.as_algorithm(name)
    for batch in ({}, {"batch": alone.batch}):
        explanation = explainer(model, algorithm, "graph")(graph.x, graph.edge_index, **batch)
        # With `batch` and without, an optimisation may differ in its last digit.
        for mask in ("node_mask", "edge_mask"):
            torch.testing.assert_close(explanation[mask], ours[mask], rtol=1e-9, atol=0)
        assert explanation.validate()
    # One of several: the masks cover the batch.
    explanation = explainer(model, algorithm, "graph")(
        data.x, data.edge_index, batch=data.batch, index=4
    )
    (ours,) = explainers.load(name).explain(model, data, 4)
    node_mask, edge_mask = explainers.to_full(ours, data)
    assert torch.equal(explanation.node_mask, node_mask)
    assert torch.equal(explanation.edge_mask, edge_mask)


def test_unit_says_what_is_explained(graph, model):
    assert explainers.unit(explainers.load("saliency").explain(model, graph, 3)[0]) == 3
    batch = explainers.load("saliency").explain(random_graph_model(0), random_batch(0), [5, 2])
    assert [explainers.unit(explanation) for explanation in batch] == [5, 2]


def test_as_algorithm_with_edge_weights(model):
    data = random_graph(0, weighted=True)
    explanation = explainer(model, explainers.as_algorithm("saliency"))(
        data.x, data.edge_index, index=torch.tensor([3]), edge_weight=data.edge_weight
    )
    (ours,) = explainers.load("saliency").explain(model, data, 3)
    assert torch.equal(explanation.edge_mask, explainers.to_full(ours, data)[1])


def test_as_algorithm_says_what_it_cannot(graph, model):
    algorithm = explainers.as_algorithm("saliency")
    with pytest.raises(ValueError, match="edge_label_index: give the explainer"):
        explainer(model, algorithm, level="edge")(graph.x, graph.edge_index)
    with pytest.raises(ValueError, match="index must name one node, got None"):
        explainer(model, algorithm)(graph.x, graph.edge_index)
    batch = random_batch(0)
    with pytest.raises(ValueError, match="index must name one graph, got None"):
        explainer(random_graph_model(0), algorithm, "graph")(
            batch.x, batch.edge_index, batch=batch.batch
        )
    with pytest.raises(ValueError, match="call the explainer once for each"):
        explainer(model, algorithm)(graph.x, graph.edge_index, index=torch.tensor([0, 1]))


def test_to_full_is_zero_outside_the_field(graph, model):
    (explanation,) = explainers.load("saliency").explain(model, graph, 3)
    nodes, edges = explainers.to_full(explanation, graph)
    assert nodes.shape == graph.x.shape
    assert torch.equal(nodes[explanation.n_id], explanation.node_mask)
    outside = torch.ones(graph.num_edges, dtype=torch.bool)
    outside[explanation.e_id] = False
    assert not edges[outside].any()


@pytest.fixture
def plugged_in(monkeypatch):
    """Pretends that a package with entry points is installed."""

    def plug(*points):
        real = _discovery.entry_points

        def entry_points(group):
            return [*real(group=group), *(p for p in points if p.group == group)]

        monkeypatch.setattr(_discovery, "entry_points", entry_points)

    return plug


def test_a_third_party_adds_a_method(plugged_in, graph, model):
    group = "gnn_explainer_bench.methods"
    plugged_in(EntryPoint("mine", "explainers.methods.random:Random", group))
    assert "mine" in explainers.available()
    method = explainers.load("mine")
    assert method.name == "mine"
    assert len(method.explain(model, graph, [0])) == 1


@pytest.mark.parametrize(
    ("point", "message"),
    [
        (("random", "other.module:X"), r"two methods are called 'random': .* rename one"),
        (("mine", "no.such.module:X"), r"the method 'mine' cannot be imported from 'no.such"),
        (("mine", "math:pi"), r"the method 'mine' must be a subclass"),
    ],
)
def test_bad_third_party(point, message, plugged_in):
    plugged_in(EntryPoint(*point, "gnn_explainer_bench.methods"))
    with pytest.raises(ValueError, match=message):
        explainers.load("mine")


@pytest.mark.parametrize("engine", ["batched", "stock"])
@pytest.mark.parametrize("nodes", [[0], [0, 3]])
@pytest.mark.parametrize(
    ("attribute", "got"),
    [
        (lambda x, edges: None, r"got NoneType"),
        (lambda x, edges: Attribution(x, None), r"got \[\d+, 5\] and NoneType"),
        (lambda x, edges: Attribution(x, edges.numpy()), r"got \[\d+, 5\] and ndarray"),
        (lambda x, edges: Attribution(x, edges[1:]), r"got \[\d+, 5\] and \[\d+\]"),
        (lambda x, edges: Attribution(x, edges.repeat(2)), r"got \[\d+, 5\] and \[\d+\]"),
        (lambda x, edges: Attribution(x, edges[None]), r"got \[\d+, 5\] and \[1, \d+\]"),
    ],
)
def test_a_method_that_does_not_score_every_edge(attribute, got, nodes, engine, graph, model):
    class Mine(Method):
        def attribute(self, problem):
            return attribute(problem.x, problem.edge_mask)

    message = r"Mine: attribute\(\) must return an Attribution .* \[\d+, 5\] and \[\d+\]; "
    with pytest.raises(ValueError, match=message + got):
        Mine(engine=engine).explain(model, graph, nodes)


@pytest.mark.parametrize("name", ["gnn_explainer", "integrated_gradients", "occlusion"])
def test_as_algorithm_for_links(name, graph):
    model, links = random_link_model(0, decoder="classes"), random_links(0)
    algorithm = explainers.as_algorithm(name)
    ours = explainers.load(name).explain(model, graph, edges=links)
    for r in (1, 4):
        node_mask, edge_mask = explainers.to_full(ours[r], graph)
        # One link alone, also without a second dimension; or one of several.
        for given in ({"edge_label_index": links[:, r]}, {"edge_label_index": links, "index": r}):
            found = explainer(model, algorithm, "edge")(graph.x, graph.edge_index, **given)
            torch.testing.assert_close(found.node_mask, node_mask, rtol=1e-9, atol=1e-12)
            torch.testing.assert_close(found.edge_mask, edge_mask, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="index must name one edge, got None"):
        explainer(model, algorithm, "edge")(graph.x, graph.edge_index, edge_label_index=links)
