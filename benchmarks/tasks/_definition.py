"""What a task is: its declaration in a task file, the data it builds, and the finished task."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.explain import ModelConfig

from benchmarks.tasks._outputs import ACCURACY, R_SQUARED
from benchmarks.tasks._source import Source


def with_edges(data: Data, level: str) -> Tensor:
    """Which nodes have an incoming edge, bool [N]; which graphs have any, or ends of which links.

    Args:
        data: See :class:`Dataset`.
        level: ``"node"``, ``"graph"`` or ``"edge"``, see :func:`task_level`.
    """
    unit = data.batch if level == "graph" else torch.arange(int(data.num_nodes or 0))
    found = torch.zeros(int(unit.max()) + 1, dtype=torch.bool)
    found[unit[data.edge_index[1]]] = True
    return found[data.edge_label_index].any(dim=0) if level == "edge" else found


def task_level(data: Data) -> str:
    """What is predicted for a task's data, by PyG's names: a node, a graph or an edge, a link."""
    if "edge_label_index" in data:
        return "edge"
    return "graph" if "batch" in data else "node"


@dataclass(frozen=True)
class Recipe:
    """How the explained network is trained: Adam, negative log-likelihood.

    Args:
        hidden: Widths of the hidden layers; ``(64,)`` means two message-passing layers. To classify
            graphs: of all layers before the pooling; to predict links: of all layers.
        epochs: Times that the training sees all data; without ``batch_size``, steps of Adam.
        lr: Adam's learning rate.
        weight_decay: Adam's L2 penalty, on every parameter.
        dropout: Probability to drop a hidden unit, after each ReLU.
        source: Where the recipe comes from; for the reader, without effect on the training.
        batch_size: Graphs of a mini-batch, to classify graphs; None for everything at once.
        normalize: Whether GCN layers weigh messages by degrees. The networks of GNNExplainer and
            PGExplainer do not: where all features are equal, a degree-weighted mean of equal
            values tells a tree from a cycle only at their ends.
        concatenate: To classify nodes: whether a linear layer sees what all layers give, see
            :class:`benchmarks.tasks._models.ConcatGNN`; ``hidden`` are then all layers before it.
        readout: To classify graphs: width of a hidden layer after the pooling; None for none.
    """

    hidden: tuple[int, ...]
    epochs: int
    lr: float
    weight_decay: float
    dropout: float
    source: str
    batch_size: int | None = None
    normalize: bool = True
    concatenate: bool = False
    readout: int | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """What a task file builds, on the CPU.

    If graphs are classified and not nodes, the data are those of all G graphs side by side, with
    ``batch`` int64 [N], the graph of each node. If links are predicted, the data have
    ``edge_label_index`` int64 [2, R], the pairs of nodes that are classified, whether there is a
    link (1) or not (0).

    Args:
        data: ``x`` float32 [N, F], ``edge_index`` int64 [2, E], ``y`` int64 [N or G] and the masks
            ``train_mask`` and ``test_mask``, bool [N or G]: the nodes or graphs that the model is
            trained on and the ones its accuracy is taken on; of links [R], as below.
            ``edge_weight`` float32 [E] if the model is to have it.
        provenance: One sentence for reports: where the data come from.
        sha256: SHA-256 of the raw content; None for that of the tensors built here.
        ground_truth: Which edges a correct explanation selects, bool [E]; or, where an edge that is
            right for one node is wrong for another, a row for each of them, bool [N, E] (or
            [G, E]); None if unknown.
        alternatives: The ground truths where there are several, bool [A, E]: the a-th of every
            graph in row a, which has no edge of a graph with fewer of them; ``ground_truth`` is
            their union then. None where there is one.
        explainable: The nodes or graphs worth explaining, bool [N or G]; None means all of them.
        feature_names: Of the F features; none if they have only numbers.
        class_names: Of the classes, as their publisher counts them; none if they have only numbers.
        loops: Whether the graph's self loops are edges like any other, which is for networks that
            add none of their own (GCN without ``normalize``); else they are taken out.
        model: The network to explain, where it is not trained but its weights are set by hand: for
            a :class:`Definition` without recipe.
        architecture: The kind of that network's layers, as reports name it.

    Raises:
        ValueError: A tensor is missing or has another type or shape, or names are; or an edge or
            ``batch`` names a node or graph that is not there.
    """

    data: Data
    provenance: str
    sha256: str | None = None
    ground_truth: Tensor | None = None
    alternatives: Tensor | None = None
    explainable: Tensor | None = None
    feature_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    loops: bool = False
    model: nn.Module | None = None
    architecture: str = ""

    def __post_init__(self) -> None:
        n, e = int(self.data.num_nodes or 0), int(self.data.num_edges)
        wanted: dict[str, tuple[Tensor | None, torch.dtype, tuple[int, ...]]] = {
            "data.x": (self.data.get("x"), torch.float32, (n, int(self.data.num_features))),
            "data.edge_index": (self.data.get("edge_index"), torch.int64, (2, e)),
        }
        units = n
        if (batch := self.data.get("batch")) is not None:
            wanted["data.batch"] = (batch, torch.int64, (n,))
            units = int(batch.max()) + 1
        if (links := self.data.get("edge_label_index")) is not None:
            units = int(links.size(-1))
            wanted["data.edge_label_index"] = (links, torch.int64, (2, units))
        if (weight := self.data.get("edge_weight")) is not None:
            wanted["data.edge_weight"] = (weight, torch.float32, (e,))
        for name in ("y", "train_mask", "test_mask"):
            dtype = torch.int64 if name == "y" else torch.bool
            wanted[f"data.{name}"] = (self.data.get(name), dtype, (units,))
        if self.ground_truth is not None:
            rows = (units,) if self.ground_truth.dim() == 2 else ()
            wanted["ground_truth"] = (self.ground_truth, torch.bool, (*rows, e))
        if self.alternatives is not None:
            wanted["alternatives"] = (self.alternatives, torch.bool, (len(self.alternatives), e))
        if self.explainable is not None:
            wanted["explainable"] = (self.explainable, torch.bool, (units,))
        for name, (tensor, dtype, shape) in wanted.items():
            if tensor is None or tensor.dtype != dtype or tuple(tensor.shape) != shape:
                got = "missing" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
                raise ValueError(f"a task's {name} must be {dtype} {list(shape)}, but is {got}")
        # Torch would read elsewhere in memory, or fail later and without a reason.
        for name, count in (("edge_index", n), ("edge_label_index", n), ("batch", units)):
            numbers = self.data.get(name)
            if numbers is not None and numbers.numel():
                least, largest = int(numbers.min()), int(numbers.max())
                if not 0 <= least <= largest < count:
                    raise ValueError(
                        f"a task's data.{name} must be from 0 to {count - 1}, but is from {least} "
                        f"to {largest}"
                    )
        named, features = len(self.feature_names), int(self.data.num_features)
        if named not in (0, features):
            raise ValueError(
                f"a task has {named} feature_names; there must be {features} of them, or none"
            )
        named, classes = len(self.class_names), int(self.data.y.max()) + 1
        if named not in (0, classes):
            raise ValueError(
                f"a task has {named} class_names; there must be {classes} of them, or none"
            )


@dataclass(frozen=True)
class Definition:
    """The declaration in a task file (its ``TASK``), and what a third party's entry point names.

    Args:
        title: A few words for headings.
        description: One or two sentences for listings.
        recipe: How the models are trained; None where the dataset brings one whose weights are set
            by hand. Such a task has one model, whatever seeds and kinds of layers are asked for.
        build: Gives the dataset. Its argument is the data root that the user named, or None. It
            may raise :class:`~benchmarks.tasks.Unavailable`, and must not depend on the model's
            seed.
        stand_in: Whether the data are generated to stand in for real ones.
        variants: Tasks of the same kind on other data, by a suffix: the variant ``published`` of
            ``tree-cycles`` is the task ``tree-cycles:published``.
        sources: The raw files that ``build`` reads.
        motif: Whether the ground truth is a motif that the structure of the graph gives away: a
            model that has learned nothing, or the nodes' degrees, find it as well. Reports say so
            where they compare with the ground truth.
    """

    title: str
    description: str
    recipe: Recipe | None
    build: Callable[[Path | None], Dataset]
    stand_in: bool = False
    variants: Mapping[str, Definition] = field(default_factory=dict)
    sources: Sequence[Source[Any]] = ()
    motif: bool = False


@dataclass(frozen=True, eq=False)
class Task:
    """A dataset and a trained model whose predictions are explained.

    Attributes:
        name: The task's name, for example ``twitch-en``.
        data: ``x`` float32 [N, F], ``edge_index`` int64 [2, E] without self loops (but see
            :class:`Dataset`), ``y`` int64 [N], ``train_mask`` and ``test_mask`` bool [N]; on the
            device asked for. If graphs are classified, also ``batch`` int64 [N], and ``y`` and the
            masks are [G]; if links are predicted, also ``edge_label_index`` int64 [2, R], and these
            are [R]; if edges have weights, ``edge_weight`` float32 [E]. A user's own ``y``
            may be others, see :func:`benchmarks.tasks._outputs.check_labels`.
        model: The trained network, ``model(x, edge_index)`` -> log-probabilities [N, C], with the
            data's ``edge_weight`` by keyword, or ``model(x, edge_index, batch=batch)`` -> [G, C],
            or ``model(x, edge_index, edge_label_index=edge_label_index)`` -> [R, 2]; in eval mode,
            no parameter requires a gradient; on the same device.
        nodes: The nodes (or graphs, or links) to explain, int64 on the CPU, in a fixed order that
            depends on the task only. Every one has at least one incoming edge (one edge): without,
            there is no edge to score.
        ground_truth: Which edges a correct explanation selects, bool [E] on the device, or a row
            for each node or graph, see :class:`Dataset`; None if unknown.
        accuracy: Share of those in ``test_mask`` that the model predicts right, in [0, 1]; or what
            ``accuracy_kind`` says.
        provenance: One sentence for reports: where the data come from.
        dataset_sha256: Of the raw files or, for generated data, of the tensors.
        checkpoint_sha256: Of the model's weights.
        stand_in: Whether the data are generated to stand in for real ones.
        title: A few words for headings.
        description: One or two sentences for listings.
        architecture: The kind of the model's layers: one of :data:`benchmarks.tasks.MODELS`;
            ``own`` if a user brings the model, another word where its weights are set by hand.
        feature_names: Of the F features; none if they have only numbers.
        class_names: Of the classes, or of the columns if the model returns several labels or
            numbers; of a single column for yes or no, of no and of yes; none if they have only
            numbers.
        model_config: What the model returns, as ``explain`` and ``evaluate`` take it; None where
            they infer it.
        target: The column that is explained of each node or graph, int64 [N or G] on the CPU; None
            for the predicted class, for a single column, or for the most probable label.
        accuracy_kind: What ``accuracy`` is: ``accuracy``, ``micro-F1`` of several labels or ``R²``
            of a regression, see :func:`benchmarks.tasks._outputs.performance`.
        motif: See :class:`Definition`.
        alternatives: The ground truths where there are several, bool [A, E] on the device, see
            :class:`Dataset`; None where there is one.
    """

    name: str
    data: Data
    model: nn.Module
    nodes: Tensor
    ground_truth: Tensor | None
    accuracy: float
    provenance: str
    dataset_sha256: str
    checkpoint_sha256: str
    stand_in: bool
    title: str
    description: str
    architecture: str = "gcn"
    feature_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    model_config: ModelConfig | None = None
    target: Tensor | None = None
    accuracy_kind: str = ACCURACY
    motif: bool = False
    alternatives: Tensor | None = None

    def arguments(self, nodes: int | Sequence[int] | Tensor) -> tuple[Any, ...]:
        """Those of ``explain`` and ``stream``: model, data, nodes, targets and what is returned.

        The nodes are a copy: who asks goes by its own list, whatever the method does to this one.
        """
        return self.model, self.data, copy.copy(nodes), self.targets(nodes), self.model_config

    def targets(self, nodes: int | Sequence[int] | Tensor) -> list[int] | None:
        """What of each of ``nodes`` is explained, for ``explain``; None for its own choice."""
        if self.target is None:
            return None
        return self.target[torch.as_tensor(nodes).view(-1)].tolist()

    @property
    def level(self) -> str:
        """What is explained, see :func:`task_level`."""
        return task_level(self.data)

    @property
    def unit(self) -> str:
        """The same in a word: ``node``, ``graph`` or ``link``."""
        return "link" if self.level == "edge" else self.level

    @property
    def performance(self) -> str:
        """The accuracy with its name, such as ``accuracy 93.10%`` or ``R² 0.871``."""
        if math.isnan(self.accuracy):
            return f"{self.accuracy_kind} undefined"
        form = ".3f" if self.accuracy_kind == R_SQUARED else ".2%"
        return f"{self.accuracy_kind} {self.accuracy:{form}}"

    @property
    def mode(self) -> str:
        """What the model returns, as PyG's ``ModelConfig`` names it."""
        # A task that does not say returns classes: nothing else is inferred.
        config = self.model_config
        return "multiclass_classification" if config is None else str(config.mode.value)
