"""What is known of a model and a graph from some links, and whether it is taken for others."""

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GATConv, SAGEConv

import explainers
from explainers.engines import batched
from explainers.engines.hoisted import engine as hoisted
from explainers.prepare import probe

from ..conftest import LINKS, difference, random_graph, random_link_model

INNER = LINKS["inner"]
NUMBER = {**INNER, "mode": "regression"}
NEXT, LAST = torch.tensor([[3], [5]]), torch.tensor([[1], [11]])  # node 11 has no edges
ENGINES = ("hoisted", "batched", "stock")


class Encoder(nn.Module):
    """Two layers, and an inner product of the two ends."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layers = nn.ModuleList([SAGEConv(5, 6), SAGEConv(6, 4)])
            self.lin = nn.Linear(5, 4)
        self.double().eval()

    def encode(self, x, edge_index):
        first, second = self.layers
        return second(first(x, edge_index).relu(), edge_index)

    def forward(self, x, edge_index, edge_label_index):
        one, other = self.encode(x, edge_index)[edge_label_index]
        return (one * other).sum(dim=-1)


class Marking(Encoder):
    """The ends have another first feature, as in subgraph methods such as SEAL."""

    def forward(self, x, edge_index, edge_label_index):
        marked = torch.zeros_like(x)
        marked[edge_label_index.flatten(), 0] = 1.0
        return super().forward(x + marked, edge_index, edge_label_index)


class Dropping(Encoder):
    """The links themselves are taken out of the edges, as it is done in training."""

    def forward(self, x, edge_index, edge_label_index):
        same = (edge_index[:, :, None] == edge_label_index[:, None]).all(dim=0).any(dim=1)
        return super().forward(x, edge_index[:, ~same], edge_label_index)


class Sorting(Encoder):
    """The edges into the links' destinations come last."""

    def forward(self, x, edge_index, edge_label_index):
        into = torch.isin(edge_index[1], edge_label_index[1])
        edge_index = edge_index[:, into.int().argsort(stable=True)]
        return super().forward(x, edge_index, edge_label_index)


class Looking(Encoder):
    """Of nodes that get no message, the features take the place of what the layers give."""

    def forward(self, x, edge_index, edge_label_index):
        z = self.encode(x, edge_index)
        known = edge_index[1].bincount(minlength=len(x))[:, None] > 0
        one, other = torch.where(known, z, self.lin(x))[edge_label_index]
        return (one * other).sum(dim=-1)


def explained(model, data, links, engine=None, config=INNER):
    method = explainers.load("input_x_gradient", engine=engine)
    (found,) = method.explain(model, data, edges=links, model_config=config)
    return found


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", [Encoder, Marking, Looking])
def test_other_links_are_explained_as_if_they_were_the_first(kind, engine):
    data, model = random_graph(1), kind()
    links = torch.tensor([[0, 1, 0, 6, 3], [1, 2, 5, 7, 11]])
    if not explainers.load("saliency", engine=engine).supports(
        model, Data(**data.to_dict(), edge_label_index=links[:, :1]), INNER
    ):
        pytest.skip(f"{kind.__name__} is not explained by {engine}")
    after = [explained(model, data, link, engine) for link in links.t()[..., None]]
    for link, found in zip(links.t()[..., None], after, strict=True):
        explainers.forget(model)
        assert difference(found, explained(model, data, link, engine)) < 1e-9


@pytest.mark.parametrize("kind", [Dropping, Sorting])
def test_layers_that_see_the_links_are_looked_at_for_each(kind):
    """Only with a link that changes nothing is the model what it seems; then it is refused."""
    data, model = random_graph(1), kind()
    own = data.edge_index[:, data.edge_index[1] != 0][:, :1]
    for first in (None, LAST):
        explainers.forget(model)
        if first is not None:
            explained(model, data, first)
        with pytest.raises(ValueError, match="edges"):
            explained(model, data, own)


def test_what_does_not_depend_on_the_links_is_found_once(monkeypatch):
    data, model = random_graph(1), random_link_model(1)
    first = explained(model, data, LAST)
    for module, name in (
        *((probe, "look_at_calls"), (probe, "try_gradients")),
        *((hoisted, "find"), (hoisted, "_refusal"), (batched, "_refusal")),
    ):
        monkeypatch.setattr(module, name, None)
    second = explained(model, data, NEXT)
    number = explained(model, data, NEXT, config=NUMBER)
    assert difference(explained(model, data, LAST), first) == 0
    monkeypatch.undo()
    explainers.forget(model)
    assert difference(second, explained(model, data, NEXT)) == 0
    explainers.forget(model)
    assert difference(number, explained(model, data, NEXT, config=NUMBER)) == 0


def change_weights(model, data):
    with torch.no_grad():
        model.layers[0].lin.weight.mul_(-1.5)


def change_edges(model, data):
    data.edge_index[0, :4] = torch.tensor([7, 8, 9, 10])


def change_features(model, data):
    data.x.data[:6] += 1.0  # past the version counter


def change_edge_weights(model, data):
    data.edge_weight.mul_(3.0)


@pytest.mark.parametrize(
    "change", [change_weights, change_edges, change_features, change_edge_weights]
)
def test_nothing_is_kept_of_what_has_changed(change):
    data, model = random_graph(2, weighted=True), random_link_model(2)
    before = explained(model, data, NEXT)
    explained(model, data, LAST)
    change(model, data)
    links = NEXT, torch.tensor([[2], [5]])  # one of before, and another one
    after = [explained(model, data, link) for link in links]
    explainers.forget(model)
    for link, found in zip(links, after, strict=True):
        fresh = explained(model, data, link)
        assert difference(found, fresh) < 1e-9
        torch.testing.assert_close(found.prediction, fresh.prediction)
    assert not torch.equal(after[0].prediction, before.prediction)


def test_a_refusal_for_one_link_is_not_one_for_others():
    """What is only seen of a link that is explained is known of this link."""
    data, model = random_graph(1), random_link_model(1)
    method = explainers.load("saliency")
    method.explain(model, data, edges=NEXT, model_config=INNER)
    assert method.engine == "hoisted"
    prepared = explainers.prepare.prepare(model, data, INNER, NEXT)
    prepared.replace("hoisted: refusal", "its predictions differ")
    method.explain(model, data, edges=NEXT, model_config=INNER)
    assert method.engine == "batched"
    method.explain(model, data, edges=LAST, model_config=INNER)
    assert method.engine == "hoisted"


def test_attention_of_links():
    """A first layer that is not linear is refused for all links, and batched explains each."""
    data, model = random_graph(1), Encoder()
    model.layers[0] = GATConv(5, 6).double()
    for link in (NEXT, LAST):
        found = explained(model, data, link)
        assert difference(found, explained(model, data, link, "stock")) < 1e-9
