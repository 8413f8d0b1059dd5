"""The baseline by hand gives the scores of stock, and PyG's own for GNNExplainer."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.explain import Explainer, GNNExplainer
from torch_geometric.nn import GCNConv

import explainers
from benchmarks.measures.by_hand import METHODS, NAME, ByHand, SideBySide
from benchmarks.measures.engines import difference
from benchmarks.tasks._models import GNN, GraphGNN, LinkGNN
from benchmarks.tasks.white_box_common_neighbours import CommonNeighbours

PLAIN = [name for name in METHODS if name != "gnn_explainer"]


def graph(seed: int, *, loops: bool = False, dtype: torch.dtype = torch.float64) -> Data:
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(60, (2, 150), generator=generator)
    edge_index = edge_index[:, edge_index[0] != edge_index[1]].unique(dim=1)
    if loops:
        edge_index = torch.cat([torch.tensor([[3, 5], [3, 5]]), edge_index], dim=1)
    x = torch.randn(60, 6, generator=generator, dtype=torch.float64)
    return Data(x=x.to(dtype), edge_index=edge_index)


def graphs(*, loops: bool = False) -> Data:
    """Three graphs of different sizes, their edges in any order."""
    generator = torch.Generator().manual_seed(5)
    sizes = (7, 12, 5)
    parts, start = [], 0
    for size in sizes:
        edges = torch.randint(size, (2, 3 * size), generator=generator)
        parts.append(edges[:, edges[0] != edges[1]].unique(dim=1) + start)
        start += size
    if loops:
        parts.append(torch.tensor([[1, 8], [1, 8]]))
    edge_index = torch.cat(parts, dim=1)
    return Data(
        x=torch.randn(sum(sizes), 6, generator=generator, dtype=torch.float64),
        edge_index=edge_index[:, torch.randperm(edge_index.size(1), generator=generator)],
        batch=torch.arange(3).repeat_interleave(torch.tensor(sizes)),
    )


def classifier(kind: str, *, normalize: bool = True) -> GraphGNN:
    torch.manual_seed(2)
    return GraphGNN([6, 5, 5, 3], kind=kind, normalize=normalize).double().eval()


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
@pytest.mark.parametrize(("kind", "normalize"), [("gcn", True), ("gcn", False), ("gin", True)])
def test_a_graph_by_itself_has_the_scores_of_stock(name, kind, normalize):
    """In blocks of a batch; loops are edges like any other where the layers add none."""
    model, data = classifier(kind, normalize=normalize), graphs(loops=True)
    by_hand = ByHand(model, data)
    stock = explainers.load(name, engine="stock")
    for graph in (1, 2):
        (expected,) = stock.explain(model, data, graph)
        found = by_hand.explain(name, graph)
        assert len(found.n_id) == (12, 5)[graph - 1]
        assert difference(found, expected) < 1e-9


LINKS = torch.tensor([[3, 17, 9, 20], [17, 3, 9, 41]])  # in both directions, and of a node itself


def links(kind: str, *, loops: bool = False) -> tuple[torch.nn.Module, Data]:
    data = graph(6, loops=loops)
    data.edge_label_index = LINKS
    torch.manual_seed(3)
    if kind == "raw":  # scores that are no log-probabilities
        data.x = torch.eye(60).double()
        # Pairs that an even node sends to, which is then red, and so has a say.
        source, target = data.edge_index[:, data.edge_index[0] % 2 == 0]
        pairs = torch.stack([target[:-1], target[1:]])[:, source[:-1] == source[1:]]
        data.edge_label_index = pairs[:, :4]
        return CommonNeighbours(torch.arange(60) % 2 == 0, saturated=True).double(), data
    return LinkGNN([6, 5, 4], kind=kind).double().eval(), data


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("kind", ["gcn", "sage", "raw"])
def test_a_link_has_the_scores_of_stock(name, kind):
    """On the cut around both of its ends."""
    model, data = links(kind, loops=kind == "gcn")
    by_hand = ByHand(model, data)
    stock = explainers.load(name, engine="stock")
    for unit, expected in enumerate(stock.explain(model, data, range(4))):
        assert expected.edge_mask.any()
        assert difference(by_hand.explain(name, unit), expected) < 1e-9


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


class GivenTogether(SideBySide):
    """The same for several at once."""

    given: tuple[torch.Tensor, torch.Tensor]
    _initialize_masks = Given._initialize_masks


class Probabilities(torch.nn.Module):
    """Returns probabilities where a network returns log-probabilities."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x, edge_index):
        return self.network(x, edge_index).exp()


@pytest.mark.parametrize("kind", ["gcn", "sage", "sage, probs", "graphs", "links", "links, raw"])
def test_gnn_explainer_is_pygs(kind):
    """From the same initial masks: on the cut, and side by side with others."""
    if kind == "graphs":
        model, data, units, rows = classifier("gcn", normalize=False), graphs(), [2, 0, 1], {}
        rows = {"batch": data.batch}
    elif kind.startswith("links"):
        model, data = links("raw" if kind == "links, raw" else "gcn")
        units, rows = [3, 0, 1], {"edge_label_index": data.edge_label_index}
    else:
        name, _, probs = kind.partition(", ")
        model, data, units, rows = network(name, 2), graph(7), [9, 3, 17], {}
        if probs:
            model = Probabilities(model)
    nodes, edges = torch.randn_like(data.x), torch.randn(data.num_edges).double()
    returns = kind.partition(", ")[2] or "log_probs"
    by_hand = ByHand(model, data, returns)
    cuts = [by_hand.cut(unit) for unit in units]
    together = GivenTogether(
        [len(cut.n_id) for cut in cuts],
        [len(cut.e_id) for cut in cuts],
        return_type=returns,
        epochs=30,
    )
    together.given = (
        torch.cat([nodes[cut.n_id] for cut in cuts]),
        torch.cat([edges[cut.e_id] for cut in cuts]),
    )
    before = by_hand.explain("saliency", units[0])
    several = by_hand.explain_together("gnn_explainer", units, algorithm=together)
    for unit, cut, one_of_several in zip(units, cuts, several, strict=True):
        explainer = Explainer(
            model,
            Given(nodes, edges, epochs=30),
            explanation_type="phenomenon",
            node_mask_type="attributes",
            edge_mask_type="object",
            model_config={
                "mode": "multiclass_classification",
                "task_level": by_hand.level,
                "return_type": returns,
            },
        )
        target = model(data.x, data.edge_index, **rows).argmax(dim=1)
        whole = explainer(data.x, data.edge_index, target=target, index=unit, **rows)
        algorithm = Given(nodes[cut.n_id], edges[cut.e_id], epochs=30)
        alone = by_hand.explain("gnn_explainer", unit, algorithm=algorithm)
        for found in (alone, one_of_several):
            for mask, ids in (("node_mask", found.n_id), ("edge_mask", found.e_id)):
                expected = whole[mask][ids]
                torch.testing.assert_close(found[mask], expected, atol=1e-6, rtol=0)
    assert difference(by_hand.explain("saliency", units[0]), before) == 0  # nothing is left behind


def test_what_is_not_done_by_hand():
    """Edge weights have a norm of their own."""
    data = graph(1)
    data.edge_weight = torch.ones(data.num_edges).double()
    with pytest.raises(ValueError, match=f"{NAME}.*edges have weights"):
        ByHand(network("gcn", 2), data)

    class Plain(torch.nn.Module):
        """As most are written: a cut of it has norms of its own."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = GCNConv(6, 3)

        def forward(self, x, edge_index):
            return self.conv(x, edge_index)

    with pytest.raises(ValueError, match=f"{NAME}.*it takes no edge_weight"):
        ByHand(Plain(), graph(1))
