"""GradientSHAP, or expected gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from explainers.engines.base import Attribution, Engine, Problem
from explainers.methods._base import Method
from explainers.methods._seeded import generators

BASELINES = ("nodes", "zeros")


@dataclass(kw_only=True)
class GradientShap(Method):
    """Integrated Gradients from random baselines, by random points of their paths: SHAP, sampled.

    Lundberg and Lee, arXiv:1705.07874, as Captum's GradientShap without noise, with Captum's
    gradients: the mean of (input - baseline) x gradient at baseline + a (input - baseline), with
    one uniform a for features and edges together. The scores estimate what lies between the output
    and its mean over the baselines. Draws belong to the node, not to the engine or the batch.

    Args:
        n_samples: Baselines drawn, each with one point of its path.
        baselines: Of the features: ``nodes``, for each node of the computation graph those of a
            random node of the graph; or ``zeros``, as in Integrated Gradients. An edge's baseline
            is no message.
        seed: Of the draws.
    """

    deterministic: ClassVar[bool] = False
    explains_forms: ClassVar[bool] = True
    engines: ClassVar[tuple[str, ...]] = ("hoisted", "batched", "stock")
    homogeneous_only: ClassVar[str] = (
        "a baseline is the features of a random node, which has another type's"
    )
    citation: ClassVar[str] = "Lundberg and Lee 2017, arXiv:1705.07874"

    n_samples: int = 50
    baselines: str = "nodes"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("n_samples", 1)
        self.at_least("seed", 0)
        if self.baselines not in BASELINES:
            raise ValueError(
                f"unknown baselines {self.baselines!r}; use one of {', '.join(BASELINES)}"
            )

    def share(self, engine: Engine) -> tuple[int, int | None]:
        """All points in a pass."""
        return self.n_samples, None

    def attribute(self, problem: Problem) -> Attribution:
        """The mean products."""
        x, mask, background = problem.x, problem.edge_mask, problem.prepared.x
        counts = problem.graphs.node_counts
        draws = list(zip(generators(self.seed, problem.owners), counts, strict=True))
        points = np.stack([generator.random(self.n_samples) for generator, _ in draws], axis=1)
        alphas = torch.from_numpy(points).to(mask)
        totals = torch.zeros_like(x, dtype=mask.dtype), torch.zeros_like(mask)
        for start in range(0, self.n_samples, problem.copies):
            alpha = alphas[start : start + problem.copies]
            baseline = torch.zeros_like(x).repeat(len(alpha), 1, 1)
            if self.baselines == "nodes":
                size = len(alpha)
                # Rows of the graph; of a batch, of the explained graph, as if it were alone.
                alone = problem.prepared.task_level == "graph"
                first = problem.graphs.n_ptr.tolist()
                rows = [
                    generator.integers(n if alone else len(background), size=(size, n))
                    + (start if alone else 0)
                    for (generator, n), start in zip(draws, first[:-1], strict=True)
                ]
                drawn = torch.from_numpy(np.concatenate(rows, axis=1)).to(x.device)
                pool = background[problem.graphs.n_id] if alone else background
                baseline[:, problem.node_rows] = pool[drawn]
            if not problem.with_features:
                baseline = x.repeat(len(alpha), 1, 1)
            along = alpha[:, problem.node_batch, None], alpha[:, problem.edge_batch]
            differences = x - baseline, mask.expand(len(alpha), -1)
            # Features that are not attributed are integers, perhaps: they are not scaled.
            if problem.with_features:
                noisy = (along[0] * differences[0]).add_(baseline)
            else:
                noisy = baseline
            masks = along[1] * differences[1] if problem.with_edges else differences[1]
            del baseline
            gradients = problem.gradients(noisy, masks)
            del noisy, masks
            for total, difference, gradient in zip(totals, differences, gradients, strict=True):
                total += (difference * gradient).sum(dim=0) / self.n_samples
            del differences, gradients, difference, gradient  # before the next pass
        return Attribution(*totals)


METHOD = GradientShap
