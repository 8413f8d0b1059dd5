"""The linear model that Captum's Lime and KernelShap fit to the outputs."""

from __future__ import annotations

from typing import Any

import torch
from captum._utils.models.model import Model
from torch import Tensor
from torch.utils.data import DataLoader


class Linear(Model):
    """Weighted least squares with an intercept and, if ``penalty`` is above 0, ridge.

    Equal to scikit-learn's ``LinearRegression`` and ``Ridge(alpha=penalty)``, in float64. With
    fewer samples than players and no penalty, the solution of the smallest norm.
    """

    def __init__(self, penalty: float = 0.0) -> None:
        self.penalty = penalty

    def fit(self, train_data: DataLoader[Any], **kwargs: object) -> None:
        """``train_data`` has one batch: samples [S, P], outputs [S] and their weights [S]."""
        ((samples, outputs, weights),) = (map(Tensor.double, batch) for batch in train_data)
        root = weights.sqrt()
        # The intercept takes up the weighted means.
        samples = root[:, None] * (samples - weights @ samples / weights.sum())
        outputs = root * (outputs - weights @ outputs / weights.sum())
        if self.penalty:
            own = self.penalty * torch.eye(len(samples), dtype=torch.float64)
            # The dual form: samples are fewer than players in the fields that are dear.
            self._coefficients = samples.T @ torch.linalg.solve(samples @ samples.T + own, outputs)
        else:
            # By singular values: the centred samples may well be short of full rank.
            solution = torch.linalg.lstsq(samples, outputs[:, None], driver="gelsd").solution
            self._coefficients = solution[:, 0]

    def representation(self) -> Tensor:
        """The coefficients, [P]."""
        return self._coefficients

    def __call__(self, x: Tensor) -> Tensor:
        """Not asked for by an attribution."""
        raise NotImplementedError
