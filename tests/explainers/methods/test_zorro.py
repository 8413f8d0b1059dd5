"""Zorro: against a plain search over the same draws, and by hand."""

import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import GraphConv

import explainers
from explainers.engines import stock
from explainers.methods.zorro import _Fidelity
from explainers.prepare import prepare

from ..conftest import Stack, random_batch, random_graph, random_graph_model, random_model


def noise_of(model, data, index, target, samples, seed=0):
    """The draws by which the search judges, [samples, n, F]."""
    (problem,) = stock.Stock().problems(
        prepare(model, data), torch.tensor([index]), torch.tensor([target]), 1
    )
    owner = 0 if "batch" in data else index
    return _Fidelity(problem, np.random.default_rng([seed, owner]), samples)._noise


def plain_search(stays, n, f, threshold, candidates=10):
    """The search of the authors' code, one set at a time; ``stays`` gives a set's fidelity."""
    nodes, features = [], []
    alone = [
        [stays([i], range(f)) for i in range(n)],
        [stays(range(n), [j]) for j in range(f)],
    ]
    while stays(nodes, features) < threshold:
        options = []
        for kind, chosen in enumerate((nodes, features)):
            if bool(nodes) != bool(features) and chosen:
                continue
            left = [i for i in range((n, f)[kind]) if i not in chosen]
            left = sorted(left, key=lambda i: -alone[kind][i])[:candidates]
            for i in sorted(left):
                if not nodes and not features:
                    value = alone[kind][i]
                elif kind == 0:
                    value = stays([*nodes, i], features)
                else:
                    value = stays(nodes, [*features, i])
                options.append((value, kind, -i))
        if not options:
            break
        _, kind, i = max(options)
        (nodes, features)[kind].append(-i)
    return nodes, features


@pytest.mark.parametrize("level", ["node", "graph"])
def test_the_set_of_a_plain_search(level):
    sizes = []
    for seed in range(12):
        if level == "node":
            data, model, index = random_graph(seed), random_model(seed), 0
        else:
            data, model, index = random_batch(seed), random_graph_model(seed), 3
        method = explainers.load("zorro", features=True, n_samples=3, threshold=1.0)
        (found,) = method.explain(model, data, index)
        noise = noise_of(model, data, index, int(found.target), 3)
        known = {}

        @torch.no_grad()
        def stays(nodes, features, of=(model, data, index, found, noise), known=known):
            key = frozenset(nodes), frozenset(features)
            if key not in known:
                model, data, index, found, noise = of
                count = 0
                for draw in noise:
                    kept = torch.zeros(draw.shape, dtype=torch.bool)
                    kept[
                        torch.tensor(sorted(nodes), dtype=torch.long)[:, None], sorted(features)
                    ] = True
                    x = data.x.clone()
                    x[found.n_id] = torch.where(kept, data.x[found.n_id], draw)
                    batch = {"batch": data.batch} if "batch" in data else {}
                    output = model(x, data.edge_index, **batch)[index]
                    count += int(output.argmax() == found.target)
                known[key] = count / len(noise)
            return known[key]

        nodes, features = plain_search(stays, len(found.n_id), 5, 1.0)
        assert found.selected_nodes.nonzero().view(-1).tolist() == sorted(nodes)
        assert found.selected_features.nonzero().view(-1).tolist() == sorted(features)
        assert int(found.set_size) == len(nodes)
        # The first selected has the highest score, and who is not selected that alone.
        sizes.append(len(nodes) + len(features))
        if not features:
            continue
        place = found.node_mask[:, features[0]] / found.node_mask[:, features[0]].max()
        assert place[nodes].tolist() == sorted(place[nodes].tolist(), reverse=True)
    assert max(sizes) >= 3


def told_by(*weights):
    """Node 0's class is 1 if what its neighbours say, times their weights, is above 0."""
    layer = GraphConv(len(weights), 2, bias=False).double()
    with torch.no_grad():
        layer.lin_rel.weight.copy_(torch.tensor([[0.0] * len(weights), weights]))
        layer.lin_root.weight.zero_()
    x = torch.cat([torch.zeros(1, len(weights)), torch.eye(len(weights))]).double()
    sources = torch.arange(1, len(x))
    return Stack([layer], "log_softmax").eval(), Data(
        x=x, edge_index=torch.stack([sources, 0 * sources])
    )


def test_by_hand():
    model, data = told_by(5.0, -1.0, -1.0)
    (found,) = explainers.load("zorro", threshold=0.6, n_samples=400).explain(model, data, 0)
    assert int(found.target) == 1
    # Every feature is drawn with probability 1/4. With node 1 as it is there are 5, and at most 4
    # are taken off. Without it, one of the others has to draw the 5.
    assert found.selected_nodes.tolist() == [False, True, False, False]
    assert float(found.rdt_fidelity) == 1.0
    assert float(found.node_mask[1, 0]) == 2.0
    alone = 1 - (3 / 4) ** 2
    assert float(found.node_mask[2, 0]) == pytest.approx(alone, abs=0.08)
    torch.testing.assert_close(
        found.edge_mask, (found.node_mask[0, 0] + found.node_mask[1:, 0]) / 2
    )


def test_nothing_is_selected_where_noise_changes_nothing():
    model, data = told_by(5.0, 4.0, 3.0)
    data.x[0] = torch.tensor([0.5, 0.5, 0.5])
    (found,) = explainers.load("zorro").explain(model, data, 0)
    assert int(found.set_size) == 0
    assert not found.selected_nodes.any()
    assert found.selected_features.all()
    assert float(found.node_mask.max()) <= 1


def test_the_last_draws_had_no_part_in_the_choice(graph, model):
    """Else the fidelity of a set that was chosen by few draws would be too high."""
    reported, expected = [], []
    for seed in range(40):
        method = explainers.load("zorro", n_samples=4, threshold=1.0, seed=seed)
        (found,) = method.explain(model, graph, 0)
        reported.append(float(found.rdt_fidelity))
        draws = noise_of(model, graph, 0, int(found.target), 20, seed=seed + 100)
        count = 0
        for draw in draws:
            x = graph.x.clone()
            own = graph.x[found.n_id]
            x[found.n_id] = torch.where(found.selected_nodes[:, None], own, draw)
            with torch.no_grad():
                count += int(model(x, graph.edge_index)[0].argmax() == found.target)
        expected.append(count / 20)
    assert np.mean(expected) < 0.9
    assert np.mean(reported) == pytest.approx(np.mean(expected), abs=0.08)


@pytest.mark.parametrize("threshold", [0.0, 1.5])
def test_bad_options(threshold):
    with pytest.raises(ValueError, match="threshold must be above 0 and at most 1, got"):
        explainers.load("zorro", threshold=threshold)
