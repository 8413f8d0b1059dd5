"""What is checked and prepared before a model is explained."""

import gc
import weakref

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN, GCNConv, SGConv, global_mean_pool
from torch_geometric.nn.conv.gcn_conv import gcn_norm

import explainers
from explainers.engines import registry
from explainers.prepare import prepare
from explainers.prepare.copies import private_copy

from ..conftest import (
    LOOPS,
    Stack,
    random_batch,
    random_graph,
    random_graph_model,
    random_model,
)


@pytest.mark.parametrize("loops", LOOPS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("conv", ["gcn", "gcn improved", "gcn no loops"])
def test_normalisation_is_pygs(conv, loops, weighted):
    data, model = random_graph(1, loops=loops, weighted=weighted), random_model(1, conv)
    network = prepare(model, data)
    edges, own = network.norm(0)
    layer = model.layers[0]
    index, norm = gcn_norm(
        data.edge_index,
        data.edge_weight if weighted else None,
        data.num_nodes,
        layer.improved,
        layer.add_self_loops,
        dtype=torch.float64,
    )
    count = len(edges)
    assert torch.equal(network.edge_index, index[:, :count])
    torch.testing.assert_close(torch.cat([edges, own]), norm, rtol=1e-12, atol=0)
    if network.e_id is not None:
        assert torch.equal(data.edge_index[:, network.e_id], network.edge_index)


@pytest.mark.parametrize("loops", LOOPS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("conv", ["gcn", "gcn improved", "gcn cached", "gat"])
def test_predictions_are_the_models(conv, loops, weighted):
    weighted = weighted and conv != "gat"
    data, model = random_graph(2, loops=loops, weighted=weighted), random_model(2, conv)
    extra = {"edge_weight": data.edge_weight} if weighted else {}
    with torch.no_grad():
        expected = model(data.x, data.edge_index, **extra)  # which "gcn cached" remembers
    network = prepare(model, data)
    torch.testing.assert_close(network.output, expected, rtol=1e-12, atol=1e-12)


def test_a_model_that_has_cached_another_graph_is_refused():
    """It gives the outputs of that graph, whatever edges it is called with."""
    data, other, model = random_graph(2), random_graph(3), random_model(2, "gcn cached")
    model(other.x, other.edge_index)
    with pytest.raises(ValueError, match="a graph that a convolution has cached"):
        prepare(model, data)


def test_prepared_once_until_something_changes(graph, model):
    first = prepare(model, graph)
    assert prepare(model, graph) is first
    with torch.no_grad():
        model.layers[0].bias.add_(1)
    second = prepare(model, graph)
    assert second is not first
    assert not torch.equal(second.output, first.output)
    graph.x[0, 0] += 1
    third = prepare(model, graph)
    assert third is not second
    graph.edge_index = graph.edge_index[:, 1:]
    assert prepare(model, graph).edge_index.size(1) == third.edge_index.size(1) - 1


def test_a_tensor_that_lies_in_another_order_is_another():
    """Its memory, shape and version are what they were."""
    data = Data(x=torch.randn(3, 2), edge_index=torch.tensor([[0, 1], [2, 0]]))
    model, version = GCNConv(2, 3).eval(), data.edge_index._version
    first = prepare(model, data)
    data.edge_index.data = data.edge_index.data.t()
    assert data.edge_index._version == version
    assert not torch.equal(prepare(model, data).output, first.output)


def test_a_graph_of_a_batch_alone_and_among_others():
    data = random_batch(0)
    prepared = prepare(random_graph_model(0, "gcn"), data)
    graphs = torch.arange(prepared.units)
    among = prepared.cut(graphs)
    for r in graphs.tolist():
        alone = prepared.cut(graphs[r : r + 1])
        nodes, edges = (slice(*p[r : r + 2].tolist()) for p in (among.n_ptr, among.e_ptr))
        assert torch.equal(alone.n_id, among.n_id[nodes])
        assert torch.equal(alone.e_id, among.e_id[edges])
        assert torch.equal(alone.edge_index, among.edge_index[:, edges] - nodes.start)
        assert (alone.node_counts, alone.edge_counts) == ([len(alone.n_id)], [len(alone.e_id)])
        assert alone.n_id.untyped_storage().nbytes() == 8 * len(alone.n_id)  # its own memory


def test_layers_with_equal_norms_share_them():
    data = Data(x=torch.randn(4, 2), edge_index=torch.tensor([[0, 1, 2, 0], [1, 2, 3, 3]]))
    model = Stack([GCNConv(data.num_features, 4), GCNConv(4, 3)]).eval()
    prepared = prepare(model, data)
    assert prepared.norm(0)[0] is prepared.norm(1)[0]
    layers = [GCNConv(data.num_features, 4), GCNConv(4, 3, add_self_loops=False)]
    prepared = prepare(Stack(layers).eval(), data)
    assert not torch.equal(prepared.norm(0)[0], prepared.norm(1)[0])


def test_prepared_does_not_keep_the_model_alive(graph, model):
    prepare(model, graph)
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None or "model" in gc.get_referrers(reference())[0]


def test_copy_shares_weights_and_nothing_else(model, graph):
    copied = private_copy(model)
    assert copied.layers[0].lin.weight.data_ptr() == model.layers[0].lin.weight.data_ptr()
    assert not any(p.requires_grad for p in copied.parameters())
    assert all(p.requires_grad for p in model.parameters())


def test_hops_count_messages_not_layers(graph):
    one = GCNConv(5, 5).double()
    shared = Stack([one, one, SGConv(5, 3, K=2).double()])
    assert prepare(shared, graph).hops == 4


@pytest.mark.parametrize(
    ("output", "kind"), [("log_softmax", "log_probs"), ("softmax", "probs"), ("none", "raw")]
)
def test_return_type_from_the_output(output, kind, graph):
    network = prepare(random_model(0, output=output), graph)
    assert network.return_type.value == kind
    probabilities = network.probabilities
    assert probabilities.sum(dim=1).tolist() == pytest.approx([1.0] * 12)


class _Odd(nn.Module):
    def __init__(self, output):
        super().__init__()
        self.conv, self.make = GCNConv(5, 3).double(), output

    def forward(self, x, edge_index):
        return self.make(self.conv(x, edge_index))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": None}, r"data\.x must be node features"),
        ({"x": torch.ones(12, 5).to_sparse()}, r"data\.x is torch.sparse_coo.*to_dense"),
        ({"x": torch.full((12, 5), float("nan"))}, r"data\.x has NaN .*first at node 0"),
        ({"edge_index": torch.zeros(3, 2)}, r"data\.edge_index .* got \[3, 2\]"),
        ({"edge_index": torch.zeros(2, 2)}, "data.edge_index must be int64, got torch.float32"),
        ({"edge_index": torch.tensor([[0], [12]])}, "names nodes 0 to 12, .* nodes 0 to 11"),
        ({"edge_index": torch.tensor([[-1], [3]])}, "names nodes -1 to 3, .* nodes 0 to 11"),
        ({"edge_weight": torch.ones(3)}, r"data\.edge_weight must have one row for each"),
    ],
)
def test_bad_data(change, message, graph, model):
    for name, value in change.items():
        graph[name] = value
    with pytest.raises(ValueError, match=message):
        prepare(model, graph)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Linear(5, 3).double(), "Linear has no torch_geometric MessagePassing layer"),
        (
            lambda: Stack([GCNConv(5, 3, flow="target_to_source").double()]),
            "flow='target_to_source'; only 'source_to_target'",
        ),
        (lambda: random_model(0, features=7), "fails when called as model"),
        (lambda: _Odd(lambda out: out.mean(dim=0)), r"returned \[3\]; .* output \[N, C\]"),
        (lambda: _Odd(lambda out: (out, out)), r"returned tuple; .* output \[N, C\]"),
        (lambda: _Odd(lambda out: out / 0), "returned NaN or infinite outputs"),
        (lambda: "gcn", "model must be a torch.nn.Module, got str"),
    ],
)
def test_bad_models(make, message, graph):
    with pytest.raises(ValueError, match=message):
        prepare(make(), graph)


def test_the_output_says_whether_nodes_or_graphs_are_classified():
    data = random_batch(0)
    network = prepare(random_graph_model(0), data)
    assert (network.task_level, network.units) == ("graph", 12)
    # PyG's stacks take a batch, too, but return a row for each node.
    network = prepare(GCN(5, 6, num_layers=2, out_channels=3).double(), data)
    assert (network.task_level, network.units) == ("node", data.num_nodes)
    network = prepare(random_model(0), data)
    assert (network.task_level, network.units) == ("node", data.num_nodes)


@pytest.mark.parametrize("loops", LOOPS)
def test_a_graph_alone(loops):
    data, model = random_batch(1, loops=loops, weighted=True), random_graph_model(1)
    network = prepare(model, data)
    for graph in (0, 3, 11):
        place, single = torch.tensor([graph]), data.get_example(graph)
        (problem,) = registry.reference_problems(network, place, place * 0, 1)
        alone = problem.graph
        assert torch.equal(alone.x, single.x)
        output = problem.predict(problem.x[None], problem.edge_mask[None])
        torch.testing.assert_close(output[0, 0], network.output[graph])
        index, norm = gcn_norm(single.edge_index, single.edge_weight, len(single.x))
        count = alone.edge_index.size(1)
        assert torch.equal(alone.edge_index, index[:, :count])
        if loops != "none":
            torch.testing.assert_close(alone.norms[0][1], norm, rtol=1e-12, atol=0)


class _Mixing(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = GCNConv(5, 3).double()

    def forward(self, x, edge_index, batch):
        return global_mean_pool(self.conv(x, edge_index), batch) + x.mean()


def test_graphs_that_are_not_independent_are_refused():
    with pytest.raises(ValueError, match="another output if the others are gone"):
        prepare(_Mixing(), random_batch(0))


class _Pooling(nn.Module):
    """Takes ``batch``; what it does with all nodes' results is up to ``pool``."""

    def __init__(self, pool):
        super().__init__()
        self.conv, self.pool = GCNConv(5, 3).double(), pool

    def forward(self, x, edge_index, batch=None):
        return self.pool(self.conv(x, edge_index), batch)


@pytest.mark.parametrize("engine", ["stock", None])
def test_a_model_that_ignores_the_batch_is_refused(engine):
    (graph,) = random_batch(0)[:1]
    graph.batch = torch.zeros(graph.num_nodes, dtype=torch.long)
    model = _Pooling(lambda out, batch: out.mean(dim=0, keepdim=True))
    with pytest.raises(
        ValueError, match=r"_Pooling takes batch and .* returned \[1, 3\], .* global_mean_pool"
    ):
        explainers.load("occlusion", engine=engine).explain(model, graph, [0])


def test_what_normalises_over_all_nodes_is_not_run_on_copies_side_by_side():
    (graph,) = random_batch(0)[:1]
    graph.batch = torch.zeros(graph.num_nodes, dtype=torch.long)

    def pool(out, batch):
        return global_mean_pool(out - out.mean(dim=0), batch)

    # The mean of what lies around the mean is zero, whatever the edges; not so of copies. What such
    # numbers are must be said: rounding decides whether they could be probabilities.
    config = {
        "mode": "multiclass_classification",
        "task_level": "graph",
        "return_type": "raw",
    }
    occlusion = explainers.load("occlusion")
    with pytest.warns(UserWarning, match="if another graph lies beside its own"):
        (explanation,) = occlusion.explain(_Pooling(pool), graph, [0], [1], config)
    assert graph.num_edges
    assert explanation.edge_mask.abs().max() < 1e-12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda batch: batch.float(), r"data\.batch must be an int64 tensor \[\d+\]"),
        (lambda batch: batch[1:], r"data\.batch must be an int64 tensor"),
        (lambda batch: batch - 1, "number the graphs from 0 without a gap"),
        (lambda batch: batch + (batch > 3), "number the graphs from 0 without a gap"),
        (lambda batch: batch.flip(0), r"edge 0 of data\.edge_index joins two graphs"),
    ],
)
def test_bad_batch(change, message):
    data = random_batch(0)
    data.batch = change(data.batch)
    with pytest.raises(ValueError, match=message):
        prepare(random_graph_model(0), data)


def test_a_graph_model_without_a_batch(graph):
    model = random_graph_model(0)
    with pytest.raises(
        ValueError, match=r"returned \[1, 3\]; .* takes batch=\.\.\., and data\.batch"
    ):
        prepare(model, graph)


@pytest.mark.parametrize("count", [1, 2])
def test_layers_own_loops_are_told_from_the_graphs(count):
    """Where each node has one, in order, the edges of the layer look like those of the graph."""
    loops = torch.arange(count).expand(2, -1)
    prepared = prepare(Stack([GCNConv(3, 2)]), Data(x=torch.ones(count, 3), edge_index=loops))
    assert prepared.edge_index.size(1) == 0


def test_self_loops_with_mixed_layers_are_refused():
    data = random_graph(0, loops="some")
    mixed = Stack([GCNConv(5, 5).double(), GCNConv(5, 3, add_self_loops=False).double()])
    with pytest.raises(ValueError, match=r"(?s)self loops, .*remove_self_loops"):
        prepare(mixed, data)


def test_not_a_graph(model):
    with pytest.raises(ValueError, match=r"data must be a torch_geometric.data.Data, got dict"):
        prepare(model, {"x": 1})
    with pytest.raises(ValueError, match=r"data\.x"):
        prepare(model, Data())
