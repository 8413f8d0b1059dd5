"""Link tasks: the split is PyG's and hides its test, and the white box is held against its game."""

from __future__ import annotations

import networkx
import pytest
import torch
from torch_geometric.utils import negative_sampling

import explainers
from benchmarks import tasks
from benchmarks.measures.engines import output_of
from benchmarks.tasks import _training, karate
from benchmarks.tasks._links import RECIPE, links, split
from benchmarks.tasks._models import LinkGNN
from explainers import metrics

WHITE = ("white-box-common-neighbours", "white-box-common-neighbours:saturated")


def pairs(edges):
    return {tuple(sorted(edge)) for edge in edges.t().tolist()}


def test_what_is_tested_sends_no_message():
    whole = karate.TASK.build(None).data
    data = split(whole)
    positive, tested = data.y == 1, data.test_mask
    given, trained = pairs(data.edge_index), pairs(data.edge_label_index[:, data.train_mask])
    hidden = pairs(data.edge_label_index[:, tested & positive])
    none = pairs(data.edge_label_index[:, ~positive])
    assert given == trained
    assert hidden
    assert not hidden & given
    assert hidden | given < pairs(whole.edge_index)  # the rest is PyG's validation
    assert not none & pairs(whole.edge_index)
    assert int((tested & positive).sum()) == int((~positive).sum()) == len(hidden)
    again = split(whole)
    assert torch.equal(again.edge_label_index, data.edge_label_index)
    # Both directions of what is left.
    assert torch.equal(data.edge_index.flip(0).unique(dim=1), data.edge_index.unique(dim=1))


def test_the_task_explains_hidden_links_of_a_trained_network(monkeypatch, tmp_path):
    monkeypatch.setenv("GNN_BENCH_CACHE", str(tmp_path))
    drawn = []

    def sampling(*args, **options):
        drawn.append(negative_sampling(*args, **options))
        return drawn[-1]

    monkeypatch.setattr(_training, "negative_sampling", sampling)
    dataset = links(karate.TASK, "t", "d").build(None)
    model = _training.trained(dataset.data, RECIPE, 0, "karate-links")
    assert isinstance(model, LinkGNN)
    assert [conv.out_channels for conv in model.convs] == [128, 64]
    assert dataset.class_names == ("no link", "link")
    assert torch.equal(dataset.explainable, dataset.data.test_mask & (dataset.data.y == 1))
    # Pairs without an edge, others in each epoch.
    assert len(drawn) == RECIPE.epochs
    assert drawn[0].size(1) == int(dataset.data.train_mask.sum())  # as many as there are links
    assert not torch.equal(drawn[0], drawn[1])
    assert not pairs(drawn[0]) & pairs(dataset.data.edge_index)
    # It has learned the links it was given: by hand, the inner product of two embeddings.
    embeddings = model.nodes(dataset.data.x, dataset.data.edge_index)
    source, target = dataset.data.edge_label_index
    scores = (embeddings[source] * embeddings[target]).sum(dim=1)
    output = model(dataset.data.x, dataset.data.edge_index, dataset.data.edge_label_index)
    torch.testing.assert_close(output[:, 1].exp(), scores.sigmoid())
    torch.testing.assert_close(output.exp().sum(dim=1), torch.ones(len(output)))
    assert float((scores[dataset.data.train_mask] > 0).float().mean()) > 0.9


@pytest.mark.parametrize("name", WHITE)
def test_the_truth_is_what_changes_the_output(name):
    task = tasks.load(name)
    assert task.accuracy == 1
    data, generator = task.data, torch.Generator().manual_seed(0)
    graph = networkx.Graph(data.edge_index.t().tolist())
    red = task.model.layer.lin_rel.weight.diag() > 0
    for unit in task.nodes[:5].tolist():
        link = data.edge_label_index[:, unit : unit + 1]
        u, v = link.view(-1).tolist()
        common = [w for w in networkx.common_neighbors(graph, u, v) if red[w]]
        right = task.ground_truth[unit]
        ends = {tuple(edge) for edge in data.edge_index[:, right].t().tolist()}
        assert ends == {(w, end) for w in common for end in (u, v)}

        def output(kept, link=link):
            return float(task.model(data.x, data.edge_index[:, kept], link)[0, 1])

        highest = min(len(common), 1.5) if "saturated" in name else len(common)
        assert output(torch.ones_like(right)) == highest - 1
        for _ in range(30):  # whatever else is there, to the last bit
            one = torch.rand(len(right), generator=generator) < 0.7
            other = one.where(right, torch.rand(len(right), generator=generator) < 0.5)
            assert output(one) == output(other)
        for w in common:  # with one common neighbour alone, each of its two edges decides
            both = (data.edge_index[0] == w) & right
            assert output(both) == 0
            for edge in both.nonzero().view(-1):
                kept = both.clone()
                kept[edge] = False
                assert output(kept) == -1


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("integrated_gradients", {}),
        ("occlusion", {}),
        ("gnn_explainer", {"epochs": 100}),
        ("input_x_gradient", {"mask_type": "edge"}),
    ],
)
@pytest.mark.parametrize("name", WHITE)
def test_methods_that_must_find_the_truth_find_it(name, method, options):
    task = tasks.load(name)
    nodes = task.nodes[:6]
    if "saturated" in name and method == "input_x_gradient":
        pytest.skip("a gradient at the input misses what is saturated, see below")
    found = explainers.load(method, **options).explain(*task.arguments(nodes))
    rows = metrics.evaluate(
        task.model,
        task.data,
        found,
        at=["k=1"],
        semantics=["mask"],
        metrics=["ground_truth"],
        truth=task.ground_truth,
    )
    values = [row["value"] for row in rows if row["metric"] == "average_precision"]
    assert len(values) == 2 * 6
    assert values == pytest.approx([1.0] * len(values))


def test_saliency_misses_what_is_saturated():
    """Where one of three common neighbours more or less changes nothing, so says its gradient."""
    task = tasks.load(WHITE[1])
    count = task.ground_truth.sum(dim=1) // 2
    (unit,) = (count == 3).nonzero().view(-1)[:1].tolist()
    (one,) = explainers.load("saliency").explain(*task.arguments(unit))
    assert not one.edge_mask.any()
    (other,) = explainers.load("integrated_gradients").explain(*task.arguments(unit))
    right = task.ground_truth[unit, other.e_id]
    assert (other.edge_mask[right] > 0.1).all()
    assert (other.edge_mask[~right].abs() < 1e-6).all()


def test_all_benchmarks_ask_the_model_for_the_tasks_links():
    task = tasks.load(WHITE[0])
    asked = task.data.edge_label_index
    with torch.no_grad():
        expected = task.model(task.data.x, task.data.edge_index, edge_label_index=asked)
    assert torch.equal(output_of(task), expected)
    assert torch.equal(output_of(task, task.model), expected)
