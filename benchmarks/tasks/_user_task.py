"""A user's own model and data as a task: ``--task path/to/file.py:name``.

The file is Python that the user names and that runs as such. ``name`` is a function without
arguments, or what such a function would return: a :class:`Definition`, whose model is trained here,
or a dict with a trained ``model`` and its ``data``.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.explain import ModelConfig

from benchmarks.tasks._definition import Definition, Task, with_edges
from benchmarks.tasks._outputs import check_labels, performance
from benchmarks.tasks._source import tensors_sha256
from explainers._names import did_you_mean
from explainers.prepare import PreparedModel, prepare
from explainers.prepare.outputs import is_multiclass, is_regression

_ENTRIES = (
    *("model", "data", "nodes", "ground_truth", "feature_names", "class_names"),
    *("model_config", "target"),
)
_WANTED = (
    "it must be a Definition, or a dict with 'model' and 'data' and, optionally, 'nodes', "
    "'ground_truth', 'feature_names', 'class_names', 'model_config' and 'target'"
)


@dataclass(frozen=True, eq=False)
class UserModel:
    """A user's trained model and its data, checked.

    Args:
        model: In place of one that is trained here.
        data: ``x``, ``edge_index`` and ``y``; optionally ``test_mask``, where the accuracy (or
            micro-F1, or R²) is measured.
        nodes: The nodes or graphs to explain, int64 [n]; None for all, of the nodes those with an
            incoming edge.
        ground_truth: Which edges a correct explanation selects, bool [E]; None if unknown.
        description: A sentence for listings.
        source: ``file.py:name``, without its folder.
        feature_names: Of the F features; none if they have only numbers.
        class_names: See :class:`Task`.
        config: What the model returns, resolved; None if the user did not say.
        target: The column to explain of each node or graph, int64 [N or G]; None for the predicted
            class, the only column or the most probable label.
    """

    model: nn.Module
    data: Data
    nodes: Tensor | None
    ground_truth: Tensor | None
    description: str
    source: str
    feature_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    config: ModelConfig | None = None
    target: Tensor | None = None

    def task(self, name: str, device: torch.device) -> Task:
        """The task; the user's objects are copied, so that every call gives the same."""
        data, model = self.data.clone(), copy.deepcopy(self.model).eval().requires_grad_(False)
        prepared = prepare(model.cpu(), data.cpu(), self.config)
        kind, value = performance(prepared.output, data.y, prepared.config, data.get("test_mask"))
        nodes = self.nodes
        if nodes is None:
            order = torch.from_numpy(np.random.RandomState(0).permutation(prepared.units))
            nodes = order[with_edges(data, prepared.task_level)[order]]
        tensors = {key: value for key, value in data.to_dict().items() if torch.is_tensor(value)}
        truth = {} if self.ground_truth is None else {"ground_truth": self.ground_truth}
        return Task(
            name=name,
            data=data.to(device),
            model=model.to(device),
            nodes=nodes.cpu(),
            ground_truth=None if self.ground_truth is None else self.ground_truth.to(device),
            accuracy=value,
            provenance=f"the user's own model and data, {self.source}",
            dataset_sha256=tensors_sha256({**tensors, **truth}),
            checkpoint_sha256=tensors_sha256(model.state_dict()),
            stand_in=False,
            title=name,
            description=self.description,
            architecture="own",
            feature_names=self.feature_names,
            class_names=self.class_names,
            model_config=self.config,
            target=self.target,
            accuracy_kind=kind,
        )


_REGISTERED: dict[str, Definition | UserModel] = {}


def registered(name: str) -> Definition | UserModel | None:
    """What :func:`register` has made the task ``name`` of; None for a task that is not a user's."""
    return _REGISTERED.get(name)


def is_own(name: str) -> bool:
    """Whether a task's name is a Python file's."""
    return name.endswith(".py") or name.rpartition(":")[0].endswith(".py")


def register(spec: str) -> str:
    """Runs the file, checks what it gives, and makes it a task of this process.

    Args:
        spec: ``path/to/file.py:name``.

    Returns:
        The task's name: ``name`` and a part of the SHA-256 of the file, without its path.

    Raises:
        ValueError: There is no such file or name, or what it gives is no task; says which.
    """
    place, colon, attribute = spec.rpartition(":")
    path = Path(place).expanduser().resolve()
    if not colon or not attribute.isidentifier() or path.suffix != ".py":
        raise ValueError(f"--task {spec}: write it as path/to/file.py:function")
    if not path.is_file():
        raise ValueError(f"--task {spec}: there is no file {place}; check the path")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:8]
    name = re.sub(r"[^a-z0-9]+", "-", attribute.lower()).strip("-") + f"-{digest}"
    if name not in _REGISTERED:
        with _importable(path.parent):
            given, description = _run(spec, path, attribute, f"_own_task_{digest}")
        _REGISTERED[name] = (
            given if isinstance(given, Definition) else _checked(spec, given, description)
        )
    return name


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Lets a file import those beside it, as if Python had been called with it."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _run(spec: str, path: Path, attribute: str, module_name: str) -> tuple[Any, str]:
    """What the file gives under that name, and the first line of its docstring."""
    found = importlib.util.spec_from_file_location(module_name, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[module_name] = module  # dataclasses and pickles look there
    try:
        found.loader.exec_module(module)
        given = getattr(module, attribute, None)
        document = inspect.getdoc(given) if inspect.isfunction(given) else None
        if callable(given):
            given = given()
    except Exception as error:  # the user's code: whatever it raises, its line is wanted
        line = _line(error, path)
        raise ValueError(
            f"--task {spec}: {type(error).__name__} in {path.name}{line}: {error}; mend the file"
        ) from error
    if given is None:
        known = [
            key
            for key, value in vars(module).items()
            if inspect.isfunction(value) and key[0] != "_"
        ]
        raise ValueError(
            f"--task {spec}: {path.name} has no {attribute!r}, or it gives None; it has the "
            f"functions {', '.join(known) or '(none)'}{did_you_mean(attribute, known)}"
        )
    return given, (document or f"{attribute} of {path.name}").partition("\n")[0]


def _line(error: Exception, path: Path) -> str:
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == path:
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f", line {lines[-1]}" if lines else ""


def _checked(spec: str, given: Any, description: str) -> UserModel:
    """The user's model and data, if they are what a task needs.

    Raises:
        ValueError: They are not; says what is wrong.
    """
    if not isinstance(given, Mapping):
        raise ValueError(f"--task {spec}: gives a {type(given).__name__}; {_WANTED}")
    unknown = sorted(map(str, set(given) - set(_ENTRIES)))
    if unknown or "model" not in given or "data" not in given:
        raise ValueError(
            f"--task {spec}: gives a dict with {', '.join(map(str, given)) or 'nothing'}; {_WANTED}"
        )
    for entry, kind in (("model", nn.Module), ("data", Data)):
        if not isinstance(given[entry], kind):
            raise ValueError(
                f"--task {spec}: {entry!r} is a {type(given[entry]).__name__}; it must be a "
                f"{kind.__module__}.{kind.__name__}"
            )
    model, data = given["model"], given["data"]
    try:
        prepared = _prepared(model, data, given.get("model_config"))
        check_labels(data.get("y"), prepared.output, prepared.config)
        target = _target(given.get("target"), prepared)
    except ValueError as error:
        raise ValueError(f"--task {spec}: {error}") from error
    count = prepared.units
    config = None if given.get("model_config") is None else prepared.config
    nodes = None if given.get("nodes") is None else torch.as_tensor(given["nodes"])
    truth = given.get("ground_truth")
    for entry, value, dtype, size in (
        ("data.test_mask", data.get("test_mask"), torch.bool, count),
        ("nodes", nodes, torch.int64, None),
        ("ground_truth", truth, torch.bool, int(data.num_edges)),
    ):
        if value is not None:
            _check_vector(spec, entry, value, dtype, size)
    if nodes is not None and not 0 <= int(nodes.min()) <= int(nodes.max()) < count:
        raise ValueError(
            f"--task {spec}: nodes names {int(nodes.min())} to {int(nodes.max())}, but there are "
            f"0 to {count - 1}"
        )
    if nodes is not None:  # intervals and tests take them for independent replicates
        different, counts = nodes.unique(return_counts=True)
        if len(different) < len(nodes):
            twice = int(different[counts.argmax()])
            raise ValueError(f"--task {spec}: nodes names {twice} more than once; name each once")
    names = tuple(map(str, given.get("feature_names", ())))
    if len(names) not in (0, int(data.num_features)):
        raise ValueError(
            f"--task {spec}: feature_names are {len(names)}, but data.x has {data.num_features} "
            "features; name each, or none"
        )
    classes = _class_names(spec, given.get("class_names", ()), prepared)
    source = f"{Path(spec.rpartition(':')[0]).name}:{spec.rpartition(':')[2]}"
    return UserModel(model, data, nodes, truth, description, source, names, classes, config, target)


def _class_names(spec: str, given: Sequence[Any], prepared: PreparedModel) -> tuple[str, ...]:
    """The names of the classes, see :class:`Task`.

    Raises:
        ValueError: They are not as many as the classes or columns.
    """
    names = tuple(map(str, given))
    count = int(prepared.output.size(1))
    if count == 1 and not is_regression(prepared.config):
        count = 2  # no and yes
    if len(names) not in (0, count):
        raise ValueError(
            f"--task {spec}: class_names are {len(names)}, but the model tells {count} apart; "
            "name each, or none"
        )
    return names


def _prepared(model: nn.Module, data: Data, config: Any) -> PreparedModel:
    """The model on its data, if it can be explained with what the user says of its outputs.

    Raises:
        ValueError: It cannot, or ``config`` does not suit what it returns.
    """
    if config is not None and not isinstance(config, (ModelConfig, dict)):
        raise ValueError(
            f"'model_config' is a {type(config).__name__}; it must be a "
            "torch_geometric.explain.ModelConfig or a dict of its arguments"
        )
    return prepare(model.cpu(), data.cpu(), config)


def _target(given: Any, prepared: PreparedModel) -> Tensor | None:
    """The column to explain of each node or graph, int64 [R]; None for the library's choice.

    Args:
        given: A number for all of them, or one for each.
        prepared: The model on its data.

    Raises:
        ValueError: There is no such column, none is given where there must be, or one is where the
            predicted class is explained.
    """
    rows, columns = prepared.output.shape
    if given is None:
        if is_regression(prepared.config) and columns > 1:
            raise ValueError(
                f"the model returns {columns} real numbers for each {prepared.task_level}; add "
                "'target', the number of the column to explain"
            )
        return None
    if is_multiclass(prepared.config):
        raise ValueError(
            "'target' is for outputs that are several labels or numbers; of a multiclass "
            "classification the predicted class is explained: leave it out"
        )
    try:
        target = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        target = torch.empty(0)
    if target.dtype != torch.int64 or list(target.shape) not in ([], [rows]):
        raise ValueError(
            f"'target' must be a whole number, or torch.int64 [{rows}], one for each "
            f"{prepared.task_level}, got {given!r:.80}"
        )
    if not 0 <= int(target.min()) <= int(target.max()) < columns:
        raise ValueError(
            f"'target' names the columns {int(target.min())} to {int(target.max())}, but the "
            f"model returns 0 to {columns - 1}"
        )
    return target.expand(rows).clone().cpu()


def _check_vector(spec: str, entry: str, value: Any, dtype: torch.dtype, size: int | None) -> None:
    """Raises ValueError unless ``value`` is a tensor [size], not empty; None means any size."""
    if torch.is_tensor(value):
        fits = value.dtype == dtype and value.dim() == 1 and value.numel() > 0
        if fits and size in (None, len(value)):
            return
        got = f"{value.dtype} {list(value.shape)}"
    else:
        got = type(value).__name__
    shape = "[n]" if size is None else f"[{size}]"
    raise ValueError(f"--task {spec}: {entry} must be {dtype} {shape}, got {got}")
