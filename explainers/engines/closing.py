"""The widest hop of computation graphs: from gradients at inner nodes to the scores of features."""

from __future__ import annotations

import torch
from torch import Tensor

from explainers.engines.analytic.params import weighted_sums
from explainers.engines.base import Finish
from explainers.prepare.computation_graph import Reach

BLOCK = 60_000  # entries of feature scores on a CPU at a time


def feature_scores(
    found: Reach,
    norm: Tensor,
    loops: Tensor,
    rows: Tensor,
    x: Tensor,
    finish: Finish,
    *,
    read: Tensor | None = None,
) -> Tensor:
    """Scores of the features, [n, F]: what each node gets back along what it sends.

    Args:
        found: The computation graphs, with e edges and P inner nodes.
        norm: [e], of the edges as they are found.
        loops: [P], of what inner nodes keep for themselves.
        rows: [2P, F]; row p comes back along the edges into inner node p, row P + p to itself.
            [P, F] if these are the same.
        x: [N, F].
        finish: See :data:`explainers.engines.base.Finish`.
        read: [n, F], the nodes' features, if they have been gathered already.
    """
    pairs, n_id = len(found.inner), found.graphs.n_id
    values = torch.cat([norm, loops]).index_select(0, found.out)
    number = torch.arange(len(rows) - pairs, len(rows), device=rows.device)
    column = torch.cat([found.target, number]).index_select(0, found.out)
    # On a CPU in blocks that stay in its cache, so that memory is written once.
    size = max(1, BLOCK // x.size(1)) if x.device.type == "cpu" else len(n_id)
    scores = x.new_empty(len(n_id), x.size(1))
    inside = found.out_ptr[size:-1:size]
    bounds = [0, *(inside.tolist() if len(inside) else ()), len(found.out)]
    for i, (nodes, out) in enumerate(zip(n_id.split(size), scores.split(size), strict=True)):
        ptr = found.out_ptr[i * size : (i + 1) * size + 1] - bounds[i]
        some = slice(bounds[i], bounds[i + 1])
        part = weighted_sums(ptr, column[some], values[some], rows)
        own = x.index_select(0, nodes) if read is None else read[i * size : (i + 1) * size]
        finish(part, own, out)
    return scores
