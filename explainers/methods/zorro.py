"""Zorro."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explainers.engines.base import Attribution, Engine, Problem
from explainers.methods._base import Method
from explainers.methods._decisions import decided, refuse_regression
from explainers.methods._seeded import generators
from explainers.prepare import PreparedModel

CANDIDATES = 10  # of nodes, and of features, in each step; the authors' number


@dataclass(kw_only=True)
class Zorro(Method):
    """Selects nodes until the prediction survives noise in the features of all others.

    Funke et al., arXiv:2105.08621. RDT-fidelity is the probability that the decision stays if the
    features of nodes that are not selected are drawn from those of random nodes, each feature by
    itself; edges stay. The search is greedy: nodes are ranked by their RDT-fidelity alone, and then
    that of the ten best left with which it is highest is added, until it is ``threshold``. As in
    the authors' code all sets are judged by the same draws, and one is added even if none helps.
    With ``features``, features are selected, too, the same for all nodes, and only the selected
    ones of selected nodes are kept: the first step takes the best node or feature by itself, the
    second one of the other kind, and of equals a feature is taken.

    Scores are 1 to 2 for the set, the first selected the highest, and for others, in [0, 1], their
    RDT-fidelity alone. A feature's score of a node is the node's, times that of the feature with
    ``features``; an edge has the mean of its ends'. Edges between the same nodes have the same
    score: no white-box task is promised. Where the target is not what the model predicts, the
    decision that stays is that it is not. Regressions are refused. The passes grow with the nodes
    of the computation graph, and with the number of features if those are selected.

    Args:
        threshold: The RDT-fidelity to be reached.
        features: Whether to select features, too, as in the paper.
        n_samples: Draws behind an RDT-fidelity, a pass each.
        seed: Of the draws.

    Explanations have ``selected_nodes`` [n], the nodes of the set; ``set_size``, their number;
    ``selected_features`` [F], all without ``features``; and ``rdt_fidelity``, the set's, by draws
    that took no part in its choice.
    """

    signed: ClassVar[bool] = False
    deterministic: ClassVar[bool] = False
    needs_gradients: ClassVar[bool] = False
    costly: ClassVar[bool] = True
    granularity: ClassVar[tuple[str, ...]] = ("edges", "nodes")
    homogeneous_only: ClassVar[str] = (
        "its noise is the features of a random node, which has another type's"
    )
    slow: ClassVar[bool] = True
    citation: ClassVar[str] = "Funke et al. 2022, arXiv:2105.08621"

    threshold: float = 0.85
    features: bool = False
    n_samples: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("n_samples", 1)
        self.at_least("seed", 0)
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be above 0 and at most 1, got {self.threshold!r}")

    @torch.no_grad()
    def attribute(self, problem: Problem) -> Attribution:
        """By the order of selection, and by RDT-fidelity alone."""
        (generator,) = generators(self.seed, problem.owners)
        found = _Greedy(_Fidelity(problem, generator, self.n_samples), features=self.features)
        found.search(self.threshold)
        kept = (found.kept[0], found.kept[1])
        fidelity = _Fidelity(problem, generator, self.n_samples)([kept])
        nodes, features = (
            torch.from_numpy(found.scores(kind)).to(problem.edge_mask) for kind in range(2)
        )
        node_mask = torch.zeros_like(problem.x, dtype=problem.edge_mask.dtype)
        edge_mask = torch.zeros_like(problem.edge_mask)
        node_mask[problem.node_rows] = nodes[:, None] * features
        edge_mask[problem.edge_rows] = nodes[problem.graphs.edge_index].mean(dim=0)
        selected = [torch.from_numpy(one).to(problem.edge_mask.device) for one in kept]
        extra = {
            "selected_nodes": selected[:1],
            "set_size": selected[0].sum()[None],
            "selected_features": selected[1:],
            "rdt_fidelity": torch.from_numpy(fidelity).to(problem.edge_mask),
        }
        return Attribution(node_mask, edge_mask, extra)

    def share(self, engine: Engine) -> tuple[int, int | None]:
        """One node at a time, the draws of its sets in passes."""
        return self.n_samples, 1

    def refuse(self, prepared: PreparedModel) -> None:
        """Refuses regressions."""
        refuse_regression("zorro", prepared)


Flags = NDArray[np.bool_]
# Of the nodes [n] and of the features [F], which are kept.
_Kept = tuple[Flags, Flags]


class _Fidelity:
    """The RDT-fidelity of sets, all by the same draws.

    Attributes:
        sizes: n and F.
    """

    def __init__(self, problem: Problem, generator: np.random.Generator, samples: int) -> None:
        self._problem = problem
        self._own = problem.x[problem.node_rows]
        self.sizes = tuple(self._own.shape)
        everywhere = problem.prepared.x
        draws = (
            torch.from_numpy(generator.integers(len(everywhere), size=self.sizes))
            for _ in range(samples)
        )
        self._noise = torch.stack(
            [everywhere.gather(0, drawn.to(everywhere.device)) for drawn in draws]
        )
        self._before = decided(problem.prepared.output[problem.nodes], problem)

    def __call__(self, sets: Sequence[_Kept]) -> NDArray[np.float64]:
        """In [0, 1], one for each set."""
        samples, device = len(self._noise), self._own.device
        pairs = torch.cartesian_prod(torch.arange(len(sets)), torch.arange(samples)).to(device)
        nodes, features = (
            torch.from_numpy(np.stack(kept)).to(device) for kept in zip(*sets, strict=True)
        )
        stays = []
        whole = bool(features.all())
        for which, draw in (part.unbind(1) for part in pairs.split(self._problem.copies)):
            kept = nodes[which][:, :, None]
            if not whole:
                kept = kept & features[which][:, None]
            x = torch.where(kept, self._own, self._noise[draw])
            stays.append((self._decisions(x) == self._before)[:, 0])
        share = torch.cat(stays).view(len(sets), samples).double().mean(dim=1)
        return share.cpu().numpy()

    def _decisions(self, x: Tensor) -> Tensor:
        """For features [B, n, F] of the computation graph, bool [B, 1]."""
        problem, rows = self._problem, self._problem.node_rows
        if not isinstance(rows, slice):  # there is more of the graph
            inputs = problem.x.repeat(len(x), 1, 1)
            inputs[:, rows] = x
            x = inputs
        return decided(problem.predict(x, problem.edge_mask.expand(len(x), -1)), problem)


class _Greedy:
    """A set that grows: of nodes, which are kind 0, and maybe of features, kind 1.

    Attributes:
        kept: Which are in the set, bool; all features if they are not selected.
        alone: The RDT-fidelity of each by itself with all of the other kind.
    """

    def __init__(self, fidelity: _Fidelity, *, features: bool) -> None:
        self.fidelity, self.kinds = fidelity, range(1 + features)
        self.kept = [np.zeros(fidelity.sizes[0], dtype=np.bool_)]
        self.kept.append(np.full(fidelity.sizes[1], not features))
        self._order: list[list[int]] = [[], []]
        self.alone: list[NDArray[np.float64]] = []
        whole = [np.ones_like(kept) for kept in self.kept]
        for kind in self.kinds:
            each = np.arange(fidelity.sizes[kind])
            self.alone.append(fidelity(_with(whole, kind, each, clear=True)))

    def search(self, threshold: float) -> None:
        """Adds until an RDT-fidelity is reached, or nothing is left."""
        while self.fidelity([(self.kept[0], self.kept[1])])[0] < threshold:
            best = [found for kind in self._next() if (found := self._best(kind))]
            if not best:
                return
            _, kind, one = max(best)  # of equals a feature
            self.kept[kind][one] = True
            self._order[kind].append(one)

    def _next(self) -> Sequence[int]:
        """Of which kinds one may be added: after the first step of the other, if there are two."""
        has = [bool(self._order[kind]) for kind in self.kinds]
        if len(has) == 2 and has[0] != has[1]:
            return [has.index(False)]
        return self.kinds

    def _best(self, kind: int) -> tuple[float, int, int] | None:
        """The RDT-fidelity with the best candidate of a kind, the kind, and the candidate."""
        ranked = np.argsort(-self.alone[kind], kind="stable")
        left = np.sort(ranked[~self.kept[kind][ranked]][:CANDIDATES])
        if not len(left):
            return None
        if not any(self._order):  # with all of the other kind: of none, nothing would be kept
            first = int(ranked[0])
            return float(self.alone[kind][first]), kind, first
        values = self.fidelity(_with(self.kept, kind, left))
        return float(values.max()), kind, int(left[values.argmax()])

    def scores(self, kind: int) -> NDArray[np.float64]:
        """1 to 2 for the set, the first selected the highest; else the fidelity alone."""
        if kind not in self.kinds:
            return np.ones(self.fidelity.sizes[kind])
        found = self.alone[kind].copy()
        count = len(self._order[kind])
        found[self._order[kind]] = 2 - np.arange(count) / max(count, 1)
        return found


def _with(
    sets: Sequence[Flags], kind: int, each: NDArray[Any], *, clear: bool = False
) -> list[_Kept]:
    """Sets of nodes and features, each with one more of a kind, or with it alone of its kind."""
    found = []
    for one in each:
        pair = [kept.copy() for kept in sets]
        pair[kind] &= not clear
        pair[kind][one] = True
        found.append((pair[0], pair[1]))
    return found


METHOD = Zorro
