"""Parameter randomisation: whether the scores of a model's edges depend on what it has learned."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import MessagePassing

from benchmarks.measures.agreement import Floats
from benchmarks.tasks._source import seeded
from explainers.metrics import Value, size
from explainers.prepare import prepare

SHARE = "f=20%"  # the edges whose overlap is taken
TIES = 20  # random orders of tied edges
NUMBERS = {"mode": "regression", "return_type": "raw"}  # what the outputs mean is not asked here


@dataclass(frozen=True)
class Stage:
    """Which layers of a model have new weights.

    Attributes:
        mode: ``cascading`` (this layer and all above it) or ``independent`` (this layer alone).
        depth: The layer's place, counted from the output: 1 is the last.
        of: How many layers there are.
        layer: The layer's name.
        chosen: The names of all layers with new weights.
    """

    mode: str
    depth: int
    of: int
    layer: str
    chosen: tuple[str, ...]

    @property
    def name(self) -> str:
        """As cells have it: ``cascading, 2 of 3: convs.1``."""
        return f"{self.mode}, {self.depth} of {self.of}: {self.layer}"


def stages(names: Sequence[str]) -> list[Stage]:
    """Every layer with all above it, from the last; then every layer alone.

    Args:
        names: Of the layers, from the input to the output.
    """
    from_output = tuple(reversed(names))
    count = len(from_output)
    return [
        *(
            Stage("cascading", at, count, from_output[at - 1], from_output[:at])
            for at in range(1, count + 1)
        ),
        *(
            Stage("independent", at, count, layer, (layer,))
            for at, layer in enumerate(from_output, start=1)
        ),
    ]


def layers(model: nn.Module, data: Data | HeteroData) -> list[str]:
    """The names of a model's layers with weights, in the order in which the model calls them.

    A layer is a module with ``reset_parameters``: a message-passing layer with all that is in it,
    or another one without message passing inside, such as ``Linear`` or ``BatchNorm``. A module
    that only holds message-passing layers, such as PyG's ``GCN``, is taken apart. The model itself
    has the name ``""``. Layers that are never called do not count.

    Raises:
        ValueError: Some weights belong to no layer that can draw them anew, or no layer is called.
    """
    found = dict(_layers(model, ""))
    known = {id(one) for layer in found.values() for one in layer.parameters()}
    if rest := [name for name, one in model.named_parameters() if id(one) not in known]:
        raise ValueError(
            f"the weights {', '.join(rest)} of {type(model).__name__} belong to no layer with "
            "reset_parameters(), so they cannot be drawn anew; give their module one"
        )
    watched, order = copy.deepcopy(model), dict[str, None]()
    for name in found:
        watched.get_submodule(name).register_forward_pre_hook(_note(order, name))
    with torch.no_grad():
        if isinstance(data, HeteroData):
            watched(data.x_dict, data.edge_index_dict)
        else:
            prepared = prepare(model, data, NUMBERS)
            edge_index, inputs = prepared.given
            watched(data.x, edge_index, **prepared.with_batch(inputs))
    if not order:
        raise ValueError(
            f"the model {type(model).__name__} calls no layer with reset_parameters(): there are "
            "no weights to draw anew"
        )
    return list(order)


def _layers(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    passing = isinstance(module, MessagePassing)
    holds = any(isinstance(one, MessagePassing) for one in module.modules())
    if hasattr(module, "reset_parameters") and (passing or not holds):
        if module.state_dict():  # an activation or an aggregation without weights is no layer
            yield name, module
        return
    for own, child in module.named_children():
        yield from _layers(child, f"{name}.{own}" if name else own)


def _note(order: dict[str, None], name: str) -> Callable[..., None]:
    def hook(*_: object) -> None:
        order.setdefault(name)

    return hook


def untrained(model: nn.Module, names: Sequence[str], seed: int) -> nn.Module:
    """A copy of the model with new weights in all of its layers.

    Each layer draws them by its own ``reset_parameters``, from the distribution that it starts with
    before a training. Where that takes no random numbers, the layer is as it is when new: biases
    are mostly 0, the scale of a ``BatchNorm`` is 1 and its running mean and variance, which are
    buffers, are 0 and 1.

    Args:
        model: Stays as it is.
        names: All of its layers, see :func:`layers`.
        seed: Of the weights, which are drawn on the CPU: on a GPU they are the same.

    Raises:
        ValueError: All weights are as before: ``reset_parameters`` does nothing.
    """
    fresh = copy.deepcopy(model).cpu()
    with seeded(seed), torch.no_grad():
        for name in names:
            layer: Any = fresh.get_submodule(name)
            layer.reset_parameters()
    before = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    if all(torch.equal(tensor, before[name]) for name, tensor in fresh.state_dict().items()):
        raise ValueError(
            f"reset_parameters() leaves the weights of {type(model).__name__} as they are; mend it"
        )
    device = next((one.device for one in model.parameters()), torch.device("cpu"))
    return fresh.to(device).requires_grad_(False).train(model.training)


def with_layers_of(model: nn.Module, other: nn.Module, names: Sequence[str]) -> nn.Module:
    """A copy of ``model`` with the weights and buffers that ``other`` has in the layers named."""
    mixed = copy.deepcopy(model)
    for name in names:
        mixed.get_submodule(name).load_state_dict(other.get_submodule(name).state_dict())
    return mixed


def similarity(trained: Floats, other: Floats, *, signed: bool, seed: int = 0) -> dict[str, float]:
    """How alike the scores of the same edges are on the trained model and on another.

    ``spearman``: Spearman's rank correlation of the absolute scores, in [-1, 1]; no value if those
    of the trained model are all the same. If only the other's are, it is 0, which is the mean over
    all orders of scores that order nothing. ``top_overlap``: the share that the fifth of the edges
    with the highest absolute scores, rounded up, have in common, in [0, 1]; no value if that is all
    edges. Where edges are tied at the cut, it is the mean over 20 random orders of the edges, the
    same for both scorings: equal scores agree fully. ``spearman_signed`` and
    ``top_overlap_signed``: the same of the scores with their signs.

    Source: Adebayo et al., "Sanity Checks for Saliency Maps", arXiv:1810.03292, section 3, where
    rank correlations are of pixels' scores, with and without absolute values.

    Args:
        trained: [e].
        other: [e].
        signed: Whether signs mean something.
        seed: Of the orders of tied edges.
    """
    scorings = {"": (np.abs(trained), np.abs(other))}
    if signed:
        scorings["_signed"] = (trained, other)
    found = {}
    for suffix, (one, two) in scorings.items():
        if one.size and np.ptp(one) > 0:
            moves = np.ptp(two) > 0
            found[f"spearman{suffix}"] = float(spearmanr(one, two).statistic) if moves else 0.0
        if size(SHARE, one.size) < one.size:
            found[f"top_overlap{suffix}"] = _overlap(one, two, seed)
    return found


def _overlap(one: Floats, two: Floats, seed: int) -> float:
    """The share of the highest edges in common, its mean over the orders of tied ones."""
    count = size(SHARE, one.size)
    draws = TIES if any(_tied_at(count, scores) for scores in (one, two)) else 1
    generator = np.random.default_rng(seed)
    shares = []
    for _ in range(draws):
        tie_break = generator.permutation(one.size)
        first, second = (np.lexsort((tie_break, -scores))[:count] for scores in (one, two))
        shares.append(np.intersect1d(first, second).size / count)
    return float(np.mean(shares))


def _tied_at(count: int, scores: Floats) -> bool:
    """Whether the last edge that is in has the score of the first that is out."""
    falling = np.sort(scores)[::-1]
    return bool(falling[count - 1] == falling[count])


_SOURCE = "Adebayo et al., arXiv:1810.03292"

VALUES = {
    "spearman": Value(
        title="rank correlation with the trained model",
        direction="",
        bounds=(-1, 1),
        description=(
            "Spearman's correlation of the absolute edge scores on the trained model with those on "
            "one whose weights are drawn anew, in [-1, 1]; near 1 the scores do not depend on what "
            "was learned, unrelated orders have 0."
        ),
        source=_SOURCE,
    ),
    "spearman_signed": Value(
        title="rank correlation with the trained model, signed",
        direction="",
        bounds=(-1, 1),
        description="The same of the scores with their signs, in [-1, 1]; for signed methods.",
        source=_SOURCE,
    ),
    "top_overlap": Value(
        title="overlap of the highest 20 %",
        direction="",
        bounds=(0, 1),
        description=(
            "Share that the fifth of the edges with the highest absolute scores on the trained "
            "model has in common with that on a model whose weights are drawn anew, in [0, 1]; "
            "unrelated orders have about 0.2."
        ),
        source=_SOURCE,
    ),
    "top_overlap_signed": Value(
        title="overlap of the highest 20 %, signed",
        direction="",
        bounds=(0, 1),
        description=(
            "The same of the edges with the highest scores with their signs, in [0, 1]; for signed "
            "methods."
        ),
        source=_SOURCE,
    ),
}
