"""Parameter randomisation: layers and their new weights, and how alike scores are, by hand."""

import copy

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN, GCNConv, GraphConv, global_mean_pool

import explainers
from benchmarks.measures import randomisation
from benchmarks.measures.agreement import edge_scores
from benchmarks.measures.randomisation import layers, similarity, untrained, with_layers_of


def graph(nodes=12, features=3):
    generator = torch.Generator().manual_seed(0)
    edge_index = torch.randint(nodes, (2, 40), generator=generator)
    edge_index = edge_index[:, edge_index[0] != edge_index[1]].unique(dim=1)
    return Data(x=torch.randn(nodes, features, generator=generator), edge_index=edge_index)


class Net(nn.Module):
    """Defined from the output to the input, called the other way round."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 2)
        self.second = GCNConv(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.first = GCNConv(3, 4)
        self.unused = nn.Linear(3, 3)
        self.activation = nn.ReLU()

    def forward(self, x, edge_index):
        x = self.activation(self.norm(self.first(x, edge_index)))
        return self.last(self.second(x, edge_index)).log_softmax(dim=-1)


def learned():
    """As after a training: no weight and no buffer is what a new layer has."""
    model = Net()
    generator = torch.Generator().manual_seed(5)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return model.eval().requires_grad_(False)


# ----------------------------------------------------------------------------------------- layers


def test_layers_are_in_the_order_in_which_they_are_called():
    model = learned()
    assert layers(model, graph()) == ["first", "norm", "second", "last"]
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_container_of_message_passing_is_taken_apart():
    model = nn.Module()
    model.gnn = GCN(3, 4, num_layers=2, out_channels=2, norm="batch_norm").eval()
    model.forward = lambda x, edge_index: model.gnn(x, edge_index)
    assert layers(model.gnn, graph()) == ["convs.0", "norms.0", "convs.1"]
    assert layers(GCNConv(3, 2), graph()) == [""]


def test_edges_may_have_weights():
    data = graph()
    data.edge_weight = torch.rand(data.num_edges)
    assert layers(GCN(3, 4, num_layers=2, out_channels=2).eval(), data) == ["convs.0", "convs.1"]


def test_a_graph_is_classified_with_its_batch():
    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.linear = GCNConv(3, 4), nn.Linear(4, 2)

        def forward(self, x, edge_index, batch=None):
            return self.linear(global_mean_pool(self.conv(x, edge_index), batch))

    data = graph()
    data.batch = torch.zeros(12, dtype=torch.long)
    assert layers(Pooled().eval(), data) == ["conv", "linear"]


def test_weights_that_no_layer_can_draw_anew_are_refused():
    model = learned()
    model.temperature = nn.Parameter(torch.ones(1))
    with pytest.raises(
        ValueError, match=r"the weights temperature of Net .* give their module one"
    ):
        layers(model, graph())


def test_stages_by_hand():
    found = [(one.name, one.chosen) for one in randomisation.stages(["a", "b", "c"])]
    assert found == [
        ("cascading, 1 of 3: c", ("c",)),
        ("cascading, 2 of 3: b", ("c", "b")),
        ("cascading, 3 of 3: a", ("c", "b", "a")),
        ("independent, 1 of 3: c", ("c",)),
        ("independent, 2 of 3: b", ("b",)),
        ("independent, 3 of 3: a", ("a",)),
    ]


# ------------------------------------------------------------------------------------ new weights


def test_new_weights_are_those_of_pyg():
    torch.manual_seed(1)
    model = GCN(3, 4, num_layers=2, out_channels=2).eval()
    fresh = untrained(model, layers(model, graph()), seed=7)
    torch.manual_seed(7)
    other = copy.deepcopy(model)
    other.reset_parameters()
    expected = other.state_dict()
    assert expected.keys() == fresh.state_dict().keys()
    assert all(torch.equal(expected[name], value) for name, value in fresh.state_dict().items())


def test_new_weights_belong_to_a_seed_and_leave_all_else_alone():
    model = learned()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    names = layers(model, graph())
    state = torch.get_rng_state()
    one, same, other = (untrained(model, names, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    assert all(torch.equal(one[name], same[name]) for name in one)
    for name in ("first.lin.weight", "second.lin.weight", "last.weight", "last.bias"):
        assert not torch.equal(one[name], other[name])
        assert not torch.isin(one[name], before[name]).any()
    # As new: BatchNorm's buffers too, and biases of a convolution.
    assert one["norm.running_mean"].eq(0).all()
    assert one["norm.running_var"].eq(1).all()
    assert one["first.bias"].eq(0).all()
    assert torch.equal(one["unused.weight"], before["unused.weight"])
    assert not untrained(model, names, 0).training


def test_only_the_named_layers_have_new_weights():
    model = learned()
    fresh = untrained(model, layers(model, graph()), seed=0)
    mixed = with_layers_of(model, fresh, ["norm", "last"]).state_dict()
    for name, value in mixed.items():
        source = fresh if name.startswith(("norm.", "last.")) else model
        assert torch.equal(value, source.state_dict()[name])


def test_a_reset_that_does_nothing_is_refused():
    class Fixed(GCNConv):
        def reset_parameters(self):
            pass

    conv = Fixed(3, 2)
    nn.init.ones_(conv.lin.weight)
    nn.init.ones_(conv.bias)
    with pytest.raises(ValueError, match="leaves the weights of Fixed as they are"):
        untrained(conv, layers(conv, graph()), seed=0)


# ----------------------------------------------------------------------------- how alike scores are


def test_rank_correlation_against_the_formula():
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, 9))
    found = similarity(one, two, signed=True)
    for suffix, pair in (("_signed", (one, two)), ("", (abs(one), abs(two)))):
        gaps = rankdata(pair[0]) - rankdata(pair[1])
        expected = 1 - 6 * (gaps**2).sum() / (9 * (81 - 1))  # Spearman's, without ties
        assert found[f"spearman{suffix}"] == pytest.approx(expected)
    tied = np.array([1.0, 1.0, 2.0, 2.0, 3.0])
    mean_ranks = np.corrcoef(rankdata(tied), rankdata(one[:5]))[0, 1]
    assert similarity(tied, one[:5], signed=True)["spearman_signed"] == pytest.approx(mean_ranks)


def test_signs_matter_only_where_they_mean_something():
    scores = np.array([3.0, -2.0, 1.0, 0.5, -0.2])
    found = similarity(scores, -scores, signed=True)
    assert found["spearman"] == pytest.approx(1)
    assert found["top_overlap"] == 1
    assert found["spearman_signed"] == pytest.approx(-1)
    assert found["top_overlap_signed"] == 0
    assert similarity(scores, scores, signed=False).keys() == {"spearman", "top_overlap"}


def test_overlap_of_the_highest_fifth_by_hand():
    one = np.arange(11.0, 0, -1)  # a fifth of 11 edges is 3
    two = one[[0, 3, 4, 1, 2, 5, 6, 7, 8, 9, 10]]  # the highest: 0, 3 and 4
    assert similarity(one, two, signed=False)["top_overlap"] == pytest.approx(1 / 3)
    assert "top_overlap" not in similarity(np.ones(1), np.ones(1), signed=False)


def test_ties_at_the_cut_do_not_depend_on_the_order_of_the_edges():
    # Of ten edges two are selected: there any of six with the same score, here the first two.
    there = np.array([0.0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    here = np.arange(10.0, 0, -1)
    assert similarity(here, there, signed=False)["top_overlap"] == 0
    means = [similarity(here[::-1], there, signed=False, seed=s)["top_overlap"] for s in range(50)]
    assert np.mean(means) == pytest.approx(1 / 3, abs=0.03)
    assert means == pytest.approx([1 / 3] * 50, abs=0.3)  # each is a mean over orders
    assert similarity(there, there, signed=False)["top_overlap"] == 1


def test_scores_that_order_nothing():
    scores = np.arange(10.0)
    assert similarity(scores, np.ones(10), signed=False)["spearman"] == 0
    assert "spearman" not in similarity(np.ones(10), scores, signed=False)
    assert similarity(np.zeros(0), np.zeros(0), signed=True) == {}


# ------------------------------------------------------------------- with methods, on known models


class Scaled(nn.Module):
    """``w * sum over the neighbours of x``: the last layer is one number, w."""

    def __init__(self):
        super().__init__()
        self.conv = GraphConv(1, 1, bias=False)
        self.last = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.conv.lin_rel.weight)
        nn.init.zeros_(self.conv.lin_root.weight)
        nn.init.ones_(self.last.weight)

    def forward(self, x, edge_index):
        return self.last(self.conv(x, edge_index))


@pytest.mark.parametrize("name", ["saliency", "integrated_gradients", "occlusion"])
def test_a_new_last_layer_keeps_or_inverts_the_ranking(name):
    data, model = graph(features=1), Scaled().eval().requires_grad_(False)
    names = layers(model, data)
    assert names == ["conv", "last"]
    node = int(torch.bincount(data.edge_index[1]).argmax())
    method = explainers.load(name)

    def scores(network):
        (found,) = method.explain(
            network, data, [node], model_config={"mode": "regression", "return_type": "raw"}
        )
        return edge_scores(found)

    signs = set()
    for seed in range(6):
        new = with_layers_of(model, untrained(model, names, seed), ["last"])
        sign = float(new.last.weight.sign())
        signs.add(sign)
        found = similarity(scores(model), scores(new), signed=True)
        assert found["spearman"] == pytest.approx(1)
        if method.signed:
            assert found["spearman_signed"] == pytest.approx(sign)
    assert signs == {-1, 1}
