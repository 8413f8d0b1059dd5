"""Computation graphs against PyG's k_hop_subgraph."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.utils import k_hop_subgraph

from explainers.prepare.computation_graph import CSC, cut, reach


@st.composite
def graphs(draw):
    nodes = draw(st.integers(1, 9))
    node = st.integers(0, nodes - 1)
    edges = draw(st.lists(st.tuples(node, node), max_size=30))
    roots = draw(st.lists(node, min_size=1, max_size=5))
    edge_index = torch.tensor(edges, dtype=torch.long).view(-1, 2).t().contiguous()
    return edge_index, nodes, torch.tensor(roots), draw(st.integers(1, 4))


@given(graphs())
def test_fields_are_pygs_subgraphs(case):
    edge_index, nodes, roots, hops = case
    index = CSC(edge_index, nodes)
    fields = cut(index, roots, hops)
    assert len(fields) == len(roots)
    for r, root in enumerate(roots.tolist()):
        n = slice(*fields.n_ptr[r : r + 2].tolist())
        e = slice(*fields.e_ptr[r : r + 2].tolist())
        n_id, e_id = fields.n_id[n], fields.e_id[e]
        # The edges into nodes within hops - 1, and their ends.
        inner, *_ = k_hop_subgraph(root, hops - 1, edge_index, num_nodes=nodes)
        wanted = torch.isin(edge_index[1], inner).nonzero().view(-1)
        to_indptr = torch.cat([torch.tensor([root]), edge_index[:, wanted].flatten()]).unique()
        assert e_id.tolist() == wanted.tolist()
        assert n_id.tolist() == to_indptr.tolist()
        assert torch.equal(fields.n_id[fields.edge_index[:, e]], edge_index[:, wanted])
        assert int(fields.n_id[fields.roots[r]]) == root
        assert fields.node_counts[r] == len(to_indptr)
        assert fields.edge_counts[r] == len(wanted)
        assert float(index.size_bound(hops)[root]) >= len(wanted) or len(wanted) == len(edge_index)
    assert fields.edge_batch.tolist() == sorted(fields.edge_batch.tolist())


@given(graphs(), st.booleans())
def test_one_node_alone_is_found_as_among_others(case, ordered):
    edge_index, nodes, roots, hops = case
    if ordered:
        edge_index = edge_index[:, edge_index[0].argsort(stable=True)]
    index = CSC(edge_index, nodes)
    two = reach(index, roots[:1].expand(2), hops)
    alone = reach(index, roots[:1], hops)
    n, e = int(two.graphs.n_ptr[1]), int(two.graphs.e_ptr[1])
    inner = int((two.inner_batch == 0).sum())
    out = two.out[: e + inner]
    for first, whole in (
        (two.graphs.n_id[:n], alone.graphs.n_id),
        (two.graphs.e_id[:e], alone.graphs.e_id),
        (two.graphs.edge_index[:, :e], alone.graphs.edge_index),
        (two.graphs.roots[:1], alone.graphs.roots),
        (two.inner[:inner], alone.inner),
        (two.inner_id[:inner], alone.inner_id),
        (two.inner_batch[:inner], alone.inner_batch),
        (two.own[:1], alone.own),
        (two.ptr[: inner + 1], alone.ptr),
        (two.position[:e], alone.position),
        (two.target[:e], alone.target),
        (two.order[:e], alone.order),
        (two.out_ptr[: n + 1], alone.out_ptr),
        (torch.where(out >= 2 * e, out - e, out), alone.out),
    ):
        assert torch.equal(first, whole)
    assert (alone.graphs.node_counts, alone.graphs.edge_counts) == ([n], [e])


def test_index_lists_the_edges_into_each_node():
    edge_index = torch.tensor([[2, 0, 1, 0], [1, 2, 1, 1]])
    index = CSC(edge_index, 4)
    assert index.indptr.tolist() == [0, 0, 3, 4, 4]
    assert index.edge.tolist() == [0, 2, 3, 1]
    assert index.source.tolist() == [2, 1, 0, 0]


@pytest.mark.parametrize(("hops", "bound"), [(1, [0, 1, 1, 2]), (2, [0, 1, 2, 4])])
def test_size_bound_counts_walks(hops, bound):
    # 0 -> 1 -> 2 -> 3 and 1 -> 3
    index = CSC(torch.tensor([[0, 1, 2, 1], [1, 2, 3, 3]]), 4)
    assert index.size_bound(hops).tolist() == bound
