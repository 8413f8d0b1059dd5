"""A pass that does not fit into the memory is taken in smaller parts, with the same result."""

import warnings

import pytest
import torch

import explainers
from explainers.engines.batched import BatchedProblem
from explainers.engines.memory import is_out_of_memory
from explainers.prepare import prepare
from tests.explainers.conftest import random_graph, random_model


@pytest.fixture
def limit(monkeypatch):
    """``limit(n)``: passes over more than ``n`` numbers run out of memory; returns their sizes."""

    def set_to(most):
        sizes = []
        predict = BatchedProblem.predict

        def checked(self, x, edge_mask):
            sizes.append(x.numel())
            if x.numel() > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return predict(self, x, edge_mask)

        monkeypatch.setattr(BatchedProblem, "predict", checked)
        return sizes

    return set_to


@pytest.fixture
def case():
    """A model that every engine has checked already, a graph, and nodes in no order."""
    model, data = random_model(0), random_graph(0)
    prepared = explainers.load("integrated_gradients", engine="batched")
    assert prepared.supports(model, data)
    return model, data, [3, 0, 7, 1, 11, 5]


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.n_id, other.n_id)
        torch.testing.assert_close(one.edge_mask, other.edge_mask, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(one.node_mask, other.node_mask, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("integrated_gradients", {}),
        ("gnn_explainer", {"epochs": 3}),
        ("saliency", {}),
        ("smooth_grad", {"n_samples": 8}),
        ("occlusion", {}),
    ],
)
def test_nodes_and_variants_are_split_until_they_fit(case, limit, name, options):
    model, data, nodes = case
    expected = explainers.load(name, engine="batched", **options).explain(model, data, nodes)
    method = explainers.load(name, engine="batched", **options)
    sizes = limit(4 * data.num_nodes * data.num_features)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = method.explain(model, data, nodes)
    assert_equal(found, expected)
    if max(sizes) > 4 * data.num_nodes * data.num_features:
        assert method.splits
        assert f"{name}: explaining " in str(caught[0].message)
        assert "ran out of memory; going on in smaller parts" in str(caught[0].message)
    assert len(sizes) < 1000


def test_splitting_was_needed(case, limit):
    model, data, nodes = case
    sizes = limit(4 * data.num_nodes * data.num_features)
    method = explainers.load("integrated_gradients", engine="batched")
    with pytest.warns(UserWarning, match="memory_budget below 268435456 avoids the attempt"):
        method.explain(model, data, nodes)
    assert method.splits > len(nodes)  # down to one node, then fewer steps
    assert sizes[0] > sizes[-1]


def test_what_never_fits_is_an_error_after_few_tries(case, limit):
    model, data, nodes = case
    sizes = limit(0)
    with pytest.warns(UserWarning, match="smaller parts"), pytest.raises(torch.OutOfMemoryError):
        explainers.load("integrated_gradients", engine="batched").explain(model, data, nodes)
    assert len(sizes) < 15


def test_a_batch_size_that_was_asked_for_is_kept(case, limit):
    model, data, nodes = case
    limit(4 * data.num_nodes * data.num_features)
    method = explainers.load("integrated_gradients", engine="batched", internal_batch_size=50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(torch.OutOfMemoryError):
            method.explain(model, data, nodes)
    assert method.splits == 0


def test_other_errors_are_not_tried_again(case, monkeypatch):
    model, data, nodes = case
    calls = []

    def fail(self, x, edge_mask):
        calls.append(prepare(model, data))
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(BatchedProblem, "predict", fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        explainers.load("saliency", engine="batched").explain(model, data, nodes)
    assert len(calls) == 1


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("x"), RuntimeError("CUDA out of memory")]
)
def test_what_counts_as_out_of_memory(error):
    assert is_out_of_memory(error)
    assert not is_out_of_memory(ValueError("out of memory"))
