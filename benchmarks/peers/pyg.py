"""PyG's own explainers, https://pytorch-geometric.readthedocs.io, as they come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.contrib.explain import PGMExplainer
from torch_geometric.explain import (
    AttentionExplainer,
    CaptumExplainer,
    ExplainerAlgorithm,
    Explanation,
    GNNExplainer,
    GraphMaskExplainer,
    PGExplainer,
)
from torch_geometric.explain.config import ExplainerConfig

from benchmarks.peers._peer import Peer, WithBatch
from explainers.engines.base import Problem, ReferenceProblem
from explainers.methods import TrainedMethod
from explainers.prepare import PreparedModel

MOST_PLAYERS = 500  # of Shapley values: each takes a pass of the model in every order


@dataclass(kw_only=True)
class _Captum(Peer):
    attribution: ClassVar[str]

    def algorithm(self, problem: ReferenceProblem) -> ExplainerAlgorithm:
        return _Bound(self.attribution)


class _Bound(CaptumExplainer):
    """It passes keywords on by their positions, so the model gets them beforehand."""

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
        bound = WithBatch(model, kwargs) if kwargs else model
        return super().forward(bound, x, edge_index, target=target, index=index)


class IntegratedGradients(_Captum):
    """Integrated Gradients by PyG's CaptumExplainer."""

    attribution, ours = "IntegratedGradients", "integrated_gradients"


class Saliency(_Captum):
    """Saliency by PyG's CaptumExplainer."""

    signed: ClassVar[bool] = False
    attribution, ours = "Saliency", "saliency"


class InputXGradient(_Captum):
    """Gradient times input by PyG's CaptumExplainer."""

    attribution, ours = "InputXGradient", "input_x_gradient"


class Deconvolution(_Captum):
    """Deconvolution by PyG's CaptumExplainer."""

    note: ClassVar[str] = "finds ReLU only where it is a module of the model"
    attribution, ours = "Deconvolution", "deconvolution"


class GuidedBackprop(_Captum):
    """Guided backpropagation by PyG's CaptumExplainer."""

    note: ClassVar[str] = "finds ReLU only where it is a module of the model"
    attribution, ours = "GuidedBackprop", "guided_backprop"


class ShapleySampling(_Captum):
    """Shapley values by PyG's CaptumExplainer: each feature of each node is a player."""

    note: ClassVar[str] = "its players are single features, ours all of a node's"
    attribution, ours = "ShapleyValueSampling", "shapley_sampling"
    our_options: ClassVar[Mapping[str, Any]] = {"n_samples": 25}  # Captum's

    def refuse(self, prepared: PreparedModel) -> None:
        """Refuses what takes days."""
        super().refuse(prepared)
        players = (prepared.x.numel() + prepared.edge_index.size(1)) / _graphs(prepared)
        if players > MOST_PLAYERS:
            raise ValueError(
                f"{self.name} needs 25 passes for each of about {players:,.0f} features and edges, "
                f"and is run up to {MOST_PLAYERS:,}; use {self.ours!r}"
            )


class GNN(Peer):
    """PyG's GNNExplainer."""

    signed: ClassVar[bool] = False
    ours: ClassVar[str] = "gnn_explainer"
    our_options: ClassVar[Mapping[str, Any]] = {"epochs": 100}  # PyG's

    def algorithm(self, problem: ReferenceProblem) -> ExplainerAlgorithm:
        return GNNExplainer()


class GraphMask(Peer):
    """PyG's GraphMaskExplainer, which is trained anew for each explanation."""

    signed: ClassVar[bool] = False
    note: ClassVar[str] = "trains for each explanation, ours once for a model"
    ours: ClassVar[str] = "graph_mask"

    def algorithm(self, problem: ReferenceProblem) -> ExplainerAlgorithm:
        return GraphMaskExplainer(len(problem.prepared.layers), log=False)


class Attention(Peer):
    """PyG's AttentionExplainer."""

    signed: ClassVar[bool] = False
    masks: ClassVar[tuple[str | None, str | None]] = (None, "object")
    explains: ClassVar[str] = "model"  # the class plays no part
    ours: ClassVar[str] = "attention"

    def algorithm(self, problem: ReferenceProblem) -> ExplainerAlgorithm:
        return AttentionExplainer()


@dataclass(kw_only=True)
class PG(TrainedMethod, Peer):
    """PyG's PGExplainer, trained on the nodes that ours is trained on."""

    signed: ClassVar[bool] = False
    masks: ClassVar[tuple[str | None, str | None]] = (None, "object")
    ours: ClassVar[str] = "pg_explainer"

    def refuse(self, prepared: PreparedModel) -> None:
        """What either refuses."""
        TrainedMethod.refuse(self, prepared)
        Peer.refuse(self, prepared)

    def learn(self, prepared: PreparedModel, problems: Iterable[Problem]) -> Any:
        """There is nothing but what is published."""
        raise ValueError(f"{self.name} takes no mask_type; use {self.ours!r}")

    def learn_reference(self, prepared: PreparedModel, problems: Iterable[ReferenceProblem]) -> Any:
        """A step for each node in each epoch, as PyG's documentation shows it."""
        ours = self.counterpart().options
        algorithm = PGExplainer(epochs=ours["epochs"], lr=ours["lr"])
        config = ExplainerConfig(explanation_type="phenomenon", edge_mask_type="object")
        algorithm.connect(config, prepared.config)
        those = list(problems)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            for epoch in range(ours["epochs"]):
                for problem in those:
                    problem.train_pyg(algorithm, epoch)
        return algorithm

    def algorithm(self, problem: ReferenceProblem) -> ExplainerAlgorithm:
        trained: ExplainerAlgorithm = self.learned(problem.prepared)
        return trained


class PGM(Peer):
    """PGM-Explainer of torch_geometric.contrib: nodes by 1 - p of a chi-square test."""

    signed: ClassVar[bool] = False
    granularity: ClassVar[tuple[str, ...]] = ("edges", "nodes")
    packages: ClassVar[tuple[str, ...]] = ("pgmpy",)
    masks: ClassVar[tuple[str | None, str | None]] = ("attributes", None)
    agrees_on: ClassVar[str] = "nodes"
    ours: ClassVar[str] = "pgm_explainer"

    def algorithm(self, problem: ReferenceProblem) -> ExplainerAlgorithm:
        return _PValues()


class _PValues(PGMExplainer):
    """Its scores are 1 - p: the mask that it gives holds ones and zeros."""

    def forward(self, *args: Any, **kwargs: Any) -> Explanation:
        found: Explanation = super().forward(*args, **kwargs)
        found.node_mask = (1 - found.pgm_stats.double())[:, None]
        return found


def _graphs(prepared: PreparedModel) -> int:
    return prepared.units if prepared.task_level == "graph" else 1
