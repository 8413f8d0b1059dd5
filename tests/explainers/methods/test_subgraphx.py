"""SubgraphX: values and the best subgraph against all connected subgraphs, and by hand."""

import itertools
import math

import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks
from torch_geometric.nn import GraphConv

import explainers

from ..conftest import GraphStack, random_graph, random_graph_model, random_model
from .by_hand import output

THOROUGH = {"rollouts": 400, "children": 50, "min_nodes": 1, "n_samples": 2**8}


def connected(nodes, edge_index):
    reached, nodes = {min(nodes)}, set(nodes)
    for _ in nodes:
        for edge in edge_index.t().tolist():
            if reached & {*edge}:
                reached |= {*edge} & nodes
    return reached == nodes


def shapley(value, subgraph, others, root):
    """Of a subgraph as one player among others, over all coalitions."""
    total, m = 0.0, len(others)
    for size in range(m + 1):
        for some in itertools.combinations(others, size):
            weight = math.factorial(size) * math.factorial(m - size) / math.factorial(m + 1)
            total += weight * (value({*some, *subgraph}) - value({*some, *root}))
    return total


def small(level, seed=2):
    """A connected graph of six nodes."""
    data = random_graph(seed, nodes=7, edges=9).subgraph(torch.arange(6))
    path = torch.arange(6).unfold(0, 2, 1).t()
    data.edge_index = torch.cat([data.edge_index, path], dim=1)
    if level == "graph":
        return Batch.from_data_list([data]), random_graph_model(seed), 0
    return data, random_model(seed), 0


@pytest.mark.parametrize("level", ["node", "graph"])
def test_against_all_connected_subgraphs(level):
    """Every value is Shapley's; the best that is met is the best of all, mostly."""
    best = 0
    for seed in range(6):
        data, model, index = small(level, seed)
        root = (index,) if level == "node" else ()
        (found,) = explainers.load("subgraphx", max_nodes=3, **THOROUGH).explain(model, data, index)
        nodes, target, known = found.n_id.tolist(), int(found.target), {}

        def value(some, of=(model, data), index=index, target=target, known=known):
            key = frozenset(some)
            if key not in known:
                known[key] = output(*of, key, index, target)
            return known[key]

        values = {
            subgraph: shapley(value, subgraph, [*{*nodes} - {*subgraph}], root)
            for size in range(1, 4)
            for subgraph in itertools.combinations(nodes, size)
            if {*root} <= {*subgraph} and connected(subgraph, data.edge_index)
        }
        chosen = tuple(found.n_id[found.selected_nodes].tolist())
        assert int(found.set_size) == len(chosen)
        assert float(found.shapley_value) == pytest.approx(values[chosen], abs=1e-9)
        best += max(values, key=values.get) == chosen
    assert best >= 4


def chain(*numbers):
    """A path of nodes whose output is the sum of what each sends to the next."""
    layer = GraphConv(1, 1, bias=False).double()
    with torch.no_grad():
        layer.lin_rel.weight.fill_(1)
        layer.lin_root.weight.fill_(0)
    model = GraphStack([layer], "none", "add", features=1, classes=2).double().eval()
    with torch.no_grad():
        model.linear.weight.copy_(torch.tensor([[1.0], [0.0]]))
        model.linear.bias.zero_()
    ends = torch.arange(len(numbers)).unfold(0, 2, 1).t()
    x = torch.tensor(numbers, dtype=torch.float64)[:, None]
    return model, Batch.from_data_list([Data(x=x, edge_index=ends)])


def test_by_hand():
    method = explainers.load("subgraphx", max_nodes=2, min_nodes=2, n_samples=64)
    (found,) = method.explain(*chain(5.0, 1.0, 2.0, 0.0), 0, target=0)
    # Sent: 5 over 0 - 1, which {0, 1} alone decide; 1 over 1 - 2, of which they have one half.
    assert found.selected_nodes.tolist() == [True, True, False, False]
    assert float(found.shapley_value) == pytest.approx(5.5)
    # The best of one node is 1, with one half of 5 and of 1; of three {0, 1, 2}, with 6 and half
    # of 2.
    assert found.node_mask[:, 0].tolist() == [0.75, 1.0, 0.5, 0.25]
    assert found.edge_mask.tolist() == [0.75, 0.5, 0.25]


def test_sampled_values_come_near_to_the_exact_ones():
    """As above: the last two nodes have one half of the 3 that they are sent by the others."""
    numbers = [1.0] * 11 + [3.0, 5.0, 1.0]
    found = []
    for seed in range(2):
        method = explainers.load(
            "subgraphx",
            **{"rollouts": 1, "children": 1, "min_nodes": 2, "max_nodes": 2},
            **{"n_samples": 2000, "hops": 20, "seed": seed},
        )
        (one,) = method.explain(*chain(*numbers), 0, target=0)
        assert one.selected_nodes.nonzero().view(-1).tolist() == [12, 13]
        found.append(float(one.shapley_value))
    assert found == pytest.approx([6.5, 6.5], abs=0.12)
    assert found[0] != found[1]


def test_the_largest_part_of_a_graph_is_kept():
    method = explainers.load("subgraphx", rollouts=1, min_nodes=6)
    (found,) = method.explain(*chain(*[1.0] * 7), 0, target=0)
    # The smallest subgraphs met are of three nodes: what is left without the middle one.
    assert float(found.node_mask.max()) == pytest.approx(1 - 2 / 7)


def test_zero_features_or_no_messages():
    """As DIG's "zero_filling" and "split": the other part keeps its value."""
    data, model, index = small("node")
    target = int(explainers.load("subgraphx").explain(model, data, index)[0].target)
    for mask_type in ("node", "edge"):
        method = explainers.load("subgraphx", mask_type=mask_type, max_nodes=2, **THOROUGH)
        (found,) = method.explain(model, data, index)
        selected = found.n_id[found.selected_nodes].tolist()

        @torch.no_grad()
        def value(nodes, mask_type=mask_type):
            inside = torch.zeros(6, dtype=torch.bool)
            inside[list(nodes)] = True
            if mask_type == "node":
                return float(model(data.x * inside[:, None], data.edge_index)[index, target])
            set_masks(model, inside[data.edge_index].all(dim=0).double(), data.edge_index, False)
            result = float(model(data.x, data.edge_index)[index, target])
            clear_masks(model)
            return result

        others = [*{*found.n_id.tolist()} - {*selected}]
        expected = shapley(value, selected, others, (index,))
        assert float(found.shapley_value) == pytest.approx(expected, abs=1e-9)


def test_nodes_farther_than_hops_are_there_throughout():
    """A chain whose ends take part in the value of what is near, or not."""
    data = Batch.from_data_list([random_graph(2, nodes=7, edges=9).subgraph(torch.arange(6))])
    ends = torch.tensor([[1, 2, 3, 4, 5], [0, 1, 2, 3, 4]])
    data.edge_index, model = ends, random_graph_model(2)
    chosen = {}
    for hops in (1, 2, 9):
        method = explainers.load("subgraphx", hops=hops, max_nodes=1, **THOROUGH)
        (found,) = method.explain(model, data, 0)
        (node,) = found.selected_nodes.nonzero().view(-1).tolist()
        near = [i for i in range(6) if 0 < abs(i - node) <= hops]
        far = {i for i in range(6) if abs(i - node) > hops}

        def value(nodes, far=far, target=int(found.target)):
            return output(model, data, nodes | far, 0, target)

        chosen[hops] = float(found.shapley_value)
        assert chosen[hops] == pytest.approx(shapley(value, {node}, near, ()), abs=1e-9)
    assert len({*chosen.values()}) == 3


def test_the_same_set_on_every_engine(graph, model):
    found = [
        explainers.load("subgraphx", engine=engine, n_samples=8, rollouts=3).explain(
            model, graph, [0, 3, 7]
        )
        for engine in ("analytic", "batched", "stock")
    ]
    for one, other, third in zip(*found, strict=True):
        assert torch.equal(one.selected_nodes, other.selected_nodes)
        assert torch.equal(one.selected_nodes, third.selected_nodes)


def test_large_graphs_take_larger_steps_and_fewer_rollouts():
    """From 100 nodes 4 are taken away, from 49 one; a rollout more begins while there is room."""
    setting = chain(*[1.0] * 98, 5.0, 0.0)
    options = {"n_samples": 2, "children": 1, "min_nodes": 48, "max_nodes": 48}

    def explained(**more):
        return explainers.load("subgraphx", **options, **more).explain(*setting, 0, target=0)[0]

    found = explained(rollouts=1)
    # 100, 96, 93, 90, ..., 51, 49, 48: each adds those taken away last to the best subgraph.
    sizes = [100]
    while sizes[-1] > 48:
        sizes.append(sizes[-1] - max(1, sizes[-1] // 25))
    assert sizes[:4] == [100, 96, 93, 90]
    heights = [1 - (size - 1) / 100 for size in sizes]
    assert {*found.node_mask[:, 0].tolist()} <= {*heights, 0.0}
    assert int(found.set_size) == 48
    options["children"] = 3
    once, capped, more = (
        explained(rollouts=1),
        explained(rollouts=9, max_coalitions=1),
        explained(rollouts=9),
    )
    assert torch.equal(once.node_mask, capped.node_mask)
    assert not torch.equal(once.node_mask, more.node_mask)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rollouts": 0}, "rollouts must be a whole number and at least 1, got 0"),
        ({"hops": 0}, "hops must be a whole number and at least 1, got 0"),
        ({"exploration": -1.0}, "exploration must be 0 or more, got -1.0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        explainers.load("subgraphx", **options)
