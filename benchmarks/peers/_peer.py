"""What the adapters share: a method whose scores another package computes."""

from __future__ import annotations

import importlib.util
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.benchmark.utils.timer import timer
from torch_geometric.explain import ExplainerAlgorithm, Explanation
from torch_geometric.explain.config import ExplainerConfig

import explainers
from explainers.engines.base import Attribution, Problem, ReferenceProblem
from explainers.methods import Method
from explainers.prepare import PreparedModel


@dataclass(kw_only=True)
class Peer(Method):
    """A method of another package, run as published: one of PyG's ``ExplainerAlgorithm``.

    It is given the user's model, the whole graph (or the one graph), the target and the node. What
    it does not score follows from what it does: an edge has the mean of its ends' scores, a node
    with one score has it in every feature.

    Args:
        seed: Of torch's and NumPy's global generators while it runs.

    Attributes:
        packages: The modules that it needs, besides what this suite needs.
        ours: The method of this library that it is compared with.
        our_options: That method's options, where its defaults ask for something else.
        masks: PyG's types of the masks of nodes and edges that it is connected with.
        explains: PyG's type of the explanation that it is connected with.
        agrees_on: Which scores of both are compared: ``edges``, or ``nodes`` (sums over features).
        note: What a reader of the comparison has to know; empty if nothing.
        seconds: What the last explanation took, of the package's own code alone.
    """

    engines: ClassVar[tuple[str, ...]] = ("stock",)
    deterministic: ClassVar[bool] = False
    needs_gradients: ClassVar[bool] = False
    homogeneous_only: ClassVar[str] = "it is given one graph, whose nodes and edges have no types"
    packages: ClassVar[tuple[str, ...]] = ()
    ours: ClassVar[str] = ""
    our_options: ClassVar[Mapping[str, Any]] = {}
    masks: ClassVar[tuple[str | None, str | None]] = ("attributes", "object")
    explains: ClassVar[str] = "phenomenon"  # the target is given
    agrees_on: ClassVar[str] = "edges"
    note: ClassVar[str] = ""
    seconds = float("nan")

    seed: int = 0

    @classmethod
    def describe(cls) -> dict[str, Any]:
        """What any method says, and what it is compared with."""
        return {**super().describe(), "beside": cls.ours, "note": cls.note}

    @abstractmethod
    def algorithm(self, problem: ReferenceProblem) -> ExplainerAlgorithm:
        """What gives ``node_mask`` [N, 1] or [N, F], ``edge_mask`` [E], or both."""

    def refuse(self, prepared: PreparedModel) -> None:
        """Refuses models whose layers do not take PyG's masks."""
        if not prepared.suits_pyg:
            raise ValueError(
                f"{self.name} does not support model {prepared.name}: PyG's edge masks do not "
                f"reach its edges; use {self.ours!r}"
            )

    def attribute(self, problem: Problem) -> Attribution:
        """There is nothing but what is published."""
        raise ValueError(f"{self.name} takes no mask_type; use {self.ours!r}")

    def reference(self, problem: ReferenceProblem) -> Attribution:
        """The package's scores."""
        algorithm = self.algorithm(problem)
        nodes, edges = self.masks
        algorithm.connect(
            ExplainerConfig(
                explanation_type=self.explains,
                node_mask_type=nodes,
                edge_mask_type=edges,
            ),
            problem.prepared.config,
        )
        with _global_seed(self.seed):
            start = timer()
            found = problem.run_pyg(algorithm)
            self.seconds = timer() - start
        return attribution(problem, found)

    def counterpart(self) -> Method:
        """The method of this library that it is compared with."""
        return explainers.load(self.ours, **self.our_options)


def attribution(problem: ReferenceProblem, found: Explanation) -> Attribution:
    """The scores in the rows of the problem's inputs, see :class:`Peer`."""
    node_mask, edge_mask = found.get("node_mask"), found.get("edge_mask")
    scores = problem.no_features()
    if node_mask is not None:
        scores += node_mask.detach().to(scores)
    if edge_mask is not None:
        return Attribution(scores, edge_mask.detach().to(problem.edge_mask))
    edges = torch.zeros_like(problem.edge_mask)
    of_node = scores.sum(dim=1)[problem.node_rows]
    edges[problem.edge_rows] = of_node[problem.graphs.edge_index].mean(dim=0)
    return Attribution(scores, edges)


def missing(peer: Peer) -> str:
    """Which of the packages that a peer needs are not installed, in words; empty if none."""
    lacking = [name for name in peer.packages if importlib.util.find_spec(name) is None]
    if not lacking:
        return ""
    return f"{peer.name} needs {' and '.join(lacking)}, not installed here: tox -e peers has all"


class WithBatch(nn.Module):
    """A model that classifies graphs, called as ``model(x, edge_index, batch)``, as some expect.

    Args:
        model: The model.
        inputs: What else it is always given, by keyword.
    """

    def __init__(self, model: nn.Module, inputs: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.model, self.inputs = model, dict(inputs or {})

    def forward(self, x: Tensor, edge_index: Tensor, *batch: Tensor) -> Tensor:
        """The outputs, [G, C]."""
        given = self.inputs | ({"batch": batch[0]} if batch else {})
        output: Tensor = self.model(x, edge_index, **given)
        return output


@contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    """Sets the generators that packages draw from, and puts them back."""
    kept = np.random.get_state()  # noqa: NPY002  # the one that packages use
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(kept)  # noqa: NPY002
