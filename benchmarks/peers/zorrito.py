"""zorrito, https://pypi.org/project/zorrito/: Zorro."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.explain import ExplainerAlgorithm, Explanation

from benchmarks.peers._peer import Peer, WithBatch
from explainers.engines.base import ReferenceProblem


@dataclass(kw_only=True)
class Zorrito(Peer):
    """zorrito's Zorro, which selects nodes: 1 for the first, less for later ones, 0 for others."""

    signed: ClassVar[bool] = False
    granularity: ClassVar[tuple[str, ...]] = ("edges", "nodes")
    packages: ClassVar[tuple[str, ...]] = ("zorrito",)
    masks: ClassVar[tuple[str | None, str | None]] = ("object", None)
    agrees_on: ClassVar[str] = "nodes"
    note: ClassVar[str] = (
        "it cuts the computation graph without the degrees beyond its border, and says nothing of "
        "nodes that it does not select"
    )
    ours: ClassVar[str] = "zorro"

    def algorithm(self, problem: ReferenceProblem) -> ExplainerAlgorithm:
        return _Algorithm(problem.prepared.hops, self.seed)


class _Algorithm(ExplainerAlgorithm):
    """Zorro by PyG's interface; what it can be told alike is as ours has it."""

    def __init__(self, hops: int, seed: int) -> None:
        super().__init__()
        self.hops, self.seed = hops, seed

    def forward(
        self,
        model: nn.Module,
        x: Tensor,
        edge_index: Tensor,
        *,
        target: Tensor,
        index: Tensor | None = None,
        **kwargs: Any,
    ) -> Explanation:
        graph = index is None
        made = importlib.import_module("zorrito").Zorro(
            WithBatch(model) if graph else model,
            task="graph" if graph else "node",
            select="nodes_only",
            noise_mode="column",
            num_hops=self.hops,
            seed=self.seed,
        )
        (found,) = made.explain(x, edge_index, node_idx=None if index is None else int(index))
        order = [position for kind, position, _ in found.trace if kind == "node"]
        local = torch.zeros(len(found.node_mask), 1)
        for rank, position in enumerate(order):
            local[position] = 1 - rank / (len(order) + 1)
        scores = x.new_zeros(len(x), 1)
        where = torch.arange(len(x)) if found.subgraph_nodes is None else found.subgraph_nodes
        scores[where] = local.to(scores)
        return Explanation(node_mask=scores)

    def supports(self) -> bool:
        return True
