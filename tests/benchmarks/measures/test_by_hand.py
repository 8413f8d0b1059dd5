"""The baseline by hand gives the scores of stock, and PyG's own for GNNExplainer."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.explain import Explainer, GNNExplainer

import explainers
from benchmarks.measures.by_hand import METHODS, NAME, ByHand
from benchmarks.measures.engines import difference
from benchmarks.tasks._models import GNN

PLAIN = [name for name in METHODS if name != "gnn_explainer"]


def graph(seed: int, *, loops: bool = False, dtype: torch.dtype = torch.float64) -> Data:
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(60, (2, 150), generator=generator)
    edge_index = edge_index[:, edge_index[0] != edge_index[1]].unique(dim=1)
    if loops:
        edge_index = torch.cat([torch.tensor([[3, 5], [3, 5]]), edge_index], dim=1)
    x = torch.randn(60, 6, generator=generator, dtype=torch.float64)
    return Data(x=x.to(dtype), edge_index=edge_index)


def network(kind: str, layers: int, dtype: torch.dtype = torch.float64) -> GNN:
    torch.manual_seed(1)
    return GNN([6, *[5] * (layers - 1), 3], kind=kind).to(dtype).eval()


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("kind", ["gcn", "sage", "gin", "gat"])
def test_it_gives_the_scores_of_stock(name, layers, kind):
    """On an exact cut, whatever is known of the whole graph."""
    model, data = network(kind, layers), graph(layers)
    by_hand = ByHand(model, data)
    stock = explainers.load(name, engine="stock")
    for node in (3, 17):
        (expected,) = stock.explain(model, data, node)
        found = by_hand.explain(name, node)
        full, other = (explainers.to_full(one, data) for one in (found, expected))
        assert difference_of(full, other) < 1e-9
        assert difference(found, expected) == pytest.approx(difference_of(full, other), abs=1e-12)


@pytest.mark.parametrize("name", PLAIN)
def test_self_loops_and_single_precision(name):
    """A GCN moves the graph's loops; they are no edges that are explained."""
    model, data = network("gcn", 2, torch.float32), graph(4, loops=True, dtype=torch.float32)
    (expected,) = explainers.load(name, engine="stock").explain(model, data, 3)
    found = ByHand(model, data).explain(name, 3)
    assert difference(found, expected) < 1e-5


def difference_of(full, other) -> float:
    """Relative to the largest score, of masks over the whole graph."""
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(full, other, strict=True))


class Given(GNNExplainer):
    """PyG's, with initial masks that are given."""

    def __init__(self, nodes, edges, **options):
        super().__init__(**options)
        self.given = nodes, edges

    def _initialize_masks(self, x, edge_index):
        self.node_mask, self.edge_mask = (torch.nn.Parameter(one.clone()) for one in self.given)


@pytest.mark.parametrize("kind", ["gcn", "sage"])
def test_gnn_explainer_is_pygs(kind):
    """From the same initial masks the cut gives what PyG gives on the whole graph."""
    model, data = network(kind, 2), graph(7)
    nodes, edges = torch.randn(60, 6).double(), torch.randn(data.num_edges).double()
    explainer = Explainer(
        model,
        Given(nodes, edges, epochs=30),
        explanation_type="model",
        node_mask_type="attributes",
        edge_mask_type="object",
        model_config={
            "mode": "multiclass_classification",
            "task_level": "node",
            "return_type": "log_probs",
        },
    )
    whole = explainer(data.x, data.edge_index, index=9)
    by_hand = ByHand(model, data)
    cut = by_hand.cut(9)
    algorithm = Given(nodes[cut.n_id], edges[cut.e_id], epochs=30)
    found = by_hand.explain("gnn_explainer", 9, algorithm=algorithm)
    torch.testing.assert_close(found.node_mask, whole.node_mask[found.n_id], atol=1e-6, rtol=0)
    torch.testing.assert_close(found.edge_mask, whole.edge_mask[found.e_id], atol=1e-6, rtol=0)


def test_what_is_not_done_by_hand():
    """Graphs of a batch need no cut; edge weights a norm of their own."""
    data = graph(1)
    data.edge_weight = torch.ones(data.num_edges).double()
    with pytest.raises(ValueError, match=f"{NAME}.*edges have weights"):
        ByHand(network("gcn", 2), data)
