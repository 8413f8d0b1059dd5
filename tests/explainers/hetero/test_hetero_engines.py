"""Heterogeneous graphs: engines against each other, PyG, Captum, autograd and deletion."""

import functools
import warnings

import pytest
import torch
from torch_geometric.explain import CaptumExplainer, Explainer
from torch_geometric.explain import GNNExplainer as PyGGNNExplainer
from torch_geometric.explain.algorithm import captum as pygs_captum
from torch_geometric.utils import k_hop_subgraph

import explainers
from explainers.methods.gnn_explainer import initial_masks
from explainers.prepare import prepare

from .schemas import BY_PYG, MODELS, predict, random_case

RAW = {"mode": "multiclass_classification", "task_level": "node", "return_type": "raw"}
NODES = ("a", [0, 2])
OPTIONS = {
    "integrated_gradients": {"n_steps": 7},
    "saliency": {},
    "input_x_gradient": {},
    "guided_backprop": {},
    "deconvolution": {},
    "occlusion": {},
    "shapley_sampling": {"n_samples": 3},
    "kernel_shap": {"n_samples": 30},
    "lime": {"n_samples": 30},
    "gnn_explainer": {"epochs": 20},
    "eig_search": {},
    "cf_explainer": {"epochs": 10},
    "myerson": {"n_samples": 4},
    "subgraphx": {},
}


def assert_same(found, expected, tolerance=1e-9):
    for one, other in zip(found, expected, strict=True):
        for kind in (0, 1):
            assert one[kind].keys() == other[kind].keys()
            for name in one[kind]:
                torch.testing.assert_close(
                    one[kind][name], other[kind][name], rtol=tolerance, atol=tolerance
                )


def full(explanations, data):
    return [explainers.to_full(one, data) for one in explanations]


FEW = ("integrated_gradients", "gnn_explainer", "occlusion")  # on all models, others on two


@pytest.mark.parametrize(
    ("kind", "name"),
    [(k, n) for k in MODELS for n in OPTIONS if n in FEW or k in ("hgt", "gcn-and-gat")],
)
def test_batched_equals_stock(kind, name):
    model, data = random_case(kind, seed=hash_of(kind))
    found = {}
    for engine in ("batched", "stock"):
        method = explainers.load(name, engine=engine, **OPTIONS[name])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found[engine] = full(method.explain(model, data, NODES, model_config=RAW), data)
        assert method.engine == engine
    assert_same(found["batched"], found["stock"], 1e-6 if name == "gnn_explainer" else 1e-9)


def hash_of(kind):
    return sum(map(ord, kind)) % 50


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", MODELS)
def test_computation_graphs_are_pygs_k_hop_subgraphs(kind, seed):
    model, data = random_case(kind, seed)
    hops = 3 if kind == "three-layers" else 2
    one = data.to_homogeneous(node_attrs=[], edge_attrs=[])
    (explanation,) = explainers.load("random").explain(model, data, ("a", 1))
    root = int((one.node_type < data.node_types.index("a")).sum()) + 1
    n_id, inner = (
        k_hop_subgraph(root, count, one.edge_index, num_nodes=one.num_nodes)[0]
        for count in (hops, hops - 1)
    )
    edges = torch.isin(one.edge_index[1], inner)  # PyG adds those between nodes of the border
    start = 0
    for name in data.node_types:
        size = data[name].num_nodes
        own = n_id[(n_id >= start) & (n_id < start + size)] - start
        assert explanation[name].n_id.tolist() == own.tolist()
        start += size
    start = 0
    for name in data.edge_types:
        size = data[name].num_edges
        own = edges[start : start + size].nonzero().view(-1)
        assert explanation[name].e_id.tolist() == own.tolist()
        ends = data[name].edge_index[:, own]
        for row, end, side in zip(
            explanation[name].edge_index, ends, (name[0], name[2]), strict=True
        ):
            assert torch.equal(explanation[side].n_id[row], end)
        start += size
    assert explanation.node_type == "a"
    assert int(explanation["a"].n_id[explanation.index]) == explainers.unit(explanation) == 1
    torch.testing.assert_close(explanation.prediction, predict(model, data)[1].detach())


def with_mended_masks(monkeypatch):
    """PyG's ``CaptumHeteroModel`` with its masks as they are, and not through a sigmoid."""
    pygs = pygs_captum._to_edge_mask  # of float32, whatever the model's type
    monkeypatch.setattr(pygs_captum, "_to_edge_mask", lambda edges: pygs(edges).double())
    mended = functools.partial(pygs_captum.set_hetero_masks, apply_sigmoid=False)
    monkeypatch.setattr(pygs_captum, "set_hetero_masks", mended)


@pytest.mark.parametrize("engine", ["batched", "stock"])
@pytest.mark.parametrize("kind", BY_PYG)
@pytest.mark.parametrize(
    ("name", "theirs", "options"),
    [
        ("saliency", "Saliency", {}),
        ("input_x_gradient", "InputXGradient", {}),
        ("integrated_gradients", "IntegratedGradients", {"n_steps": 7}),
    ],
)
def test_equal_to_pygs_captum_explainer(monkeypatch, name, theirs, options, kind, engine):
    # Seeds with which every type has a part in the output: Captum fails at others.
    model, data = random_case(kind, seed=SEEN[kind])
    ours = explainers.load(name, engine=engine, **options).explain(model, data, NODES)
    for mask_type in ("object", None):
        if mask_type:
            with_mended_masks(monkeypatch)
        explainer = Explainer(
            model,
            CaptumExplainer(theirs, **options),
            explanation_type="model",
            node_mask_type="attributes",
            edge_mask_type=mask_type,
            model_config=RAW,
        )
        if mask_type is None:
            method = explainers.load(name, engine=engine, mask_type="node", **options)
            ours = method.explain(model, data, NODES)
        for node, explanation in zip(NODES[1], ours, strict=True):
            found = explainer(data.x_dict, data.edge_index_dict, index=torch.tensor([node]))
            expected = found.node_mask_dict, found.edge_mask_dict if mask_type else {}
            own = explainers.to_full(explanation, data)
            assert_same([(own[0], own[1] if mask_type else {})], [expected])


SEEN = {"sage": 9, "three-layers": 9, "gcn-and-gat": 9, "to-hetero": 9}


def test_pygs_captum_model_explains_another_model():
    """Why ``stock`` has its own: PyG sends the masks through a sigmoid."""
    model, data = random_case("sage", 9)
    theirs = pygs_captum.CaptumHeteroModel(model, "node_and_edge", 0, data.metadata())
    inputs, rest = pygs_captum.to_captum_input(data.x_dict, data.edge_index_dict, "node_and_edge")
    assert not torch.allclose(theirs(*inputs, *rest)[0], predict(model, data)[0])
    (problem,) = _stock_problems(model, data, [0])
    ours = problem.predict(problem.x[None], problem.edge_mask[None])[0]
    torch.testing.assert_close(ours, predict(model, data)[:1], rtol=1e-12, atol=1e-12)
    assert prepare(model, data, RAW, "a").suits_pyg


def _stock_problems(model, data, nodes):
    prepared = prepare(model, data, RAW, "a")
    nodes = torch.tensor(nodes)
    return prepared.engines["stock"].problems(prepared, nodes, nodes * 0, 1)


class _Started(PyGGNNExplainer):
    """PyG's, with given initial masks by type."""

    def __init__(self, masks, **options):
        super().__init__(**options)
        self.start = masks

    def _initialize_masks(self, x, edge_index):
        super()._initialize_masks(x, edge_index)
        for mine, start in zip((self.node_mask, self.edge_mask), self.start, strict=True):
            for name, mask in mine.items():
                mask.data = start[name].clone()


@pytest.mark.parametrize("engine", ["batched", "stock"])
@pytest.mark.parametrize("kind", BY_PYG)
def test_gnn_explainer_equals_pygs_from_the_same_start(kind, engine):
    model, data = random_case(kind, seed=SEEN[kind])
    data = without_empty_types(data)
    method = explainers.load("gnn_explainer", engine=engine, epochs=25, lr=0.05, seed=3)
    ours = method.explain(model, data, NODES, model_config=RAW)
    schema = prepare(model, data, RAW, "a").schema
    problems = _stock_problems(model, data, NODES[1])
    for explanation, problem in zip(ours, problems, strict=True):
        nodes, edges = torch.zeros_like(problem.x), torch.zeros_like(problem.edge_mask)
        nodes[problem.graphs.n_id], edges[problem.graphs.e_id] = initial_masks(problem, seed=3)
        starts = {}, {}
        for i, (name, width) in enumerate(zip(schema.node_types, schema.widths, strict=True)):
            starts[0][name] = nodes[schema.node_ptr[i] : schema.node_ptr[i + 1], :width]
        for i, name in enumerate(schema.edge_types):
            starts[1][name] = edges[schema.edge_ptr[i] : schema.edge_ptr[i + 1]]
        explainer = Explainer(
            model,
            _Started(starts, epochs=25, lr=0.05),
            explanation_type="model",
            node_mask_type="attributes",
            edge_mask_type="object",
            model_config=RAW,
        )
        index = torch.tensor([explainers.unit(explanation)])
        theirs = explainer(data.x_dict, data.edge_index_dict, index=index)
        expected = theirs.node_mask_dict, theirs.edge_mask_dict
        assert_same([explainers.to_full(explanation, data)], [expected], 1e-6)
        assert "converged" in explanation
        assert "collapsed" in explanation


def without_empty_types(data):
    """PyG cannot start a mask over no edges: it asks for their largest node."""
    for name in data.edge_types:
        if not data[name].num_edges:
            data[name].edge_index = torch.zeros(2, 1, dtype=torch.long)
    return data


@pytest.mark.parametrize("engine", ["batched", "stock"])
@pytest.mark.parametrize("seed", range(4))
def test_edge_scores_are_those_of_weights(seed, engine):
    """A mask multiplies a message as a weight does, where messages are weighted: m = 1, w = w."""
    model, data = random_case("weighted-sum", seed)
    method = explainers.load("input_x_gradient", engine=engine)
    (explanation,) = method.explain(model, data, ("a", 1), target=2)
    weights = {k: w.clone().requires_grad_() for k, w in data.edge_weight_dict.items()}
    x = {k: one.clone().requires_grad_() for k, one in data.x_dict.items()}
    model(x, data.edge_index_dict, weights)[1, 2].backward()
    zeros = torch.zeros_like
    expected = (
        {k: one.detach() * (zeros(one) if one.grad is None else one.grad) for k, one in x.items()},
        {k: w.detach() * (zeros(w) if w.grad is None else w.grad) for k, w in weights.items()},
    )
    assert_same([explainers.to_full(explanation, data)], [expected])


@pytest.mark.parametrize("engine", ["batched", "stock"])
@pytest.mark.parametrize("seed", range(4))
def test_occlusion_is_deletion_where_messages_are_summed(seed, engine):
    model, data = random_case("weighted-sum", seed)
    (explanation,) = explainers.load("occlusion", engine=engine).explain(model, data, ("a", 1))
    target = int(explanation.target)
    before = predict(model, data)[1, target]
    _, edges = explainers.to_full(explanation, data)
    for name in data.edge_types:
        for edge in range(data[name].num_edges):
            less = data.clone()
            kept = torch.arange(data[name].num_edges) != edge
            less[name].edge_index = data[name].edge_index[:, kept]
            less[name].edge_weight = data[name].edge_weight[kept]
            lost = float(before - predict(model, less)[1, target])
            assert float(edges[name][edge]) == pytest.approx(lost, abs=1e-9)


@pytest.mark.parametrize("engine", ["batched", "stock"])
def test_masks_of_hgt_are_on_its_messages(monkeypatch, engine):
    """Against the layer's own ``message``, with the masks of all types in the data's order."""
    model, data = random_case("hgt", 5)
    method = explainers.load("saliency", engine=engine)
    (explanation,) = method.explain(model, data, ("a", 0), target=1)
    masks = {
        name: torch.ones(data[name].num_edges, dtype=torch.float64, requires_grad=True)
        for name in data.edge_types
    }
    kind = type(model.layers[0])
    plain = kind.message

    def masked(self, *args, **kwargs):
        return plain(self, *args, **kwargs) * torch.cat([*masks.values()])[:, None]

    for layer in model.layers:
        monkeypatch.setattr(layer, "message", masked.__get__(layer))
        monkeypatch.setattr(layer, "explain", None)
    output = predict(model, data)[0, 1]
    found = torch.autograd.grad(output, [*masks.values()], materialize_grads=True)
    expected = dict(zip(masks, (one.abs() for one in found), strict=True))
    assert_same([({}, explainers.to_full(explanation, data)[1])], [({}, expected)])


@pytest.mark.parametrize("node_mask_type", ["attributes", "object", "common_attributes", None])
def test_as_algorithm_of_pygs_explainer(node_mask_type):
    model, data = random_case("weighted-sum", 1)
    explainer = Explainer(
        model,
        explainers.as_algorithm("input_x_gradient", node_type="a"),
        explanation_type="model",
        node_mask_type=node_mask_type,
        edge_mask_type="object",
        model_config=RAW,
    )
    weights = {"edge_weight_dict": data.edge_weight_dict}
    found = explainer(data.x_dict, data.edge_index_dict, index=torch.tensor([2]), **weights)
    kind = "node_and_edge" if node_mask_type else "edge"
    method = explainers.load("input_x_gradient", mask_type=kind)
    (ours,) = method.explain(model, data, ("a", 2), model_config=RAW)
    nodes, edges = explainers.to_full(ours, data)
    for name, mask in edges.items():
        assert torch.equal(found[name].edge_mask, mask)
    for name, mask in nodes.items():
        if node_mask_type is None:
            assert "node_mask" not in found[name]
            continue
        shaped = {
            "attributes": mask,
            "object": mask.sum(dim=1, keepdim=True),
            "common_attributes": mask.sum(dim=0, keepdim=True),
        }[node_mask_type]
        assert torch.equal(found[name].node_mask, shaped)
    explainer.algorithm.node_type = None
    with pytest.raises(ValueError, match=r"N = 6 \(a\), 8 \(b\), 6 \(c\); say which"):
        explainer(data.x_dict, data.edge_index_dict, index=torch.tensor([2]), **weights)
    with pytest.raises(ValueError, match="index must name one node, got None"):
        explainer(data.x_dict, data.edge_index_dict, **weights)
    with pytest.raises(ValueError, match="extra: models of heterogeneous graphs"):
        explainer.algorithm(
            model, data.x_dict, data.edge_index_dict, target=found.target, index=0, extra=1
        )


@pytest.mark.parametrize("kind", ["hgt", "three-layers"])
def test_the_explained_node_of_a_type_that_is_not_the_first(kind):
    model, data = random_case(kind, 1)
    if kind == "hgt":  # what is known of one type is not taken for another's
        explainers.load("saliency").explain(model, data, ("a", 0), model_config=RAW)
    model.out = "c"  # of those that return one type
    nodes = [3, 0]
    for engine in ("batched", "stock"):
        method = explainers.load("saliency", engine=engine)
        for node, explanation in zip(
            nodes, method.explain(model, data, ("c", nodes), model_config=RAW), strict=True
        ):
            assert explanation.node_type == "c"
            assert explainers.unit(explanation) == node
            assert int(explanation["c"].n_id[explanation.index]) == node
            output = predict(model, data, "c")
            torch.testing.assert_close(explanation.prediction, output[node].detach())
            x = {name: one.clone().requires_grad_() for name, one in data.x_dict.items()}
            predict(model, data, "c", x=x)[node, int(explanation.target)].backward()
            found, _ = explainers.to_full(explanation, data)
            expected = {
                k: torch.zeros_like(one) if one.grad is None else one.grad.abs()
                for k, one in x.items()
            }
            assert_same([(found, {})], [(expected, {})])


def test_gnn_explainer_comes_to_rest_where_a_type_is_not_in_use():
    """PyG takes the mean of no entries, NaN, into its loss."""
    model, data = random_case("sage", hash_of("sage"))
    found = []
    for engine in ("batched", "stock"):
        method = explainers.load("gnn_explainer", engine=engine, epochs=150, lr=0.2)
        (explanation,) = method.explain(model, data, ("a", 0), model_config=RAW)
        found.append(explanation)
    unused = [not one.edge_mask.any() for one in found[0].edge_stores]
    assert any(unused)
    assert [bool(one.converged) for one in found] == [True, True]
