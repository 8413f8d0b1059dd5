"""Attention."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.explain import AttentionExplainer
from torch_geometric.explain.config import ExplainerConfig, ModelConfig

from explainers.engines.base import Attribution, Problem
from explainers.engines.stock import StockProblem
from explainers.methods._base import Method
from explainers.prepare.model import PreparedModel

REDUCTIONS = ("max", "mean", "min", "median")
_SCORES: weakref.WeakKeyDictionary[PreparedModel, dict[str, Tensor]] = weakref.WeakKeyDictionary()


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
    granularity: ClassVar[tuple[str, ...]] = ("edges",)
    citation: ClassVar[str] = "Velickovic et al. 2018, arXiv:1710.10903"

    reduce: str = "max"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reduce not in REDUCTIONS:
            raise ValueError(f"unknown reduce {self.reduce!r}; use one of {', '.join(REDUCTIONS)}")

    def attribute(self, problem: Problem) -> Attribution:
        """Attention in [0, 1]; zeros for the features."""
        if isinstance(problem, StockProblem):
            edge_mask = self._with_pyg(problem.home, problem.index)
        else:
            edge_mask = self._scores(problem.prepared)[problem.graphs.e_id]
        return Attribution(torch.zeros_like(problem.x), edge_mask)

    def _choose(self, prepared: PreparedModel, *, warn: bool) -> None:
        """Every engine looks at the whole graph and takes any model, if it pays attention."""
        self._scores(prepared)

    def _scores(self, prepared: PreparedModel) -> Tensor:
        """The attention paid to every edge, [E']; computed once.

        Raises:
            ValueError: The model has no attention.
        """
        known = _SCORES.setdefault(prepared, {})
        if self.reduce not in known:
            known[self.reduce] = self._with_pyg(prepared, None)
        return known[self.reduce]

    def _with_pyg(self, prepared: PreparedModel, node: Tensor | None) -> Tensor:
        """The scores of all edges [E']; with a node, zeros outside of its surroundings."""
        algorithm = AttentionExplainer(self.reduce)
        algorithm.connect(
            ExplainerConfig(explanation_type="model", edge_mask_type="object"),
            ModelConfig(
                mode="multiclass_classification",
                task_level="graph" if node is None else "node",
                return_type=prepared.return_type,
            ),
        )
        graph = prepared.x, prepared.edge_index
        target = prepared.output.argmax(dim=-1)
        model = prepared.whole()
        try:
            with torch.no_grad():
                explanation = algorithm(
                    model, *graph, target=target, index=node, **prepared.keywords
                )
        except ValueError as error:
            raise ValueError(
                f"model {type(prepared.model).__name__} has no layer with attention coefficients "
                "to read (GATConv, GATv2Conv, TransformerConv, ...); use another method, such as "
                f"'saliency' ({error})"
            ) from error
        return explanation.edge_mask


METHOD = Attention
