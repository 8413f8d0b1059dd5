"""Myerson values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from explainers.engines.base import Attribution, Problem
from explainers.methods._perturbation import PerturbationMethod, shared
from explainers.methods._seeded import generators
from explainers.methods._subgraphs import ConnectedGame

AT_ONCE = 20_000  # sets of nodes that are looked up together, roughly


@dataclass(kw_only=True)
class Myerson(PerturbationMethod):
    """Shapley values of the nodes where only those that are connected can act together.

    Myerson 1977: the worth of a coalition of nodes is the sum of what its connected parts are worth
    each by itself, and a node's value is its Shapley value in that game. A connected part is worth
    the output with its subgraph alone less that with nothing: nodes outside have features of zero
    and exchange no messages. For a node, parts without it are worth nothing, and for a link those
    without either end. Connected is what is linked by edges of either direction. GStarX
    (``gstarx``) explains by another value of this game.

    Values are exact on computation graphs of up to ``exact_nodes`` nodes, whose connected
    subgraphs are all computed, up to 2^n; on larger ones they are means over random orders, with a
    pass for each node and order. The values of each component of a graph add up to what it is
    worth. A node's value is shared equally by its features that are not zero; an edge has the mean
    of its ends' values. Edges between the same nodes have the same score: no white-box task is
    promised.

    Args:
        exact_nodes: See above; 0 for orders always.
        n_samples: Orders.
        seed: Of the orders.
    """

    deterministic: ClassVar[bool] = False
    slow: ClassVar[bool] = True
    citation: ClassVar[str] = "Myerson 1977, Mathematics of Operations Research 2, 225-229"

    exact_nodes: int = 12
    n_samples: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("exact_nodes", 0)
        self.at_least("n_samples", 1)
        self.at_least("seed", 0)

    def attribute(self, problem: Problem) -> Attribution:
        """The values; of an edge the mean of its ends'."""
        game = _Game(problem)
        if game.graph.count <= self.exact_nodes:
            values = game.exact()
        else:
            (generator,) = generators(self.seed, problem.owners)
            values = game.sampled(generator, self.n_samples)
        nodes = torch.from_numpy(values).to(problem.edge_mask)
        return shared(problem, nodes, nodes[problem.graphs.edge_index].mean(dim=0))


class _Game(ConnectedGame):
    """The values of the nodes in the game."""

    def exact(self) -> NDArray[np.float64]:
        """The values [n], over all coalitions."""
        n = self.graph.count
        parts = [
            [part for part in self.graph.parts(coalition) if self.counts(part)]
            for coalition in range(2**n)
        ]
        known = self.worth([part for some in parts for part in some])
        worth = np.array([sum(known[part] for part in some) for some in parts])
        coalitions = np.arange(2**n)
        size = np.array([coalition.bit_count() for coalition in range(2**n)])
        share = np.array([1 / (n * math.comb(n - 1, before)) for before in range(n)])
        values = np.empty(n)
        for node in range(n):
            without = coalitions[coalitions >> node & 1 == 0]
            added = worth[without | 1 << node] - worth[without]
            values[node] = share[size[without]] @ added
        return values

    def sampled(self, generator: np.random.Generator, orders: int) -> NDArray[np.float64]:
        """The means [n] of what nodes add over random orders."""
        n, values = self.graph.count, np.zeros(self.graph.count)
        together = max(1, AT_ONCE // n)
        for start in range(0, orders, together):
            steps = [
                step
                for _ in range(min(together, orders - start))
                for step in self._steps(generator.permutation(n).tolist())
            ]
            known = self.worth([part for _, new, old in steps for part in (*new, *old)])
            for node, new, old in steps:
                values[node] += sum(known[part] for part in new) - sum(known[part] for part in old)
        return values / orders

    def _steps(self, order: list[int]) -> list[tuple[int, list[int], list[int]]]:
        """For each node, the part that it joins in an order, and the parts that this one replaces.

        Only those that count.
        """
        steps, parts = [], list[int]()
        for node in order:
            neighbours = self.graph.neighbours[node]
            old = [part for part in parts if part & neighbours]
            new = 1 << node
            for part in old:
                new |= part
            parts = [part for part in parts if not part & neighbours] + [new]
            if self.counts(new):
                steps.append((node, [new], [part for part in old if self.counts(part)]))
        return steps


METHOD = Myerson
