"""What all methods share: options, input checks, the choice of an engine, the way through it."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.explain import Explanation

from explainers.engines.base import Attribution, Problem
from explainers.engines.memory import is_out_of_memory, note_split, smaller
from explainers.prepare.model import PreparedModel, prepare


@dataclass(kw_only=True)
class Method(ABC):
    """A method that scores the edges and node features behind a prediction, of a node or a graph.

    A subclass is a dataclass whose fields are its options, states the class variables below, and
    writes :meth:`attribute`. Its module says ``METHOD = <the class>``.

    Args:
        engine: The engine that has to run, or None for the fastest that supports the model.
        memory_budget: Bytes that one pass through the model may take, roughly; sets how many
            nodes and variants share a pass.

    Attributes:
        name: The method's name.
        engines: The engines it runs on, the fastest first.
        granularity: What it tells apart: ``edges``; ``features`` of each node, or only ``nodes``.
            The scores of what it does not score are zeros.
        signed: Whether a negative score means evidence against the target.
        model_dependent: Whether the scores depend on the model's outputs at all; a floor's do not.
        target_dependent: Whether they depend on the class that is explained.
        needs_fit: Whether the method trains on other predictions before it explains one.
        deterministic: Whether the result depends on no seed.
        splits: How often the memory did not suffice and a pass was taken in smaller parts.
        costly: Whether its passes grow with the size of the computation graph, each of them over
            the whole graph on ``stock``; quick runs then leave that engine out.
        citation: Where the method is defined.
    """

    name = ""
    engines: ClassVar[tuple[str, ...]] = ("batched", "stock")
    granularity: ClassVar[tuple[str, ...]] = ("edges", "features")
    signed: ClassVar[bool] = True
    model_dependent: ClassVar[bool] = True
    target_dependent: ClassVar[bool] = True
    needs_fit: ClassVar[bool] = False
    deterministic: ClassVar[bool] = True
    costly: ClassVar[bool] = False
    citation: ClassVar[str] = ""

    engine: str | None = None
    memory_budget: int = 256 * 2**20

    def __post_init__(self) -> None:
        if self.engine is not None and self.engine not in self.engines:
            raise ValueError(
                f"{type(self).__name__} has no engine {self.engine!r}; it has: "
                f"{', '.join(self.engines)}"
            )
        self._fixed = self.engine is not None
        self._candidates = self.engines
        self.engine = self.engine or self.engines[0]
        self.splits = 0
        self.at_least("memory_budget", 1)

    @property
    def options(self) -> dict[str, Any]:
        """The method's options and their values; ``memory_budget`` if it is not the default."""
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del given["engine"]
        if given["memory_budget"] == Method.memory_budget:
            del given["memory_budget"]
        return given

    @classmethod
    def describe(cls) -> dict[str, Any]:
        """What the method is, gives and needs, as plain data."""
        names = (
            *("engines", "granularity", "signed", "model_dependent", "target_dependent"),
            *("needs_fit", "deterministic", "costly", "citation"),
        )
        summary = (inspect.getdoc(cls) or "").partition("\n")[0]
        return {"description": summary} | {name: getattr(cls, name) for name in names}

    @abstractmethod
    def attribute(self, problem: Problem) -> Attribution:
        """Scores for the nodes of a problem, detached from the graph of the gradients."""

    def explain(
        self,
        model: nn.Module,
        data: Data,
        nodes: int | Sequence[int] | Tensor,
        target: int | Sequence[int] | Tensor | None = None,
    ) -> list[Explanation]:
        """Explains the model's output for each of ``nodes``.

        A model that classifies graphs takes ``batch`` by keyword and returns [G, C]; ``nodes`` are
        then graphs of the batch ``data``, 0 to G - 1, and each is explained as if it were alone.

        Args:
            model: Called as ``model(x, edge_index)``, with ``edge_weight``, ``edge_attr`` or
                ``batch`` by keyword if ``data`` has it and the model takes it; returns [N, C] or
                [G, C]. It is explained in eval mode and is not changed.
            data: ``x`` [N, F] and ``edge_index`` [2, E]; for graphs also ``batch`` [N], such as a
                ``torch_geometric.data.Batch``.
            nodes: One node or several; every one gets an explanation of its own.
            target: The class to explain for each node; None for the class that the model predicts
                (PyG's "model" explanations), ``data.y[nodes]`` for "phenomenon" explanations.

        Returns:
            One explanation for each node, of its computation graph: ``n_id`` [n] and ``e_id`` [e]
            (ids in ``data``), ``edge_index`` [2, e] (positions in ``n_id``), ``node_mask`` [n, F],
            ``edge_mask`` [e], ``index`` (position of the node in ``n_id``), ``target`` and
            ``prediction`` [C] (the model's output for the node). The computation graph of a graph
            is the graph; its explanation has no ``index`` but ``graph``, the graph's number.

        Raises:
            ValueError: An argument is malformed, or the engine asked for cannot explain the model;
                raised before any work.
        """
        return list(self.stream(model, data, nodes, target))

    def stream(
        self,
        model: nn.Module,
        data: Data,
        nodes: int | Sequence[int] | Tensor,
        target: int | Sequence[int] | Tensor | None = None,
    ) -> Iterator[Explanation]:
        """:meth:`explain`, one explanation after the other, in bounded memory.

        The arguments are checked at the call, before the first explanation is asked for.
        """
        prepared = prepare(model, data)
        with torch.inference_mode(False):
            chosen = chosen_nodes(nodes, prepared)
            targets = _targets(target, chosen, prepared)
        self._choose(prepared, warn=True)
        return self._stream(prepared, chosen, targets)

    def fit(
        self, model: nn.Module, data: Data, nodes: int | Sequence[int] | Tensor | None = None
    ) -> None:
        """Makes ready what is needed once for a model and a graph; see :attr:`needs_fit`."""
        prepare(model, data)

    def fitted(self, model: nn.Module, data: Data) -> bool:
        """Whether :meth:`explain` can go on without training first."""
        return True

    def supports(self, model: nn.Module, data: Data) -> bool:
        """Whether :meth:`explain` takes this model and graph; sets :attr:`engine` as it would."""
        try:
            self._choose(prepare(model, data), warn=False)
        except ValueError:
            return False
        return True

    def at_least(self, option: str, least: int) -> None:
        """Checks that an option is a whole number and not below ``least``."""
        value = getattr(self, option)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{option} is to be a whole number, {least} or more, got {value!r}")

    def share(self) -> tuple[int, int | None]:
        """Variants that a pass takes, and how many nodes may share it (None: any)."""
        return 1, None

    def _leave_out(self, engine: str) -> None:
        """Lets :meth:`explain` choose among the other engines only."""
        self._candidates = tuple(name for name in self.engines if name != engine)
        self.engine = self._candidates[0]

    def may_split(self) -> bool:
        """Whether a pass that does not fit into the memory may be taken in smaller parts."""
        return True

    def _stream(
        self,
        prepared: PreparedModel,
        nodes: Tensor,
        targets: Tensor,
        memory_budget: int | None = None,
    ) -> Iterator[Explanation]:
        module = _module(self.engine)
        budget = memory_budget or self.memory_budget
        problems = module.problems(prepared, nodes, targets, budget, *self.share())
        while True:
            # Not around the loop: a generator would leave the mode to its caller between turns.
            with torch.inference_mode(False), torch.enable_grad():
                problem = next(problems, None)
                if problem is None:
                    return
                explanations = self._explained(problem)
            if explanations is not None:
                yield from explanations
                continue
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()
            for part in smaller(problem, self.share()[0]):
                yield from self._stream(prepared, *part)

    def _explained(self, problem: Problem) -> list[Explanation] | None:
        """A problem's explanations; None if the memory does not suffice, but may for parts."""
        try:
            return list(problem.explanations(self.attribute(problem)))
        except Exception as error:
            parts = list(smaller(problem, self.share()[0]))
            if not (parts and self.may_split() and is_out_of_memory(error)):
                raise
        # Outside of the handler: the traceback's frames hold what filled the memory.
        self.splits += 1
        note_split()
        warnings.warn(
            f"{self.name or type(self).__name__}: explaining {len(problem.nodes)} at once ran out "
            f"of memory; going on in smaller parts. A memory_budget below {self.memory_budget} "
            "avoids the attempt",
            stacklevel=2,
        )
        return None

    def _choose(self, prepared: PreparedModel, *, warn: bool) -> None:
        """Sets :attr:`engine`."""
        if not self.model_dependent:
            return  # its engine only cuts the computation graphs
        if self._fixed:
            assert self.engine is not None
            if reason := _module(self.engine).refusal(prepared):
                raise ValueError(
                    f"engine {self.engine!r} does not support {_model_name(prepared)}: {reason}; "
                    f"use engine={self.engines[-1]!r}"
                )
            return
        for engine in self._candidates:
            reason = _module(engine).refusal(prepared)
            if reason is None:
                break
            # A special engine is for some models only; that the general one refuses is news.
            if warn and engine == "batched":
                warnings.warn(
                    f"engine {engine!r} does not support {_model_name(prepared)}: {reason}; "
                    "explaining with the slower engine 'stock'",
                    stacklevel=4,
                )
        self.engine = engine


def _module(engine: str | None) -> Any:
    return importlib.import_module(f"explainers.engines.{engine}")


def _model_name(prepared: PreparedModel) -> str:
    return f"model {type(prepared.model).__name__}"


def chosen_nodes(nodes: int | Sequence[int] | Tensor, prepared: PreparedModel) -> Tensor:
    """``nodes`` as an int64 tensor [R] on the graph's device.

    Raises:
        ValueError: They are no whole numbers, or not all in the graph.
    """
    chosen = _whole_numbers("nodes", nodes)
    for node in chosen.tolist():
        if not 0 <= node < prepared.units:
            whole = "batch" if prepared.task_level == "graph" else "graph"
            raise ValueError(
                f"{prepared.task_level} {node} is out of range: the {whole} has "
                f"{prepared.task_level}s 0 to {prepared.units - 1}"
            )
    return chosen.to(prepared.x.device)


def _targets(
    target: int | Sequence[int] | Tensor | None, nodes: Tensor, prepared: PreparedModel
) -> Tensor:
    if target is None:
        return prepared.output[nodes].argmax(dim=-1)
    targets = _whole_numbers("target", target)
    if len(targets) != len(nodes):
        raise ValueError(
            f"target has {len(targets)} classes for {len(nodes)} {prepared.task_level}s; give one "
            f"for each {prepared.task_level}"
        )
    classes = prepared.output.size(1)
    for value in targets.tolist():
        if not 0 <= value < classes:
            raise ValueError(f"target {value} is out of range: classes are 0 to {classes - 1}")
    return targets.to(prepared.x.device)


def _whole_numbers(name: str, values: int | Sequence[int] | Tensor) -> Tensor:
    """``values`` as an int64 tensor [R] on the CPU."""
    try:
        tensor = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError):
        tensor = torch.empty(0, 0)
    if not tensor.numel() and tensor.dim() == 1:
        return tensor.long().cpu()
    kind = tensor.dtype
    if tensor.dim() > 1 or kind == torch.bool or kind.is_floating_point or kind.is_complex:
        raise ValueError(
            f"{name} is to be a whole number, a list of them or a LongTensor [R], "
            f"got {values!r:.80}"
        )
    return tensor.detach().clone().long().cpu().view(-1)
