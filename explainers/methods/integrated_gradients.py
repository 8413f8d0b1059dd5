"""Integrated Gradients."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from explainers.engines import registry
from explainers.engines.base import Attribution, Engine, Problem, ReferenceProblem
from explainers.methods._base import Method
from explainers.methods._gradients import times_input

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
            ``right``, ``middle`` or ``trapezoid``.
    """

    explains_forms: ClassVar[bool] = True
    along_path: ClassVar[bool] = True
    engines: ClassVar[tuple[str, ...]] = ("analytic", "hoisted", "batched", "stock")
    citation: ClassVar[str] = "Sundararajan et al. 2017, arXiv:1703.01365"

    n_steps: int = 50
    internal_batch_size: int | None = None
    quadrature: str = "gausslegendre"

    def __post_init__(self) -> None:
        self.at_least("n_steps", 1)
        if self.internal_batch_size is not None:
            self.at_least("internal_batch_size", 1)
        super().__post_init__()
        if self._asked not in (None, *self.candidates):
            raise ValueError(
                f"internal_batch_size {self.internal_batch_size}: engine {self._asked!r} has no "
                "passes to share; leave it out, or use engine='batched'"
            )
        if self._asked == "stock" and (self.internal_batch_size or 1) > 1:
            raise ValueError(
                f"internal_batch_size {self.internal_batch_size}: engine 'stock' takes 1 only, "
                "as PyG's CaptumModel does; use engine='batched'"
            )
        if self.quadrature not in QUADRATURES:
            raise ValueError(
                f"unknown quadrature {self.quadrature!r}; use one of {', '.join(QUADRATURES)}"
            )
        if self.n_steps == 1 and self.quadrature != "gausslegendre":
            raise ValueError(f"n_steps 1: quadrature {self.quadrature!r} takes at least 2")

    @property
    def candidates(self) -> tuple[str, ...]:
        """With a batch size those engines that take points in passes."""
        if self.internal_batch_size is None:
            return self.engines
        return tuple(name for name in self.engines if registry.get(name).takes_passes)

    def share(self, engine: Engine) -> tuple[int, int | None]:
        """All steps in a pass; with an ``internal_batch_size``, only as many nodes as it takes."""
        size, points = self.internal_batch_size, self.n_steps + 2  # and both ends of the path
        return points, None if size is None else max(1, size // points)

    def may_split(self) -> bool:
        """Not if the batch size was asked for: what it costs is the question then."""
        return self.internal_batch_size is None

    def attribute(self, problem: Problem) -> Attribution:
        """Gradients summed along the path, times the inputs; and what is missing to F(x) - F(0)."""
        return problem.path_gradients(
            *quadrature(self.quadrature, self.n_steps),
            times_input,
            batch_size=self.internal_batch_size,
            complete=True,
        )

    def reference(self, problem: ReferenceProblem) -> Attribution:
        """Captum's attributions, a step in a pass as in PyG's CaptumModel."""
        from captum.attr import (
            IntegratedGradients as CaptumIntegratedGradients,  # not before it is needed
        )

        inputs = (problem.x[None], problem.edge_mask[None])
        masks = CaptumIntegratedGradients(problem).attribute(
            inputs, n_steps=self.n_steps, method=self.quadrature, internal_batch_size=1
        )
        return problem.completed(Attribution(*(mask[0].detach() for mask in masks)))


@functools.cache
def quadrature(name: str, n_steps: int) -> tuple[list[float], list[float]]:
    """Captum's points in [0, 1], ascending, and weights.

    Computed here, as Captum does: to import it takes longer than to explain a node.
    """
    n = n_steps
    if name == "gausslegendre":
        roots, weights = np.polynomial.legendre.leggauss(n)  # on [-1, 1]
        return (0.5 * (1 + roots)).tolist(), (0.5 * weights).tolist()
    ends = {
        "riemann_left": (0, 1 - 1 / n),
        "riemann_right": (1 / n, 1),
        "riemann_middle": (1 / (2 * n), 1 - 1 / (2 * n)),
        "riemann_trapezoid": (0, 1),
    }
    shares = [1 / n] * n
    if name == "riemann_trapezoid":
        shares[0], shares[-1] = shares[0] / 2, shares[-1] / 2
    return torch.linspace(*ends[name], n).tolist(), shares


METHOD = IntegratedGradients
