"""The networks that the benchmarks explain."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import (
    GATConv,
    GCNConv,
    GINConv,
    MessagePassing,
    SAGEConv,
    global_add_pool,
    global_mean_pool,
)

from explainers._names import did_you_mean

HEADS = 4
INNER = 16


def _gin(width: int, out: int) -> GINConv:
    between = max(out, INNER)  # two classes would be two units, and ReLU soon leaves none alive
    return GINConv(nn.Sequential(nn.Linear(width, between), nn.ReLU(), nn.Linear(between, out)))


def _gat(width: int, out: int) -> GATConv:
    return GATConv(width, out, heads=HEADS, concat=False)  # averaged: the width is `out`


# Not cached: a cached GCNConv would ignore an edge_index that an explainer changes.
LAYERS: dict[str, Callable[..., MessagePassing]] = {
    "gcn": GCNConv,
    "sage": SAGEConv,
    "gin": _gin,
    "gat": _gat,
}


class GNN(nn.Module):
    """A stack of layers of one kind, ReLU and dropout between them and a log-softmax at the end.

    ``gcn``: Kipf and Welling, arXiv:1609.02907. ``sage``: Hamilton et al., arXiv:1706.02216, with
    the mean over the neighbours. ``gin``: Xu et al., arXiv:1810.00826, with two linear layers and
    no normalisation. ``gat``: Velickovic et al., arXiv:1710.10903, four heads, averaged. Where all
    features are equal, a mean over neighbours is that value: ``sage`` and ``gat`` learn nothing.

    Args:
        dims: Widths from the input to the output, ``[F, hidden..., C]``: one layer fewer than
            numbers.
        dropout: Probability to drop a hidden unit while training.
        kind: One of :data:`LAYERS`.
        normalize: Whether ``gcn`` weighs messages by degrees; without, a layer sums what the
            neighbours send. The other kinds take no notice.

    Raises:
        ValueError: Fewer than two widths, or no such kind.
    """

    def __init__(
        self,
        dims: Sequence[int],
        dropout: float = 0.0,
        kind: str = "gcn",
        *,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        if len(dims) < 2:
            raise ValueError(f"GNN needs at least an input and an output width, got {list(dims)}")
        if kind not in LAYERS:
            hint = did_you_mean(kind, LAYERS)
            raise ValueError(f"unknown model {kind!r}; available: {', '.join(LAYERS)}{hint}")
        self.dropout = dropout
        options = {"normalize": normalize} if kind == "gcn" else {}
        self.convs = nn.ModuleList(
            LAYERS[kind](a, b, **options) for a, b in itertools.pairwise(dims)
        )

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """Log-probabilities [N, C] of ``x`` [N, F], ``edge_index`` [2, E], ``edge_weight`` [E]."""
        return self.nodes(x, edge_index, edge_weight).log_softmax(dim=-1)

    def nodes(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """What the last layer gives for each node."""
        weights = {} if edge_weight is None else {"edge_weight": edge_weight}
        for i, conv in enumerate(self.convs):
            if i:
                x = F.dropout(x.relu(), self.dropout, self.training)
            x = conv(x, edge_index, **weights)
        return x


class ConcatGNN(GNN):
    """A stack whose layers all have a say in a linear layer, each scaled to unit length.

    The network of Ying et al., arXiv:1903.03894, as Holdijk et al. have it ("[Re] Parameterized
    Explainer", ML Reproducibility Challenge 2020): the Euclidean norm of what a layer gives for a
    node is made 1, then comes ReLU, and the results of all layers side by side are the linear
    layer's input.

    Args:
        dims: ``[F, hidden..., C]``, the hidden widths those of the stack.
        dropout: As in :class:`GNN`.
        kind: As in :class:`GNN`.
        normalize: As in :class:`GNN`.
    """

    def __init__(
        self,
        dims: Sequence[int],
        dropout: float = 0.0,
        kind: str = "gcn",
        *,
        normalize: bool = True,
    ) -> None:
        super().__init__(dims[:-1], dropout, kind, normalize=normalize)
        self.linear = nn.Linear(sum(dims[1:-1]), dims[-1])

    def nodes(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """What the linear layer gives for each node."""
        weights = {} if edge_weight is None else {"edge_weight": edge_weight}
        seen = []
        for conv in self.convs:
            x = F.normalize(conv(x, edge_index, **weights), dim=1).relu()
            x = F.dropout(x, self.dropout, self.training)
            seen.append(x)
        return self.linear(torch.cat(seen, dim=1))


class GraphGNN(GNN):
    """A stack of layers, the mean and the sum over each graph's nodes, and a linear layer.

    The sum tells how often something is there, the mean how large a part it is. No maximum: where
    nodes are alike, rounding would decide which of them an explanation points at.

    Args:
        dims: ``[F, hidden..., C]``, the hidden widths those of the stack.
        dropout: As in :class:`GNN`.
        kind: As in :class:`GNN`.
        normalize: As in :class:`GNN`.
        readout: Width of a hidden layer with ReLU before the last one; None for none, which weighs
            what is found in a graph but cannot ask for two things at once.
    """

    def __init__(
        self,
        dims: Sequence[int],
        dropout: float = 0.0,
        kind: str = "gcn",
        *,
        normalize: bool = True,
        readout: int | None = None,
    ) -> None:
        super().__init__(dims[:-1], dropout, kind, normalize=normalize)
        self.linear: nn.Module = nn.Linear(2 * dims[-2], dims[-1])
        if readout is not None:
            hidden = nn.Linear(2 * dims[-2], readout)
            self.linear = nn.Sequential(hidden, nn.ReLU(), nn.Linear(readout, dims[-1]))

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        batch: Tensor | None = None,
    ) -> Tensor:
        """Log-probabilities [G, C]; ``batch`` [N] says the graph of each node (None: one graph)."""
        x = self.nodes(x, edge_index, edge_weight).relu()
        pooled = torch.cat([global_mean_pool(x, batch), global_add_pool(x, batch)], dim=1)
        output: Tensor = self.linear(pooled).log_softmax(dim=-1)
        return output


class LinkGNN(GNN):
    """A stack of layers as the encoder of the nodes, and the inner product of two as the decoder.

    Whether there is a link is a class, 1; the inner product z is its raw score: its probability is
    the sigmoid of z. With ``gcn`` the network of PyG's ``examples/link_pred.py``.
    """

    def forward(  # type: ignore[override]  # a link model is asked for links
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_label_index: Tensor,
        edge_weight: Tensor | None = None,
    ) -> Tensor:
        """Log-probabilities [R, 2] of the R columns of ``edge_label_index`` [2, R]."""
        source, target = self.nodes(x, edge_index, edge_weight)[edge_label_index]
        score = (source * target).sum(dim=-1)
        return F.logsigmoid(torch.stack([-score, score], dim=-1))
