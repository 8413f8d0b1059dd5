"""Edge budgets: how many edges every metric is about."""

import pickle

import pytest

from explainers.metrics._case import EdgeBudget, edge_budgets, size


def test_default_budgets():
    assert edge_budgets() == (
        *("k=1", "k=2", "k=5", "k=10", "k=20", "k=50"),
        *("f=5%", "f=10%", "f=20%", "f=30%", "f=40%", "f=50%"),
        *("f=60%", "f=70%", "f=80%", "f=90%", "f=100%"),
    )
    assert all(isinstance(budget, EdgeBudget) for budget in edge_budgets())


@pytest.mark.parametrize("name", ["k=1", "k=10", "k=12345", "f=1%", "f=10%", "f=99%", "f=100%"])
def test_a_budget_is_its_name(name):
    budget = EdgeBudget(name)
    assert budget == name
    assert f"{budget}" == name
    assert EdgeBudget(budget) == budget
    assert pickle.loads(pickle.dumps(budget)) == budget


@pytest.mark.parametrize(
    "name",
    [
        *("", "x", "k", "k=", "k=0", "k=-1", "k=01", "k=1.5", "k=5%", "k=٣", " k=5", "k=5\n"),
        *("f=0%", "f=05%", "f=101%", "f=120%", "f=5", "f=0.5", "f=2.5%", "f=-5%", "F=5%"),
    ],
)
def test_bad_budgets(name):
    with pytest.raises(
        ValueError, match="use k=N with N a whole number from 1, or f=N% with N"
    ) as caught:
        EdgeBudget(name)
    assert repr(name) in str(caught.value)
    with pytest.raises(ValueError, match="use k=N"):
        size(name, 10)


@pytest.mark.parametrize(
    ("budget", "edges", "selected"),
    [
        ("k=1", 0, 0),
        ("k=1", 1, 1),
        ("k=5", 4, 4),
        ("k=5", 5, 5),
        ("k=5", 6, 5),
        ("f=5%", 0, 0),
        ("f=100%", 0, 0),
        ("f=1%", 1, 1),
        ("f=5%", 19, 1),
        ("f=5%", 20, 1),
        ("f=5%", 21, 2),
        ("f=50%", 3, 2),
        ("f=90%", 10, 9),
        ("f=90%", 11, 10),
        # As floats: 0.07 * 100 = 7.000000000000001, 0.55 * 100 = 55.00000000000001.
        ("f=7%", 100, 7),
        ("f=55%", 100, 55),
        # 2 ** 53 + 1 is no float.
        ("f=100%", 2**53 + 1, 2**53 + 1),
    ],
)
def test_size(budget, edges, selected):
    assert size(budget, edges) == selected


def test_sizes_of_the_default_budgets():
    for edges in range(0, 300):
        sizes = [size(budget, edges) for budget in edge_budgets()]
        assert all(min(edges, 1) <= count <= edges for count in sizes)
        assert sizes[-1] == edges
        assert sizes[:6] == sorted(sizes[:6])
        assert sizes[6:] == sorted(sizes[6:])


def test_size_of_a_negative_number_of_edges():
    with pytest.raises(ValueError, match="-1 edges: the number of edges cannot be negative"):
        size("k=1", -1)
