"""Other networks that compute the same function as a GCN: what an explanation must not notice."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv

from benchmarks.tasks._models import GNN
from explainers.metrics import Value


def is_gcn(model: nn.Module) -> TypeGuard[GNN]:
    """Whether the rewrites are for this model: a network of this project's with GCNConv layers."""
    return isinstance(model, GNN) and all(isinstance(conv, GCNConv) for conv in model.convs)


def rescaled(model: GNN, generator: torch.Generator) -> nn.Module:
    """Hidden units in another order and on another scale, each 1/4 to 4 times its size.

    A ReLU passes a positive factor on; the next layer's weights take it back.
    """
    changed = copy.deepcopy(model)
    convs: list[Any] = list(changed.convs)
    with torch.no_grad():
        for one, two in itertools.pairwise(convs):
            width = one.lin.weight.size(0)
            order = torch.randperm(width, generator=generator)
            scale = 4 ** (2 * torch.rand(width, generator=generator) - 1)
            order, scale = order.to(one.lin.weight.device), scale.to(one.lin.weight)
            one.lin.weight.copy_(one.lin.weight[order] * scale[:, None])
            one.bias.copy_(one.bias[order] * scale)
            two.lin.weight.copy_(two.lin.weight[:, order] / scale)
    return changed


def widened(model: GNN, generator: torch.Generator) -> nn.Module:
    """More hidden units that never count: half always off, half with no weight on their output.

    A unit that is off has weights to the next layer all the same, and a unit without has inputs:
    both are seen by methods that do not follow the function, but the network's parts.
    """
    changed = copy.deepcopy(model)
    convs: list[Any] = list(changed.convs)
    with torch.no_grad():
        for one, two in itertools.pairwise(convs):
            weight, after = one.lin.weight, two.lin.weight
            more = max(1, weight.size(0) // 4)
            inputs = torch.randn(more, weight.size(1), generator=generator).to(weight)
            inputs = inputs * weight.std()
            outputs = torch.randn(len(after), more, generator=generator).to(after) * after.std()
            off, lost = torch.zeros_like(inputs), torch.zeros_like(outputs)
            negative = -one.bias.abs().max().clamp(min=1).expand(more)
            one.lin.weight = nn.Parameter(torch.cat([weight, off, inputs]), requires_grad=False)
            one.bias = nn.Parameter(
                torch.cat([one.bias, negative, negative * 0]), requires_grad=False
            )
            two.lin.weight = nn.Parameter(torch.cat([after, outputs, lost], 1), requires_grad=False)
            one.out_channels = one.lin.out_channels = len(one.lin.weight)
            two.in_channels = two.lin.in_channels = one.out_channels
    return changed


class _Split(nn.Module):
    """A model behind a linear layer."""

    def __init__(self, first: nn.Module, rest: nn.Module) -> None:
        super().__init__()
        self.first, self.rest = first, rest

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        batch: Tensor | None = None,
        edge_label_index: Tensor | None = None,
    ) -> Tensor:
        more = {"batch": batch, "edge_label_index": edge_label_index, "edge_weight": edge_weight}
        given = {name: value for name, value in more.items() if value is not None}
        return self.rest(self.first(x), edge_index, **given)


def split(model: GNN, generator: torch.Generator) -> nn.Module:
    """The first layer's linear map in two: a random rotation, and the old weights turned back."""
    changed = copy.deepcopy(model)
    convs: list[Any] = list(changed.convs)
    weight = convs[0].lin.weight
    width = weight.size(1)
    rotation, _ = torch.linalg.qr(torch.randn(width, width, generator=generator).double())
    first = nn.Linear(width, width, bias=False).to(weight).requires_grad_(False)
    with torch.no_grad():
        first.weight.copy_(rotation.T)
        weight.copy_(weight.double() @ rotation.to(weight.device))
    return _Split(first, changed).train(model.training)


REWRITES: dict[str, Callable[[GNN, torch.Generator], nn.Module]] = {
    "rescaled": rescaled,
    "widened": widened,
    "split": split,
}

_SOURCE = "Sundararajan et al., arXiv:1703.01365"
# Under the names of the rewrites.
VALUES = {
    "invariance_rescaled": Value(
        title="invariance: hidden units permuted and rescaled",
        direction="down",
        bounds=(0, math.inf),
        description=(
            "Relative change (Euclidean norm) of the edges' scores on a network that computes the "
            "same function with its hidden units in another order and on another scale; 0 keeps "
            "the axiom."
        ),
        source=_SOURCE,
    ),
    "invariance_widened": Value(
        title="invariance: dead units added",
        direction="down",
        bounds=(0, math.inf),
        description="The same on a network with more hidden units, which never count.",
        source=_SOURCE,
    ),
    "invariance_split": Value(
        title="invariance: a layer split in two",
        direction="down",
        bounds=(0, math.inf),
        description=(
            "The same on a network whose first linear map is two: a rotation, and the rest."
        ),
        source=_SOURCE,
    ),
}
