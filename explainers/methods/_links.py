"""Links without themselves: each explained on the graph from which its own edges are gone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.explain import Explanation

from explainers.prepare.checks import EDGE_INPUTS


def left_out(
    data: Data, links: Tensor, explain: Callable[[Data, int], Explanation]
) -> Iterator[Explanation]:
    """The explanation of each of ``links`` [2, R] without the edges between its two ends.

    Both directions are gone from the graph, degrees and all. ``e_id`` are ids in ``data``.

    Args:
        data: The graph.
        links: The links.
        explain: Gives the explanation of link r on a graph.
    """
    for r, (source, target) in enumerate(links.t().tolist()):
        kept = others(data.edge_index, source, target)
        if bool(kept.all()):
            yield explain(data, r)
            continue
        left = copy.copy(data)
        left.edge_index = data.edge_index[:, kept]
        for name in EDGE_INPUTS:
            if data.get(name) is not None:
                left[name] = data[name][kept]
        found = explain(left, r)
        found.e_id = kept.nonzero().view(-1)[found.e_id]
        yield found


def others(edge_index: Tensor, source: int, target: int) -> Tensor:
    """Which edges [E] are not between two nodes, in either direction."""
    ends = edge_index.new_tensor([[source], [target]])
    between = (edge_index == ends).all(dim=0) | (edge_index == ends.flip(0)).all(dim=0)
    return torch.logical_not(between)
