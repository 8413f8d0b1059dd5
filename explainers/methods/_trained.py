"""Methods that train on many predictions before they explain one."""

from __future__ import annotations

import json
import weakref
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from explainers.methods._base import Method, chosen_nodes
from explainers.prepare.model import PreparedModel, prepare

# What was learned, by network and by all that determines it.
_LEARNED: weakref.WeakKeyDictionary[PreparedModel, dict[tuple[Any, ...], Any]]
_LEARNED = weakref.WeakKeyDictionary()


@dataclass(kw_only=True)
class TrainedMethod(Method):
    """A method that is trained once for a model and a graph, on the model's own predictions.

    A subclass writes :meth:`learn` and asks for :meth:`learned`. Explaining trains first where
    that has not happened, on nodes drawn by the seed: never on what is explained, so that an
    explanation does not depend on its company. What was learned is kept as long as the model and
    the graph are, for each engine and each choice of options and nodes.

    Args:
        training_nodes: How many nodes, or graphs, are drawn to train on (all, if there are fewer).
        seed: Of the draw, and of whatever else is random.
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

    def fit(
        self, model: nn.Module, data: Data, nodes: int | Sequence[int] | Tensor | None = None
    ) -> None:
        """Trains, also where that has happened before.

        Args:
            model: As for :meth:`explain`.
            data: As for :meth:`explain`.
            nodes: Whose predictions to train on, in this order; None for ``training_nodes`` of
                the graph's, drawn by the seed. This object explains with what was learned from
                them until it is fitted to the same model and graph again.

        Raises:
            ValueError: As :meth:`explain`.
        """
        prepared = prepare(model, data)
        if nodes is None:
            self._nodes.pop(prepared, None)
        else:
            self._nodes[prepared] = tuple(chosen_nodes(nodes, prepared).tolist())
        self._choose(prepared, warn=True)
        self._learn(prepared)

    def fitted(self, model: nn.Module, data: Data) -> bool:
        """Whether :meth:`explain` can go on without training first."""
        prepared = prepare(model, data)
        self._choose(prepared, warn=False)
        return self._key(prepared) in _LEARNED.get(prepared, {})

    @abstractmethod
    def learn(self, prepared: PreparedModel, units: Tensor) -> Any:
        """Trains on the model's predictions for ``units`` [R]; gives what :meth:`learned` keeps.

        That is not to refer to the network, which would then never be let go.
        """

    def learned(self, prepared: PreparedModel) -> Any:
        """What :meth:`learn` gave for this network, options and nodes."""
        known = _LEARNED.get(prepared, {})
        if self._key(prepared) not in known:
            return self._learn(prepared)
        return known[self._key(prepared)]

    def _learn(self, prepared: PreparedModel) -> Any:
        units = torch.tensor(self._training(prepared), device=prepared.x.device, dtype=torch.long)
        with torch.inference_mode(False), torch.enable_grad():
            learned = self.learn(prepared, units)
        _LEARNED.setdefault(prepared, {})[self._key(prepared)] = learned
        return learned

    def _training(self, prepared: PreparedModel) -> tuple[int, ...]:
        if prepared in self._nodes:
            return self._nodes[prepared]
        size = min(self.training_nodes, prepared.units)
        drawn = np.random.default_rng(self.seed).choice(prepared.units, size, replace=False)
        return tuple(drawn.tolist())

    def _key(self, prepared: PreparedModel) -> tuple[Any, ...]:
        options = json.dumps(self.options, sort_keys=True)
        return type(self), self.engine, options, self._nodes.get(prepared)
