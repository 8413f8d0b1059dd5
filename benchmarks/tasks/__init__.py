"""What is explained: datasets with a trained model, one task a file.

A task file declares ``TASK``, a :class:`Definition`: a few words, how the model is trained, and a
function that builds the data. Its name is the file's, with hyphens: ``ba_shapes.py`` is
``ba-shapes``; variants that it declares have a suffix: ``ba-shapes:published``. Files that start
with ``_`` are no tasks. An installed package adds tasks of its own
with entry points of the group ``gnn_explainer_bench.tasks`` that name such a definition.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import pkgutil
from importlib.metadata import EntryPoint, entry_points

import numpy as np
import torch

from benchmarks.tasks._definition import Dataset, Definition, Recipe, Task, Unavailable, with_edges
from benchmarks.tasks._models import LAYERS
from benchmarks.tasks._source import data_root, tensors_sha256, whereabouts
from benchmarks.tasks._training import accuracy, trained
from benchmarks.tasks._user_task import REGISTERED, Own, is_own, register

__all__ = [
    "MODELS",
    "Dataset",
    "Definition",
    "Recipe",
    "Task",
    "Unavailable",
    "available",
    "brings_model",
    "definition",
    "is_own",
    "load",
    "resolve",
    "whereabouts",
]

MODELS = tuple(LAYERS)
ENTRY_POINT_GROUP = "gnn_explainer_bench.tasks"


def available() -> list[str]:
    """The names of all tasks and their variants, sorted.

    A task that cannot be imported is there, too: :func:`definition` says what is wrong with it.

    Raises:
        ValueError: Two tasks have the same name.
    """
    names = []
    for name, point in _discover().items():
        names.append(name)
        with contextlib.suppress(ImportError, AttributeError):
            names += [f"{name}:{variant}" for variant in point.load().variants]
    return sorted(names)


def resolve(name: str) -> str:
    """The name of the task that a user means by ``name``: one of :func:`available`, or a file.

    A user's own task is ``path/to/file.py:function``; the file is run and checked, and its task is
    known to this process by the name returned. See :mod:`benchmarks.tasks._user_task`.

    Raises:
        ValueError: There is no such task, file or function, or it gives no task.
    """
    if is_own(name):
        return register(name)
    if name not in REGISTERED:
        definition(name)
    return name


def brings_model(name: str) -> bool:
    """Whether the task ``name`` is a user's own with a trained model: there is one seed, 0."""
    return isinstance(REGISTERED.get(name), Own)


def definition(name: str) -> Definition:
    """The declaration of the task ``name``: title, description, recipe; no data is read.

    Raises:
        ValueError: There is no such task, its name is taken twice, or it cannot be imported.
    """
    own = REGISTERED.get(name)
    if isinstance(own, Definition):
        return own
    known = available()
    if name not in known:
        close = difflib.get_close_matches(str(name).lower().replace("_", "-"), known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown task {name!r}; available: {', '.join(known)}{hint}")
    base, _, variant = name.partition(":")
    point = _discover()[base]
    try:
        task = point.load()
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"the task {base!r} cannot be imported from {point.value!r}: {error}"
        ) from error
    if not isinstance(task, Definition):
        raise ValueError(
            f"the task {base!r} is to be a Definition, but {point.value!r} is a "
            f"{type(task).__name__}"
        )
    return task.variants[variant] if variant else task


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
        name: One of :func:`available`, or ``path/to/file.py:function``.
        root: Folder with raw files, only read; else ``$GNN_BENCH_DATA``, else ``data``. What is
            not there is downloaded into the cache folder.
        device: Where the data and the model go.
        seed: Of the model's training. The data and the order of the nodes do not depend on it.
        model: The kind of its layers, one of :data:`MODELS`; nothing else depends on it.

    Raises:
        Unavailable: The dataset is not here and cannot be downloaded.
        ValueError: Unknown task or model, no such folder or device, a bad seed, or malformed raw
            files.
    """
    name = resolve(name)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise ValueError(f"seed is to be a whole number from 0 to 2^63 - 1, got {seed!r}")
    if model not in MODELS:
        raise ValueError(f"unknown model {model!r}; available: {', '.join(MODELS)}")
    place = _device(device)
    own = REGISTERED.get(name)
    if isinstance(own, Own):
        if seed:
            raise ValueError(f"model seed {seed}: the task {name} brings one trained model; use 0")
        if model != "gcn":
            raise ValueError(f"model {model!r}: the task {name} brings its own; leave it out")
        return own.task(name, place)
    task = definition(name)
    # Checked for the generated tasks too: a mistyped folder is to be heard of at once.
    dataset = task.build(None if root is None else data_root(root))
    data, ground_truth = dataset.data, dataset.ground_truth
    # If every node has exactly one self loop, GCNConv re-orders the edges and PyG's masks land on
    # the wrong ones. GCNConv adds its own loops, so the predictions stay as they are.
    if not dataset.loops:
        proper = data.edge_index[0] != data.edge_index[1]
        data.edge_index = data.edge_index[:, proper].contiguous()
        if ground_truth is not None:
            ground_truth = ground_truth[proper]
        if "edge_weight" in data:
            data.edge_weight = data.edge_weight[proper]

    dataset_sha256 = dataset.sha256
    if dataset_sha256 is None:
        truth = {} if ground_truth is None else {"ground_truth": ground_truth}
        dataset_sha256 = tensors_sha256({**data.to_dict(), **truth})
    network = trained(data, task.recipe, seed, name, model)
    explainable = with_edges(data, "batch" in data)
    if dataset.explainable is not None:
        explainable &= dataset.explainable
    # RandomState, because its stream is frozen: the same order with every version of numpy.
    order = np.random.RandomState(0).permutation(data.y.numel())
    nodes = torch.from_numpy(order)
    return Task(
        name=name,
        data=data.to(place),
        model=network.to(place),
        nodes=nodes[explainable[nodes]],
        ground_truth=None if ground_truth is None else ground_truth.to(place),
        accuracy=accuracy(network, data),
        provenance=dataset.provenance,
        dataset_sha256=dataset_sha256,
        checkpoint_sha256=tensors_sha256(network.state_dict()),
        stand_in=task.stand_in,
        title=task.title,
        description=task.description,
        architecture=model,
        feature_names=dataset.feature_names,
    )


def _device(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"unknown device {device!r}; try 'cpu' or 'cuda'") from error
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {str(device)!r}: torch finds no such GPU here; try 'cpu'")
    return place


def _discover() -> dict[str, EntryPoint]:
    """Every task's name and where its definition is."""
    # The task files of this folder get entry points too: one way to load them all.
    points = [
        EntryPoint(module.name, f"{__name__}.{module.name}:TASK", ENTRY_POINT_GROUP)
        for module in pkgutil.iter_modules(__path__)
        if not module.name.startswith("_")
    ]
    found: dict[str, EntryPoint] = {}
    for point in [*points, *entry_points(group=ENTRY_POINT_GROUP)]:
        name = point.name.replace("_", "-")
        if name in found:
            raise ValueError(
                f"two tasks are called {name!r}: {found[name].value} and {point.value}; "
                "rename one of them"
            )
        found[name] = point
    return found
