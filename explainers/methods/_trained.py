"""Methods that train on many predictions before they explain one."""

from __future__ import annotations

import json
import weakref
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.explain import ModelConfig

from explainers.engines import registry
from explainers.engines.base import Problem, ReferenceProblem
from explainers.methods._arguments import chosen_nodes
from explainers.methods._base import Method
from explainers.methods._learning import collapsed, converged
from explainers.prepare import PreparedModel, prepare
from explainers.prepare.outputs import is_multiclass


@dataclass(kw_only=True)
class TrainedMethod(Method):
    """A method that is trained once for a model and a graph, on the model's own predictions.

    A subclass writes :meth:`learn` and asks for :meth:`learned`. Explaining trains first where
    that has not happened, on nodes drawn by the seed: never on what is explained, so that an
    explanation does not depend on its company. What is learned is of the whole prediction: a model
    that returns several independent binary outputs or real numbers is refused. It is kept as long
    as the model and the graph are, for each engine and each choice of options and nodes.

    Args:
        training_nodes: How many nodes, or graphs, are drawn to train on (all, if there are fewer).
        seed: Of the draw, and of whatever else is random.

    Attributes:
        losses: The mean loss of each epoch of the training that was last used; empty before the
            first, or if the method does not tell. Explaining and :meth:`fit` set it.
        converged: Whether that training came to rest: the last tenth of its epochs changed the loss
            by no more than 2 % of its whole change. None where ``losses`` is empty. Each
            explanation says it, too, and whether its mask has ``collapsed``; see :meth:`state`.
    """

    deterministic: ClassVar[bool] = False
    needs_fit: ClassVar[bool] = True

    training_nodes: int = 60
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("training_nodes", 1)
        self.at_least("seed", 0)
        self._nodes: weakref.WeakKeyDictionary[PreparedModel, tuple[int, ...]]
        self._nodes = weakref.WeakKeyDictionary()
        self.losses: tuple[float, ...] = ()
        self.converged: bool | None = None

    def fit(
        self,
        model: nn.Module,
        data: Data,
        nodes: int | Sequence[int] | Tensor | None = None,
        model_config: ModelConfig | dict[str, Any] | None = None,
    ) -> None:
        """Trains, also where that has happened before.

        Args:
            model: As for :meth:`explain`.
            data: As for :meth:`explain`.
            nodes: Whose predictions to train on, in this order; None for ``training_nodes`` of
                the graph's, drawn by the seed. This object explains with what was learned from
                them until it is fitted to the same model and graph again.
            model_config: As for :meth:`explain`.

        Raises:
            ValueError: As :meth:`explain`.
        """
        prepared = prepare(model, data, model_config)
        if nodes is None:
            self._nodes.pop(prepared, None)
        else:
            self._nodes[prepared] = tuple(chosen_nodes(nodes, prepared).tolist())
        self.engine = self._choose(prepared, warn=True)
        prepared.forget(self._key(prepared))
        self.learned(prepared)

    def fitted(
        self,
        model: nn.Module,
        data: Data,
        model_config: ModelConfig | dict[str, Any] | None = None,
    ) -> bool:
        """Whether :meth:`explain` can go on without training first."""
        prepared = prepare(model, data, model_config)
        return prepared.knows(self._key(prepared, self._choose(prepared, warn=False)))

    @abstractmethod
    def learn(self, prepared: PreparedModel, problems: Iterable[Problem]) -> Any:
        """Trains on the model's predictions for problems of one node each.

        Returns:
            What :meth:`learned` keeps; it must not refer to ``prepared``. Its attribute ``losses``,
            if it has one, is the mean loss of each epoch, of the last phase if there are several.
        """

    def learn_reference(self, prepared: PreparedModel, problems: Iterable[ReferenceProblem]) -> Any:
        """The same as PyG does it, where it does; what ``stock`` runs."""
        return self.learn(prepared, problems)

    def learned(self, prepared: PreparedModel) -> Any:
        """What was learned for this model and graph, these options and nodes."""
        learned = prepared.memo(self._key(prepared), lambda: self._learn(prepared))
        self.losses = tuple(getattr(learned, "losses", ()))
        self.converged = converged(torch.tensor(self.losses)) if self.losses else None
        return learned

    def state(self, learned: Any, problem: Problem, edge_mask: Tensor) -> dict[str, Tensor]:
        """What explanations say of the learning, bool [R] each.

        ``converged``, of the training, and ``collapsed``, of each edge mask: whether it tells the
        edges of the computation graph apart no more, by a range or a Gini index below 0.01.
        """
        flat = collapsed(problem, edge_mask)
        rests = converged(torch.tensor(learned.losses))
        return {"converged": torch.full_like(flat, rests), "collapsed": flat}

    def refuse(self, prepared: PreparedModel) -> None:
        """Refuses several independent outputs."""
        columns = prepared.output.size(1)
        if columns > 1 and not is_multiclass(prepared.config):
            raise ValueError(
                f"the model returns {columns} independent outputs, and what is learned would be of "
                f"all of them, not of the one to explain; {self.name or type(self).__name__} needs "
                "classes or a single column: wrap the model so that it returns one of them"
            )

    def _learn(self, prepared: PreparedModel) -> Any:
        units = torch.tensor(self._training(prepared), device=prepared.x.device, dtype=torch.long)
        targets = prepared.output[units].argmax(dim=-1)
        engine = registry.get(str(self.engine))
        with torch.inference_mode(False), torch.enable_grad():
            if engine.as_published and prepared.suits_pyg:
                reference = registry.reference_problems(
                    prepared, units, targets, self.memory_budget
                )
                return self.learn_reference(prepared, reference)
            problems = engine.problems(prepared, units, targets, self.memory_budget, most=1)
            return self.learn(prepared, problems)

    def _training(self, prepared: PreparedModel) -> tuple[int, ...]:
        if prepared in self._nodes:
            return self._nodes[prepared]
        size = min(self.training_nodes, prepared.units)
        drawn = np.random.default_rng(self.seed).choice(prepared.units, size, replace=False)
        return tuple(drawn.tolist())

    def _key(self, prepared: PreparedModel, engine: str | None = None) -> tuple[Any, ...]:
        options = json.dumps(self.options, sort_keys=True)
        return type(self), engine or self.engine, options, self._nodes.get(prepared)
