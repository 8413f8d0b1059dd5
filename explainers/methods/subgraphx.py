"""SubgraphX."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from explainers.engines.base import Attribution, Problem
from explainers.methods._perturbation import PerturbationMethod
from explainers.methods._seeded import generators
from explainers.methods._subgraphs import Sets, Subgraphs, induced

ONE_OF = 25  # nodes of a large subgraph: so many are taken away together


@dataclass(kw_only=True)
class SubgraphX(PerturbationMethod):
    """Searches for the connected subgraph of few nodes that counts most, by its Shapley value.

    Yuan et al., arXiv:2102.05152, algorithm 1, with the settings of DIG, the authors' library. A
    Monte Carlo tree search takes nodes away, one at a time, from the computation graph and keeps
    what stays connected with the explained node or with an end of the explained link, or the
    largest part of a graph. A subgraph's value is its Shapley value in a game with the other nodes
    as players: the mean change of the output as it joins those that came before it in random orders
    of all. Nodes farther from it than ``hops`` are there throughout, and so are the explained node
    or ends. Nodes outside of a coalition have features of zero and exchange no messages; in DIG
    they have features of zero, which is ``mask_type="node"``, or exchange no messages, which is
    ``"edge"``.

    The set are the nodes of the best subgraph met of at most ``max_nodes``. Scores, in [0, 1], go
    on from there to other sizes: that of a node falls with the size at which it first is in the
    best subgraph met of at most so many nodes, and is 0 if it never is; an edge has the smaller of
    its ends'. Edges between the same nodes have the same: no white-box task is promised. Where a
    subgraph has 50 nodes or more, one of 25 is taken away at a time.

    Args:
        rollouts: Of the tree search.
        max_nodes: Of the set.
        min_nodes: Subgraphs of so many are not searched further.
        children: How many nodes at most are tried to be taken away from a subgraph: those with
            the fewest neighbours in it.
        exploration: Weight of what is promising but little visited.
        n_samples: Orders for one Shapley value, the same for all subgraphs; where the players have
            no more coalitions than that, it is exact.
        hops: Players are the nodes so near; None for the number of message-passing steps.
        max_coalitions: No further rollout begins once so many were computed; what one takes grows
            with the graph.
        seed: Of the orders.

    Explanations have ``selected_nodes`` [n], the nodes of the set; ``set_size``, their number; and
    ``shapley_value``, the set's.
    """

    signed: ClassVar[bool] = False
    deterministic: ClassVar[bool] = False
    slow: ClassVar[bool] = True
    citation: ClassVar[str] = "Yuan et al. 2021, arXiv:2102.05152"

    rollouts: int = 20
    max_nodes: int = 5
    min_nodes: int = 5
    children: int = 14
    exploration: float = 10.0
    n_samples: int = 100
    hops: int | None = None
    max_coalitions: int = 100_000
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for option in (
            "rollouts",
            "max_nodes",
            "min_nodes",
            "children",
            "n_samples",
            "max_coalitions",
        ):
            self.at_least(option, 1)
        if self.hops is not None:
            self.at_least("hops", 1)
        self.at_least("seed", 0)
        if not self.exploration >= 0:
            raise ValueError(f"exploration must be 0 or more, got {self.exploration!r}")

    def attribute(self, problem: Problem) -> Attribution:
        """By the sizes at which a node is in the best subgraph, in [0, 1]."""
        (generator,) = generators(self.seed, problem.owners)
        search = _Search(self, problem, generator)
        for _ in range(self.rollouts):
            search.roll_out()
            if search.graph.computed >= self.max_coalitions:
                break
        visited = sorted(search.known.values(), key=lambda one: (one.size, -one.value))
        scores, best = np.zeros(search.graph.count), visited[0]
        chosen = best
        for one in visited:
            if one is visited[0] or one.value > best.value:
                best = one
                chosen = best if best.size <= self.max_nodes else chosen
                height = 1 - (best.size - 1) / search.graph.count
                scores[best.nodes] = np.maximum(scores[best.nodes], height)
        device = problem.edge_mask.device
        return induced(
            problem,
            torch.from_numpy(scores),
            selected_nodes=[torch.from_numpy(chosen.nodes).to(device)],
            set_size=torch.tensor([chosen.size], device=device),
            shapley_value=problem.edge_mask.new_tensor([chosen.value]),
        )


@dataclass
class _State:
    """A subgraph of the search tree.

    Attributes:
        nodes: bool [n].
        value: Its Shapley value.
        visits: How often it was passed by.
        total: The values to which that led.
        children: Subgraphs of one node less, and what that cuts off; None before it is expanded.
    """

    nodes: Sets
    value: float
    visits: int = 0
    total: float = 0.0
    children: list[_State] | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        return int(self.nodes.sum())


class _Search:
    """The tree, from the whole computation graph down; subgraphs that are met again are the same.

    Attributes:
        graph: See :class:`Subgraphs`.
        known: All subgraphs met.
    """

    def __init__(self, method: SubgraphX, problem: Problem, generator: np.random.Generator) -> None:
        self.method, self.graph = method, Subgraphs(problem)
        n = self.graph.count
        self._reach = self._within(method.hops or problem.prepared.hops)
        # Who comes before the subgraph in each order: a time for each node, and one for it. With
        # the same times for all subgraphs, half of the coalitions of one are those of its parent.
        times, own = generator.random((method.n_samples, n)), generator.random(method.n_samples)
        self._earlier = times < own[:, None]
        self.known: dict[bytes, _State] = {}
        (self.root,) = self._states([np.ones(n, dtype=np.bool_)])

    def _within(self, hops: int) -> Sets:
        """Which nodes are within some hops of each, bool [n, n]."""
        reach = np.eye(self.graph.count, dtype=np.bool_)
        for _ in range(min(hops, self.graph.count)):
            farther = reach | (reach.astype(np.float32) @ self.graph.adjacency > 0)
            if (farther == reach).all():
                break
            reach = farther
        return reach

    def roll_out(self) -> None:
        """From the root to a subgraph that is not searched further, whose value counts for all."""
        path, state = [], self.root
        while state.size > self.method.min_nodes:
            if state.children is None:
                state.children = self._expanded(state)
            if not state.children:
                break
            arrived = math.sqrt(sum(child.visits for child in state.children))
            weight = self.method.exploration * arrived
            state = max(
                state.children,
                key=lambda child: (
                    child.total / max(child.visits, 1) + weight * child.value / (1 + child.visits)
                ),
            )
            path.append(state)
        for one in path:
            one.visits += 1
            one.total += state.value

    def _expanded(self, state: _State) -> list[_State]:
        graph = self.graph
        inside = state.nodes.nonzero()[0]
        degree = (graph.adjacency[inside] & state.nodes).sum(axis=1)
        removable = inside[np.argsort(degree, kind="stable")]
        removable = removable[~np.isin(removable, graph.roots)]
        together = max(1, len(inside) // ONE_OF)
        found = []
        for start in range(0, len(removable), together)[: self.method.children]:
            rest = state.nodes.copy()
            rest[removable[start : start + together]] = False
            if graph.roots:
                found.append(graph.around_roots(rest))
            elif rest.any():
                found.append(max(graph.components(rest), key=lambda part: int(part.sum())))
        return self._states(found)

    def _states(self, found: list[Sets]) -> list[_State]:
        """The states of subgraphs, each once."""
        unique = {nodes.tobytes(): nodes for nodes in found}
        new = {key: nodes for key, nodes in unique.items() if key not in self.known}
        if new:
            values = self._values(list(new.values()))
            for (key, nodes), value in zip(new.items(), values, strict=True):
                self.known[key] = _State(nodes, value)
        return [self.known[key] for key in unique]

    def _values(self, subgraphs: list[Sets]) -> list[float]:
        """Shapley values, the coalitions of all in passes together."""
        drawn = [self._coalitions(nodes) for nodes in subgraphs]
        without = np.concatenate([coalitions for coalitions, _ in drawn])
        owner = np.repeat(np.arange(len(drawn)), [len(coalitions) for coalitions, _ in drawn])
        joined = without | np.stack(subgraphs)[owner]
        outputs = self.graph.outputs(np.concatenate([without, joined]))
        added = np.diff(outputs.reshape(2, -1), axis=0)[0]
        weights = np.concatenate([share for _, share in drawn])
        return np.bincount(owner, weights * added, minlength=len(drawn)).tolist()

    def _coalitions(self, nodes: Sets) -> tuple[Sets, NDArray[np.float64]]:
        """Who may be there as a subgraph joins, bool [S, n], and each one's share in its value."""
        players = self._reach[nodes].any(axis=0) & ~nodes
        always = ~players & ~nodes
        always[self.graph.roots] = True
        others = players.nonzero()[0]
        if 2 ** len(others) > self.method.n_samples:
            before = self._earlier & players | always
            return before, np.full(len(before), 1 / len(before))
        picked = list(itertools.product([False, True], repeat=len(others)))
        before = np.repeat(always[None], len(picked), axis=0)
        before[:, others] = np.array(picked, dtype=np.bool_)
        ways = [1 / ((len(others) + 1) * math.comb(len(others), sum(joined))) for joined in picked]
        return before, np.array(ways)


METHOD = SubgraphX
