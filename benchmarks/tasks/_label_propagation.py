"""Label propagation as a network: what explains it is known from how it works.

Nerini et al., "A True-to-the-model Benchmark for Edge-level Attributions of GNN Explainers", ECML
PKDD 2025. Most nodes of a real graph have a label, their one-hot features. Two layers sum what the
neighbours say, for a class and against all others, so that each time the most frequent label wins.
The right edges of v are then those that carried its final label: u -> v if u had that label
after the first layer, and w -> u of such u if it is the given label of w.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.nn import GraphConv
from torch_geometric.utils import remove_self_loops

from benchmarks.tasks._definition import Dataset, Definition

LABELLED = 0.8  # of the nodes
SEED = 3030  # the authors'
EPSILON = 1e-15


class LabelPropagation(nn.Module):
    """Two layers with the weights 1 on the diagonal and -1 off it.

    Before each layer a node's numbers are divided by their Euclidean norm, which is taken for a
    constant: no gradient goes through it. That is the authors' network; its gradient, which is what
    methods read, is therefore not the derivative of its output.

    Args:
        classes: C.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers = [GraphConv(classes, classes, bias=False) for _ in range(2)]
        self.layers = nn.ModuleList(layers)
        for layer in layers:
            layer.lin_rel.weight = nn.Parameter(2 * torch.eye(classes) - 1)
            layer.lin_root.weight = nn.Parameter(torch.zeros(classes, classes))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Probabilities [N, C]."""
        return self.layer(1, self.layer(0, x, edge_index), edge_index).softmax(dim=1)

    def layer(self, number: int, x: Tensor, edge_index: Tensor) -> Tensor:
        """What a layer makes of ``x`` [N, C], not negative."""
        x = x / (x.norm(dim=1, keepdim=True).detach() + EPSILON)
        return self.layers[number](x, edge_index).relu()


def label_propagation(graph: Definition, title: str, description: str) -> Definition:
    """The task on a graph whose classes are the labels.

    Args:
        graph: The task whose graph it is.
        title: See :class:`Definition`.
        description: See :class:`Definition`.
    """
    return Definition(
        title=title,
        description=description,
        recipe=None,
        build=functools.partial(_build, graph.build),
        sources=graph.sources,
    )


def _build(build: Callable[[Path | None], Dataset], root: Path | None) -> Dataset:
    """Accuracy is that of label propagation, on the nodes without a given label."""
    dataset = build(root)
    data = dataset.data.clone()
    data.edge_index = remove_self_loops(data.edge_index)[0]
    nodes, classes = len(data.y), int(data.y.max()) + 1
    labelled = torch.from_numpy(draw_labelled(nodes)[0])
    data.x = torch.zeros(nodes, classes)
    data.x[labelled, data.y[labelled]] = 1
    data.train_mask = torch.zeros(nodes, dtype=torch.bool)
    data.train_mask[labelled] = True
    data.test_mask = ~data.train_mask
    model = LabelPropagation(classes)
    right, decided = truth(model, data.x, data.edge_index)
    return dataclasses.replace(
        dataset,
        data=data,
        provenance=f"{dataset.provenance}; features are the labels of {LABELLED:.0%} of the nodes",
        ground_truth=right,
        explainable=decided,
        model=model,
        architecture="label_propagation",
    )


def draw_labelled(nodes: int) -> tuple[np.ndarray, np.random.RandomState]:
    """The labelled nodes as the authors drew them, and the generator for what they drew next."""
    rng = np.random.RandomState(SEED)
    return rng.choice(nodes, int(LABELLED * nodes), replace=False), rng


@torch.no_grad()
def truth(model: LabelPropagation, x: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor]:
    """The right edges of each node, bool [N, E], and for which nodes one class wins, bool [N]."""
    source, target = edge_index
    first = model.layer(0, x, edge_index)
    last = model.layer(1, first, edge_index)
    given, between, final = map(_labels, (x, first, last))
    top = last == last.max(dim=1, keepdim=True).values
    nodes = torch.arange(len(x))[:, None]
    neighbour = torch.zeros(len(x), len(x), dtype=torch.bool)
    neighbour[target, source] = True  # [v, u]: from u to v
    # Of a node v (a row) the edges into it, and those into its neighbours.
    agrees = between[None, :] == final[:, None]  # [v, u]
    direct = (target == nodes) & agrees[:, source]
    two_steps = neighbour[:, target] & agrees[:, target] & (given[source] == final[:, None])
    return direct | two_steps, top.sum(dim=1) == 1


def _labels(scores: Tensor) -> Tensor:
    """The class with the largest score, [N]; -1 where all are 0."""
    return scores.argmax(dim=1).where(scores.sum(dim=1) > 0, -1)
