"""Occlusion: leave one out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from explainers.engines.problem import Attribution, Problem
from explainers.engines.stock import StockProblem
from explainers.methods._base import Method


@dataclass(kw_only=True)
class Occlusion(Method):
    """What the output loses when one edge's messages, or one feature of one node, are set to zero.

    Zeiler and Fergus, arXiv:1311.2901, section 4.2. The score is F(x) - F(x without it), of the
    output as the model returns it; an edge loses its messages in all layers, and the degrees stay.
    One pass for each edge and each feature that is not zero already: dear where features are many.
    """

    citation: ClassVar[str] = "Zeiler and Fergus 2014, arXiv:1311.2901"

    @torch.no_grad()
    def attribute(self, problem: Problem) -> Attribution:
        """The losses."""
        x, fields = problem.x, problem.fields
        base = problem.outputs(x[None], problem.edge_mask[None])[0]
        count = len(fields)

        # One variant takes one edge out of every field at once: fields share nothing.
        number = torch.arange(len(fields.e_id), device=x.device) - fields.e_ptr[fields.edge_field]
        edge_loss = x.new_zeros(len(fields.e_id))
        for start, size in _chunks(max(fields.edge_counts, default=0), problem.copies):
            at = ((number >= start) & (number < start + size)).nonzero().view(-1)
            variant, field = number[at] - start, fields.edge_field[at]
            kept = torch.ones(size, len(number), dtype=torch.bool, device=x.device)
            kept[variant, at] = False
            output = problem.mask(kept).gather(2, problem.targets.expand(size, count)[..., None])
            edge_loss[at] = base[field] - output[variant, field, 0]

        # Likewise the features; those that are zero have nothing to lose.
        own = fields.n_id if isinstance(problem, StockProblem) else slice(None)
        row, feature = x[own].nonzero().t()
        field = fields.node_field[row]
        first = torch.searchsorted(field, torch.arange(count, device=x.device))
        number = torch.arange(len(row), device=x.device) - first[field]
        if isinstance(own, Tensor):
            row = own[row]
        mask = problem.edge_mask
        node_loss = torch.zeros_like(x)
        for start, size in _chunks(int(number.max()) + 1 if len(number) else 0, problem.copies):
            at = ((number >= start) & (number < start + size)).nonzero().view(-1)
            variant = number[at] - start
            without = x.repeat(size, 1, 1)
            without[variant, row[at], feature[at]] = 0
            output = problem.outputs(without, mask.expand(size, -1))
            node_loss[row[at], feature[at]] = base[field[at]] - output[variant, field[at]]

        if isinstance(problem, StockProblem):
            edge_loss = torch.zeros_like(mask).index_copy_(0, fields.e_id, edge_loss)
        return Attribution(node_loss, edge_loss)


def _chunks(total: int, most: int) -> Iterator[tuple[int, int]]:
    """Start and size of the runs, of ``most`` at most, that make up ``total``."""
    for start in range(0, total, most):
        yield start, min(most, total - start)


METHOD = Occlusion
