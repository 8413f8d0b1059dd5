"""The generated stand-in has the size, degrees and homophily of Twitch EN, and says what it is."""

from __future__ import annotations

import pytest
import torch

from benchmarks.tasks import twitch_sim


def test_twitch_sim_is_like_twitch_en() -> None:
    data = twitch_sim.build(None).data
    source, target = data.edge_index
    assert (data.num_nodes, data.num_edges, data.num_features) == (7126, 2 * 35_324, 128)
    assert data.is_coalesced()
    assert data.is_undirected()
    assert not data.has_self_loops()
    assert int(data.y.sum()) == 3888
    same = (data.y[source] == data.y[target]).double().mean()
    assert float(same) == pytest.approx(19_640 / 35_324, abs=1e-4)

    # Twitch EN: largest degree 720, sum of squared degrees 4,208,818 (this is what decides the
    # size of the computation graphs), median 5, quantiles 90 % 21, 99 % 80, none isolated.
    degree = torch.bincount(target, minlength=7126).double()
    assert 650 <= int(degree.max()) <= 800
    assert float((degree**2).sum()) == pytest.approx(4_208_818, rel=0.03)
    quantiles = torch.tensor([0.5, 0.9, 0.99], dtype=torch.float64)
    expected = torch.tensor([5.0, 21.0, 80.0], dtype=torch.float64)
    torch.testing.assert_close(degree.quantile(quantiles), expected, rtol=0.05, atol=0.5)
    assert int(degree.min()) == 1


def test_twitch_sim_says_that_it_is_generated() -> None:
    assert twitch_sim.TASK.stand_in
    assert "generated" in twitch_sim.TASK.title
    assert "not real data" in twitch_sim.build(None).provenance
