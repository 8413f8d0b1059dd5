"""EiG-Search by hand, and against every edge deleted and every prefix tried on the user's graph."""

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import GraphConv

import explainers
from benchmarks import tasks

from ..conftest import random_batch, random_graph, random_graph_model, random_model
from .by_hand import tiny


def search(model, data, node, **options):
    return explainers.load("eig_search", **options).explain(model, data, node, target=0)[0]


def test_by_hand():
    # The output is 17. Without the first edge, whose message is 0, too; without the second, 5.
    explanation = search(*tiny(), 0, sparsity=0.0)
    torch.testing.assert_close(explanation.edge_mask.tolist(), [0.0, 12.0])
    # The second alone gives 17 against 5 without it; both no more: 17 against 5.
    assert explanation.selected_edges.tolist() == [False, True]
    assert int(explanation.set_size) == 1
    assert not explanation.node_mask.any()


def exhaustive(model, data, node, sparsity):
    """Scores and sets for an edge list, by deleting from the whole graph."""
    batch = {"batch": data.batch} if "batch" in data else {}

    @torch.no_grad()
    def output(kept):
        return model(data.x, data.edge_index[:, kept], **batch)[node].log_softmax(dim=0)[0]

    method = explainers.load("saliency")
    (inside,) = method.explain(model, data, node)
    e_id = inside.e_id.tolist()
    everywhere = torch.ones(data.num_edges, dtype=torch.bool)

    def without(some):
        kept = everywhere.clone()
        kept[some] = False
        return kept

    whole = output(everywhere)
    scores = torch.stack([whole - output(without([e])) for e in e_id])
    order = sorted(range(len(e_id)), key=lambda i: -float(scores[i]))
    most = max(1, int(len(e_id) * (1 - sparsity) + 1e-9))
    values = []
    for size in range(1, most + 1):
        some = [e_id[i] for i in order[:size]]
        alone = ~without(some)
        values.append(float(output(alone).exp() - output(without(some)).exp()))
    size = next(i + 1 for i, value in enumerate(values) if value > max(values) - 1e-12)
    selected = torch.zeros(len(e_id), dtype=torch.bool)
    selected[order[:size]] = True
    return scores, selected


@pytest.mark.parametrize("conv", ["gcn", "graph", "gat"])
@pytest.mark.parametrize("engine", [None, "batched", "stock"])
def test_equals_an_exhaustive_search_of_prefixes(conv, engine):
    sizes = set()
    for seed in (0, 2):
        data, model = random_graph(seed), random_model(seed, conv)
        for node in (0, int(data.edge_index[1, 0])):  # the hub, and another that has edges
            for sparsity in (0.0, 0.7):
                one = search(model, data, node, engine=engine, sparsity=sparsity)
                scores, selected = exhaustive(model, data, node, sparsity)
                torch.testing.assert_close(one.edge_mask, scores, rtol=1e-9, atol=1e-12)
                assert torch.equal(one.selected_edges, selected)
                assert int(one.set_size) == int(selected.sum())
                sizes.add(int(one.set_size))
    assert len(sizes) > 2


@pytest.mark.parametrize("engine", [None, "batched", "stock"])
def test_edges_alone_have_no_others_beyond_them(engine):
    """With one layer the degrees of the border are of edges that the set does not hold."""
    for seed in (3, 7, 48):
        data, model = random_graph(seed, nodes=20, edges=60), random_model(seed, depth=1)
        one = search(model, data, 0, engine=engine, sparsity=0.0)
        assert torch.equal(one.selected_edges, exhaustive(model, data, 0, 0.0)[1])


@pytest.mark.parametrize("engine", ["batched", "stock"])
def test_equals_an_exhaustive_search_on_graphs(engine):
    data, model = random_batch(1), random_graph_model(1)
    for graph in (0, 2):
        one = search(model, data, graph, engine=engine)
        scores, selected = exhaustive(model, data, graph, 0.7)
        torch.testing.assert_close(one.edge_mask, scores, rtol=1e-9, atol=1e-12)
        assert torch.equal(one.selected_edges, selected)


def test_sets_in_company_are_as_alone():
    data, model = random_graph(4), random_model(4, depth=3)
    for memory_budget in (1, 2**28):
        method = explainers.load("eig_search", memory_budget=memory_budget)
        for one in method.explain(model, data, [0, 11, 3, 5], target=[0] * 4):
            alone = search(model, data, explainers.unit(one))
            assert torch.equal(one.selected_edges, alone.selected_edges)
            assert one.selected_edges.shape == one.edge_mask.shape


@pytest.mark.parametrize("first", [0, 1])
def test_equal_scores_come_in_their_order_whatever_rounding_makes_of_them(first):
    model = GraphConv(3, 2).double().eval().requires_grad_(False)
    model.lin_rel.weight.copy_(torch.tensor([[1.0], [0.0]]).expand(2, 3))
    x = torch.tensor([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]], dtype=torch.float64)  # 0.6, or nearly
    assert x[0, 0] + x[0, 1] + x[0, 2] != x[1, 0] + x[1, 1] + x[1, 2]
    x = torch.cat([x[[first, 1 - first]], torch.zeros(1, 3, dtype=torch.float64)])
    one = search(model, Data(x=x, edge_index=torch.tensor([[0, 1], [2, 2]])), 2)
    assert one.selected_edges.tolist() == [True, False]


def test_edges_that_do_nothing_are_left_out():
    model, data = tiny()
    more = torch.tensor([[1, 2, 1, 2], [0, 0, 2, 1]])  # nothing of 0 is read, but into 0
    data = Data(x=data.x, edge_index=torch.cat([more, more[:, 2:]], dim=1))
    assert int(search(model, data, 0, sparsity=0.0).set_size) == 1


@pytest.mark.parametrize("sparsity", [-0.1, 1.0])
def test_bad_sparsity(sparsity):
    with pytest.raises(ValueError, match="sparsity must be 0 or more and below 1, got"):
        explainers.load("eig_search", sparsity=sparsity)


@pytest.mark.parametrize("variant", ["", ":gated"])
def test_ranks_every_right_edge_above_every_dummy(variant):
    task = tasks.load(f"white-box-count{variant}")
    nodes = task.nodes[:10]
    for explanation in explainers.load("eig_search").explain(task.model, task.data, nodes):
        right = task.ground_truth[int(explanation.n_id[explanation.index])][explanation.e_id]
        assert explanation.edge_mask[right].min() > 0
        assert not explanation.edge_mask[~right].any()
        assert not explanation.selected_edges[~right].any()
