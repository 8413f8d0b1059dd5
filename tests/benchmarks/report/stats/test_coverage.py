"""Simulated coverage: 95 % intervals cover, on data like those of published tasks.

The variances between models, between nodes and of both together are those of fidelity+ at 20 % of
the edges, by absolute score, in a run of November 2026 at commit 8583959 (5 models, 100 graphs or
nodes).
"""

import numpy as np
import pandas as pd
import pytest

from benchmarks.report.stats import estimates
from benchmarks.report.stats.crossed import means

VARIANCES = {  # models, nodes, both
    "mutag, integrated_gradients": (0.0200, 0.0343, 0.0362),
    "mutag, occlusion": (0.0040, 0.1046, 0.0397),
    "tree-cycles, integrated_gradients": (0.0030, 0.0031, 0.0641),
    "tree-cycles, input_x_gradient": (0.1096, 0.0243, 0.1117),
    "twitch-en, guided_backprop": (0.00002, 0.0085, 0.0007),
    "cora, graph_mask": (0.0007, 0.0237, 0.0277),
}
REPEATS = 2000


def simulated(variances, models, nodes, *, skewed=False):
    """Zero-mean data, one column a repeat: most nodes near nothing, few far off, if skewed."""
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.exponential(size=shape) - 1 if skewed else rng.normal(size=shape)

    of_models, of_nodes, of_both = np.sqrt(variances)
    values = (
        of_models * rng.normal(size=(models, 1, REPEATS))
        + of_nodes * draw(1, nodes, REPEATS)
        + of_both * draw(models, nodes, REPEATS)
    )
    index = pd.MultiIndex.from_product([range(models), range(nodes)])
    return pd.DataFrame(values.reshape(models * nodes, REPEATS), index=index)


def covered(found):
    return np.mean([one.low <= 0 <= one.high for one in found])


@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize("name", VARIANCES)
def test_intervals_cover(name, skewed):
    values = simulated(VARIANCES[name], 5, 100, skewed=skewed)
    assert 0.92 <= covered(means(values).estimates()) <= 0.985


@pytest.mark.parametrize("name", list(VARIANCES)[::3])
@pytest.mark.parametrize(
    ("models", "nodes", "least"), [(1, 20, 0.92), (3, 20, 0.92), (2, 20, 0.87)]
)
def test_few_models_are_said_to_be_an_approximation(name, models, nodes, least):
    variances = VARIANCES[name]
    if models == 1:  # the interval is about this model
        variances = (0.0, *variances[1:])
    assert covered(means(simulated(variances, models, nodes)).estimates()) >= least


def test_averaging_the_models_away_does_not_cover():
    # The reason for all this: 55 % and 70 % where models differ.
    values = simulated(VARIANCES["tree-cycles, input_x_gradient"], 5, 100).iloc[:, :200]
    by_node = values.groupby(level=1).mean()
    assert covered([estimates.mean(by_node[one]) for one in by_node]) < 0.6


def test_no_difference_is_seldom_called_one():
    values = simulated(VARIANCES["mutag, integrated_gradients"], 5, 100)
    assert (means(values).p_beyond(0.0) < 0.05).mean() < 0.08
    assert (means(values).p_beyond(0.1) < 0.05).mean() < 0.02
