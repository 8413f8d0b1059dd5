"""What others do, against PyG, Captum and plain loops."""

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from torch_geometric.data import Data
from torch_geometric.explain import Explainer, Explanation, GNNExplainer
from torch_geometric.utils import to_undirected

from benchmarks.replication.protocols import (
    FeatureScores,
    Neighbourhoods,
    by_ends,
    cleaned,
    fidelities,
    learned_masks,
    of_edges,
)
from benchmarks.tasks._models import GNN


@pytest.fixture
def path():
    """0 - 1 - 2 - 3 - 4."""
    ends = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
    return Data(x=torch.arange(10.0).view(5, 2), edge_index=to_undirected(ends))


def network(*dims, normalize=True):
    torch.manual_seed(0)
    return GNN(dims, normalize=normalize).double().eval().requires_grad_(False)


def random_graph(nodes, features, edges):
    generator = np.random.RandomState(0)
    pairs = {(i, i) for i in range(nodes)}
    while len(pairs) < nodes + edges:
        i, j = generator.randint(nodes, size=2)
        pairs |= {(int(i), int(j)), (int(j), int(i))}
    edge_index = torch.tensor(sorted(pairs)).t().contiguous()
    weight = torch.from_numpy(generator.uniform(0.1, 1, edge_index.size(1)))
    x = torch.from_numpy(generator.standard_normal((nodes, features)))
    y = torch.from_numpy(generator.randint(3, size=nodes))
    return Data(x=x, edge_index=edge_index, edge_weight=weight, y=y)


def test_neighbourhoods_have_the_edges_between_outer_nodes_too(path):
    around = Neighbourhoods.of(path, [1, 4], 1)
    assert around.n_id.tolist() == [0, 1, 2, 3, 4]
    assert around.node_of.tolist() == [0, 0, 0, 1, 1]
    assert around.roots.tolist() == [1, 4]
    ends = around.n_id[around.edge_index]
    assert torch.equal(ends, path.edge_index[:, around.e_id])
    assert ends.t().tolist() == [[0, 1], [1, 0], [1, 2], [2, 1], [3, 4], [4, 3]]
    assert around.edge_of.tolist() == [0, 0, 0, 0, 1, 1]


class FromTheStart(GNNExplainer):
    """PyG's penalises the masks from the second epoch on; both papers, from the first."""

    def _initialize_masks(self, x, edge_index):
        super()._initialize_masks(x, edge_index)
        self.hard_edge_mask = torch.ones_like(self.edge_mask, dtype=torch.bool)
        if self.node_mask is not None:
            self.hard_node_mask = torch.ones_like(self.node_mask, dtype=torch.bool)


@pytest.mark.parametrize("features", [False, True])
def test_learned_masks_are_pygs(features):
    """Where the prediction depends on every edge."""
    ends = torch.tensor([[0, 0, 1, 0], [1, 2, 2, 3]])
    torch.manual_seed(3)
    data = Data(x=torch.rand(4, 3).double(), edge_index=to_undirected(ends))
    model = network(3, 5, 2)
    (ours,) = learned_masks(
        model, data, [0], hops=2, epochs=30, lr=0.05, edge_size=0.2, features=features, seed=7
    )
    algorithm = Explainer(
        network(3, 5, 2),
        FromTheStart(epochs=30, lr=0.05, edge_size=0.2),
        explanation_type="model",
        node_mask_type="common_attributes" if features else None,
        edge_mask_type="object",
        model_config={
            "mode": "multiclass_classification",
            "task_level": "node",
            "return_type": "log_probs",
        },
    )
    torch.manual_seed(7)
    theirs = algorithm(data.x, data.edge_index, index=0)
    # PyG's mask of edges is in float32.
    torch.testing.assert_close(ours.edge_mask, theirs.edge_mask.double(), rtol=0, atol=1e-5)
    if features:
        mask = theirs.node_mask[0].double()
        torch.testing.assert_close(ours.feature_mask, mask, rtol=0, atol=1e-5)
    assert ours.e_id.tolist() == list(range(8))
    assert all(layer._edge_mask is None and not layer.explain for layer in model.convs)


def test_nodes_learn_their_masks_each_for_itself(path):
    """Without noise at the start: of two nodes as of each alone, and all edges have a score."""
    data, model = path.clone(), network(2, 4, 4, 3)
    data.x = data.x.double() / 10
    options = {"hops": 3, "epochs": 20, "lr": 0.1, "edge_size": 0.1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randn", lambda *shape, **_: torch.zeros(*shape))
        both = learned_masks(model, data, [0, 4], torch.tensor([1, 2]), **options)
        alone = [
            learned_masks(model, data, [node], torch.tensor([target]), **options)[0]
            for node, target in ((0, 1), (4, 2))
        ]
    for one, other in zip(both, alone, strict=True):
        assert torch.equal(one.e_id, other.e_id)
        torch.testing.assert_close(one.edge_mask, other.edge_mask)
    assert both[0].e_id.tolist() == [0, 1, 2, 3, 4, 5]
    # The edge into node 3, three hops away, matters not; its mask only shrinks: Adam's steps of lr.
    outer = both[0].edge_mask[data.edge_index[1, both[0].e_id] == 3]
    torch.testing.assert_close(outer, torch.tensor([-2.0]).double().sigmoid(), rtol=0, atol=0.02)


@pytest.mark.parametrize("n_steps", [None, 2])
def test_feature_scores_are_captums_on_the_whole_graph(n_steps):
    data, model = random_graph(8, 3, 12), network(3, 4, 3, normalize=False)
    nodes, targets = [2, 5], [1, 0]
    found = FeatureScores(n_steps=n_steps).explain(model, data, nodes, targets)
    for explanation, node, target in zip(found, nodes, targets, strict=True):
        x = data.x.clone().requires_grad_()
        if n_steps is None:
            output = model(x, data.edge_index, data.edge_weight)[node, target]
            (expected,) = torch.autograd.grad(output, x)
        else:

            def forward(x, node=node):
                one = [model(part, data.edge_index, data.edge_weight)[node] for part in x]
                return torch.stack(one)

            (expected,) = IntegratedGradients(forward).attribute(
                x[None], target=target, n_steps=n_steps
            )
        torch.testing.assert_close(explanation.node_mask, expected[explanation.n_id])
    assert any((explanation.node_mask < 0).any() for explanation in found)


def test_an_edge_scores_what_its_ends_score(path):
    one = Explanation(n_id=torch.tensor([1, 2]), node_mask=torch.tensor([[1.0, 2], [-5, 1]]))
    (scores,) = by_ends(path, [one])
    found = dict(zip(map(tuple, path.edge_index.t().tolist()), scores.tolist(), strict=True))
    assert found[0, 1] == found[1, 0] == 3
    assert found[1, 2] == found[2, 1] == -1
    assert found[2, 3] == -4
    assert found[3, 4] == 0


def test_edges_without_a_score_have_0(path):
    one = Explanation(e_id=torch.tensor([6, 2]), edge_mask=torch.tensor([0.5, -1.0]))
    assert of_edges(path, [one]).tolist() == [[0, 0, -1, 0, 0, 0, 0.5, 0]]


def test_cleaned_masks():
    assert cleaned(torch.tensor([-30.0, 0, 10])).tolist() == [0, 0.5, 1]
    assert cleaned(torch.tensor([0, 5e-4, 0.002, 1.0])).tolist() == pytest.approx([0, 0, 0.002, 1])
    assert cleaned(torch.tensor([2.0, 2.0])).tolist() == [2, 2]
    assert cleaned(torch.tensor([2.0, 4.0]), zeros=True).tolist() == [0.5, 1]
    assert cleaned(torch.tensor([-4.0, -1.0]), zeros=True).tolist() == [0, 0.75]


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("kind", ["none", "shared", "nodes"])
def test_fidelities_by_plain_loops(kind, weights):
    data, model = random_graph(14, 3, 24), network(3, 4, 3, normalize=False)
    for conv in model.convs:
        conv.lin.weight.mul_(5)  # so that features decide, and not biases
    nodes = list(range(14))
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(14, data.num_edges, generator=generator).double()
    scores[:3] = 0  # nothing to choose from: a constant mask, and no edge above 0
    shared = list(torch.rand(14, 3, generator=generator).double())
    # One feature stands out, another for each node: m and 1 - m are then told apart.
    noise = [torch.randn(14, 3, generator=generator).double() for _ in nodes]
    wide = [torch.eye(3)[node % 3] + 0.1 * noise[node] for node in nodes]
    around = Neighbourhoods.of(data, nodes, 2)
    own = [around.n_id[around.node_of == node] for node in nodes]
    features = {
        "none": None,
        "shared": shared,
        "nodes": [mask[ids] for mask, ids in zip(wide, own, strict=True)],
    }[kind]
    plus, minus = [], []
    for node in nodes:
        row = scores[node].tolist()
        low, high = min(row), max(row)
        scaled = [(s - low) / (high - low) if high > low else s for s in row]
        best = sorted(range(len(row)), key=lambda e, row=row: -row[e])[:10]
        chosen = torch.tensor([e in best and scaled[e] >= 1e-3 for e in range(len(row))])
        only = without = data.x
        if kind == "shared":
            mask = cleaned(shared[node])
            only, without = data.x * mask, data.x * (1 - mask)
        if kind == "nodes":  # what is not near the node is 0 in the code's mask
            mask = torch.zeros_like(data.x)
            mask[own[node]] = wide[node][own[node]]
            mask = cleaned(mask)
            only, without = mask, 1 - mask
        hits = []
        for x, kept in ((data.x, None), (without, ~chosen), (only, chosen)):
            weight = data.edge_weight if weights or kept is None else data.edge_weight * 0 + 1
            kept = torch.ones_like(chosen) if kept is None else kept
            output = model(x, data.edge_index[:, kept], weight[kept])
            hits.append(int(output[node].argmax() == data.y[node]))
        plus.append(abs(hits[0] - hits[1]))
        minus.append(abs(hits[0] - hits[2]))
    found = fidelities(model, data, nodes, scores, features, hops=2, weights=weights)
    assert found == pytest.approx((np.mean(plus), np.mean(minus)))
    assert sum(plus) > 0
    assert sum(minus) > 0


def test_scores_of_nodes_features_take_the_features_place():
    """A node that hears itself alone, no edge chosen; the class is the larger feature."""
    loop = torch.zeros(2, 1, dtype=torch.long)
    data = Data(x=torch.tensor([[1.0, 0]]), edge_index=loop, edge_weight=torch.ones(1))
    data.y = torch.tensor([0])
    model = GNN([2, 2], normalize=False).eval().requires_grad_(False)
    model.convs[0].lin.weight.copy_(torch.eye(2))
    options = {"hops": 1, "weights": True}
    scores = torch.zeros(1, 1)
    assert fidelities(model, data, [0], scores, None, **options)[0] == 0
    # What is left is 1 - m, though m is not 0 where x is.
    assert fidelities(model, data, [0], scores, [torch.tensor([[1.0, 0]])], **options)[0] == 1
    assert fidelities(model, data, [0], scores, [torch.tensor([[0, 1.0]])], **options)[0] == 0
