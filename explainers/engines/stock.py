"""Captum and PyG as published: the whole graph, one node and one pass at a time.

The reference: every other engine is tested for equality with this one and timed against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor
from torch_geometric.explain.algorithm.captum import CaptumModel

from explainers.engines.fields import cut
from explainers.engines.network import Network, private_copy
from explainers.engines.problem import Attribution, Problem


class StockProblem(Problem):
    """One node on the whole graph, through PyG's ``CaptumModel``; see :class:`Problem`."""

    copies = 1

    def __init__(
        self, network: Network, nodes: Tensor, targets: Tensor, memory_budget: int
    ) -> None:
        fields = cut(network.index, nodes, network.hops)
        super().__init__(network, fields, nodes, targets, memory_budget)
        self.model = network.whole()
        # Keyword inputs are bound here: CaptumModel passes on positions only.
        self._captum = CaptumModel(_Bound(self.model, network.inputs), "node_and_edge", nodes)

    @property
    def x(self) -> Tensor:
        return self.network.x

    @cached_property
    def edge_mask(self) -> Tensor:
        return self.x.new_ones(self.network.edge_index.size(1))

    def predict(self, x: Tensor, edge_mask: Tensor) -> Tensor:
        return self._captum(x, edge_mask, self.network.edge_index)[None]

    def delete(self, kept: Tensor, *, alone: bool) -> Tensor:
        network = self.network
        edge_index, inputs = network.given
        e_id = self.fields.e_id if network.e_id is None else network.e_id[self.fields.e_id]
        model = private_copy(network.model)
        outputs = []
        for row in kept:
            edges = edge_index[0] == edge_index[1] if network.e_id is not None else None
            if edges is None or not alone:
                edges = torch.full_like(edge_index[0], not alone, dtype=torch.bool)
            edges[e_id] = row
            left = {name: value[edges] for name, value in inputs.items()}
            outputs.append(model(network.x, edge_index[:, edges], **left)[self.nodes])
        return torch.stack(outputs)

    @property
    def node_field(self) -> Tensor:
        return self.x.new_zeros(len(self.x), dtype=torch.long)

    @property
    def edge_field(self) -> Tensor:
        return self.x.new_zeros(len(self.edge_mask), dtype=torch.long)

    def edge_masks(self, kept: Tensor) -> Tensor:
        masks = self.edge_mask.repeat(len(kept), 1)
        masks[:, self.fields.e_id] = kept.to(masks)
        return masks

    def in_fields(self, attribution: Attribution) -> Attribution:
        return Attribution(
            attribution.node_mask[self.fields.n_id],
            attribution.edge_mask[self.fields.e_id],
            attribution.extra,
        )


class _Bound(torch.nn.Module):
    """A model with its keyword inputs filled in."""

    def __init__(self, model: torch.nn.Module, inputs: dict[str, Tensor]) -> None:
        super().__init__()
        self.model, self.inputs = model, inputs

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.model(x, edge_index, **self.inputs)


def problems(
    network: Network,
    nodes: Tensor,
    targets: Tensor,
    memory_budget: int,
    copies: int = 1,
    most: int | None = None,
) -> Iterator[StockProblem]:
    """One problem for each node."""
    for node, target in zip(nodes.split(1), targets.split(1), strict=True):
        yield StockProblem(network, node, target, memory_budget)


def refusal(network: Network) -> str | None:
    """Why the engine cannot explain this model; it can explain all that :class:`Network` takes."""
    return None
