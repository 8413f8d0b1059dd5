"""Makes a task of its declaration: the data are built, the model is trained, both are described."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data, HeteroData

from benchmarks.tasks import _hetero
from benchmarks.tasks._definition import (
    Dataset,
    Definition,
    Recipe,
    Task,
    task_level,
    with_edges,
)
from benchmarks.tasks._discovery import definition
from benchmarks.tasks._hetero_models import KIND
from benchmarks.tasks._models import LAYERS
from benchmarks.tasks._source import Unavailable, data_root, tensors_sha256
from benchmarks.tasks._training import accuracy, trained
from benchmarks.tasks._user_task import UserModel, is_own, register, registered
from explainers._names import did_you_mean

# Of what kind the layers are, and how many; None for as many as the task's recipe has.
_NETWORKS: dict[str, tuple[str, int | None]] = {
    **{kind: (kind, None) for kind in LAYERS},
    **{f"{kind}3": (kind, 3) for kind in ("gcn", "sage", "gin")},
}
MODELS = tuple(_NETWORKS)


def resolve(name: str) -> str:
    """The task that a user means by ``name``: one of :func:`benchmarks.tasks.available`, or a file.

    A user's own task is ``path/to/file.py:function``; the file is run and checked, and its task is
    known to this process by the name returned. See :mod:`benchmarks.tasks._user_task`.

    Raises:
        ValueError: There is no such task, file or function, or it gives no task.
    """
    if is_own(name):
        return register(name)
    if registered(name) is None:
        definition(name)
    return name


def brings_model(name: str) -> bool:
    """Whether the task ``name`` has one model, a user's or one whose weights are set by hand.

    There is one seed, 0, and no choice of layers then.
    """
    if isinstance(registered(name), UserModel):
        return True
    return definition(name).recipe is None


def is_hetero(name: str) -> bool:
    """Whether the task ``name`` has heterogeneous data, with types of nodes and edges."""
    own = registered(name)
    return not isinstance(own, UserModel) and definition(name).hetero


def load(
    name: str,
    root: str | os.PathLike[str] | None = None,
    device: str | torch.device = "cpu",
    seed: int = 0,
    model: str = "gcn",
) -> Task:
    """The task ``name`` with its data and trained model.

    The model is trained on the CPU at the first call (seconds to a minute) and taken from the
    cache folder afterwards (``$GNN_BENCH_CACHE``, else ``~/.cache/gnn-explainer-bench``).

    Args:
        name: One of :func:`benchmarks.tasks.available`, or ``path/to/file.py:function``.
        root: Folder with raw files, only read; else ``$GNN_BENCH_DATA``, else ``data``. What is
            not there is downloaded into the cache folder.
        device: Where the data and the model go.
        seed: Of the model's training. The data and the order of the nodes do not depend on it.
        model: The kind of its layers, one of :data:`benchmarks.tasks.MODELS`; nothing else depends
            on it. ``gcn3``, ``sage3`` and ``gin3`` have three layers, whatever the task's recipe
            has. A task that brings its model, see :func:`brings_model`, takes the default only;
            one of heterogeneous data has a network of its own kind, and takes that or the default.

    Raises:
        Unavailable: The dataset is not here and cannot be downloaded.
        ValueError: Unknown task or model, no such folder or device, a bad seed, or malformed raw
            files.
    """
    # long: the parts of a task one after the other, each with its own refusal.
    name = resolve(name)
    own = registered(name)
    task = None if isinstance(own, UserModel) else definition(name)
    _check(seed, model, name, trains_hetero=bool(task and task.hetero and task.recipe))
    place = _device(device)
    if isinstance(own, UserModel):
        return _of_user(own, name, place, seed, model)
    assert task is not None
    if task.recipe is None:
        _only_model(name, seed, model)
    # Looked up for the generated tasks too, so that a mistyped folder is reported at once.
    dataset = _built(name, task, None if root is None else data_root(root))
    data, ground_truth, alternatives = dataset.data, dataset.ground_truth, dataset.alternatives
    node_type = dataset.node_type
    if (node_type is not None) != task.hetero:
        raise ValueError(
            f"the task {name}: its Definition must say hetero={node_type is not None}, as its data "
            f"are a {type(data).__name__}"
        )
    if "edge_weight" in data and _NETWORKS[model][0] != "gcn":
        raise ValueError(f"model {model!r}: the edges of {name} have weights; only gcn takes them")
    # Between nodes of one type only, heterogeneous networks have no loops of their own to add.
    if not dataset.loops and node_type is None:
        ground_truth, alternatives = _drop_self_loops(data, ground_truth, alternatives)
    marks = {"ground_truth": ground_truth, "alternatives": alternatives}
    truth = {key: value for key, value in marks.items() if value is not None}
    hashed = data.to_dict() if node_type is None else _hetero.tensors(data)
    graph = data if node_type is None else _hetero.graph_of(data, node_type)
    network: Any  # called as a GNN is
    architecture = KIND if task.hetero else model
    if task.recipe is None:
        network, architecture = _set_by_hand(dataset.model, name), dataset.architecture
    elif task.hetero:
        network = trained(graph, task.recipe, seed, name, KIND)
    else:
        kind, layers = _NETWORKS[model]
        recipe = task.recipe if layers is None else _with_layers(task.recipe, layers, data)
        network = trained(data, recipe, seed, name, kind)
    return Task(
        name=name,
        nodes=_nodes(data, dataset.explainable, node_type),
        accuracy=accuracy(network, graph),
        provenance=dataset.provenance,
        dataset_sha256=dataset.sha256 or tensors_sha256({**hashed, **truth}),
        checkpoint_sha256=tensors_sha256(network.state_dict()),
        stand_in=task.stand_in,
        title=task.title,
        description=task.description,
        architecture=architecture,
        feature_names=dataset.feature_names,
        class_names=dataset.class_names,
        motif=task.motif,
        node_type=node_type,
        # Moved last: Data.to and Module.to change the object in place.
        data=data.to(place),
        model=network.to(place),
        ground_truth=None if ground_truth is None else ground_truth.to(place),
        alternatives=None if alternatives is None else alternatives.to(place),
    )


def _built(name: str, task: Definition, root: Path | None) -> Dataset:
    """The dataset. Whatever its code raises is told as what it is: the task cannot be had."""
    try:
        return task.build(root)
    except (Unavailable, ValueError):
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"the data of the task {name} cannot be made ({reason})") from error


def _with_layers(recipe: Recipe, layers: int, data: Data) -> Recipe:
    """The recipe for so many message-passing layers; those that are new are as wide as the last."""
    if not recipe.hidden:
        raise ValueError(f"the recipe has no hidden layer, so no width for a model of {layers}")
    count = layers if "batch" in data or recipe.concatenate else layers - 1
    return dataclasses.replace(recipe, hidden=(*recipe.hidden, *recipe.hidden[-1:] * count)[:count])


def _set_by_hand(model: nn.Module | None, name: str) -> nn.Module:
    if model is None:
        raise ValueError(
            f"the task {name} has neither a recipe nor a model; let its Definition have a recipe, "
            "or its Dataset a model"
        )
    return model.eval().requires_grad_(False)


def _check(seed: int, model: str, name: str, *, trains_hetero: bool) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be a whole number from 0 to 2^63 - 1, got {seed!r}")
    if trains_hetero:
        if model not in (MODELS[0], KIND):
            raise ValueError(
                f"model {model!r}: the task {name} is heterogeneous, and its network is of the "
                f"kind {KIND}; leave it out"
            )
    elif model not in MODELS:
        raise ValueError(
            f"unknown model {model!r}; available: {', '.join(MODELS)}{did_you_mean(model, MODELS)}"
        )


def _device(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
    except RuntimeError as error:
        hint = did_you_mean(device, ("cpu", "cuda"))
        raise ValueError(f"unknown device {device!r}; try 'cpu' or 'cuda'{hint}") from error
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {str(device)!r}: torch finds no such GPU here; try 'cpu'")
    return place


def _of_user(own: UserModel, name: str, device: torch.device, seed: int, model: str) -> Task:
    """The task of a user's own trained model, which no seed and no kind of layers can change."""
    _only_model(name, seed, model)
    return own.task(name, device)


def _only_model(name: str, seed: int, model: str) -> None:
    """Raises if another model is asked for than the one that the task brings."""
    if seed:
        raise ValueError(f"model seed {seed}: the task {name} brings one trained model; use 0")
    if model != "gcn":
        raise ValueError(f"model {model!r}: the task {name} brings its own; leave it out")


def _drop_self_loops(data: Data, *marks: Tensor | None) -> list[Tensor | None]:
    """Takes the self loops out of ``data``, in place; returns the marks [..., E] of other edges.

    If every node has exactly one self loop, GCNConv re-orders the edges and PyG's masks land on the
    wrong ones. GCNConv adds its own loops, so the predictions stay as they are.
    """
    proper = data.edge_index[0] != data.edge_index[1]
    data.edge_index = data.edge_index[:, proper].contiguous()
    if "edge_weight" in data:
        data.edge_weight = data.edge_weight[proper]
    return [None if mark is None else mark[..., proper] for mark in marks]


def _nodes(
    data: Data | HeteroData, explainable: Tensor | None, node_type: str | None = None
) -> Tensor:
    """What to explain, int64 [n]: all with edges around them, in a random but fixed order."""
    if node_type is None:
        chosen, y = with_edges(data, task_level(data)), data.y
    else:
        chosen, y = _hetero.with_edges(data, node_type), data[node_type].y
    if explainable is not None:
        chosen &= explainable
    # RandomState, because its stream is frozen: the same order with every version of numpy.
    order = torch.from_numpy(np.random.RandomState(0).permutation(y.numel()))
    return order[chosen[order]]
