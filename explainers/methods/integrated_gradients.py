"""Integrated Gradients."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from captum.attr._utils.approximation_methods import approximation_parameters
from torch import Tensor

from explainers.engines.analytic.gradients import AnalyticProblem, times_input
from explainers.engines.base import Attribution, Problem
from explainers.methods._base import Method

QUADRATURES = (
    "gausslegendre",
    "riemann_left",
    "riemann_right",
    "riemann_middle",
    "riemann_trapezoid",
)


@dataclass(kw_only=True)
class IntegratedGradients(Method):
    """Gradients summed along the straight path from nothing to the input: they add up to F(x)-F(0).

    Sundararajan, Taly and Yan, arXiv:1703.01365, eq. 1 and 3, computed by Captum. Node features and
    the mask over the messages go from 0 to their values together, so that the scores of features
    and edges together make up the change of the model's output, as the model returns it.
    Explanations have ``convergence_delta``: the sum of all scores minus F(x) - F(0).

    Args:
        n_steps: Points of the quadrature.
        internal_batch_size: Variants of a node's computation graph that go through the model in one
            pass, as in Captum; None for as many variants and nodes as the memory budget takes, or
            for none at all (engine ``analytic``, the default for a GCN of one or two layers).
        quadrature: Captum's ``method``: ``gausslegendre``, or ``riemann_`` and ``left``,
            ``right``, ``hidden_cache`` or ``trapezoid``.
    """

    engines: ClassVar[tuple[str, ...]] = ("analytic", "batched", "stock")
    citation: ClassVar[str] = "Sundararajan et al. 2017, arXiv:1703.01365"

    n_steps: int = 50
    internal_batch_size: int | None = None
    quadrature: str = "gausslegendre"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.internal_batch_size is not None and not self._fixed:
            self._leave_out("analytic")  # it has no passes that take steps in batches
        self.at_least("n_steps", 1)
        if self.internal_batch_size is not None:
            self.at_least("internal_batch_size", 1)
            if self.engine == "analytic":
                raise ValueError(
                    f"internal_batch_size {self.internal_batch_size}: engine 'analytic' has no "
                    "passes to share; leave it out, or use engine='batched'"
                )
            if self.engine == "stock" and self._fixed and self.internal_batch_size > 1:
                raise ValueError(
                    f"internal_batch_size {self.internal_batch_size}: engine 'stock' takes 1 only, "
                    "as PyG's CaptumModel does; use engine='batched'"
                )
        if self.quadrature not in QUADRATURES:
            raise ValueError(
                f"unknown quadrature {self.quadrature!r}; use one of {', '.join(QUADRATURES)}"
            )

    def share(self) -> tuple[int, int | None]:
        """All steps in a pass; with an ``internal_batch_size``, only as many nodes as it takes."""
        size = self.internal_batch_size
        return self.n_steps, None if size is None else max(1, size // self.n_steps)

    def may_split(self) -> bool:
        """Not if the batch size was asked for: what it costs is the question then."""
        return self.internal_batch_size is None

    def attribute(self, problem: Problem) -> Attribution:
        """Captum's attributions, and the completeness that is missing from them."""
        if isinstance(problem, AnalyticProblem):
            sums = problem.path_gradients(*quadrature(self.quadrature, self.n_steps))
            attribution = Attribution(
                problem.feature_scores(sums, times_input), problem.edge_scores(sums)
            )
            missing = problem.total_scores(sums) - problem.change()
            attribution.extra["convergence_delta"] = missing
            return attribution
        batches = zip(*self._batches(problem), strict=True)
        node_mask, edge_mask = (sum(part[0].detach() for part in parts) for parts in batches)
        attribution = Attribution(node_mask, edge_mask)
        attribution.extra["convergence_delta"] = problem.total(attribution) - problem.change()
        return attribution

    def _batches(self, problem: Problem) -> Iterator[tuple[Tensor, Tensor]]:
        """Captum's scores of features and edges, [1, n, F] and [1, e]: their parts, to be added."""
        inputs = (problem.x[None], problem.edge_mask[None])
        captum = CaptumIntegratedGradients(problem)
        if self.engine == "stock":
            steps = {"n_steps": self.n_steps, "internal_batch_size": 1}
            yield captum.attribute(inputs, method=self.quadrature, **steps)
            return
        # A batch size that was asked for is kept even beyond the memory budget. This is what
        # `attribute` does; but it finds the points anew for each node, and for 500 steps that takes
        # longer than the passes.
        size = self.internal_batch_size or problem.copies
        points, weights = quadrature(self.quadrature, self.n_steps)
        for start in range(0, self.n_steps, size):
            some = slice(start, start + size)
            yield captum._attribute(
                inputs,
                (0, 0),
                n_steps=len(points[some]),
                step_sizes_and_alphas=(weights[some], points[some]),
            )


@functools.cache
def quadrature(name: str, n_steps: int) -> tuple[list[float], list[float]]:
    """Captum's points in [0, 1], ascending, and weights."""
    sizes, points = approximation_parameters(name)
    return points(n_steps), sizes(n_steps)


METHOD = IntegratedGradients
