"""Link prediction on the graphs of other tasks."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import RandomLinkSplit
from torch_geometric.utils import remove_self_loops, to_undirected

from benchmarks.tasks._definition import Dataset, Definition, Recipe
from benchmarks.tasks._source import seeded

RECIPE = Recipe(
    hidden=(128, 64),
    epochs=100,
    lr=0.01,
    weight_decay=0.0,
    dropout=0.0,
    source="PyG's examples/link_pred.py, the weights of the last epoch",
)
VALIDATION, TEST = 0.05, 0.1  # of the edges, as there


def links(of: Definition, title: str, description: str) -> Definition:
    """The task to predict the edges of another task's graph.

    PyG's ``RandomLinkSplit`` hides 15 % of the edges, both directions; two thirds of them and as
    many pairs without an edge are the test. The messages go along the edges that are left, which
    are what the network is trained on, too, beside pairs without an edge that each epoch draws
    anew. Explained are the hidden edges of the test.

    Args:
        of: The other task.
        title: See :class:`Definition`.
        description: See :class:`Definition`.
    """
    return Definition(
        title=title,
        description=description,
        recipe=RECIPE,
        build=functools.partial(_build, of.build),
        sources=of.sources,
    )


def _build(build: Callable[[Path | None], Dataset], root: Path | None) -> Dataset:
    whole = build(root)
    data = split(whole.data)
    return dataclasses.replace(
        whole,
        data=data,
        provenance=f"{whole.provenance}; links split by RandomLinkSplit, seed 0",
        ground_truth=None,
        explainable=data.test_mask & (data.y == 1),
        class_names=("no link", "link"),
    )


def split(data: Data) -> Data:
    """The links of a graph as PyG splits them, by a fixed seed: those of training, then the test's.

    Their classes are ``y`` [R], the training's all 1; ``edge_index`` are the training's edges.
    """
    edge_index = to_undirected(remove_self_loops(data.edge_index)[0], num_nodes=data.num_nodes)
    transform = RandomLinkSplit(
        VALIDATION, TEST, is_undirected=True, add_negative_train_samples=False
    )
    with seeded(0):  # PyG draws from the global generators
        train, _, test = transform(Data(x=data.x, edge_index=edge_index))
    pairs: list[Tensor] = [train.edge_label_index, test.edge_label_index]
    tested = torch.arange(sum(part.size(1) for part in pairs)) >= pairs[0].size(1)
    return Data(
        x=data.x,
        edge_index=train.edge_index,
        edge_label_index=torch.cat(pairs, dim=1),
        y=torch.cat([train.edge_label, test.edge_label]).long(),
        train_mask=~tested,
        test_mask=tested,
    )
