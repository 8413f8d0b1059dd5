"""Predicted links: by autograd and deletion alone, or refused with the reason."""

from __future__ import annotations

import pytest
import torch
import torch_geometric.nn as gnn
from torch import nn
from torch_geometric.data import Data

import explainers
from explainers import metrics

from .cases import METHODS, config, made
from .checks import differences, refused
from .reference import Reference

INNER = config("binary_classification", "raw", "edge")
LINKS = torch.tensor([[0, 4, 2, 6], [1, 0, 2, 5]])  # of one node with itself; 6 has no edges


class Links(nn.Module):
    """Layers, and what a decoder makes of the embeddings of both ends."""

    def __init__(self, *layers, decode=None):
        super().__init__()
        self.layers, self.decode = nn.ModuleList(layers), decode or self.inner

    @staticmethod
    def inner(z, links):
        return (z[links[0]] * z[links[1]]).sum(dim=-1)

    def embed(self, x, edge_index):
        for layer in self.layers:
            x = layer(x, edge_index).tanh()
        return x

    def forward(self, x, edge_index, edge_label_index):
        return self.decode(self.embed(x, edge_index), edge_label_index)


def graph(seed=0):
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(6, (2, 14), generator=generator)
    x = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    loops = torch.tensor([[1, 5], [1, 5]])
    edge_index = torch.cat([edge_index[:, edge_index[0] != edge_index[1]], loops], dim=1)
    return Data(x=x, edge_index=edge_index, edge_label_index=LINKS)


def distance(z, links):
    """A real number that is no product."""
    return (z[links[0]] - z[links[1]]).abs().sum(dim=-1, keepdim=True)


def with_the_mean(z, links):
    """It looks at every node."""
    return Links.inner(z - z.mean(dim=0), links)


MODELS = {
    "gcn": lambda: Links(gnn.GCNConv(3, 4), gnn.GCNConv(4, 2)),
    "one layer": lambda: Links(gnn.GCNConv(3, 4)),
    "sage": lambda: Links(gnn.SAGEConv(3, 4), gnn.SAGEConv(4, 2)),
    "gin": lambda: Links(gnn.GINConv(nn.Linear(3, 4)), gnn.GraphConv(4, 2)),
    "gat": lambda: Links(gnn.GATConv(3, 4), gnn.GATConv(4, 2)),
    "distance": lambda: Links(gnn.GraphConv(3, 4), gnn.GraphConv(4, 2), decode=distance),
    "whole graph": lambda: Links(gnn.GCNConv(3, 4), decode=with_the_mean),
}


@pytest.mark.filterwarnings("ignore:.*explaining with the slower engine")
@pytest.mark.parametrize("name", MODELS)
def test_every_engine_says_what_autograd_says(name):
    model, data = made(MODELS[name]()), graph()
    reference, rows = Reference(model, data), range(4)
    for method, options in METHODS.items():
        said = config("regression", "raw", "edge") if name == "distance" else INNER
        engines = (None, *explainers.load(method).engines)
        found = differences(reference, model, data, rows, method, options, engines, said=said)
        assert not list(found)
        cut = explainers.load(method, engine="batched", **options)
        assert cut.supports(model, data, **said) == (name != "whole graph")


@pytest.mark.parametrize("name", ["gcn", "whole graph"])
@pytest.mark.filterwarnings("ignore:.*explaining with the slower engine")
def test_what_is_deleted_is_deleted(name):
    model, data = made(MODELS[name]()), graph(1)
    reference = Reference(model, data)
    found = explainers.load("saliency").explain(model, data, range(4), **INNER)
    rows = metrics.evaluate(
        model,
        data,
        found,
        at=["k=1"],
        selections=["absolute"],
        metrics=["fidelity"],
        **INNER,
    )
    values = {
        (row["node"], row["semantics"]): row["value"]
        for row in rows
        if row["metric"] == "fidelity+_prob"
    }
    for how in ("mask", "delete"):
        for r, one in enumerate(found):
            if not len(one.e_id):
                continue
            kept = torch.ones(data.num_edges, dtype=torch.bool)
            kept[one.e_id[one.edge_mask.abs().argmax()]] = False
            # The column is explained, whichever outcome is predicted.
            outputs = reference.output, reference.keeping(kept, how)
            whole, without = (float(output[r, 0].sigmoid()) for output in outputs)
            assert values[r, how] == pytest.approx(whole - without, abs=1e-9)


class Nodes(Links):
    def forward(self, x, edge_index):
        return self.embed(x, edge_index)


def mixed(z, links):
    return Links.inner(z, links).softmax(dim=0)


def only_the_first(z, links):
    return Links.inner(z, links)[:1]


def bad(decode):
    return Links(gnn.GCNConv(3, 4), decode=decode)


@pytest.mark.parametrize(
    ("model", "asked", "message"),
    [
        (None, {"edges": LINKS.double()}, "edges must be an int64 .* got torch.float64"),
        (None, {"edges": [[0], [1]]}, "edges must be an int64 .* got list"),
        (None, {"edges": LINKS.t()}, r"edges must be an int64 .* got \[4, 2\]"),
        (None, {"edges": LINKS + 1}, "edges names nodes 1 to 7, but data.x has nodes 0 to 6"),
        (None, {"edges": LINKS[:, :0]}, "edges has no link"),
        (None, {"edges": LINKS, "nodes": [0]}, "nodes and edges: explain one or the other"),
        (None, {}, "nodes must be a whole number"),
        (None, {"nodes": 4}, "edge 4 is out of range: the edge_label_index has edges 0 to 3"),
        (Nodes(gnn.GCNConv(3, 4)), {"edges": LINKS}, "takes no edge_label_index"),
        (bad(mixed), {"edges": LINKS}, "it mixes the links of edge_label_index"),
        (bad(only_the_first), {"edges": LINKS}, r"returned \[1\] for edge_label_index \[2, 4\]"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(model, asked, message):
    model = made(model or MODELS["gcn"]())
    with pytest.raises(ValueError, match=message):
        explainers.load("saliency").stream(model, graph(), **asked, **INNER)


def test_the_data_must_fit():
    model, data = made(MODELS["gcn"]()), graph()
    method = explainers.load("saliency")
    del data.edge_label_index
    with pytest.raises(
        ValueError, match=r"say which links with edges=\.\.\., or put them into"
    ) as no:
        method.explain(model, data, 0, **INNER)
    refused(no.value)
    (one,) = method.explain(model, data, edges=LINKS[:, 0], **INNER)
    with pytest.raises(ValueError, match="task_level='node', but the model returned 4 rows, one f"):
        method.explain(model, data, edges=LINKS, **config("binary_classification", "raw"))
    nodes, said = made(Nodes(gnn.GCNConv(3, 4))), config("regression", "raw")
    with pytest.raises(ValueError, match="predicts no links; leave it out"):
        method.explain(nodes, data, 0, target=0, leave_out_links=True, **said)
    with pytest.raises(ValueError, match=r"link 0, \[0, 1\], which is not .*edges=\.\.\."):
        metrics.evaluate(model, data, [one], edges=LINKS[:, 1:], **INNER)


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        (
            "pg_explainer",
            {"edges": LINKS},
            "predicts links, which .* nodes and graphs; use another",
        ),
        ("graph_mask", {"edges": LINKS}, "trains on links that it does not explain; put all into"),
        (
            "pg_explainer",
            {"nodes": 0},
            "predicts links, which .* nodes and graphs; use another",
        ),
        (
            "pgm_explainer",
            {"edges": LINKS},
            "predicts links, which .* nodes and graphs; use another",
        ),
        (
            "graph_mask",
            {"nodes": 0, "leave_out_links": True},
            "would train for each link; take",
        ),
    ],
)
def test_methods_that_cannot_say_so(name, asked, message):
    with pytest.raises(ValueError, match=message) as caught:
        explainers.load(name).stream(made(MODELS["gcn"]()), graph(), **asked, **INNER)
    refused(caught.value)
