"""Whether graphs can be run side by side as one: what is found for one must not change another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from explainers.prepare.copies import ModelCopy
from explainers.prepare.outputs import alike
from explainers.prepare.probe import few_edges

if TYPE_CHECKING:
    from explainers.prepare.model import PreparedModel

SEED = 0


def look_side_by_side(prepared: PreparedModel) -> str:
    """Why copies of a graph cannot be run side by side as one, or ``""`` if they can.

    A few edges alone, and beside another graph, whose features are larger, whose nodes have twice
    as many edges, and whose edge-level inputs are larger and smaller: a layer that normalises over
    all nodes, or anything that is divided by the largest of all, gives something else.

    Raises:
        ValueError: A model that explains graphs returns another number of rows than two.
    """
    x, edge_index, inputs = few_edges(prepared)
    other = unlike(x)
    try:
        with prepared.borrowed() as copy, torch.no_grad():
            alone = copy.run(x, edge_index, inputs)
            try:
                both = _beside(copy, prepared, x, other, edge_index, inputs)
            except Exception:  # perhaps features of that size mean nothing to it
                both = _beside(copy, prepared, x, torch.zeros_like(x), edge_index, inputs)
    except Exception:
        return ""  # perhaps it is made for this number of nodes: engines see what fails
    if prepared.task_level == "graph" and len(both) != 2:
        raise ValueError(
            f"model {prepared.name} takes batch and does not use it: for two graphs it returned "
            f"{list(both.shape)}, not one row for each; let it pool by graph, for example with "
            "global_mean_pool(x, batch)"
        )
    tells = bool(alone.isfinite().all())  # on few edges, a model may divide by zero
    if not tells or (len(both) == 2 * len(alone) and alike(both[: len(alone)], alone)):
        return ""
    return (
        "its outputs change if another graph lies beside its own: some layer depends on more than "
        "the messages into each node"
    )


def unlike(x: Tensor) -> Tensor:
    """Features of which each is larger than all of ``x`` [n, F], with either sign."""
    if not x.is_floating_point():
        return x.roll(1, 0)
    generator = torch.Generator().manual_seed(SEED)
    size = 2 + 2 * torch.rand(x.shape, generator=generator)
    sign = torch.rand(x.shape, generator=generator).round() * 2 - 1
    return (size * sign).to(x) * (float(x.abs().max()) or 1.0)


def _beside(
    copy: ModelCopy,
    prepared: PreparedModel,
    x: Tensor,
    other: Tensor,
    edge_index: Tensor,
    inputs: dict[str, Tensor],
) -> Tensor:
    """The outputs of a graph and, beside it, of one with ``other`` features and edges doubled."""
    again = edge_index + len(x)
    both = {
        name: torch.cat([value, value * 8, value / 8])
        if value.is_floating_point()
        else torch.cat([value, value, value])
        for name, value in inputs.items()
    }
    if prepared.batch is not None:
        both["batch"] = torch.cat([inputs["batch"], inputs["batch"] + 1])
    if prepared.links is not None:
        links = inputs["edge_label_index"]
        both["edge_label_index"] = torch.cat([links, links + len(x)], dim=1)
    edges = torch.cat([edge_index, again, again], dim=1)
    return copy.run(torch.cat([x, other]), edges, both)
