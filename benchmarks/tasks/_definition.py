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
from torch_geometric.explain import Explanation, ModelConfig
from torch_geometric.nn import MessagePassing

from benchmarks.tasks import _hetero
from benchmarks.tasks._dataset_checks import check
from benchmarks.tasks._outputs import ACCURACY, R_SQUARED
from benchmarks.tasks._source import Source
from explainers.prepare import prepare


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
        node_type: Of heterogeneous data (``HeteroData``), the type whose N nodes are explained;
            None for any other. Every node type has ``x`` [N_t, F_t] and every edge type
            ``edge_index`` [2, E_t]; ``y`` and the masks are those of the explained type. ``E``
            counts the edges of all types, in the order of ``data.edge_types``. Networks are called
            as ``model(x_dict, edge_index_dict)`` and return [N, C].

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
    node_type: str | None = None

    def __post_init__(self) -> None:
        check(self)


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
        hetero: Whether the data are a ``HeteroData``.
    """

    title: str
    description: str
    recipe: Recipe | None
    build: Callable[[Path | None], Dataset]
    stand_in: bool = False
    variants: Mapping[str, Definition] = field(default_factory=dict)
    sources: Sequence[Source[Any]] = ()
    motif: bool = False
    hetero: bool = False


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
        node_type: Of heterogeneous data, the type whose nodes are explained, see :class:`Dataset`;
            None for any other. What hangs on it is asked of the task: :meth:`arguments`,
            :attr:`subject`, :attr:`graph`, :attr:`labels`, :attr:`truth` and :meth:`as_one`.
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
    node_type: str | None = None

    def arguments(
        self,
        nodes: int | Sequence[int] | Tensor,
        *,
        targets: Sequence[int] | Tensor | None = None,
        model: nn.Module | None = None,
        data: Data | None = None,
    ) -> tuple[Any, ...]:
        """Those of ``explain`` and ``stream``: model, data, nodes, targets and what is returned.

        The nodes are a copy: who asks goes by its own list, whatever the method does to this one.

        Args:
            nodes: What is explained.
            targets: In the place of the task's own.
            model: In the place of the task's.
            data: Likewise.
        """
        asked: Any = copy.copy(nodes)
        return (
            model or self.model,
            self.data if data is None else data,
            asked if self.node_type is None else (self.node_type, asked),
            self.targets(nodes) if targets is None else targets,
            self.model_config,
        )

    @property
    def subject(self) -> tuple[Any, ...]:
        """The arguments of a method's ``supports`` and ``chosen_engine``."""
        typed = () if self.node_type is None else (self.node_type,)
        return self.model, self.data, self.model_config, *typed

    def refusal(self, method: Any) -> str:
        """Why a method of :mod:`explainers` does not explain the task's model, or ``""``."""
        if method.supports(*self.subject):
            return ""
        try:
            method.chosen_engine(*self.subject)
        except ValueError as error:
            return f"{method.name} does not support the model: {error}"
        return f"{method.name} does not support the model"

    @property
    def graph(self) -> Data:
        """What the model is called with: the data, or of several types dictionaries of them."""
        if self.node_type is None:
            return self.data
        return _hetero.graph_of(self.data, self.node_type)

    @property
    def labels(self) -> Tensor:
        """Of the nodes of the explained type, the graphs or the links; as ``y`` in ``data``."""
        y: Tensor = (self.data if self.node_type is None else self.data[self.node_type]).y
        return y

    @property
    def truth(self) -> Any:
        """The ground truth as ``evaluate`` takes it: by edge type, if there are several."""
        if self.node_type is None or self.ground_truth is None:
            return self.ground_truth
        return _hetero.by_type(self.ground_truth, self.data)

    def as_one(self, explanation: Any) -> Explanation:
        """An explanation with all edges and nodes numbered through, whatever types they have.

        Raises:
            ValueError: It is not of the task's types.
        """
        if self.node_type is None:
            found: Explanation = explanation
            return found
        prepared = prepare(self.model, self.data, self.model_config, node_type=self.node_type)
        return _hetero.as_one(explanation, prepared, self.data)

    @property
    def num_features(self) -> int:
        """The features of a node; of the type that has most of them."""
        if self.node_type is None:
            return int(self.data.x.size(1))
        return max(x.size(1) for x in self.data.x_dict.values())

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
    def layers(self) -> int:
        """The message-passing layers of the model; of several types, how many steps these make."""
        if self.node_type is None:
            return sum(isinstance(part, MessagePassing) for part in self.model.modules())
        return prepare(self.model, self.data, self.model_config, node_type=self.node_type).hops

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
    def most_frequent(self) -> float | None:
        """The accuracy of predicting the most frequent label everywhere; None of other measures."""
        if self.accuracy_kind != ACCURACY:
            return None
        mask = self.graph.get("test_mask")
        labels = self.labels.flatten() if mask is None else self.labels[mask].flatten()
        return (
            float(labels.unique(return_counts=True)[1].max() / len(labels)) if len(labels) else None
        )

    @property
    def mode(self) -> str:
        """What the model returns, as PyG's ``ModelConfig`` names it."""
        # A task that does not say returns classes: nothing else is inferred.
        config = self.model_config
        return "multiclass_classification" if config is None else str(config.mode.value)
