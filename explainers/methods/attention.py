"""Attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.explain import AttentionExplainer
from torch_geometric.explain.config import ExplainerConfig, ModelConfig

from explainers.engines import registry
from explainers.engines.base import Attribution, Problem, ReferenceProblem
from explainers.methods._base import Method
from explainers.prepare import PreparedModel

REDUCTIONS = ("max", "mean", "min", "median")


@dataclass(kw_only=True)
class Attention(Method):
    """The attention that the model's own layers pay to an edge; for models that pay any.

    PyG's ``AttentionExplainer``: attention coefficients (Velickovic et al., arXiv:1710.10903, eq.
    3, for GAT), reduced over the heads of a layer, then over the layers. They come out of one pass
    and depend neither on the explained node nor on the class; ``batched`` makes that pass over the
    whole graph once for all nodes. Features are not scored.

    Args:
        reduce: How heads and layers are reduced: PyG's ``max``, or ``mean``, ``min``, ``median``.
    """

    signed: ClassVar[bool] = False
    target_dependent: ClassVar[bool] = False
    needs_gradients: ClassVar[bool] = False
    granularity: ClassVar[tuple[str, ...]] = ("edges",)
    homogeneous_only: ClassVar[str] = (
        "its scores are PyG's, which reads the attention of layers of one edge type"
    )
    citation: ClassVar[str] = "Velickovic et al. 2018, arXiv:1710.10903"

    reduce: str = "max"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reduce not in REDUCTIONS:
            raise ValueError(f"unknown reduce {self.reduce!r}; use one of {', '.join(REDUCTIONS)}")

    def attribute(self, problem: Problem) -> Attribution:
        """Attention in [0, 1]; zeros for the features."""
        scores = self._scores(problem.prepared)
        return Attribution(problem.no_features(), scores[problem.graphs.e_id])

    def reference(self, problem: ReferenceProblem) -> Attribution:
        """PyG's scores, over the whole graph; zeros outside of the node's surroundings."""
        explanation = problem.run_pyg(
            self._algorithm(problem.prepared.task_level, problem.prepared)
        )
        return Attribution(problem.no_features(), explanation.edge_mask)

    def _choose(self, prepared: PreparedModel, *, warn: bool) -> str:
        """Every engine looks at the whole graph and takes any model, if it pays attention."""
        self._scores(prepared)
        return self._asked or self.candidates[0]

    def _scores(self, prepared: PreparedModel) -> Tensor:
        """The attention paid to every edge, [E']; computed once.

        Raises:
            ValueError: The model has no attention.
        """
        return prepared.memo(("attention", self.reduce), lambda: self._compute(prepared))

    def _compute(self, prepared: PreparedModel) -> Tensor:
        # As if for graphs: PyG then leaves no edge out.
        algorithm = self._algorithm("graph", prepared)
        try:
            with torch.no_grad():
                explanation = registry.run_pyg_on_all(prepared, algorithm)
        except ValueError as error:
            raise ValueError(
                f"model {prepared.name} has no layer with attention coefficients "
                "to read (GATConv, GATv2Conv, TransformerConv, ...); use another method, such as "
                f"'saliency' ({error})"
            ) from error
        scores: Tensor = explanation.edge_mask
        return scores

    def _algorithm(self, level: str, prepared: PreparedModel) -> AttentionExplainer:
        algorithm = AttentionExplainer(self.reduce)
        algorithm.connect(
            ExplainerConfig(explanation_type="model", edge_mask_type="object"),
            ModelConfig(prepared.config.mode, level, prepared.return_type),
        )
        return algorithm


METHOD = Attention
