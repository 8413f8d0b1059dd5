"""Predicted links: every method and engine against stock, PyG's own explainers, and by hand."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import Data
from torch_geometric.explain import CaptumExplainer, Explainer
from torch_geometric.explain import GNNExplainer as PyGGNNExplainer

import explainers
from explainers import metrics
from explainers.engines import stock
from explainers.engines.hoisted.engine import first_hop
from explainers.engines.hoisted.ways import ways
from explainers.methods.gnn_explainer import initial_masks
from explainers.prepare import prepare

from .conftest import (
    CONVS,
    LINKS,
    LOOPS,
    NONLINEAR,
    WEIGHTED,
    difference,
    examples,
    quick,
    random_graph,
    random_link_model,
    random_links,
)
from .engines.test_engines import OPTIONS, PAIRS, equal
from .methods.by_hand import in_float64

NAMES = explainers.available()
NONE = [name for name in NAMES if explainers.load(name).not_links]
INNER = LINKS["inner"]
FROM = torch.tensor([[3, 0, 11], [5, 3, 0]])  # 11 has no edges


def load(name, **options):
    return explainers.load(name, **quick(name, OPTIONS), **options)


def suited(name, data, links):
    """A link model that the method takes: products of two layers have no rule, say."""
    asked = copy.copy(data)
    asked.edge_label_index = links
    for conv, decoder in (("gcn", "inner"), ("gcn", "classes"), ("gat", "inner"), ("gcn", "relu")):
        model, config = random_link_model(0, conv, decoder=decoder), LINKS.get(decoder)
        if explainers.load(name).supports(model, asked, config):
            return model, config, asked
    raise AssertionError(f"no link model for {name}")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NONE])
def test_explanations_have_what_is_promised(name):
    model, config, data = suited(name, random_graph(0), FROM)
    method = load(name)
    found = method.explain(model, data, [0, 1, 2], model_config=config)
    output = model(data.x, data.edge_index, FROM).detach().view(3, -1)
    for r, one in enumerate(found):
        assert explainers.unit(one) == r
        ends = one.n_id[one.edge_label_index]
        assert torch.equal(ends, FROM[:, r : r + 1])
        assert torch.equal(one.n_id[one.edge_index], data.edge_index[:, one.e_id])
        torch.testing.assert_close(one.prediction, output[r])
        assert int(one.target) == int(output[r].argmax())
        assert one.node_mask.isfinite().all()
        assert one.edge_mask.isfinite().all()
        assert "index" not in one
    # Whatever it is explained with, and whether it is named by its column or by its ends.
    (alone,) = method.explain(model, data, 1, model_config=config)
    assert difference(alone, found[1]) < 1e-9
    if not method.needs_fit:
        (named,) = method.explain(model, data, edges=FROM[:, 1], model_config=config)
        assert named.link == 0
        named.link = found[1].link
        assert difference(named, found[1]) < 1e-9


@pytest.mark.parametrize(("name", "engine"), [pair for pair in PAIRS if pair[0] not in NONE])
@settings(max_examples=examples(12))
@given(
    seed=st.integers(0, 10_000),
    nodes=st.sampled_from([2, 6, 12]),
    conv=st.sampled_from(sorted(CONVS)),
    depth=st.integers(1, 3),
    loops=st.sampled_from(LOOPS),
    weighted=st.booleans(),
    decoder=st.sampled_from(sorted(LINKS)),
    budget=st.sampled_from([1, 2**28]),
)
def test_equal_to_stock(name, engine, seed, nodes, conv, depth, loops, weighted, decoder, budget):
    data = random_graph(seed, nodes, 4 * nodes, loops=loops, weighted=weighted and conv in WEIGHTED)
    data.edge_label_index = random_links(seed, nodes, 3)
    model, config = random_link_model(seed, conv, depth, decoder=decoder), LINKS[decoder]
    method = load(name, engine=engine, memory_budget=budget)
    reference = load(name, engine="stock")
    if not reference.supports(model, data, config):
        return  # the method itself does not take the model
    must = engine == "batched"
    if engine == "hoisted":
        must = conv not in NONLINEAR and bool(prepare(model, data, config).edge_index.numel())
        if conv in NONLINEAR and len(data.edge_index[0].unique()) < 2:
            return  # attention to a single source is linear: it may be taken
    assert method.supports(model, data, config) == must
    if not must:
        return
    every = range(data.edge_label_index.size(1))
    found = method.explain(model, data, every, model_config=config)
    assert method.engine == engine
    expected = reference.explain(model, data, every, model_config=config)
    for one, other in zip(found, expected, strict=True):
        assert equal(name, one, other)


@pytest.mark.parametrize("conv", ["gcn", "sage", "gin"])
def test_hoisted_hands_on_few_rows(conv):
    """Decoders then read the rows of both ends among these."""
    data, model = random_graph(0), random_link_model(0, conv, depth=3)
    load("integrated_gradients", engine="hoisted").explain(
        model, data, edges=FROM, model_config=INNER
    )
    prepared = prepare(model, data, INNER, FROM)
    assert ways(prepared, first_hop(prepared)).few


def test_a_subgraph_of_a_link_is_around_both_ends():
    """Two stars apart from each other, of which the product of the centres needs both."""
    edge_index = torch.tensor([[1, 2, 3, 5, 6, 7], [0, 0, 0, 4, 4, 4]])
    x = torch.ones(8, 5, dtype=torch.float64) + torch.arange(8)[:, None] / 10
    data, model = Data(x=x, edge_index=edge_index), random_link_model(0, "graph", depth=1)
    link = torch.tensor([[0], [4]])
    for method in ("subgraphx", "myerson"):
        (one,) = load(method).explain(model, data, edges=link, model_config=INNER)
        assert one.n_id.tolist() == list(range(8))
        assert one.node_mask[0].any()
        assert one.node_mask[4].any()
        if method == "subgraphx":
            assert one.selected_nodes[[0, 4]].all()
            assert 2 <= int(one.set_size) <= 5


def pygs(model, algorithm, data, links, config):
    """What PyG's Explainer gives for one link."""
    explainer = Explainer(
        model,
        algorithm,
        explanation_type="model",
        node_mask_type="attributes",
        edge_mask_type="object",
        model_config=config or CLASSES,
    )
    return explainer(data.x, data.edge_index, edge_label_index=links)


CLASSES = {**INNER, "mode": "multiclass_classification", "return_type": "log_probs"}
NUMBER = {**INNER, "mode": "regression"}  # PyG gives Captum binary outputs as probabilities only
CAPTUMS = {
    "integrated_gradients": ("IntegratedGradients", {"n_steps": 8}),
    "saliency": ("Saliency", {}),
    "input_x_gradient": ("InputXGradient", {}),
}


@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already")
@pytest.mark.parametrize("name", CAPTUMS)
@pytest.mark.parametrize("conv", ["gcn", "sage"])
@pytest.mark.parametrize("decoder", LINKS)
def test_equal_to_pygs_captum_explainer(name, conv, decoder):
    data, links = random_graph(4), random_links(4)[:, 3:7]
    kind, options = CAPTUMS[name]
    config = NUMBER if decoder == "inner" else None
    for engine in ("hoisted", "batched", "stock"):
        model = random_link_model(4, conv, decoder=decoder)
        method = explainers.load(name, engine=engine, **options)
        ours = method.explain(model, data, edges=links, model_config=config)
        for r, one in enumerate(ours):
            link = links[:, r : r + 1]
            with in_float64():  # PyG makes its edge masks in the default type
                theirs = pygs(model, CaptumExplainer(kind, **options), data, link, config)
            nodes, edges = explainers.to_full(one, data)
            torch.testing.assert_close(nodes, theirs.node_mask, rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(edges, theirs.edge_mask, rtol=1e-9, atol=1e-9)


class _Started(PyGGNNExplainer):
    """PyG's, with given initial masks."""

    def __init__(self, start, **options):
        super().__init__(**options)
        self.start = start

    def _initialize_masks(self, x, edge_index):
        self.node_mask, self.edge_mask = (nn.Parameter(mask.clone()) for mask in self.start)


@pytest.mark.parametrize("engine", explainers.load("gnn_explainer").engines)
@pytest.mark.parametrize("decoder", LINKS)
def test_equal_to_pygs_gnn_explainer_from_the_same_start(engine, decoder):
    data, model = random_graph(3), random_link_model(3, decoder=decoder)
    # PyG takes the predicted outcome of a binary model; ours is of the column, which is "yes".
    links = random_links(3)[:, :6]
    if decoder == "inner":
        links = links[:, model(data.x, data.edge_index, links) > 0]
    method = explainers.load("gnn_explainer", engine=engine, epochs=12, lr=0.05, seed=3)
    ours = method.explain(model, data, edges=links, model_config=LINKS[decoder])
    network = prepare(model, data, LINKS[decoder], links)
    for r, one in enumerate(ours):
        number = torch.tensor([r])
        (problem,) = stock.Stock().problems(network, number, number * 0, 1)
        start = torch.randn(12, 5).double(), torch.randn(data.num_edges).double()
        own = initial_masks(problem, seed=3)
        start[0][problem.graphs.n_id], start[1][problem.graphs.e_id] = own
        algorithm = _Started(start, epochs=12, lr=0.05)
        link = links[:, r : r + 1]
        model = random_link_model(3, decoder=decoder)
        theirs = pygs(model, algorithm, data, link, LINKS[decoder])
        nodes, edges = explainers.to_full(one, data)
        torch.testing.assert_close(nodes, theirs.node_mask, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(edges, theirs.edge_mask, rtol=1e-6, atol=1e-6)


def test_links_themselves_can_be_left_out():
    """As PyG's users do it: the edges between the two ends are deleted, then it is explained."""
    data, model = random_graph(5), random_link_model(5)
    links = torch.cat([data.edge_index[:, :2], data.edge_index[:, 2:3].flip(0), FROM[:, 2:]], dim=1)
    method = explainers.load("integrated_gradients", n_steps=9)
    found = method.explain(model, data, edges=links, model_config=INNER, leave_out_links=True)
    assert [explainers.unit(one) for one in found] == [0, 1, 2, 3]
    gone = 0
    for (source, target), one in zip(links.t().tolist(), found, strict=True):
        kept = torch.tensor(
            [{source, target} != {u, v} for u, v in data.edge_index.t().tolist()], dtype=torch.bool
        )
        gone += int((~kept).sum())
        left = Data(x=data.x, edge_index=data.edge_index[:, kept])
        link = torch.tensor([[source], [target]])
        (other,) = method.explain(model, left, edges=link, model_config=INNER)
        assert torch.equal(one.n_id[one.edge_index], data.edge_index[:, one.e_id])
        full = torch.zeros(data.num_edges, dtype=torch.float64)
        full[kept] = explainers.to_full(other, left)[1]
        assert torch.equal(explainers.to_full(one, data)[1], full)
        torch.testing.assert_close(one.prediction, model(left.x, left.edge_index, link).detach())
    assert gone >= 3
    # Otherwise they are edges like any other.
    (with_itself,) = method.explain(model, data, edges=links[:, :1], model_config=INNER)
    ends = with_itself.n_id[with_itself.edge_index]
    assert (ends == links[:, :1]).all(dim=0).any()


def test_other_links_of_the_same_graph_are_not_prepared_anew(monkeypatch):
    data, model = random_graph(1), random_link_model(1)
    method = explainers.load("saliency")
    (first,) = method.explain(model, data, edges=FROM[:, :1], model_config=INNER)
    from explainers.prepare import probe

    monkeypatch.setattr(probe, "look_at_calls", None)
    (second,) = method.explain(model, data, edges=FROM[:, 1:2], model_config=INNER)
    (again,) = method.explain(model, data, edges=FROM[:, :1], model_config=INNER)
    assert difference(again, first) == 0
    monkeypatch.undo()
    explainers.forget(model)
    (fresh,) = method.explain(model, data, edges=FROM[:, 1:2], model_config=INNER)
    assert difference(second, fresh) == 0


@pytest.mark.parametrize("engine", ["hoisted", "batched", "stock"])
@pytest.mark.parametrize("how", metrics.evaluate.__kwdefaults__["semantics"])
def test_fidelity_is_the_models_own_answer(engine, how):
    """The edge with the largest score is deleted, or its messages are, and the model is asked."""
    data, model = random_graph(6), random_link_model(6)
    found = explainers.load("integrated_gradients").explain(
        model, data, edges=FROM, model_config=INNER
    )
    rows = metrics.evaluate(
        model,
        data,
        found,
        at=["k=1"],
        semantics=[how],
        selections=["absolute"],
        metrics=["fidelity"],
        engine=engine,
        model_config=INNER,
        edges=FROM,
    )
    values = {(row["node"], row["metric"]): row["value"] for row in rows if "prob" in row["metric"]}
    assert len({node for node, _ in values}) == 3
    for r, one in enumerate(found):
        if not one.edge_mask.numel():
            continue
        best = int(one.e_id[one.edge_mask.abs().argmax()])
        kept = torch.arange(data.num_edges) != best
        if how == "delete":
            without = model(data.x, data.edge_index[:, kept], FROM[:, r : r + 1])
        else:
            from torch_geometric.explain.algorithm.utils import clear_masks, set_masks

            set_masks(model, kept.double(), data.edge_index, apply_sigmoid=False)
            without = model(data.x, data.edge_index, FROM[:, r : r + 1])
            clear_masks(model)
        # The column is explained, whichever outcome is predicted.
        change = one.prediction.sigmoid() - without.detach().sigmoid()
        torch.testing.assert_close(values[r, "fidelity+_prob"], float(change), rtol=1e-9, atol=1e-9)
