"""The network that the benchmarks explain."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GCNConv


class GCN(nn.Module):
    """A stack of GCNConv layers with ReLU and dropout between them and a log-softmax at the end.

    Kipf and Welling, "Semi-Supervised Classification with Graph Convolutional Networks",
    arXiv:1609.02907.

    Args:
        dims: Widths from the input to the output, ``[F, hidden..., C]``: one layer fewer than
            numbers.
        dropout: Probability to drop a hidden unit while training.

    Raises:
        ValueError: Fewer than two widths.
    """

    def __init__(self, dims: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        if len(dims) < 2:
            raise ValueError(f"GCN needs at least an input and an output width, got {list(dims)}")
        self.dropout = dropout
        # Not cached: a cached GCNConv would ignore an edge_index that an explainer changes.
        self.convs = nn.ModuleList(GCNConv(a, b) for a, b in itertools.pairwise(dims))

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """Log-probabilities [N, C] of ``x`` [N, F], ``edge_index`` [2, E], ``edge_weight`` [E]."""
        for i, conv in enumerate(self.convs):
            if i:
                x = F.dropout(x.relu(), self.dropout, self.training)
            x = conv(x, edge_index, edge_weight)
        return x.log_softmax(dim=-1)
