"""Heterogeneous graphs: what is explained is the user's model, or there is a clear error."""

import pytest
import torch
from torch import nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import GCNConv, HeteroConv, PairNorm, SAGEConv

import explainers
from explainers import metrics

from .schemas import predict, random_case, random_hetero

KINDS = {name: type(explainers.load(name)) for name in explainers.available()}
REFUSED = [name for name, kind in KINDS.items() if kind.homogeneous_only]
RAW = {"mode": "multiclass_classification", "task_level": "node", "return_type": "raw"}


class Written(nn.Module):
    """One edge type, written by hand: what goes wrong is ``between`` two layers."""

    def __init__(self, between=lambda x: x, edges=lambda e: e):
        super().__init__()
        self.layers = nn.ModuleList(
            HeteroConv({("a", "to", "a"): SAGEConv(width, 3)}) for width in (2, 3)
        )
        self.between, self.edges = between, edges

    def forward(self, x_dict, edge_index_dict):
        edge_index_dict = self.edges(edge_index_dict)
        x_dict = {"a": self.between(self.layers[0](x_dict, edge_index_dict)["a"].tanh())}
        return self.layers[1](x_dict, edge_index_dict)["a"]


@pytest.fixture
def ring():
    """Twenty nodes one after the other."""
    data = HeteroData()
    generator = torch.Generator().manual_seed(0)
    data["a"].x = torch.randn(20, 2, generator=generator, dtype=torch.float64)
    here = torch.arange(20)
    data["a", "to", "a"].edge_index = torch.stack([here, (here + 1) % 20])
    return data


def written(**options):
    torch.manual_seed(0)
    return Written(**options).double()


def explain(model, data, nodes=("a", [0]), name="saliency", **options):
    method = explainers.load(name, **options)
    return method, method.explain(model, data, nodes, model_config=RAW)


def test_the_model_on_the_ring_needs_two_hops(ring):
    method, (explanation,) = explain(written(), ring)
    assert method.engine == "batched"
    assert explanation["a"].n_id.tolist() == [0, 18, 19]
    assert explanation["a", "to", "a"].e_id.tolist() == [18, 19]


def test_a_model_that_looks_at_all_nodes_is_explained_on_all_of_them(ring):
    model = written(between=PairNorm())
    with pytest.warns(UserWarning, match="depends on more than the messages"):
        method, (explanation,) = explain(model, ring)
    assert method.engine == "stock"
    assert len(explanation["a"].n_id) == 20
    x = ring["a"].x.clone().requires_grad_()
    target = int(explanation.target)
    model({"a": x}, ring.edge_index_dict)[0, target].backward()
    torch.testing.assert_close(explanation["a"].node_mask, x.grad.abs())
    with pytest.raises(ValueError, match="engine 'batched' does not support"):
        explain(model, ring, engine="batched")


def test_what_shows_at_other_inputs_only_is_noticed(ring):
    """A term of all nodes that is 0 at the data's features: masks would bring it up."""
    ring["a"].x = ring["a"].x.abs() + 5
    start = float(ring["a"].x.mean()) - 1

    class Hidden(Written):
        def forward(self, x_dict, edge_index_dict):
            return super().forward(x_dict, edge_index_dict) + (start - x_dict["a"].mean()).relu()

    torch.manual_seed(0)
    with pytest.warns(UserWarning, match="depends on more than the messages"):
        method, _ = explain(Hidden().double(), ring)
    assert method.engine == "stock"


def test_degrees_follow_deletions_alike_on_both_engines():
    """Beyond the border, too: what is left there counts into the degrees of its nodes."""
    generator = torch.Generator().manual_seed(0)
    data = HeteroData()
    data["a"].x = torch.randn(40, 2, generator=generator, dtype=torch.float64)
    edges = torch.randint(40, (2, 70), generator=generator)
    data["a", "to", "a"].edge_index = edges[:, edges[0] != edges[1]]
    torch.manual_seed(0)
    model = Written()
    for layer, width in zip(model.layers, (2, 3), strict=True):
        layer.convs["a", "to", "a"] = GCNConv(width, 3)
    model.double()
    _, explanations = explain(model, data, ("a", [1, 2, 3, 4]))
    found = [
        metrics.evaluate(
            model, data, explanations, at=["k=1", "k=2"], metrics=["fidelity"], engine=engine
        )
        for engine in ("batched", "stock")
    ]
    assert {row["semantics"] for row in found[0]} == {"mask", "delete"}
    for one, other in zip(*found, strict=True):
        assert one["value"] == pytest.approx(other["value"], abs=1e-9), one


def test_relations_weighed_by_a_mean_over_all_nodes_are_noticed():
    model, data = random_case("han", 1)
    with pytest.warns(UserWarning, match="depends on more than the messages"):
        method, _ = explain(model, data)
    assert method.engine == "stock"


def test_what_gradients_do_not_see_is_not_cut_off(ring):
    model = written(between=torch.detach)
    with pytest.warns(UserWarning, match="depends on more than the messages"):
        method, (explanation,) = explain(model, ring, name="occlusion")
    assert method.engine == "stock"
    assert len(explanation["a"].n_id) == 20
    less = ring.clone()
    less["a", "to", "a"].edge_index = ring["a", "to", "a"].edge_index[:, torch.arange(20) != 18]
    outputs = [model(one.x_dict, one.edge_index_dict)[0].detach() for one in (ring, less)]
    lost = (outputs[0] - outputs[1])[int(explanation.target)]  # without 18 -> 19, two hops away
    torch.testing.assert_close(explanation["a", "to", "a"].edge_mask[18], lost)
    assert float(lost.abs()) > 0


@pytest.mark.parametrize(
    "edges",
    [
        lambda e: {k: v.flip(1) for k, v in e.items()},
        lambda e: {k: v[:, 1:] for k, v in e.items()},
        lambda e: {k: v.flip(0) for k, v in e.items()},
        lambda e: {k: torch.cat([v, v.flip(0)], dim=1) for k, v in e.items()},
    ],
)
def test_edges_that_the_model_changes_are_refused(ring, edges):
    with pytest.raises(ValueError, match="scores would land on other edges"):
        explain(written(edges=edges), ring)


class Restless(nn.Module):
    """As many layers as its graph is large."""

    def __init__(self):
        super().__init__()
        self.conv = SAGEConv(2, 2)

    def forward(self, x_dict, edge_index_dict):
        x = x_dict["a"]
        for _ in range(1 + (len(x) > 15)):
            x = self.conv(x, edge_index_dict["a", "to", "a"])
        return x


def test_calls_that_are_left_out_on_a_cut_are_noticed(ring):
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match="more or fewer times on a cut graph"):
        method, _ = explain(Restless().double(), ring)
    assert method.engine == "stock"


def test_a_random_model_is_refused(ring):
    model = written(between=lambda x: nn.functional.dropout(x, 0.5))
    with pytest.raises(ValueError, match="random in eval mode"):
        explain(model, ring)


class Two(nn.Module):
    """Outputs for two types."""

    def __init__(self):
        super().__init__()
        self.conv = HeteroConv(
            {("a", "x", "b"): SAGEConv((1, 1), 2), ("b", "y", "a"): SAGEConv((1, 1), 2)}
        )

    def forward(self, x_dict, edge_index_dict):
        return self.conv(x_dict, edge_index_dict)


def two_types():
    data = HeteroData()
    data["a"].x, data["b"].x = torch.rand(3, 1), torch.rand(2, 1)
    data["a", "x", "b"].edge_index = torch.tensor([[0, 2], [1, 0]])
    data["b", "y", "a"].edge_index = torch.tensor([[1], [1]])
    return data


def spoilt(what):
    data = two_types()
    if what == "no type":
        return data, [0]
    if what == "unknown type":
        return data, ("c", 0)
    if what == "number":
        return data, ("b", 2)
    if what == "whole":
        data["a"].x = torch.ones(3, 1, dtype=torch.long)
    elif what == "nan":
        data["b"].x[1] = torch.nan
    elif what == "ids":
        data["b", "y", "a"].edge_index = torch.tensor([[2], [1]])
    elif what == "half":
        data["b"].x = data["b"].x.half()
    elif what == "shape":
        data["a", "x", "b"].edge_index = torch.tensor([0, 1])
    elif what == "sparse":
        data["a", "x", "b"].edge_index = torch.eye(3).to_sparse()
    elif what == "edgeless":
        del data["a", "x", "b"], data["b", "y", "a"]
    elif what == "featureless":
        data["a"].x = data["b"].x = None
        data["a"].num_nodes, data["b"].num_nodes = 3, 2
    elif what == "weights":
        data["b", "y", "a"].edge_weight = torch.ones(2)
    return data, ("a", 0)


class Weighing(Two):
    def forward(self, x_dict, edge_index_dict, edge_weight_dict=None):
        return super().forward(x_dict, edge_index_dict)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no type", r"say of which type they are, such as nodes=\('a', \[0, 1\]\)"),
        ("unknown type", "no node type 'c'; it has: a, b"),
        ("number", "node 2 is out of range: the graph has nodes 0 to 1"),
        ("whole", r"data\['a'\].x is torch.int64"),
        ("nan", r"data\['b'\].x has NaN or infinite features \(first at node 1\)"),
        ("ids", "names nodes 2 to 2 of type 'b', which has nodes 0 to 1"),
        ("half", r"data\['a'\].x is torch.float32 and data\['b'\].x torch.float16"),
        ("shape", r"must be a dense int64 tensor \[2, E\], got torch.int64 \[2\]"),
        ("sparse", "torch_geometric.utils.to_edge_index"),
        ("edgeless", "no edge types"),
        ("featureless", "no node type with features"),
        ("weights", "must have a row for each of 1 edges"),
    ],
)
def test_bad_input_is_named(what, message):
    data, nodes = spoilt(what)
    with pytest.raises(ValueError, match=message):
        explain(Weighing(), data, nodes)


def test_a_type_is_refused_where_there_are_none(ring):
    data = ring.to_homogeneous()
    with pytest.raises(ValueError, match="whose nodes have no type"):
        explain(written(), data, ("a", 0))


def test_outputs_must_be_of_the_type():
    data = two_types()

    class Other(Two):
        def forward(self, x_dict, edge_index_dict):
            return super().forward(x_dict, edge_index_dict)["b"]

    with pytest.raises(ValueError, match=r"returned \[2, 2\] for node type 'a'.*3 \(a\), 2 \(b\)"):
        explain(Other(), data)
    same = two_types()
    same["b"].x = torch.rand(3, 1)  # as many as of a
    with pytest.raises(ValueError, match="are not of that type"):
        explain(Other(), same)
    assert len(explain(Other(), same, ("b", 0))[1]) == 1
    method = explainers.load("saliency")
    assert method.chosen_engine(Other(), data, RAW) == "batched"  # only b has two nodes
    with pytest.raises(ValueError, match="outputs for node types b, a; say which are explained"):
        method.chosen_engine(Two(), data, RAW)
    assert method.chosen_engine(Two(), data, RAW, node_type="a") == "batched"
    assert not method.supports(Two(), data, RAW)
    assert method.supports(Two(), data, RAW, node_type="a")


def test_methods_without_a_meaning_there_say_why():
    model, data = random_case("sage", 0)
    assert {"degree", "gradient_shap", "pg_explainer", "zorro"} <= {*REFUSED}
    assert not {*REFUSED} & {"integrated_gradients", "gnn_explainer", "occlusion", "random"}
    for name in REFUSED:
        reason = KINDS[name].homogeneous_only
        with pytest.raises(ValueError, match=f"{name} does not explain heterogeneous .*{reason}"):
            explain(model, data, name=name)
        assert not explainers.load(name).supports(model, data)


@pytest.mark.parametrize("name", [name for name in KINDS if name not in REFUSED])
def test_every_other_method_explains_every_type(name):
    model, data = random_case("sage", 0)
    method = explainers.load(name)
    for option, few in (("epochs", 12), ("n_samples", 8), ("n_steps", 5)):
        if hasattr(method, option):
            setattr(method, option, few)
    (explanation,) = method.explain(model, data, ("a", 1), model_config=RAW)
    assert explanation.validate()
    nodes, edges = explainers.to_full(explanation, data)
    for kind in data.node_types:
        assert nodes[kind].shape == data[kind].x.shape
        assert bool(nodes[kind].isfinite().all())
    for kind in data.edge_types:
        assert edges[kind].shape == (data[kind].num_edges,)
        assert bool(edges[kind].isfinite().all())
    assert any(bool(mask.any()) for mask in (*nodes.values(), *edges.values()))
    assert list(explanation.node_types) == data.node_types
    assert explanation.edge_types == data.edge_types


def test_a_change_of_the_data_is_noticed(ring):
    model = written()
    _, (before,) = explain(model, ring)
    ring["a"].x.numpy()[18] *= 2  # behind torch's back
    _, (after,) = explain(model, ring)
    assert not torch.equal(before["a"].node_mask, after["a"].node_mask)
    torch.testing.assert_close(
        after.prediction, model(ring.x_dict, ring.edge_index_dict)[0].detach()
    )


def test_the_users_model_is_left_alone():
    model, data = random_case("gcn-and-gat", 3)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    output = predict(model, data)
    for name, few in (("gnn_explainer", {"epochs": 5}), ("integrated_gradients", {"n_steps": 5})):
        for engine in ("batched", "stock"):
            explain(model, data, name=name, engine=engine, **few)
    assert model.training
    assert torch.equal(predict(model, data), output)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_seeds_are_refused():
    model, data = random_case("sage", 0)
    with pytest.raises(ValueError, match="seeds 2: explanations of heterogeneous graphs"):
        explainers.load("random").explain(model, data, ("a", 0), model_config=RAW, seeds=2)


def test_types_without_features_or_messages_take_part():
    """A type that has only a number of nodes sends what the model has for it."""
    data = two_types()
    data["c"].num_nodes = 2
    data["c", "z", "a"].edge_index = torch.tensor([[0, 1], [0, 2]])

    class Embedding(Two):
        def __init__(self):
            super().__init__()
            self.own = nn.Embedding(2, 1)
            self.third = HeteroConv({("c", "z", "a"): SAGEConv((1, 1), 2)})

        def forward(self, x_dict, edge_index_dict):
            out = super().forward(x_dict, edge_index_dict)["a"]
            x_dict = {**x_dict, "c": self.own.weight}
            return out + self.third(x_dict, edge_index_dict)["a"]

    torch.manual_seed(0)
    model = Embedding()
    with pytest.warns(UserWarning, match="'batched' does not support"):
        method, (explanation,) = explain(model, data, ("a", 2))
    assert method.engine == "stock"
    assert explanation["c"].node_mask.shape == (1, 0)
    assert float(explanation["c", "z", "a"].edge_mask) > 0


def test_random_schemas_are_many():
    """The tests' graphs have what may go wrong: parallel relations, self types, empty types."""
    seen = [random_hetero(seed) for seed in range(10)]
    ends = [[(one[0], one[2]) for one in data.edge_types] for data in seen]
    assert any(len(set(one)) < len(one) for one in ends)
    assert any(source == target for one in ends for source, target in one)
    assert any(data[one].num_edges == 0 for data in seen for one in data.edge_types)
