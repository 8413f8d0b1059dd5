"""Plain gradients: the one point of the path at which hidden values belong to the graph.

At a = 1 the sums B_k of :mod:`explainers.engines.analytic.gradients` are all the same,

    B(v, u) = q_v * [P_u > 0],   G(v, u) = K(v, u) = (c_vu + l_vu) B(v, u),

and P_u, h_u W2 and z_v are the same whichever node is explained.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from explainers.engines.analytic.params import GCNParameters, weighted_sums
from explainers.prepare.csr import CSC


@dataclass(frozen=True)
class AtInput:
    """What all nodes of a graph have at the full input.

    Attributes:
        z: [N, C], the last layer's result.
        positive: bool [N, H], where the first layer's is above 0; None with one layer.
        sent: [N, C], h W2; None with one layer.
    """

    z: Tensor
    positive: Tensor | None
    sent: Tensor | None

    @classmethod
    @torch.no_grad()
    def of(cls, params: GCNParameters, index: CSC) -> AtInput:
        """By the formulas."""
        z = params.layers[0].bias + params.s + params.a
        if len(params.layers) == 1:
            return cls(z, None, None)
        two, positive = params.layers[1], z > 0
        sent = z.relu_() @ two.weight.t()
        sums = weighted_sums(index.indptr, index.source, two.norm, sent)
        return cls(sums + sent * two.loops[:, None] + two.bias, positive, sent)
