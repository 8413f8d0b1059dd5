"""How settings are chosen: the grid, the rule, and what is measured of an explanation."""

import pytest
import torch
from torch_geometric.explain import Explanation

import explainers
from benchmarks.measures import tuning
from benchmarks.tasks import load
from explainers.methods._trained import TrainedMethod


def test_every_method_that_learns_has_its_grid():
    learns = {
        name
        for name in explainers.available()
        if isinstance(explainers.load(name), TrainedMethod)
        or name in ("gnn_explainer", "cf_explainer")
    }
    assert set(tuning.GRID) == learns


@pytest.mark.parametrize("name", tuning.GRID)
def test_the_librarys_defaults_are_tried_first_and_once(name):
    tried = tuning.settings(name)
    assert tried[0] == {}
    defaults = explainers.load(name).options
    given = [tuple(sorted({**defaults, **options}.items())) for options in tried]
    assert len(set(given)) == len(given)
    sizes = [len(values) for values in tuning.GRID[name].values()]
    # The defaults are one point of the grid.
    assert len(tried) == sizes[0] * sizes[1]


def explanation(mask, *, converged=False, collapsed=False):
    states = {"converged": torch.tensor(converged), "collapsed": torch.tensor(collapsed)}
    return Explanation(edge_mask=torch.tensor(mask), **states)


def test_what_is_measured_of_an_explanation():
    found = tuning.learned(explanation([0.2, 0.9, 0.4], converged=True))
    assert found == {"converged": 1.0, "collapsed": 0.0, "mask_range": pytest.approx(0.7)}
    assert tuning.learned(explanation([]))["mask_range"] == 0.0
    searched = Explanation(edge_mask=torch.tensor([0.2, 0.7]), valid=torch.tensor(True))
    assert tuning.learned(searched) == {"valid": 1.0, "mask_range": pytest.approx(0.5)}


@pytest.fixture
def fake(monkeypatch):
    """Has ``choose`` score settings by a table, of gain and loss."""

    def make(table):
        made = []

        class Fake:
            def __init__(self, **options):
                self.options = options

            def explain(self, model, data, nodes, targets, model_config):
                made.append((self.options, list(nodes)))
                return [self.options] * len(nodes)

        def scored(task, explanations):
            gain, loss = table[tuple(explanations[0].items())]
            nodes = range(len(explanations))
            found = {(node, tuning.GAIN, ""): gain + 0.1 * (-1) ** node for node in nodes}
            return found | {(node, tuning.LOSS, ""): loss for node in nodes}

        monkeypatch.setattr(tuning.explainers, "load", lambda name, **options: Fake(**options))
        monkeypatch.setattr(tuning, "settings", lambda name: [dict(key) for key in table])
        monkeypatch.setattr(tuning, "scored", scored)
        return made

    return make


def test_the_rule_is_fidelity_plus_less_fidelity_minus(fake):
    key = (("edge_size", 0.05),)
    made = fake({(): (0.30, 0.20), (("edge_size", 0.5),): (0.40, 0.35), key: (0.29, 0.10)})
    chosen = tuning.choose(load("karate"), "gnn_explainer", [4, 7])
    assert chosen.options == {"edge_size": 0.05}
    assert chosen.scores == pytest.approx((0.10, 0.05, 0.19))
    assert chosen.explanations == 6
    assert [nodes for _, nodes in made] == [[4, 7]] * 3


def test_of_equals_the_librarys_defaults_are_kept(fake):
    fake({(): (0.5, 0.25), (("edge_size", 0.05),): (0.75, 0.5)})
    assert tuning.choose(load("karate"), "gnn_explainer", [4, 7]).options == {}


def test_values_are_those_of_evaluate():
    task = load("karate")
    explanations = explainers.load("degree").explain(task.model, task.data, [3, 9])
    found = tuning.scored(task, explanations)
    rows = explainers.metrics.evaluate(task.model, task.data, explanations, semantics=["mask"])
    expected = {
        (row["node"], row["metric"], row["level"]): row["value"]
        for row in rows
        if (row["metric"], row["level"]) in tuning.SCORED
    }
    assert found == expected
    assert len(found) == 8  # two nodes; karate has no ground truth
