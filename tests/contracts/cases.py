"""Parts of which the tests of the cases are made: models, graphs, and what is asked of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Data

import explainers
from explainers import metrics

from .checks import differences, refused
from .reference import Reference

METHODS = {"saliency": {}, "integrated_gradients": {"n_steps": 5}, "occlusion": {}}
TWO = torch.eye(2, dtype=torch.float64)


class Model(nn.Module):
    """Parts by name, and what ``forward`` does with them."""

    def __init__(self, run, **parts):
        super().__init__()
        self.run = run
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x, edge_index):
        return self.run(self, x, edge_index)


class WithWeight(Model):
    def forward(self, x, edge_index, edge_weight=None):
        return self.run(self, x, edge_index, edge_weight)


class WithAttr(Model):
    def forward(self, x, edge_index, edge_attr):
        return self.run(self, x, edge_index, edge_attr)


class WithBatch(Model):
    def forward(self, x, edge_index, batch):
        return self.run(self, x, edge_index, batch)


class OnlyByKeyword(Model):
    def forward(self, x, edge_index, *, edge_weight=None):
        return self.run(self, x, edge_index, edge_weight)


def made(model, seed=0):
    """In float64 and eval mode, with biases."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for name, parameter in model.named_parameters():
            nn.init.normal_(parameter, std=0.1 if name.endswith("bias") else 0.5)
    return model.double().eval()


def edges(*pairs, x=TWO, **inputs):
    """A graph of some edges (source, target)."""
    return Data(x=x, edge_index=torch.tensor(pairs).view(-1, 2).t().contiguous(), **inputs)


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


def one(layer, kind=Model, **options):
    return made(kind(lambda self, x, *given: self.c(x, *given), c=layer), **options)


def right_or_refused(model, data, rows, plain=None, match="", methods=METHODS, layers=None):
    """For every method and engine; gives how many engines explained it."""
    reference = Reference(plain or model, data, layers)
    for name, options in methods.items():
        engines = (None, *explainers.load(name).engines)
        wrong = list(differences(reference, model, data, rows, name, options, engines, match))
        assert not wrong, f"{name}: {'; '.join(wrong)}"


def explained(model, data, row, name="saliency", match="", said=(), **options):
    """The explanation, or None if it is refused with a reason."""
    try:
        return explainers.load(name, **options).explain(model, data, row, **dict(said))[0]
    except ValueError as error:
        refused(error, match)
        return None


def fidelity(model, data, explanation, **options):
    """Fidelity+ of the edge with the largest score, by deletion."""
    rows = metrics.evaluate(
        model,
        data,
        [explanation],
        at=["k=1"],
        semantics=["delete"],
        selections=["absolute"],
        metrics=["fidelity"],
        **options,
    )
    return next(row["value"] for row in rows if row["metric"].startswith("fidelity+"))


def config(mode, return_type, level="node"):
    return {"model_config": {"mode": mode, "return_type": return_type, "task_level": level}}


def refused_everywhere(model, data, match):
    for name in explainers.available():
        method = explainers.load(name)
        if not method.model_dependent:
            continue
        assert not method.supports(model, data), name
        with pytest.raises(ValueError) as caught:
            method.stream(model, data, 0)
        # One that needs a kind of layer may say that there is none.
        refused(caught.value, "" if name == "attention" else match)
