"""Means over models and nodes, with intervals that hold for other models and other nodes.

The values of a method are a table of models by nodes: the same nodes are explained under each
model, and two kinds of chance enter. Averaging the models away, or taking every value for
independent, leaves one of them out: 95 % intervals then cover 55 % (MUTAG) and 70 % (Tree-Cycles).

A bootstrap that draws models and nodes (the pigeonhole bootstrap of Owen 2007, Annals of Applied
Statistics 1) estimates the sum of both variances, but with five models its percentiles are too
close together: five values know their own spread badly. So the variance is computed in closed form
here, as the sum over both factors less what both count (the two-way random-effects model;
Cameron, Gelbach and Miller 2011, JBES 29), and the interval takes Student's t with the degrees of
freedom of Satterthwaite (1946, Biometrics 2). ``tests/benchmarks/report/stats/test_coverage.py``
simulates the coverage. With one model the interval is the usual one over its nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse
import scipy.stats

from benchmarks.report.stats.estimates import CONFIDENCE, Estimate

Floats = npt.NDArray[np.float64]
_ROUNDS = 30  # of the additive fit; without gaps the first is exact


@dataclass(frozen=True)
class Means:
    """Means over models and nodes of k columns at once.

    Attributes:
        value: The means, [k].
        error: Their standard errors, [k]; NaN if there is one value only.
        freedom: Degrees of freedom of the errors, [k].
        nodes: Number of different nodes.
        models: Number of different models.
    """

    value: Floats
    error: Floats
    freedom: Floats
    nodes: int
    models: int

    def estimates(self, bounds: tuple[float | None, float | None] = (None, None)) -> list[Estimate]:
        """The means with their 95 % intervals, cut at the bounds of what can be measured."""
        # Student's t of infinite or no degrees of freedom would be NaN where the error is zero.
        quantile = scipy.stats.t.ppf(0.5 + CONFIDENCE / 2, np.maximum(self.freedom, 1e-9))
        half = np.where(self.error == 0, 0.0, np.nan_to_num(quantile, posinf=0.0) * self.error)
        low, high = self.value - half, self.value + half
        if any(bound is not None for bound in bounds):
            low, high = np.clip(low, *bounds), np.clip(high, *bounds)
        return [
            Estimate(float(value), float(below), float(above), self.nodes)
            for value, below, above in zip(self.value, low, high, strict=True)
        ]

    def p_beyond(self, margin: float) -> Floats:
        """P-values, two-sided, of a mean that lies beyond ``margin`` on either side of 0, [k].

        It is below 0.05 exactly where the (uncut) 95 % interval lies outside of +-``margin``; 1
        where the mean itself lies inside, or where there is one value only.
        """
        excess = np.abs(self.value) - margin - 1e-12  # a difference of the margin itself is inside
        with np.errstate(divide="ignore", invalid="ignore"):
            p = 2 * scipy.stats.t.sf(excess / self.error, np.maximum(self.freedom, 1e-9))
        p = np.where(self.error == 0, 0.0, p)
        found: Floats = np.where((excess > 0) & np.isfinite(self.error), np.minimum(p, 1.0), 1.0)
        return found


def means(values: pd.DataFrame) -> Means:
    """The means of the columns [T, k], with their standard errors.

    Args:
        values: An index of (model, node), without gaps; a node need not be explained under all
            models. At least one row.
    """
    sample = values.to_numpy(dtype=np.float64)
    total = len(sample)
    models, nodes = (_indicator(values.index.get_level_values(level)) for level in (0, 1))
    value = sample.mean(axis=0)
    if total < 2:
        missing = np.full(sample.shape[1], np.nan)
        return Means(value, missing, missing, nodes.shape[0], models.shape[0])
    rest = sample - value
    by_model, by_node = (_between(groups, rest) for groups in (models, nodes))
    degrees_model, degrees_node = models.shape[0] - 1, nodes.shape[0] - 1
    both, degrees_both = by_node, total - models.shape[0] - degrees_node
    # Where no node is explained under two models, what is left of a node is the node itself.
    if min(degrees_model, degrees_node, degrees_both) > 0:
        both = (_interaction(models, nodes, rest) ** 2).sum(axis=0) / degrees_both / total
    elif not degrees_model or not degrees_node:
        both = np.zeros_like(by_node)
    # The estimate of a variance that is small may come out negative; no factor counts less than
    # it does alone.
    variance = np.maximum.reduce([by_model + by_node - both, by_model, by_node])
    uncertainty = _over(by_model**2, degrees_model)
    if degrees_both > 0 or not degrees_model:
        uncertainty = uncertainty + _over(by_node**2, degrees_node) + _over(both**2, degrees_both)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.minimum(np.where(uncertainty > 0, variance**2 / uncertainty, total), total)
    return Means(value, np.sqrt(variance), freedom, nodes.shape[0], models.shape[0])


def mean(values: pd.Series, bounds: tuple[float | None, float | None] = (None, None)) -> Estimate:
    """The mean of one column with an index of (model, node), with its interval."""
    return means(values.to_frame()).estimates(bounds)[0]


def _indicator(labels: pd.Index) -> scipy.sparse.csr_matrix:
    """Groups by rows, 1 where the row is in the group."""
    codes, distinct = pd.factorize(labels)
    positions = np.arange(len(codes))
    shape = len(distinct), len(codes)
    return scipy.sparse.csr_matrix((np.ones(len(codes)), (codes, positions)), shape=shape)


def _between(groups: scipy.sparse.csr_matrix, rest: Floats) -> Floats:
    """What one factor contributes to the variance of the mean, [k]; 0 if it has one level."""
    count, total = groups.shape
    if count < 2:
        return np.zeros(rest.shape[1])
    sums = groups @ rest
    found: Floats = (sums**2).sum(axis=0) / total**2 * count / (count - 1)
    return found


def _interaction(
    models: scipy.sparse.csr_matrix, nodes: scipy.sparse.csr_matrix, rest: Floats
) -> Floats:
    """What model and node together do not explain, each by its own mean, [T, k]."""
    left = rest
    for _ in range(_ROUNDS):
        before = left
        for groups in (models, nodes):
            counts = np.asarray(groups.sum(axis=1))
            left = left - groups.T @ ((groups @ left) / counts)
        if np.allclose(before, left, rtol=0, atol=1e-12):
            break
    return left


def _over(square: Floats, degrees: int) -> Floats:
    return square / degrees if degrees > 0 else np.zeros_like(square)
