"""Links and nodes of several types on the test device, and what GNNExplainer's tape plays there.

See :mod:`methods`, which has nodes and graphs.
"""

from __future__ import annotations

import copy
import functools

import pandas as pd
import pytest
import torch

import explainers
from explainers import metrics
from explainers.engines import recorded

from ...explainers.conftest import LINKS, quick, random_graph, random_link_model, random_model
from ...explainers.hetero.schemas import random_case
from ...explainers.hetero.test_hetero_engines import NODES, OPTIONS, RAW
from ...explainers.methods.test_every_method import FAST
from .strict_device import NAME, StrictTensor, set_up

set_up()

FEW = FAST | {"gnn_explainer": {"epochs": 4}, "cf_explainer": {"epochs": 2}}
HETERO = OPTIONS | FEW | {"kernel_shap": {"n_samples": 9}, "lime": {"n_samples": 9}}
LINK = torch.tensor([[3], [5]])


@functools.cache
def links():
    """A model of links and a graph, here and on the device."""
    return both(random_link_model(0), random_graph(0, nodes=8, edges=20))


@functools.cache
def types():
    """A model of nodes of several types and a graph, here and on the device."""
    return both(*random_case("gcn-and-gat", 0))


def both(model, data):
    return (model, data), (copy.deepcopy(model).to(NAME), data.clone().to(NAME))


def explained_links():
    """Methods and engines that take links, ``stock`` of one that is PyG's."""
    data = copy.copy(links()[0][1])
    data.edge_label_index = LINK
    for name in explainers.available():
        kind = explainers.load(name)
        for engine in kind.engines:
            if kind.needs_fit or (engine == "stock" and name != "gnn_explainer"):
                continue
            method = explainers.load(name, engine=engine, **quick(name, FEW))
            if method.supports(links()[0][0], data, LINKS["inner"]):
                yield pytest.param(name, engine, id=f"{name}-{engine}")


LINK_RUNS = list(explained_links())


def assert_alike(found, expected):
    """Tensors of the device, wherever they are nested, with the numbers of the CPU."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, one in expected.items():
            assert_alike(found[key], one)
    elif isinstance(expected, torch.Tensor):
        assert isinstance(found, StrictTensor)
        torch.testing.assert_close(found.cpu(), expected, rtol=1e-9, atol=1e-12)
    else:
        assert found == expected


@pytest.mark.parametrize(("name", "engine"), LINK_RUNS)
def test_links_are_explained_as_on_the_cpu(name, engine):
    found = []
    for (model, data), ends in zip(links(), (LINK, LINK.to(NAME)), strict=True):
        method = explainers.load(name, engine=engine, **quick(name, FEW))
        (one,) = method.explain(model, data, edges=ends, model_config=LINKS["inner"])
        assert method.engine == engine
        found.append(one)
    assert_alike(found[1].to_dict(), found[0].to_dict())


def test_most_methods_and_engines_are_among_them():
    names, engines = zip(*(run.values for run in LINK_RUNS), strict=True)
    assert {"zorro", "subgraphx", "gstarx", "myerson", "cf_explainer", "gnn_explainer"} <= {*names}
    assert {*engines} == {"hoisted", "batched", "stock"}


def test_links_are_evaluated_as_on_the_cpu():
    rows = []
    for model, data in links():
        ends = LINK.to(data.x.device)
        found = explainers.load("saliency").explain(
            model, data, edges=ends, model_config=LINKS["inner"]
        )
        asked = copy.copy(data)
        asked.edge_label_index = ends
        names = [one for one in metrics.available() if metrics.load(one).draw is None]
        rows.append(
            metrics.evaluate(
                model, asked, found, at=("k=1",), metrics=names, model_config=LINKS["inner"]
            )
        )
    assert rows[0]
    pd.testing.assert_frame_equal(*map(pd.DataFrame, rows), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_types_are_explained_and_evaluated_as_on_the_cpu(name):
    masks, rows = [], []
    for model, data in types():
        method = explainers.load(name, **HETERO[name])
        found = method.explain(model, data, NODES, model_config=RAW)
        masks.append([dict(enumerate(explainers.to_full(one, data))) for one in found])
        rows.append(
            metrics.evaluate(
                model, data, found, at=("k=1",), metrics=["fidelity"], model_config=RAW
            )
        )
    for one, other in zip(*masks, strict=True):
        assert_alike(other, one)
    pd.testing.assert_frame_equal(*map(pd.DataFrame, rows), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("engine", ["batched", "hoisted"])
def test_gnn_explainers_tape_is_played_on_the_device(engine, monkeypatch):
    played = []
    play = recorded.Tape.__call__
    monkeypatch.setattr(
        recorded.Tape, "__call__", lambda self, *given: played.append(1) or play(self, *given)
    )
    method = explainers.load("gnn_explainer", engine=engine, epochs=5)
    method.explain(*both(random_model(0), random_graph(0, nodes=8, edges=20))[1], [3, 0])
    assert len(played) == 4  # once to be compared, then in every epoch
