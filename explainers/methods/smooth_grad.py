"""SmoothGrad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from explainers.engines.base import Attribution, Engine, Problem
from explainers.methods._base import Method
from explainers.methods._seeded import generators
from explainers.prepare.model import PreparedModel


@dataclass(kw_only=True)
class SmoothGrad(Method):
    """The gradient averaged over noisy copies of the features, signed: what is left of it nearby.

    Smilkov et al., arXiv:1706.03825, section 2, with Captum's gradients; as Captum's NoiseTunnel
    over signed gradients, but with noise that belongs to the node, so that an explanation depends
    neither on the engine nor on the other nodes. Noise is on the features alone: a message is
    there or not, so the edges' gradients are averaged at masks of 1. The paper's noise is a share
    of the range of an image's values; features have scales of their own, so here it is a share of
    each feature's standard deviation over the nodes.

    Args:
        n_samples: Noisy copies.
        noise: Standard deviation of the noise, over that of the feature.
        seed: Of the noise.
    """

    deterministic: ClassVar[bool] = False
    explains_forms: ClassVar[bool] = True
    engines: ClassVar[tuple[str, ...]] = ("hoisted", "batched", "stock")
    homogeneous_only: ClassVar[str] = (
        "its noise is a share of a feature's spread over all nodes, whose types have other features"
    )
    citation: ClassVar[str] = "Smilkov et al. 2017, arXiv:1706.03825"

    n_samples: int = 50
    noise: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("n_samples", 1)
        self.at_least("seed", 0)
        if not self.noise > 0:
            raise ValueError(f"noise must be above 0, got {self.noise!r}")

    def share(self, engine: Engine) -> tuple[int, int | None]:
        """All copies in a pass."""
        return self.n_samples, None

    def attribute(self, problem: Problem) -> Attribution:
        """The mean gradients."""
        x, counts = problem.x, problem.graphs.node_counts
        scale = self.noise * _deviation(problem.prepared) if problem.with_features else 0.0
        draws = list(zip(generators(self.seed, problem.owners), counts, strict=True))
        totals = (
            torch.zeros_like(x, dtype=problem.edge_mask.dtype),
            torch.zeros_like(problem.edge_mask),
        )
        for start in range(0, self.n_samples, problem.copies):
            size = min(problem.copies, self.n_samples - start)
            noisy = x.repeat(size, 1, 1)
            # Drawn in any case: what is attributed does not change the random numbers.
            drawn = [self._drawn((size, n, x.size(1)), generator, x) for generator, n in draws]
            if problem.with_features:
                noisy[:, problem.node_rows] += torch.cat(drawn, dim=1).to(x.device).mul_(scale)
            del drawn
            gradients = problem.gradients(noisy, problem.edge_mask.repeat(size, 1))
            for total, gradient in zip(totals, gradients, strict=True):
                total += gradient.sum(dim=0) / self.n_samples
            del noisy, gradients, gradient  # before the next pass
        return Attribution(*totals)

    @staticmethod
    def _drawn(shape: tuple[int, ...], generator: np.random.Generator, x: Tensor) -> Tensor:
        """Noise on the host, in the type of ``x``: float64 for one node at a time."""
        return torch.from_numpy(generator.standard_normal(shape)).to(x.dtype)


def _deviation(prepared: PreparedModel) -> Tensor:
    """The standard deviation of each feature over the graph, [F]."""
    key = "smooth_grad: deviation"
    return prepared.memo(key, lambda: prepared.x.std(dim=0, correction=0), of_graph=True)


METHOD = SmoothGrad
