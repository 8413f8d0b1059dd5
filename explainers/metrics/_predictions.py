"""What the model answers to many different questions about each of a number of graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explainers.engines.base import Problem
from explainers.metrics._ranking import Bools, Integers


def outputs_given(
    problem: Problem, kept: Sequence[Bools], semantics: str, *, alone: bool
) -> list[Tensor]:
    """The outputs given some of the edges: of each of R graphs [V_r, C], for ``kept`` [V_r, e_r].

    On the CPU, to which a GPU's go at once and not graph by graph.

    Args:
        problem: R graphs.
        kept: For each, V_r sets of its edges; those that are asked about twice are asked once.
        semantics: How the others are taken away, ``"mask"`` or ``"delete"``.
        alone: Whether the edges beyond the computation graph go as well, if they are deleted.
    """
    distinct, places = zip(*map(_distinct, kept), strict=True)
    outputs = _outputs(problem, _side_by_side(distinct), semantics, alone=alone).cpu()
    return [outputs[place, r] for r, place in enumerate(map(torch.from_numpy, places))]


@torch.no_grad()
def outputs_with_noise(
    problem: Problem,
    kept: Sequence[Sequence[Bools]],
    generators: Sequence[np.random.Generator],
) -> list[list[Tensor]]:
    """The outputs if all nodes but some have random features; edges stay.

    On the CPU, as :func:`outputs_given`.

    A random feature is that of a random node of the whole graph, each column by itself.

    Args:
        problem: R graphs.
        kept: Of each of V variants and each of the R graphs, [D_vr, n_r]: the nodes that keep
            their features in each draw. All variants meet the same noise.
        generators: One for each graph.

    Returns:
        Of each variant and each graph, [D_vr, C].
    """
    whole, x = problem.prepared.x, problem.x
    width = whole.shape[1]
    stays = [_side_by_side(one) for one in kept]
    outputs: list[list[Tensor]] = [[] for _ in kept]
    draws = max(map(len, stays))
    for part in np.array_split(np.arange(draws), max(1, -(-draws // problem.copies))):
        rows = [
            (generator.random((len(part), count, width)) * len(whole)).astype(np.int64)
            for generator, count in zip(generators, problem.graphs.node_counts, strict=True)
        ]
        # Along dimension 0, gather draws the node anew in each column.
        index = torch.from_numpy(np.concatenate(rows, axis=1)).to(whole.device).flatten(0, 1)
        noise = x.repeat(len(part), 1, 1)
        noise[:, problem.node_rows] = whole.gather(0, index).unflatten(0, (len(part), -1)).to(x)
        for stay, found in zip(stays, outputs, strict=True):
            mine = torch.from_numpy(stay[part[0] : part[-1] + 1]).to(x.device)
            if not len(mine):
                continue  # a variant of fewer draws
            own = mine.new_ones(len(mine), x.shape[-2])
            own[:, problem.node_rows] = mine
            noisy = torch.where(own[..., None], x, noise[: len(mine)])
            found.append(problem.predict(noisy, problem.edge_mask.expand(len(mine), -1)))
    together = [torch.cat(one).cpu() for one in outputs]
    return [
        [found[: len(one), r] for r, one in enumerate(variant)]
        for variant, found in zip(kept, together, strict=True)
    ]


def _distinct(kept: Bools) -> tuple[Bools, Integers]:
    """The different rows, and the position among them of each row."""
    places: dict[bytes, int] = {}
    found = [places.setdefault(row.tobytes(), len(places)) for row in np.packbits(kept, axis=1)]
    first = np.unique(found, return_index=True)[1]
    return kept[first], np.array(found, dtype=np.int64)


def _side_by_side(kept: Sequence[Bools]) -> Bools:
    """Rows of all graphs next to each other; everything stays where a graph has no row left."""
    rows = max(map(len, kept))
    return np.concatenate(
        [np.pad(one, ((0, rows - len(one)), (0, 0)), constant_values=True) for one in kept], axis=1
    )


@torch.no_grad()
def _outputs(problem: Problem, kept: Bools, semantics: str, *, alone: bool) -> Tensor:
    """The outputs [V, R, C] of the nodes, given the edges ``kept`` [V, e] of their graphs."""
    outputs = []
    for part in torch.from_numpy(kept).to(problem.graphs.edge_batch.device).split(problem.copies):
        if semantics == "delete":
            outputs.append(problem.deleted_outputs(part, alone=alone))
        else:
            outputs.append(problem.masked_outputs(part))
    return torch.cat(outputs)


def numpy(tensor: Tensor) -> Any:
    """The values as float64."""
    return tensor.detach().double().cpu().numpy()
