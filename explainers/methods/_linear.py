"""The linear model that LIME and KernelSHAP fit to the outputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

# Below this share of the largest entry, a pivot of a Gram matrix may be rounding.
SINGULAR = 1e-9
# Sums over coalitions are exact in float32, but for weights that are not alike; rows that weigh so
# many times the median would leave nothing of the others.
HEAVY = 100.0
# Solved again for what is missing, until that is so little.
STEPS, ENOUGH = 10, 1e-12


def least_squares(
    samples: Tensor, outputs: Tensor, weights: Tensor, penalty: float = 0.0
) -> Tensor:
    """Coefficients [P] of weighted least squares with an intercept and, if given, a ridge penalty.

    Equal to scikit-learn's ``LinearRegression`` and ``Ridge(alpha=penalty)``, in float64. Where
    they leave a choice and there is no penalty, the coefficients of the smallest norm.

    Args:
        samples: [S, P], zeros and ones, in float32.
        outputs: [S].
        weights: [S].
        penalty: Of the squared coefficients.
    """
    outputs, weights = outputs.double(), weights.double()
    root, total = weights.sqrt(), weights.sum()
    # The intercept takes up the weighted means.
    rows = samples.double()
    mean = weights @ rows / total
    wide = rows.size(0) < rows.size(1)
    # The smaller of the two Gram matrices. What float32 rounds in it only slows the solution.
    if wide:
        along = rows @ mean
        gram = (samples @ samples.T).double() - along - along[:, None] + mean @ mean
        gram *= root * root[:, None]
        # Centred rows always have one dependence, which the values share: it is taken out.
        own = root / root.norm()
        gram += gram.diagonal().mean() * own * own[:, None]
    else:
        heavy = weights > HEAVY * weights.median()
        light = samples * root.masked_fill(heavy, 0.0).to(samples)[:, None]
        dominant = rows[heavy] * root[heavy, None]
        gram = (light.T @ light).double().addmm_(dominant.T, dominant)
        gram.addr_(mean, mean, alpha=-float(total))
    gram.diagonal().add_(penalty)
    rows = rows.sub_(mean).mul_(root[:, None])
    values = root * (outputs - weights @ outputs / total)
    factor, failed = torch.linalg.cholesky_ex(gram)
    if not failed and factor.diagonal().min() ** 2 > SINGULAR * gram.diagonal().max():
        found = rows.new_zeros(len(gram))
        for _ in range(STEPS):
            missing = values - rows @ (rows.T @ found if wide else found)
            missing = (missing if wide else rows.T @ missing) - penalty * found
            step = torch.cholesky_solve(missing[:, None], factor)[:, 0]
            found += step
            if step.norm() <= ENOUGH * found.norm():
                return rows.T @ found if wide else found
    # Short of full rank, or nearly: by singular values.
    if penalty:
        own = penalty**0.5 * torch.eye(rows.size(1), dtype=rows.dtype)
        rows, values = torch.cat([rows, own]), torch.cat([values, own.new_zeros(len(own))])
    return torch.linalg.lstsq(rows, values[:, None], driver="gelsd").solution[:, 0]


class Linear:
    """:func:`least_squares`, as Captum calls an interpretable model."""

    def __init__(self, penalty: float = 0.0) -> None:
        self.penalty = penalty

    def fit(self, train_data: DataLoader[Any], **kwargs: object) -> None:
        """``train_data`` has one batch: samples [S, P], outputs [S] and their weights [S]."""
        ((samples, outputs, weights),) = train_data
        self._coefficients = least_squares(samples, outputs, weights, self.penalty)

    def representation(self) -> Tensor:
        """The coefficients, [P]."""
        return self._coefficients
