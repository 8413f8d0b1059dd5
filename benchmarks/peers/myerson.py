"""myerson, https://pypi.org/project/myerson/: Myerson values of graphs."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.explain import ExplainerAlgorithm, Explanation

from benchmarks.peers._peer import Peer, WithBatch
from explainers.engines.base import ReferenceProblem
from explainers.prepare import PreparedModel


@dataclass(kw_only=True)
class Myerson(Peer):
    """The package's Myerson values: exact or sampled where ours are, with as many orders."""

    granularity: ClassVar[tuple[str, ...]] = ("edges", "nodes")
    packages: ClassVar[tuple[str, ...]] = ("myerson",)
    masks: ClassVar[tuple[str | None, str | None]] = ("object", None)
    agrees_on: ClassVar[str] = "nodes"
    note: ClassVar[str] = "it cuts nodes out, degrees and all, where ours sets features to zero"
    ours: ClassVar[str] = "myerson"

    def refuse(self, prepared: PreparedModel) -> None:
        """Refuses nodes: the package explains graphs."""
        super().refuse(prepared)
        if prepared.task_level != "graph":
            raise ValueError(f"{self.name} explains graphs only; use {self.ours!r}")

    def algorithm(self, problem: ReferenceProblem) -> ExplainerAlgorithm:
        options = self.counterpart().options
        return _Algorithm(options["exact_nodes"], options["n_samples"], self.seed)


class _Algorithm(ExplainerAlgorithm):
    """Its explainers of classes by PyG's interface."""

    def __init__(self, exact_nodes: int, n_samples: int, seed: int) -> None:
        super().__init__()
        self.exact_nodes, self.n_samples, self.seed = exact_nodes, n_samples, seed

    @torch.no_grad()
    def forward(
        self, model: nn.Module, x: Tensor, edge_index: Tensor, *, target: Tensor, **kwargs: Any
    ) -> Explanation:
        theirs = importlib.import_module("myerson.pyg_explain.myerson")
        given = Data(x=x, edge_index=edge_index), WithBatch(model)
        if len(x) <= self.exact_nodes:
            values = theirs.MyersonClassExplainer(*given).calculate_all_myerson_values()
        else:
            made = theirs.MyersonSamplingClassExplainer(
                *given, seed=self.seed, number_of_samples=self.n_samples
            )
            values = made.sample_all_myerson_values()
        return Explanation(node_mask=torch.as_tensor(values)[:, int(target[0]), None])

    def supports(self) -> bool:
        return True
